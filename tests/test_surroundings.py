"""Odd files, odd values, odd surroundings: every command line ends with a line that says why, none in a traceback."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wasm2xformer.compiler.format.printable import printable
from wasm2xformer.compiler.wasm.source import load as load_source
from wasm2xformer.runtime.cli import main
from wasm2xformer.runtime.cli.errors import BUG, DEBUG, FAILED, INTERRUPTED, REFUSED, TERMINATED, TRAPPED
from wasm2xformer.runtime.cli.output import to_json
from wasm2xformer.runtime.watch import watched

WAT = """
(module
  (memory (export "memory") 1)
  (func (export "f") (param i32) (result i32) (local.get 0))
  (func (export "double") (param f64) (result f64) (local.get 0))
  (func (export "single") (param f32) (result f32) (local.get 0))
  (func (export "long") (param i64) (result i64) (local.get 0))
  (func (export "reference") (param externref) (result externref) (local.get 0))
  (func (export "store") (param i32) (i32.store (local.get 0) (i32.const 1)))
  (func (export "spin") (local i64)  ;; slowly: the certificate of a shorter loop is used up within a second
    (loop (local.set 0 (i64.add (i64.mul (local.get 0) (i64.const 7)) (i64.const 1))) (br 0)))
  (func (export "count") (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "fill") (local i32) (loop (i32.store (local.tee 0 (i32.add (local.get 0) (i32.const 4))) (i32.const 1))
    (br_if 0 (i32.lt_u (local.get 0) (i32.const 60000))) (local.set 0 (i32.const 0)) (br 0)))
  (func (export "\\e6\\97\\a5")) (func (export "")))
