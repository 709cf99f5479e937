"""The door for arguments of the command line: it ends with a code that is documented, and without a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import click

from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.cli.command_line import cli

from .door import ACCEPTED, REFUSED

PROGRAM = """(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "f") (param i32) (result i32) (i32.div_s (i32.const 100) (local.get 0)))
  (func (export "g") (param f32 i64 externref) (result i64) (local.get 1)) (func (export "_start")))"""
FILES = {"a.wat": PROGRAM, "bad.wat": "(module (func", "lib.wat": '(module (func (export "x")))', "empty": "", "text": "words",
         "odd \udcff'\"<&.wat": PROGRAM}  # fmt: skip
# bench takes its time; it has the options and names of the others.
COMMANDS = (*sorted({*cli.commands} - {"bench"}), "--help", "--version", "a.wat", "m.safetensors")
LARGE = str(10**30)
# What the commands' options are given, mostly sensible things; an option that is not here gets one of WORDS.
VALUES: dict[str, tuple[str, ...]] = {
    "--invoke": ("f", "g", "_start", "nothing", ""),
    "-o": ("new.safetensors", "m.safetensors", "a.wat", "a.WAT", "lib.wat", ".", "nowhere/x", "loop", "new/", "p.html", ""),
    "--show": ("linked", "lowered", "program", "assembly", "graph", "transformer", "nothing", ""),
    "--engine": ("fast", "torch", "slow"),
    "--stdin": ("text", "-", "nothing", "."),
    "--env": ("A=b", "A", "=", "A=\udcff", "=C:=x"),
    "--seed": ("0", "-1", "x", str(2**70)),
    "--clock": ("0", "1e300", "nan", "-1", "inf", "1e19"),
    "--write": ("0=text", "0x10=text", "4294967295=text", "0=", "x=text", "70000=text", "0=empty", "65531=text"),
    "--read": ("0:4", "0:0", "4294967295:1", "0x0:0x10", ":", "0:4294967295", "65536:0", "65536:1"),
    "--library": ("env=lib.wat", "env=", "env=nothing", "wasi_snapshot_preview1=lib.wat", "=lib.wat", "env=a.wat", "env=bad.wat"),
    "--max-memory": ("1", "0", "1024", "1025", "x", LARGE),
    "--max-tokens": ("1", "100", "0", "x", LARGE),
    "--max-memory-mib": ("1", "100000", "0", "x", LARGE),
    "--timeout": ("1", "0", "-1", "nan", "x", "1e-9", "1e300"),
    "--export": ("f", "nothing", ""),
    "--limit": ("0", "3", "-1", LARGE),
    "--layer": ("0", "999", "-1", LARGE),
    "--model": ("m.safetensors", "a.wat", "nothing", "text"),
    "-O": ("0", "1", "2"),
    "--plot": ("p.png", "p.svg", "p.pdf", "p", "nowhere/p.png", "m.safetensors", ""),
    "--recorded": ("0", "1", "7", "-1", "x", LARGE),
}
WORDS = ("", "0", "1", "x", "-1", LARGE, "text", "m.safetensors", ".", "nothing", "\udcff")


def _options(flags: bool) -> set[str]:
    """Options of the commands that are tried: flags, or those that take a value."""
    commands = (cli.commands[name] for name in COMMANDS if name in cli.commands)
    options = (p for command in commands for p in command.params if isinstance(p, click.Option))
    return {name for option in options if option.is_flag == flags for name in (*option.opts, *option.secondary_opts)}


VALUES |= dict.fromkeys(_options(flags=False) - {*VALUES}, WORDS)
FLAGS = (*sorted(_options(flags=True)), "-O0", "-O1", "--help", "--", "-", "--nothing", "-x")
NUMBERS = ("0", "1", "-1", "7", "0x1f", "2147483648", "4294967295", LARGE, "1.5", "nan", "-inf", "null", "1e400", "x", "",
           "\udcff", "٣")  # fmt: skip
FILE_NAMES = (*FILES, "m.safetensors", "nothing", ".", "loop", "\udcff", "\x1b[31m", "日本.wat")
CODES = {0: ACCEPTED, 1: ACCEPTED, 2: REFUSED, 3: ACCEPTED}


class Arguments:
    """Commands, options and values in any combination, mostly sensible ones."""

    def make(self, rng: random.Random) -> bytes:
        words = [rng.choice(COMMANDS)] if rng.random() < 0.95 else []
        words += [rng.choice(FILE_NAMES[:6]) if rng.random() < 0.8 else rng.choice(FILE_NAMES)]
        for _ in range(rng.choice((0, 1, 2, 3, 5))):
            if rng.random() < 0.25:
                words.append(rng.choice(FLAGS))
                continue
            option = rng.choice(sorted(VALUES)) if rng.random() < 0.6 else rng.choice(("--invoke", "-o"))
            words += [option, rng.choice(VALUES[option])]
            if option == "--invoke":
                words += [rng.choice(NUMBERS) for _ in range(rng.choice((0, 1, 1, 1, 3)))]
        if rng.random() < 0.1:
            rng.shuffle(words)
        return json.dumps(words).encode()

    def run(self, data: bytes) -> str:
        words: list[Any] = json.loads(data)
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                _files()
                return _outcome(words)
            finally:
                os.chdir(before)


def _files() -> None:
    for name, content in FILES.items():
        Path(name).write_text(content, encoding="utf-8")
    Path("m.safetensors").write_bytes(_model())
    Path("loop").symlink_to("loop")


_made: list[bytes] = []


def _model() -> bytes:
    if not _made:
        with contextlib.redirect_stdout(io.StringIO()):
            assert main(["a.wat", "-o", "first.safetensors"]) == 0
        _made.append(Path("first.safetensors").read_bytes())
        Path("first.safetensors").unlink()
    return _made[0]


def _outcome(words: list[str]) -> str:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    source = Path("a.wat").read_bytes()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    shown = (out.buffer.getvalue() + err.buffer.getvalue()).decode("utf-8")  # type: ignore[attr-defined]
    assert code in CODES, f"exit code {code}: {shown[-500:]}"
    assert "Traceback" not in shown and "\x1b" not in shown, shown[-500:]
    assert code != 2 or err.buffer.getvalue(), "refused without a word"  # type: ignore[attr-defined]
    assert Path("a.wat").read_bytes() == source, "the source was overwritten"
    return CODES[code]
