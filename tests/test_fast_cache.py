"""The cache of compiled programs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fast_models import Features

from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.runtime.fast import FastEngine, cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    return tmp_path / "fast"


@pytest.fixture
def compiled(monkeypatch):
    """Counts the compilations."""
    calls = []
    real = cache._compile
    monkeypatch.setattr(cache, "_compile", lambda *args: calls.append(args) or real(*args))
    return calls


def model(seed: int = 0) -> Transformer:
    f = Features(seed)
    (s,) = f.graph.cumulative_sum({"s": f.small})
    (x,) = f.graph.lookup("near", f.label, s, {"x": f.label}, key_bits=10)
    return f.finish(x + f.small)


def decoded(which: Transformer, probe: str | None = None) -> list[int]:
    engine = FastEngine(which, probe)
    engine.append(np.array([5, 7, 9]))
    return engine.decode(np.zeros(len(which.vocabulary), dtype=bool), 40).tolist()


def test_second_time_from_disk(folder, compiled):
    first = decoded(model())
    assert len(compiled) == 1
    assert decoded(model()) == first
    assert len(compiled) == 1
    assert len(list(folder.iterdir())) == 1


def test_everything_counts(folder, compiled):
    """A changed tensor, prefix or probe is another program."""
    one = model()
    decoded(one)
    one.layers[0].k[0] += 0.0  # no change
    decoded(one)
    assert len(compiled) == 1
    one.unembed[3, 0] += 1.0
    decoded(one)
    one.prefix = np.array([1], dtype=np.int32)
    decoded(one)
    decoded(one, "index")
    assert len(compiled) == 4


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-9] + b"x" + b[-8:], lambda b: b""])
def test_damaged_files_do_not_exist(folder, compiled, damage):
    first = decoded(model())
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert decoded(model()) == first
    assert len(compiled) == 2
    assert decoded(model()) == first
    assert len(compiled) == 2


def test_off_and_unwritable(tmp_path, monkeypatch, compiled):
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    decoded(model())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path / "file"))
    decoded(model())
    assert len(compiled) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_oldest_go_first(folder, compiled, monkeypatch):
    decoded(model(0))
    (first,) = folder.iterdir()
    os.utime(first, (1, 1))
    monkeypatch.setattr(cache, "CAPACITY", int(1.5 * first.stat().st_size))
    decoded(model(1))
    assert len(list(folder.iterdir())) == 1
    assert not first.exists()


def test_the_users_cache_is_not_the_tests_own():
    """tests/conftest.py chose another."""
    assert cache._folder() == Path(os.environ["WASM2XFORMER_CACHE"]) / "fast"
