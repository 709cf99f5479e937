"""Methods of circuit discovery over the stock class: they compute what they say; and softened models."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("transformers")
import torch

import wasm2xformer as w2x
from tests.circuits.cases import binary
from tests.stock_models import random_weights
from wasm2xformer.compiler.stock import in_stock_form
from wasm2xformer.runtime.circuits.contrast import Contrast, contrast
from wasm2xformer.runtime.circuits.discovery import answer_metric, edge_attribution, edge_patching, node_patching
from wasm2xformer.runtime.circuits.graph import CircuitGraph
from wasm2xformer.runtime.circuits.live import differing_edges
from wasm2xformer.runtime.circuits.scores import found, recovery, roc
from wasm2xformer.runtime.circuits.soften import soften, soften_error, soften_for
from wasm2xformer.runtime.circuits.stream import Stream
from wasm2xformer.runtime.hf_engine import llama

Added = tuple[w2x.Model, CircuitGraph, Contrast]


@pytest.fixture(scope="module")
def add() -> Added:
    model = w2x.compile(binary("add"))
    return model, w2x.circuits(model), contrast(model, "f", (3, 5), (9, 5))


@pytest.fixture(scope="module")
def smooth(add: Added) -> tuple[Stream, CircuitGraph, Contrast]:
    """Random weights, under which nothing is saturated."""
    model = random_weights(in_stock_form(add[0]))
    graph = CircuitGraph(model.transformer, None, {}, {})
    prefix = model.transformer.prefix[:20]
    pair = Contrast(np.array([2, 3, 4, 5]), np.array([2, 7, 4, 5]), (8, 9))
    return Stream(llama(model.transformer), prefix), graph, pair


def test_outputs_add_up_to_the_stream(smooth):
    stream, _, pair = smooth
    embedded = stream.embedded(pair.clean)
    outputs, logits = stream.outputs(embedded)
    last = stream.model.model.norm(outputs.sum(0)[-1])
    assert torch.allclose(last @ stream.model.lm_head.weight.T, logits, rtol=1e-5, atol=1e-6)


def test_a_gradient_says_what_patching_a_little_does(smooth):
    """Every port, and sources before it: by a difference to both sides."""
    stream, graph, pair = smooth
    embedded, other = stream.embedded(pair.clean), stream.embedded(pair.corrupted)
    metric = answer_metric(pair)
    change = stream.outputs(other)[0] - stream.outputs(embedded)[0]
    gradients = stream.gradients(embedded, metric)
    edges = [e for e in graph.candidates() if e.startswith(("input->", "a0.h1->", "m1->"))]
    ends = [(stream.sources.index(e.split("->")[0]), e.split("->")[1]) for e in edges]
    little = 1e-3
    plus, minus = (
        metric(stream.patched(embedded, [(port, sign * little * change[s]) for s, port in ends])) for sign in (1, -1)
    )
    expected = torch.stack([(change[s] * gradients[stream.ports.index(port)]).sum() for s, port in ends])
    assert (expected.abs() > 1e-3).sum() > len(edges) / 2
    assert torch.allclose((plus - minus) / (2 * little), expected, rtol=0.02, atol=0.01)
    scores = edge_attribution(stream, pair, edges)
    assert np.allclose(list(scores.values()), expected.abs())


def test_patching_finds_only_edges_that_differ(add: Added):
    """On the compiled weights: no other edge has an effect; whole runs replaced give the other answer; nodes the same."""
    model, graph, pair = add
    prefix = graph.transformer.prefix
    truth = differing_edges(graph, *(np.concatenate([prefix, ids]) for ids in (pair.clean, pair.corrupted)))
    stream = Stream(w2x.to_hf(model), prefix)
    scores = edge_patching(stream, pair, graph.candidates())
    chosen = {edge for edge, score in scores.items() if score > 0}
    assert chosen <= truth and len(chosen) >= 7
    assert truth - chosen == {"m14->m15", "m15->a16.h0<q>"}  # a square that is subtracted from every score alike
    nodes = {node for node, score in node_patching(stream, pair).items() if score > 0}
    assert nodes == {edge.split("->")[0] for edge in chosen} - {"input"}


def test_saturation_hides_edges_from_gradients_and_softening_shows_them(add: Added):
    model, graph, pair = add
    prefix = graph.transformer.prefix
    truth = differing_edges(graph, *(np.concatenate([prefix, ids]) for ids in (pair.clean, pair.corrupted)))
    runs = [w2x.Instance(model).invoke("f", *arguments) for arguments in ((3, 5), (9, 5))]
    soft = soften_for(model, runs, 1e-9)
    error = soften_error(model, soft, runs)
    assert error.right == error.positions == 10 and 0 < error.stream < 1
    hard, seen = (
        recovery(edge_attribution(Stream(weights, prefix), pair, graph.candidates()), truth)
        for weights in (w2x.to_hf(model), soft)
    )
    assert hard.above_zero[1] < 0.3 and seen.above_zero[1] == 1.0 and seen.auc > 0.99


def test_softening_has_a_limit(add: Added):
    model, _, _ = add
    runs = [w2x.Instance(model).invoke("f", 3, 5)]
    exact, hot = (soften_error(model, soften(model, t), runs) for t in (1, 512))
    assert exact.right == exact.positions and exact.stream == 0
    assert hot.right < hot.positions
    with pytest.raises(ValueError, match="from 1 on"):
        soften(model, 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        soften_for(model, runs, 1.0)


def test_a_softened_model_has_its_own_tensors(add: Added):
    stock = in_stock_form(add[0])
    before = stock.transformer.layers[3].q.copy(), stock.transformer.layers[3].gate.copy()
    soften(stock, 64)
    assert np.array_equal(before[0], stock.transformer.layers[3].q)
    assert np.array_equal(before[1], stock.transformer.layers[3].gate)


def test_contrasts_that_say_nothing_are_refused(add: Added):
    with pytest.raises(w2x.ArgumentError, match="the same tokens"):
        contrast(add[0], "f", (3, 5), (5, 3))
    with pytest.raises(w2x.ArgumentError, match="prompts of 3 and 4 tokens"):
        contrast(add[0], "f", (3, 5), (3, 500))


def test_scores():
    scores = {"a": 3.0, "b": 2.0, "c": 2.0, "d": 0.0}
    assert recovery(scores, {"a", "b"}).auc == 0.875  # of four pairs three are right and one is equal
    assert recovery(scores, {"a", "b"}).best == (0.8, 2 / 3, 1.0)
    assert found(scores, {"a", "b"}, at_least=3.0) == (1.0, 0.5)
    assert roc(scores, {"a", "b"}) == [(3.0, 0.0, 0.5), (2.0, 0.5, 1.0), (0.0, 1.0, 1.0)]
    assert recovery(dict.fromkeys("abc", 0.0), {"a"}).auc == 0.5