"""
# Writes its arguments and its environment, each with the zero at its end.
ECHO = """
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $as (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $a (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $es (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $e (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $out (i32.store (i32.const 32) (i32.const 1024)) (i32.store (i32.const 36) (i32.load (i32.const 4)))
    (drop (call $w (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 16))))
  (func (export "_start")
    (drop (call $as (i32.const 0) (i32.const 4))) (drop (call $a (i32.const 64) (i32.const 1024))) (call $out)
    (drop (call $es (i32.const 0) (i32.const 4))) (drop (call $e (i32.const 64) (i32.const 1024))) (call $out)))
"""
ALLOWED = {0, FAILED, REFUSED, TRAPPED}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all sorts under names that say which."""
    path = tmp_path_factory.mktemp("surroundings")
    (path / "p.wat").write_text(WAT)
    (path / "echo.wat").write_text(ECHO)
    assert main([str(path / "p.wat"), "-o", str(path / "m.safetensors")]) == 0
    assert main([str(path / "echo.wat"), "-o", str(path / "echo.safetensors")]) == 0
    checkpoint, wasm = (path / "m.safetensors").read_bytes(), load_source(WAT).wasm
    (path / "p.wasm").write_bytes(wasm)
    (path / "checkpoint").write_bytes(checkpoint)
    (path / "half.safetensors").write_bytes(checkpoint[: len(checkpoint) // 2])
    (path / "eight.safetensors").write_bytes(checkpoint[:8])
    for name in ("empty", "empty.wat", "empty.wasm", "empty.safetensors"):
        (path / name).touch()
    (path / "half.wasm").write_bytes(wasm[: len(wasm) // 2])
    (path / "magic.wasm").write_bytes(wasm[:4])
    (path / "text").write_text("hello\n")
    (path / "bytes").write_bytes(bytes(range(256)) * 9)
    (path / "zero.wat").write_bytes(b"(module\0)")
    (path / "latin.wat").write_bytes(b'(module (func (export "\xe9")))')
    (path / "deep.wat").write_text('(module (func (export "f") ' + "(block " * 300 + ")" * 302)
    (path / "invalid\x1b[31m.wat").write_text("(module (func (result i32)))")
    for name in ("folder.wat", "folder.safetensors", "folder.c"):
        (path / name).mkdir()
    (path / "loop").symlink_to("loop")
    (path / "dangling").symlink_to("nothing")
    return path


FILES = (
    "p.wat", "p.wasm", "checkpoint", "m.safetensors", "half.safetensors", "eight.safetensors", "empty", "empty.wat",
    "empty.wasm", "empty.safetensors", "half.wasm", "magic.wasm", "text", "bytes", "zero.wat", "latin.wat", "deep.wat",
    "invalid\x1b[31m.wat", "folder.wat", "folder.safetensors", "folder.c", "loop", "dangling", "/dev/null", "/dev/zero", "/",
    "", ".", "n" * 5000, "a\0b", "\udcff", "\ud800", "p.wat/x", "-",
)  # fmt: skip
NUMBERS = (
    "", "0", "-1", "x", "9" * 30, "1.5", "nan", "inf", "0x10", "9" * 5000, "0x" + "f" * 5000, "nan:0x" + "f" * 400,
    "0x1p99999", "1" + "0" * 400 + "e-400", "\0", "\ud800", "--5",
)  # fmt: skip


def run(capfd: pytest.CaptureFixture[str], arguments: Sequence[str]) -> tuple[int, str, str]:
    capfd.readouterr()
    code = main(arguments)
    return code, *capfd.readouterr()


def large_file(name: str) -> bool:
    """More than is written into memory in a moment."""
    return os.path.isfile(name) and os.path.getsize(name) > 3000


def check(capfd: pytest.CaptureFixture[str], arguments: Sequence[str]) -> None:
    code, out, err = run(capfd, arguments)
    shown = [a[:60] for a in arguments]
    assert code in ALLOWED, (shown, code, err)
    assert "Traceback" not in err and "Errno" not in err and "\x1b" not in out + err, (shown, err)
    if code == REFUSED:
        assert err and all(len(line) < 3000 for line in err.splitlines()), shown
        assert err.startswith("error: "), (shown, err)


@pytest.mark.parametrize("name", FILES, ids=lambda name: repr(name[:20]))
def test_every_sort_of_file_in_every_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
):
    monkeypatch.chdir(folder)
    call = ("--invoke", "f", "1")
    for arguments in (
        (name, "-o", "out.safetensors"), ("run", name, *call), ("verify", name, *call), ("trace", name, *call),
        ("inspect", name), ("inspect", name, "--json"), ("run", name), ("bench", name, "-O7"),
        ("verify", "p.wat", "--model", name, *call), ("run", "m.safetensors", "--stdin", name, *call),
        ("run", "m.safetensors", "--write", f"0={name}", *call), ("run", "p.wat", "--library", f"env={name}", *call),
        ("run", "m.safetensors", "--env", f"{name}=x", *call), ("run", "m.safetensors", *call, "--", name),
        ("run", "m.safetensors", "--invoke", name, "1"), ("p.wat", "-o", "out.safetensors", "--export", name),
    ):  # fmt: skip
        if not any(a.startswith("0=") for a in arguments) or not large_file(name):
            check(capfd, arguments)
    if name not in ("p.wat", "p.wasm", "echo.wat", "-") and not name.startswith("m."):
        check(capfd, ("p.wat", "-o", "copy.safetensors"))
        if not os.path.isfile(name):
            check(capfd, ("p.wat", "-o", name))


@pytest.mark.parametrize("number", NUMBERS, ids=lambda name: repr(name[:20]))
def test_every_sort_of_number_in_every_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: str
):
    monkeypatch.chdir(folder)
    call = ("--invoke", "f", "1")
    for option in ("--max-tokens", "--seed", "--clock", "--engine", "--timeout", "--max-memory-mib"):
        check(capfd, ("run", "m.safetensors", option, number, *call))
    for option in ("--max-memory", "-O"):
        check(capfd, ("run", "p.wat", option, number, *call))
    check(capfd, ("trace", "m.safetensors", "--limit", number, *call))
    check(capfd, ("inspect", "m.safetensors", "--heads", "--layer", number))
    check(capfd, ("run", "m.safetensors", "--write", f"{number}=text", *call))
    check(capfd, ("run", "m.safetensors", "--read", f"{number}:4", *call))
    check(capfd, ("run", "m.safetensors", "--read", f"65530:{number}", *call))
    for option in ("--repeat", "--longest", "--only"):
        check(capfd, ("bench", "text", option, number))
    for function in ("f", "double", "single", "long", "reference", "store"):
        check(capfd, ("trace", "m.safetensors", "--json", "--invoke", function, number))
    check(capfd, ("verify", "p.wat", "--model", "m.safetensors", "--invoke", "double", number))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("p.wat m.safetensors", "Got unexpected extra argument (m.safetensors); the checkpoint's name goes behind -o"),
        ("run m.safetensors f 1", "Got unexpected extra arguments (f 1); a call is --invoke NAME ARG..."),
        ("run m.safetensors --invoke f one", "argument 1 is 'one', expected i32, an integer"),
        ("run m.safetensors --invoke reference x", "expected externref, null, an integer, or an object as object:1"),
        ("run nomemory.wat --read 0:4 --invoke f", "--read: the program does not export a memory that it uses"),
        ("run m.safetensors --timeout 1m --invoke f 1", "'1m' is no number of seconds above 0"),
        ("run m.safetensors --max-tokens 0 --invoke f 1", "'0' is no integer of 1 or more"),
    ],
)
def test_messages_say_what_was_meant(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: str, message: str
):
    monkeypatch.chdir(folder)
    Path("nomemory.wat").write_text('(module (func (export "f")))')
    code, out, err = run(capfd, arguments.split())
    assert (code, out) == (REFUSED, "") and message in err


def test_json_has_no_nan(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for text in ("nan", "inf", "-inf", "1.5"):
        code, out, _ = run(capfd, ("trace", "m.safetensors", "--json", "--invoke", "double", text))
        last = json.loads(out.splitlines()[-1], parse_constant=refuse)
        value = 1.5 if text == "1.5" else text
        assert code == 0 and last["arguments"] == [value] and last["results"] == [value]
        assert last["bits"] == [int(np.float64(text).view(np.uint64))]
    assert to_json({"a": [float("nan"), {"b": (float("inf"), 1)}]}) == '{"a": ["nan", {"b": ["inf", 1]}]}'


def test_what_a_terminal_would_obey_is_escaped():
    assert printable("a\x1b[31m\x9b2J\r\u202eb\udcff\U000e0001") == r"a\x1b[31m\x9b2J\x0d\u202eb\xff\U000e0001"
    assert printable("日本\n\tx", lines=True) == "日本\n\tx" and printable("a\nb") == r"a\x0ab"


def test_a_checkpoint_is_not_written_over_what_it_is_made_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(folder)
    Path("same.wat").symlink_to("p.wat")
    for output in ("p.wat", "./p.wat", "same.wat"):
        code, _, err = run(capfd, ("p.wat", "-o", output))
        assert code == REFUSED and "that is p.wat itself" in err and Path("p.wat").read_text() == WAT
    code, _, err = run(capfd, ("echo.wat", "--library", "env=p.wat", "-o", "p.wat"))
    assert code == REFUSED and "that is p.wat itself" in err


def test_what_nobody_foresaw_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("a\nb")

    monkeypatch.setattr("wasm2xformer.runtime.cli.run_command.model_and_script", fail)
    code, out, err = run(capfd, ("run", "m.safetensors", "--invoke", "f", "1"))
    assert (code, out) == (BUG, "") and len(err.splitlines()) == 1
    assert err.startswith("error: KeyError: ") and "a bug of wasm2xformer" in err and DEBUG in err
    monkeypatch.setenv(DEBUG, "1")
    assert "Traceback" in run(capfd, ("run", "m.safetensors", "--invoke", "f", "1"))[2]


# -- other processes --------------------------------------------------------------------------------------------------

W2X = (sys.executable, "-m", "wasm2xformer")


def shell(folder: Path, command: str, **environment: str) -> tuple[int, bytes, bytes]:
    """A command line of bash in which $W is the program."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, timeout=120,
        env={**os.environ, "W": " ".join(W2X), **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_arguments_that_are_no_utf8_reach_the_program(folder: Path):
    """Byte for byte, on both sides; and so does a file's name, as argv[0]."""
    (folder / os.fsdecode(b"n\xe9.wat")).write_text(ECHO)
    given = r"--env $'A\xff=\xfe' --env B=ü -- $'x\xff' '' y"
    expected = b"echo.safetensors\0x\xff\0\0y\0A\xff=\xfe\0B=\xc3\xbc\0"
    assert shell(folder, f"$W run echo.safetensors {given}") == (0, expected, b"")
    assert shell(folder, f"$W run echo.safetensors {given}", LC_ALL="C", PYTHONUTF8="0") == (0, expected, b"")
    code, out, err = shell(folder, rf"$W verify $'n\xe9.wat' {given}")
    assert code == 0 and b"no difference" in out, err


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("$W run echo.safetensors --stdin - <&-", 2, b"", b"error: --stdin -: standard input is closed"),
        ("$W run m.safetensors --invoke f 1 <&-", 0, b"1\n", b""),
        ("$W run m.safetensors --invoke f 1 <&- >&- 2>&-", 0, b"", b""),
        ("$W run m.safetensors --invoke nothing 2>&-", 2, b"", b""),
        ("$W run m.safetensors --invoke nothing 2>/dev/full", 2, b"", b""),
        ("$W --help >/dev/full", 2, b"", b"error: standard output: no space left on device\n"),
        ("$W trace m.safetensors --invoke f 1 >/dev/full", 2, b"", b"error: standard output: no space left on device\n"),
        ("$W inspect m.safetensors --heads >/dev/full", 2, b"", b"error: standard output: no space left on device\n"),
        ("$W inspect m.safetensors --heads >&-", 0, b"", b""),
        ("$W run echo.safetensors >/dev/full", 2, b"", b"error: standard output: no space left on device\n"),
        ("$W p.wat -o /dev/full", 2, b"", b"error: /dev/full: no space left on device\n"),
        ("$W run <(cat p.wat) --invoke f 5", 0, b"5\n", b""),
        ("cat p.wasm | $W run /dev/stdin --invoke f 5", 0, b"5\n", b""),
        ("$W verify <(cat p.wasm) --invoke f 5", 0, b"f(5) = 5: ", b""),
        ("$W run m.safetensors --write 0=<(printf abc) --read 0:3 --invoke f 5", 0, b"5\n00000000  61 62 63", b""),
        ("env -u HOME $W run m.safetensors --invoke f 5", 0, b"5\n", b""),
        ("HOME=/nowhere XDG_CACHE_HOME= $W run m.safetensors --invoke f 5", 0, b"5\n", b""),
        ("XDG_CACHE_HOME=/dev/null $W run m.safetensors --invoke f 5", 0, b"5\n", b""),
        ("TMPDIR=/nowhere $W run m.safetensors --invoke f 5", 0, b"5\n", b""),
        ("TERM= COLUMNS=0 $W inspect m.safetensors", 0, b"\nm.safetensors", b""),
        ("PYTHONIOENCODING=ascii $W trace m.safetensors --invoke 日", 0, "日()".encode(), b""),
        ("PYTHONIOENCODING=latin-1 $W run m.safetensors --invoke 本", 2, b"", rb"error: no exported function '\u672c'"),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $W run m.safetensors --invoke 日", 0, b"", b""),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $W p.wat -o o.safetensors --export 日", 0, b"o.safetensors: 1 f", b""),
        ("cd / && $W run $OLDPWD/m.safetensors --invoke f 5", 0, b"5\n", b""),
        ("mkdir gone && cd gone && rmdir ../gone && $W run ../m.safetensors --invoke f 5", 0, b"5\n", b""),
    ],
)  # fmt: skip
def test_odd_surroundings(folder: Path, command: str, code: int, out: bytes, err: bytes):
    found = shell(folder, command)
    assert (found[0], found[1][: len(out)], found[2][: len(err)]) == (code, out, err), found
    assert b"Traceback" not in found[2] and b"Exception ignored" not in found[2]
    if not err:
        assert found[2] == b""


