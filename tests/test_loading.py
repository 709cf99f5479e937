"""That a large checkpoint is consistent is found out once, for exactly what was looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import wasm2xformer as w2x
from wasm2xformer.compiler.format import checkpoint
from wasm2xformer.runtime import loading

ADD = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Counts the checks; small checkpoints are large."""
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoint, "LARGE", 0)
    calls: list[int] = []
    real = checkpoint.check
    monkeypatch.setattr(checkpoint, "check", lambda model: calls.append(1) or real(model))
    return calls


@pytest.fixture
def path(tmp_path: Path) -> Path:
    w2x.compile(ADD).save(tmp_path / "add.safetensors")
    return tmp_path / "add.safetensors"


def changed(path: Path, metadata: tuple[str, str] = ("", ""), **tensors: np.ndarray) -> Path:
    """Another checkpoint, with other metadata or tensors."""
    with safe_open(path, framework="numpy") as file:
        whole = {name: file.get_tensor(name) for name in list(file.keys())}
        text = file.metadata()["wasm2xformer"]
    assert not metadata[0] or text.count(metadata[0]) >= 1
    other = path.with_name(f"other {len(list(path.parent.glob('other*')))}.safetensors")
    save_file(whole | tensors, other, {"wasm2xformer": text.replace(*metadata, 1) if metadata[0] else text})
    return other


def test_once(checked: list[int], path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [w2x.load(path) for _ in range(3)]
    assert len(checked) == 1
    assert w2x.Instance(models[2]).invoke("add", 2, 3).values == [5]
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    w2x.load(path)
    assert len(checked) == 2
    monkeypatch.setattr(checkpoint, "LARGE", 1 << 30)
    w2x.load(path)
    assert len(checked) == 3


def test_other_contents_are_looked_at(checked: list[int], path: Path) -> None:
    w2x.load(path)
    with safe_open(path, framework="numpy") as file:
        prefix = file.get_tensor("prompt.prefix")
    shifted = np.roll(prefix, 5)  # no section of the program is whole
    for other in (
        changed(path, ('"opt_level":1', '"opt_level":7')),
        changed(path, **{"prompt.prefix": shifted}),
        changed(path, ('"op":"halt"', '"op":"nothing"')),
    ):
        before = len(checked)
        for _ in range(2):  # what is not consistent is not remembered
            with pytest.raises(w2x.CheckpointError, match="damaged"):
                w2x.load(other)
        assert len(checked) == before + 2


def test_other_tensors_are_looked_at_in_any_case(checked: list[int], path: Path) -> None:
    w2x.load(path)
    with safe_open(path, framework="numpy") as file:
        positions = file.get_tensor("model.embed_positions.weight")
    positions[0, 0] = np.nan
    with pytest.raises(w2x.CheckpointError, match="not finite"):
        w2x.load(changed(path, **{"model.embed_positions.weight": positions}))


def test_other_source_has_to_look_again(checked: list[int], path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w2x.load(path)
    monkeypatch.setattr(loading, "_version", lambda: "another")
    w2x.load(path)
    assert len(checked) == 2
