"""The door for tokens: what other software decoded from a model, read back by `decode`, whatever it is."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.runtime.calls import fault_of, read_calls, token_ids
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.errors import ArgumentError, DecodingError

from .checkpoints import SOURCES
from .door import ACCEPTED, REFUSED, one_line

WASI = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 0) "\\40\\00\\00\\00\\10\\00\\00\\00")
  (func (export "g") (param f32 i64 externref f64) (result f64 externref i64 f32)
    (local.get 3) (local.get 2) (local.get 1) (local.get 0))
  (func (export "_start") (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (call $exit (i32.const 7))))"""
PROGRAMS = (*SOURCES, WASI)
CALLS = {"f": (), "add": (7, -300), "h": (1, None), "g": (1.5, -1, 3, float("nan")), "_start": ()}
CODES = {0: ACCEPTED, 1: ACCEPTED, 2: REFUSED, 3: ACCEPTED, 7: ACCEPTED}  # 7: the exit code of WASI


@cache
def runs(index: int) -> tuple[Model, list[list[str]]]:
    """The model of a program, and what its calls are as tokens: the prefix, then prompt and answer of each."""
    model = w2x.compile(PROGRAMS[index])
    names = model.transformer.vocabulary
    vm = w2x.Instance(model, stdin=b"words")
    found = [model.transformer.prefix]
    if vm.started is not None:
        found.append(np.concatenate([vm.started.prompt, vm.started.tokens]))
    for name in model.program.entries:
        run = vm.invoke(name, *CALLS[name])
        found.append(np.concatenate([run.prompt, run.tokens]))
    return model, [[names[token] for token in part] for part in found]


class Tokens:
    """The first byte says of which program; then words: names and ids of whole calls, some of them changed."""

    def make(self, rng: random.Random) -> bytes:
        index = rng.randrange(len(PROGRAMS))
        model, (prefix, *calls) = runs(index)
        names = model.transformer.vocabulary
        words = [*prefix] if rng.random() < 0.3 else []
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            words += rng.choice(calls)
        ids = {name: k for k, name in enumerate(names)}
        for _ in range(rng.choice((0, 1, 1, 2, 8))):
            at = rng.randrange(len(words) + 1)
            match rng.randrange(6):
                case 0:
                    words[at : at + 1] = []
                case 1:
                    words[at:at] = [rng.choice(names)]
                case 2:
                    words[at : at + 1] = [rng.choice(names)]
                case 3:
                    del words[at:]
                case 4:
                    words[at:at] = words[at : at + rng.randint(1, 9)]
                case _:
                    words[at : at + 1] = [rng.choice(("-1", "H", "٣", "²", "1e3", str(10**30), "I.999", "\x1b", "é"))]
        if rng.random() < 0.3:
            words = [str(ids.get(word, word)) for word in words]
        return bytes([index]) + rng.choice((" ", ", ", "\n")).join(words).encode("utf-8", "surrogatepass")

    def run(self, data: bytes) -> str:
        model = runs(data[0])[0]
        words = data[1:].decode("utf-8", "replace").replace(",", " ").split()
        self._read(model, words)
        with tempfile.TemporaryDirectory() as folder:
            file, checkpoint = Path(folder, "tokens"), Path(folder, "m.safetensors")
            file.write_bytes(data[1:])
            model.save(checkpoint)
            codes = {_decoded([str(checkpoint), str(file), *more]) for more in ((), ("--trace",), ("--trace", "--json"))}
        assert len(codes) == 1, codes
        return CODES[codes.pop()]

    def _read(self, model: Model, words: list[str]) -> None:
        try:
            for call in read_calls(model, token_ids(model, words)):
                fault_of(call)
        except (ArgumentError, DecodingError) as error:
            one_line(error)


def _decoded(words: list[str]) -> int:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["decode", *words])
    shown = err.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]
    assert code in CODES, f"exit code {code}: {shown[-500:]}"
    assert "Traceback" not in shown and "\x1b" not in shown, shown[-500:]
    return code