# Root may read and write everything, as long as it has the capability to.
AS_ANYBODY = "setpriv --inh-caps=-all --bounding-set=-all " if os.geteuid() == 0 else ""


def test_what_may_not_be_read_or_written(folder: Path):
    (folder / "secret.wat").write_text(WAT)
    (folder / "secret.wat").chmod(0)
    assert shell(folder, f"{AS_ANYBODY}$W run secret.wat --invoke f 1")[2] == b"error: secret.wat: permission denied\n"
    (folder / "folder.wat").chmod(0o500)
    assert b"cannot be written to" in shell(folder, f"{AS_ANYBODY}$W p.wat -o folder.wat/x.safetensors")[2]


# Says when it has begun: before that, a signal meets Python's own start.
BEGUN = """import sys, wasm2xformer.runtime.cli
from wasm2xformer.__main__ import main
print("begun", flush=True)
sys.exit(main())"""


def end_early(arguments: Sequence[str], folder: Path, number: int, **options: Any) -> tuple[int, bytes]:
    """Starts a command, sends it a signal half a second later, waits for its end. Exit code and stderr."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BEGUN, *arguments], cwd=folder, **pipes, **options) as process:
        assert process.stdout and process.stdout.readline() == b"begun\n"
        time.sleep(0.5)
        process.send_signal(number)
        try:
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, err.strip()


def fifo(folder: Path, name: str) -> str:
    path = folder / name
    if not path.exists():
        os.mkfifo(path)
    return name


def large(folder: Path) -> str:
    """A text of which reading, checking and compiling takes long."""
    path = folder / "large.wat"
    if not path.exists():
        line = '(func (export "f{}") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))'
        path.write_text("(module " + "\n".join(map(line.format, range(150_000))) + ")")
    return path.name


@pytest.mark.parametrize(
    "arguments",
    [
        lambda f: ("run", "m.safetensors", "--invoke", "spin"),
        lambda f: ("run", "m.safetensors", "--engine", "torch", "--invoke", "spin"),
        lambda f: ("trace", "m.safetensors", "--invoke", "spin"),
        lambda f: ("verify", "p.wat", "--model", "m.safetensors", "--invoke", "spin"),
        lambda f: ("run", fifo(f, "program"), "--invoke", "f", "1"),
        lambda f: ("run", "m.safetensors", "--stdin", fifo(f, "program"), "--invoke", "f", "1"),
        lambda f: ("run", "m.safetensors", "--write", f"0={fifo(f, 'program')}", "--invoke", "f", "1"),
        lambda f: ("run", "p.wat", "--library", f"env={fifo(f, 'program')}", "--invoke", "f", "1"),
        lambda f: ("p.wat", "-o", fifo(f, "program")),
        lambda f: (large(f), "-o", "large.safetensors"),
        lambda f: ("bench", "p.wat", "--invoke", "spin"),
        lambda f: ("bench", "p.wat", "--longest", "1000000000", "--no-others", "--invoke", "f", "1"),
    ],
)
def test_everything_can_be_interrupted(folder: Path, arguments: Callable[[Path], Sequence[str]]):
    assert end_early(arguments(folder), folder, signal.SIGINT) == (INTERRUPTED, b"interrupted")


def test_a_checkpoint_that_is_a_pipe_is_refused_and_not_waited_for(folder: Path):
    command = [sys.executable, "-m", "wasm2xformer", "inspect", fifo(folder, "program")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("error: ")
    assert not list(folder.glob("*.partial"))


def test_standard_input_that_does_not_come_can_be_interrupted(folder: Path):
    arguments = ("run", "m.safetensors", "--stdin", "-", "--invoke", "f", "1")
    assert end_early(arguments, folder, signal.SIGINT, stdin=subprocess.PIPE) == (INTERRUPTED, b"interrupted")


def test_a_process_that_is_told_to_end_says_so(folder: Path):
    arguments = ("run", "m.safetensors", "--invoke", "spin")
    assert end_early(arguments, folder, signal.SIGTERM) == (TERMINATED, b"terminated")


def test_a_long_listing_ends_when_nobody_reads_it(folder: Path):
    _, out, err = shell(folder, "$W trace m.safetensors --invoke count 30000 | head -n 1")
    assert (out, err) == (b"count(30000)\n", b"")


@pytest.mark.parametrize("command", ["run", "trace", "verify"])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--max-tokens", "5000"), "spin: not finished after 5,000 tokens"),
        # Before the certificate is used up: on a quiet machine that takes two seconds.
        (("--timeout", "0.5"), "not finished after 0.5 seconds (--timeout)"),
        (("--max-memory-mib", "40"), "not finished within 40 MiB of memory (--max-memory-mib)"),
    ],
)
def test_an_endless_program_can_be_bounded(folder: Path, command: str, option: Sequence[str], message: str):
    given = ("p.wat", "--model", "m.safetensors") if command == "verify" else ("m.safetensors",)
    arguments = [*W2X, command, *given, *option, "--invoke", "spin"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == FAILED and message in done.stderr and done.stdout == "", done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_imported_by_the_handler_that_looks(monkeypatch: pytest.MonkeyPatch):
    """In the middle of an import of the command it would make that fail, with a KeyError."""
    monkeypatch.delitem(sys.modules, "resource", raising=False)
    with watched(None, 1_000_000):
        assert "resource" in sys.modules
        known = set(sys.modules)
        time.sleep(0.3)
        assert set(sys.modules) == known


def test_a_growing_trace_is_bounded_in_memory(folder: Path):
    """Before it is as long as the checkpoint is exact for, where its tokens take 256 MiB."""
    arguments = [*W2X, "run", "m.safetensors", "--max-memory-mib", "200", "--invoke", "fill"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == FAILED and "not finished within 200 MiB of memory" in done.stderr


def test_limits_that_are_not_reached_change_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    before = signal.getsignal(signal.SIGALRM)
    limits = ("--timeout", "600", "--max-memory-mib", "100000", "--max-tokens", "1000")
    assert run(capfd, ("run", "m.safetensors", *limits, "--invoke", "f", "7")) == (0, "7\n", "")
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    code, _, err = run(capfd, ("run", "m.safetensors", "--timeout", "0", "--invoke", "f", "7"))
    assert code == REFUSED and "'0' is no number of seconds above 0" in err
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.append(main(("run", "m.safetensors", *limits, "--invoke", "f", "7")))
    )
    thread.start()
    thread.join()
    assert found == [REFUSED] and "need the main thread" in capfd.readouterr().err


def test_progress_on_a_terminal(folder: Path):
    """There it moves; and a program's own output is still there."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*W2X, "run", "echo.safetensors", "--", "hello"], cwd=folder, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        seen = b""
        while True:
            try:
                part = os.read(master, 1024)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            seen += part
    os.close(master)
    assert process.returncode == 0 and b"hello" in seen
