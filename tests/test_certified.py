"""No engine believes a certificate: what its tensors keep is worked out anew, one file or folder, before the first token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.certificate import GAP, HeadBound, holds
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.compiler.format.transformer import Layer, Transformer
from wasm2xformer.compiler.graph import Graph, build
from wasm2xformer.compiler.stock import in_stock_form
from wasm2xformer.runtime import hf_engine
from wasm2xformer.runtime.check.replay import replay
from wasm2xformer.runtime.engines import engine_class
from wasm2xformer.runtime.fast import certified
from wasm2xformer.runtime.fast.certified import check_certificate

WAT = """(module (memory (export "memory") 1)
  (func (export "f") (param i32) (result i32)
    (i32.store (local.get 0) (i32.rem_u (local.get 0) (i32.const 7))) (i32.load (local.get 0))))"""
ONE_FILE, FOLDER = ("fast", "torch", "replay", "replay softmax"), ("fast", "torch", "hf", "replay softmax")
CASES = [*((False, e) for e in ONE_FILE), *((True, e) for e in FOLDER)]


@pytest.fixture(scope="module")
def models() -> dict[bool, w2x.Model]:
    """stock -> the program in that form."""
    model = w2x.compile(WAT)
    return {False: model, True: in_stock_form(model)}


def start(engine: str, model: Transformer) -> None:
    """What an engine does first."""
    if engine.startswith("replay"):
        replay(model, model.prefix, len(model.prefix), attention=engine.partition(" ")[2] or "hard")
    else:
        engine_class(engine)(model)


def longer(t: Transformer) -> Transformer:
    """Each bound is possible, taken by itself, and that of the head that sets the minimum is gone."""
    return replace(t, certificate=(HeadBound("entry", "latest", 2**30, 32, -31, GAP),))


def weaker(kind: str, factor: float) -> Callable[[Transformer], Transformer]:
    """The first head of a kind leads by less, the certificate is as it was."""

    def change(t: Transformer) -> Transformer:
        names = {b.head for b in t.certificate if b.kind == kind}
        for index, layer in enumerate(t.layers):
            for head, name in enumerate(layer.head_names):
                if name.partition(" -> ")[0] in names:
                    return replace(t, layers=[*t.layers[:index], scaled(layer, head, factor), *t.layers[index + 1 :]])
        raise AssertionError(kind)

    def scaled(layer: Layer, head: int, factor: float) -> Layer:
        q = layer.q.copy()
        q[16 * head : 16 * head + 16] *= factor
        return replace(layer, q=q)

    return change


FORGED = {
    "longer": (longer, "promises 1,073,741,824 tokens, the weights are exact for (67,108,863|16,777,215)"),
    "leads by 512": (weaker("paraboloid", 0.5), r"exact for 0 \(layer \d+, head \d+ leads by 512, less than 1,024\)"),
    "leads by 4": (weaker("paraboloid", 2.0**-8), "exact for 0 |the fast engine refuses"),
}


@pytest.mark.parametrize(("stock", "engine"), CASES)
@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_checkpoint_is_refused(
    models: dict[bool, w2x.Model], stock: bool, engine: str, forged: str, tmp_path: Path
) -> None:
    change, message = FORGED[forged]
    model = replace(models[stock], transformer=change(models[stock].transformer))
    path = tmp_path / "model"
    if stock:
        w2x.save_folder(model, path)
    else:
        model.save(path)
    found = w2x.load(path).transformer
    assert all(holds(b) for b in found.certificate)
    with pytest.raises(w2x.CheckpointError, match=message):
        start(engine, found)
    nothing = replace(found, certificate=())
    if (engine, stock, forged) != ("fast", True, "leads by 4"):  # of a folder it runs what it knows
        start(engine, nothing)


@pytest.mark.parametrize(("stock", "engine"), CASES)
def test_what_the_compiler_makes_is_not(models: dict[bool, w2x.Model], stock: bool, engine: str) -> None:
    start(engine, models[stock].transformer)


@pytest.mark.parametrize("kind", ["relative", "latest", "rounding", "nearest", "paraboloid"])
@pytest.mark.parametrize("stock", [False, True])
def test_every_kind_of_head_has_to_lead(models: dict[bool, w2x.Model], stock: bool, kind: str) -> None:
    """Heads that round lead by twice as much as they have to, for queries that are not quite where they should be."""
    t = models[stock].transformer
    if kind not in {b.kind for b in t.certificate}:
        assert stock and kind == "rounding"
        return
    check_certificate(t)
    with pytest.raises(w2x.CheckpointError, match="exact for 0 "):
        check_certificate(weaker(kind, 0.125)(t))


def test_what_was_worked_out_stands_in_the_cache(
    models: dict[bool, w2x.Model], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of these tensors, and where it is enough; what promises too much is told why each time."""
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    asked: list[Transformer] = []
    real = certified._worked_out
    monkeypatch.setattr(certified, "_worked_out", lambda model: asked.append(model) or real(model))
    t = models[False].transformer
    less = weaker("latest", 0.125)(t)
    counts = []
    for _ in range(2):  # as in two processes
        monkeypatch.setattr(certified, "_KNOWN", {})
        check_certificate(t)
        counts.append(len(asked))
        with pytest.raises(w2x.CheckpointError, match=r"exact for 0 \(.+\)"):
            check_certificate(less)
        counts.append(len(asked))
    assert counts == [1, 2, 2, 3]


def large_sums() -> Transformer:
    """Sums of 2^38 a token. The bound of a uniform head follows from the sums that there are, not from those reckoned with."""
    g = Graph()
    large = g.feature("large")
    g.token("v0", {large: 2.0**38})
    g.token("v1", {large: 2.0**38 + 1})
    g.token("BOS")
    (total,) = g.cumulative_sum({"total": large}, 1.0)
    g.unembed(g.step(total - 2.0**49), emittable=2)
    g.prefix = [g.token_ids["BOS"]]
    return build(g)


@pytest.mark.parametrize("engine", ["fast", "torch"])
def test_a_running_sum_that_grows_too_large_ends_a_sequence(engine: str) -> None:
    made = engine_class(engine)(large_sums())
    with pytest.raises(EnvelopeError, match="exact only up to"):
        for _ in range(100):
            made.append(np.zeros(1, dtype=np.int32))
    n = made.position  # n tokens with sums up to (n - 1) 2^38
    assert n * (n - 1) * 2.0**38 < 2.0**50 <= (n + 1) * n * 2.0**38


@pytest.mark.parametrize("attention", ["hard", "softmax"])
def test_nor_is_such_a_sequence_replayed(attention: str) -> None:
    model = large_sums()
    tokens = np.array([2, *[0] * 100], dtype=np.int32)
    with pytest.raises(EnvelopeError, match="exact only up to"):
        replay(model, tokens, len(tokens), attention=attention)
    assert replay(model, tokens[:60], 60, attention=attention) is None


def test_nor_decoded_by_the_stock_class(models: dict[bool, w2x.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its means are seen where they enter the output projection: here with values 2^45 times as large."""
    t = models[True].transformer
    layers = [
        replace(y, v=y.v * 2.0**45) if any(n.startswith("uniform") for n in y.head_names) else y for y in t.layers
    ]
    monkeypatch.setattr(hf_engine, "check_certificate", lambda model: None)
    hf_engine.HFEngine(t)
    with pytest.raises(EnvelopeError, match="exact only up to"):
        hf_engine.HFEngine(replace(t, layers=layers))
