"""The command as a process: how it ends is not how long its objects take to go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOUD = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start") (local i32)
    (memory.fill (i32.const 100) (i32.const 97) (i32.const 70000))
    (i32.store (i32.const 0) (i32.const 100))
    (i32.store (i32.const 4) (i32.const 70000))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    TRAP))
"""
SCRIPT = """
import atexit, os, sys, threading
leave = os._exit
os._exit = lambda code: (print("at once", file=sys.stderr, flush=True), leave(code))
atexit.register(lambda: print("at the end", file=sys.stderr))
{also}
sys.argv = ["wasm2xformer", *sys.argv[1:]]
from wasm2xformer.__main__ import process
sys.exit(process())
"""
PROFILED = "sys.setprofile(lambda *event: None)"
THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()"


def ended(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, *command], capture_output=True, env={**os.environ, "WASM2XFORMER_CODE": ""})


@pytest.mark.parametrize(("trap", "code"), [("", 0), ("unreachable", 3)])
def test_all_output_is_there(tmp_path: Path, trap: str, code: int) -> None:
    """More than a pipe holds."""
    (tmp_path / "loud.wat").write_text(LOUD.replace("TRAP", trap))
    done = ended("-m", "wasm2xformer", "run", str(tmp_path / "loud.wat"))
    assert (done.returncode, done.stdout) == (code, b"a" * 70000)
    assert done.stderr == (b"trap: wasm `unreachable` instruction executed\n" if trap else b"")


IDLE = THREAD.replace("target", 'name="idle", target')  # nobody is at work
ALSO = {"alone": ("", True), "profiler": (PROFILED, False), "thread": (THREAD, False), "idle": (IDLE, True)}


@pytest.mark.parametrize(("also", "at_once"), ALSO.values(), ids=ALSO)
def test_what_was_registered_is_done(also: str, at_once: bool) -> None:
    """With others at work, the interpreter ends the process."""
    done = ended("-c", SCRIPT.format(also=also), "--version")
    assert done.returncode == 0 and done.stdout.startswith(b"wasm2xformer")
    assert done.stderr.split() == b"at the end at once".split()[: 5 if at_once else 3]


def test_who_does_not_read_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "loud.wat").write_text(LOUD.replace("TRAP", ""))
    command = [sys.executable, "-m", "wasm2xformer", "run", str(tmp_path / "loud.wat")]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
