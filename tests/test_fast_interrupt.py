"""Ctrl-C while the fast engine works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fast_models import random_transformer

from wasm2xformer.runtime.fast import FastEngine, engine
from wasm2xformer.runtime.fast.jit import compile_object

# The work begins, the signal comes, and what is printed says whether the work was waited for. Whoever started the tests in the
# background may have the signal ignored.
_SIGNAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
_LLVM = """
import _thread, threading
from wasm2xformer.runtime.fast import jit

lines = "\\n".join(f"  %v{i} = {'mul' if i % 3 == 0 else 'add'} i64 %v{i - 1}, %v{i * 7919 % i}" for i in range(1, 60000))
text = f"define i64 @f(i64 %v0) {{\\n{lines}\\n  ret i64 %v59999\\n}}"
real, finished = jit._object, []

def work(text, quick):
    threading.Timer(0.2, _thread.interrupt_main).start()
    finished.append(real(text, quick))

jit._object = work
try:
    jit.compile_object(text)
except KeyboardInterrupt:
    print("finished" if finished else "interrupted", flush=True)
raise SystemExit(3)
"""
_ENDLESS = """
import _thread, threading
import numpy as np
from tests.fast_hostile import TOKENS, keyed, KEY, N, ONE, TOKEN
from wasm2xformer.runtime.fast import FastEngine

engine = FastEngine(keyed({KEY: 1.0}, [({N: 1.0}, {ONE: 1.0}, (KEY, 1.0))], {TOKEN: 1.0}))
threading.Timer(0.5, _thread.interrupt_main).start()
try:
    engine.decode(np.zeros(TOKENS, dtype=bool), 2**31)
except KeyboardInterrupt:
    print("interrupted", flush=True)
raise SystemExit(3)
"""


@pytest.mark.parametrize("script", [_LLVM, _ENDLESS], ids=["LLVM", "an endless program"])
def test_interrupted(script):
    done = subprocess.run(
        [sys.executable, "-c", _SIGNAL + script], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert (done.returncode, done.stdout) == (3, "interrupted\n"), done.stderr


def test_blocks_take_about_as_long():
    """Slow tokens come in small blocks, fast ones in large blocks."""
    fast = FastEngine(random_transformer(0, 1.0))
    fast._pace(fast._chunk, 100 * engine.CHUNK_SECONDS)
    assert fast._chunk == engine.FIRST_CHUNK // 100
    for _ in range(40):
        fast._pace(fast._chunk, 0.0)
    assert fast._chunk == engine.LAST_CHUNK
    fast._pace(1, 3600.0)
    assert fast._chunk == 1
    assert len(fast.decode(np.zeros(len(fast.model.embed), dtype=bool), 5)) == 5


def test_an_interrupted_engine_does_not_go_on(monkeypatch):
    fast = FastEngine(random_transformer(0, 1.0))

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(fast._code, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fast.append(np.array([1]))
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="interrupted"):
        fast.append(np.array([1]))


def test_errors_come_through():
    with pytest.raises(RuntimeError):
        compile_object("this is no LLVM IR")
