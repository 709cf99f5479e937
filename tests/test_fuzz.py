"""The fuzz targets: what watches over them sees what it has to, and each door takes a few inputs."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.__main__ import main
from tests.fuzz.checkpoints import FORMAT, parts, save, used
from tests.fuzz.door import ACCEPTED, REFUSED
from tests.fuzz.doors import DOORS
from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_text
from tests.fuzz.watch import Worker
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.tensors import sparse_parts
from wasm2xformer.runtime.fast.linear import Form


def test_everything_that_an_input_can_do_is_seen() -> None:
    worker = Worker("broken", limit=30.0, patience=60.0, memory=1 << 28)
    wanted = {
        b"accept": "accepted", b"raise": "failed", b"refuse": "refused", b"crash": "crashed", b"swell": "swollen",
    }  # fmt: skip
    try:
        for data, kind in wanted.items():
            assert worker.run(data).kind == kind, data
        assert worker.run(b"accept").kind == "accepted"  # in a new process
        worker.limit, worker.patience = 0.5, 60.0
        assert worker.run(b"spin").kind == "hung"
        worker.limit, worker.patience = 30.0, 0.5
        assert worker.run(b"hang").kind == "hung"
    finally:
        worker.stop()
    assert "nobody foresaw this" in Worker("broken").run(b"raise").message


def test_the_same_seed_makes_the_same_inputs() -> None:
    value = {"a": [1, {"b": "c"}, None], "d": {"e": 2.5}}
    for make in (
        lambda rng: mutate_bytes(rng, bytes(range(100)), [b"other"]),
        lambda rng: mutate_text(rng, "(module (func (i32.const 1)))", ["(memory 1)"]),
        lambda rng: mutate_json(rng, value),
    ):
        made = [[make(random.Random(f"{seed}")) for seed in range(300)] for _ in range(2)]
        assert made[0] == made[1] and len({repr(x) for x in made[0]}) > 60
    assert value == {"a": [1, {"b": "c"}, None], "d": {"e": 2.5}}


@pytest.mark.parametrize("door", DOORS)
def test_a_few_inputs_for_each_door(door: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--door", door, "--seed", "7", "--count", "4", "--folder", str(tmp_path)])
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert f"{door}" in shown and not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [
    ["compile", "lib.wat", "--library", "wasi_snapshot_preview1=lib.wat", "-o", "a.wat"],
    ["lib.wat", "-o", "a.wat", "--library", "wasi_snapshot_preview1=lib.wat"],
    ["debug", "a.wat"],
    ["debug", "m.safetensors", "--invoke", "f", "1"],
])  # fmt: skip
def test_arguments_that_once_failed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdin__", None)  # nobody there
    assert DOORS["arguments"]().run(json.dumps(words).encode()) == REFUSED


def test_weights_whose_products_overflow_can_be_looked_at() -> None:
    tensors, metadata = parts(0)
    tensors = {name: t.copy() for name, t in tensors.items()}
    for name in [name for name in tensors if name.endswith(("q_proj.weight", "k_proj.weight"))]:
        tensors[name][tensors[name] != 0] = 1e300
    assert used(save(tensors, {FORMAT: json.dumps(metadata)})) == ACCEPTED


@pytest.mark.parametrize("value", [4e221, 1e-300])
def test_keys_whose_squares_are_no_doubles_any_more(value: float) -> None:
    """A byte's token begins with such a number in slots that are free there, and some of which are keys later."""
    for back in (2, 4, 5, 6):
        tensors, metadata = parts(1)
        name, shape = "model.embed_tokens.weight", (len(metadata["vocabulary"]), metadata["config"]["hidden_size"])
        at, columns, values = (tensors[f"{name}.{part}"] for part in ("at", "columns", "values"))
        embed = SparseRows(shape, at.astype(np.int64), columns, values.astype(np.float64))
        changed = embed.changed(metadata["vocabulary"].index("B.18"), shape[1] - back, value)
        assert used(save(tensors | sparse_parts(name, changed), {FORMAT: json.dumps(metadata)})) == ACCEPTED


@pytest.mark.parametrize("exponent", [-1074, -700, -520, 520, 1000])
def test_numbers_at_the_ends_of_doubles(exponent: int) -> None:
    """Products of such weights are 0 or infinite: a coefficient that is gone is no term of a form any more."""
    rng = random.Random(exponent)
    for _ in range(6):
        tensors, metadata = parts(rng.randrange(3))
        changed = dict(tensors)
        names = [name for name, a in tensors.items() if a.dtype.kind == "f" and a.any()]
        for name in rng.sample(sorted(names), 3):
            a = changed[name] = tensors[name].copy()
            at = np.flatnonzero(a)
            with np.errstate(all="ignore"):
                a.flat[rng.sample(list(at), min(len(at), 3))] *= 2.0**exponent
        assert used(save(changed, {FORMAT: json.dumps(metadata)})) in (ACCEPTED, REFUSED)


def test_a_form_has_no_terms_that_are_zero() -> None:
    assert Form({1: 2.0**-600, 2: 1.0}, 1.0).scaled(2.0**-600) == Form({2: 2.0**-600}, 2.0**-600)
