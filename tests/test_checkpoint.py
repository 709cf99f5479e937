"""Checkpoints: what is written is read back, and what is not a whole checkpoint is refused with the reason."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import wasm2xformer as w2x
from programs import FOLDER

SOURCE = """(module (memory 1) (data (i32.const 3) "abc")
  (func $add (export "add") (param i32 i64) (result i64) (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
  (func (export "twice") (param i32) (result i64) (call $add (local.get 0) (i64.extend_i32_u (local.get 0)))))"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    w2x.compile(SOURCE).save(path)
    return path


def parts(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_round_trip(path: Path) -> None:
    made, loaded = w2x.compile(SOURCE), w2x.load(path)
    a, b = made.transformer, loaded.transformer
    assert (a.vocabulary, a.envelope, a.probes) == (b.vocabulary, b.envelope, b.probes)
    assert (
        np.array_equal(a.embed, b.embed) and np.array_equal(a.unembed, b.unembed) and np.array_equal(a.prefix, b.prefix)
    )
    for x, y in zip(a.layers, b.layers, strict=True):
        assert all(np.array_equal(getattr(x, n), getattr(y, n)) for n in ("q", "k", "v", "o", "gate", "up", "down"))
        assert (x.head_names, x.neuron_names, x.slot_names) == (y.head_names, y.neuron_names, y.slot_names)
    assert loaded.program.steps == made.program.steps
    assert (loaded.jumps, loaded.entries, loaded.texts) == (made.jumps, made.entries, made.texts)


def test_runs_without_the_source(path: Path) -> None:
    assert w2x.Instance(w2x.load(path), engine="torch").invoke("twice", -5).values == [-5 + 2**32 - 5]


@pytest.mark.parametrize("program", ["i32/sudoku.wasm", "c/word_count.wasm"])
def test_every_process_writes_the_same_bytes(tmp_path: Path, program: str) -> None:
    written = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "wasm2xformer", FOLDER / program, "-o", tmp_path / seed]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, stdout=subprocess.DEVNULL)
        written.append((tmp_path / seed).read_bytes())
    assert written[0] == written[1]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_an_existing_file_is_replaced_as_a_whole(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, target = w2x.load(path), tmp_path / "model.safetensors"
    before = os.umask(0o022)
    try:
        model.save(target)
    finally:
        os.umask(before)
    assert target.read_bytes() == path.read_bytes() and target.stat().st_mode & 0o777 == 0o644
    (tmp_path / "link").symlink_to(target)
    model.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and target.read_bytes() == path.read_bytes()
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        model.save(tmp_path / "pipe")
        assert read.result() == path.read_bytes() and (tmp_path / "pipe").is_fifo()
    (tmp_path / "pipe").unlink()
    monkeypatch.setattr(Path, "replace", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        w2x.compile("(module)").save(target)
    assert target.read_bytes() == path.read_bytes() and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("size", [0, 7, 8, 100, -1, -1000])
def test_truncated(path: Path, tmp_path: Path, size: int) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:size])
    with pytest.raises(w2x.CheckpointError, match="cut short"):
        w2x.load(cut)


def test_missing_and_foreign_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(w2x.CheckpointError, match="no such file"):
        w2x.load(tmp_path / "nowhere")
    with monkeypatch.context() as patch, pytest.raises(w2x.CheckpointError, match=f"{path.name}: permission denied"):
        patch.setattr(Path, "open", mock.Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
        w2x.load(path)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": np.zeros(3)}, foreign)
    with pytest.raises(w2x.CheckpointError, match="not a wasm2xformer checkpoint"):
        w2x.load(foreign)


def test_newer_version(path: Path, tmp_path: Path) -> None:
    tensors, metadata = parts(path)
    newer = tmp_path / "newer.safetensors"
    save_file(tensors, newer, metadata | {"version": "2"})
    with pytest.raises(w2x.CheckpointError, match="version 2"):
        w2x.load(newer)


def damaged(kind: str, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    match kind:
        case "missing tensor":
            del tensors["model.layers.1.mlp.up_proj.weight"]
        case "wrong shape":
            tensors["lm_head.weight"] = tensors["lm_head.weight"][:, 1:].copy()
        case "wrong dtype":
            tensors["lm_head.weight"] = tensors["lm_head.weight"].astype(np.float32)
        case "not finite":
            tensors["model.embed_tokens.weight"][3, 3] = np.nan
        case "prefix out of range":
            tensors["prompt.prefix"][2] = 10**6
        case "metadata cut":
            metadata["program"] = metadata["program"][:-5]
        case "vocabulary short":
            metadata["vocabulary"] = json.dumps(json.loads(metadata["vocabulary"])[:-1])


@pytest.mark.parametrize(
    "kind",
    [
        "missing tensor",
        "wrong shape",
        "wrong dtype",
        "not finite",
        "prefix out of range",
        "metadata cut",
        "vocabulary short",
    ],
)
def test_damage_is_named(path: Path, tmp_path: Path, kind: str) -> None:
    tensors, metadata = parts(path)
    damaged(kind, tensors, metadata)
    bad = tmp_path / "bad.safetensors"
    save_file(tensors, bad, metadata)
    with pytest.raises(w2x.CheckpointError, match="damaged checkpoint"):
        w2x.load(bad)
