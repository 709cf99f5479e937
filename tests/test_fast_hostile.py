"""Checkpoints from a stranger: generated code stays inside its memory, and says what the dense engine says, or refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fast_hostile import KINDS, TOKEN, TOKENS, N, keyed, many_keyed

from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.transformer import Layer, Transformer
from wasm2xformer.runtime.fast import FastEngine
from wasm2xformer.runtime.fast.interface import Refused
from wasm2xformer.runtime.torch_engine import TorchEngine

# Beyond 2^53 the dense engine rounds, and which token it decodes is an accident of the order of its sums.
ROUNDED = {"small_beside_large"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_foreign_memory(kind):
    """In a process of its own: a crash is a failure of this test, not the end of all of them."""
    command = [sys.executable, "-m", "tests.fast_hostile", kind, "0", "8"]
    command += [] if kind in ROUNDED else ["--compare"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"WASM2XFORMER_CACHE": ""},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert all(line in ("ran", "equal") or line.startswith("refused: ") for line in lines), lines


def tables(vocabulary: int, neurons: int) -> Transformer:
    """Every neuron is another function of the token, written to one slot: tables of vocabulary x neurons numbers."""
    d = 3
    nothing = np.zeros((0, d)), np.zeros((0, d)), np.zeros((0, d)), np.zeros((d, 0))
    rng = np.random.default_rng(0)
    gate, up = rng.integers(1, 1000, (neurons, d)).astype(float), rng.integers(1, 1000, (neurons, d)).astype(float)
    layer = Layer(*nothing, gate, up, np.ones((d, neurons)))
    embed = np.stack([np.ones(vocabulary), np.arange(vocabulary), np.arange(vocabulary) % 7], axis=1)
    tokens = SparseRows.of(embed)
    return Transformer(tokens, np.zeros((2, d)), [layer], tokens, [""] * vocabulary, np.zeros(0, dtype=np.int32))


def test_tables_are_bounded_by_the_size():
    with pytest.raises(Refused, match="bytes of tables in the analysis"):
        FastEngine(tables(20_000, 2_000))


def test_many_keyed_heads_take_little():
    """A table by key takes memory for the keys that occur only."""
    engine, dense, never = FastEngine(many_keyed(100)), TorchEngine(many_keyed(100)), np.zeros(TOKENS, dtype=bool)
    np.testing.assert_array_equal(engine.decode(never, 20), dense.decode(never, 20))
    words = engine._state.words
    assert words.nbytes > 50 * 2**20  # addresses
    assert resident(words) < 5 * 2**20


def resident(words: np.ndarray) -> int:
    """Bytes of an array that are in memory, as Linux counts them."""
    first, last = words.ctypes.data, words.ctypes.data + words.nbytes
    try:
        text = Path("/proc/self/smaps").read_text(encoding="ascii", errors="replace")
    except OSError:
        pytest.skip("no /proc/self/smaps")
    total, inside = 0, False
    for line in text.splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            start, end = (int(x, 16) for x in name.split("-"))
            inside = start < last and end > first
        elif inside and name == "Rss:":
            total += 1024 * int(rest[0])
    return total


def test_keys_of_the_prefix_are_bounded_by_the_size():
    """Keys that are a page apart."""
    model = keyed({N: 4096.0}, [], {TOKEN: 1.0}, prefix=4000)
    with pytest.raises(Refused, match="prefix"):
        FastEngine(model)


def test_too_many_keyed_heads():
    with pytest.raises(Refused, match=r"1,100 tables by key, and 1,024"):
        FastEngine(many_keyed(1100))
