"""Small transformers that have nothing to do with WebAssembly, and the comparison of the fast engine with the dense one."""

from __future__ import annotations

from array import array

import numpy as np

from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.transformer import Layer, Transformer
from wasm2xformer.compiler.graph.build import build
from wasm2xformer.compiler.graph.graph import Graph
from wasm2xformer.runtime.fast import FastEngine
from wasm2xformer.runtime.fast.lift import lift
from wasm2xformer.runtime.torch_engine import TorchEngine

TOKENS = 32


def compare(model: Transformer, seed: int = 0, rounds: int = 3, probe: str | None = None, below: int = 0) -> FastEngine:
    """Random prompts (of token ids `below`, default all), then decoding, in turns and at once; the fast engine. In the end
    decoding stops, if it comes to some tokens."""
    rng = np.random.default_rng(seed)
    fast, dense, at_once = FastEngine(model, probe), TorchEngine(model, probe), FastEngine(model, probe)
    table = rng.integers(-(2**40), 2**40, len(model.vocabulary))
    stops = [np.zeros(len(model.vocabulary), dtype=bool), rng.random(len(model.vocabulary)) < 0.1]
    for each in stops:
        each.flags.writeable = False
    for stop in [stops[0]] * rounds + [stops[1]] * 2:
        prompt = rng.integers(0, below or len(model.vocabulary), rng.integers(1, 40)).astype(np.int32)
        fast.append(prompt)
        dense.append(prompt)
        expected = dense.decode(stop, 50)
        np.testing.assert_array_equal(fast.decode(stop, 50), expected)
        np.testing.assert_array_equal(responded(at_once, prompt, stop, 50, table), expected)
    assert fast.position == dense.position == at_once.position
    if probe:
        a, b, c = (np.concatenate(engine.probed) for engine in (fast, dense, at_once))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(c, a)
    assert at_once.trusted == fast.trusted
    return fast


def responded(fast: FastEngine, prompt: np.ndarray, stop: np.ndarray, limit: int, table: np.ndarray) -> np.ndarray:
    """What `respond` decodes, and `decode` where that is not all. The sum is looked at where there is one."""
    tokens, total = fast.respond(array("i", prompt.tolist()), stop, limit, table)
    if total is not None:
        assert stop[tokens[-1]] and total == table[prompt].sum() + table[tokens].sum()
    if len(tokens) < limit and not (len(tokens) and stop[tokens[-1]]):
        tokens = np.concatenate([tokens, fast.decode(stop, limit - len(tokens))])
    return tokens


def kinds(model: Transformer) -> list[str]:
    """The kinds of the stores that the analysis sees."""
    return sorted(store.kind for store in lift(model).graph.stores)


def slot_of(model: Transformer, name: str) -> int:
    """The residual slot of a feature."""
    return model.slot_names.index(name)


class Features:
    """A graph with TOKENS tokens of random integer features, and an unembedding that wraps its index around."""

    def __init__(self, seed: int = 0):
        self.graph = Graph()
        rng = np.random.default_rng(seed)
        names = ("label", "small", "flag", "square")
        self.label, self.small, self.flag, self.square = (self.graph.feature(n) for n in names)
        for i in range(TOKENS):
            features = {
                self.label: i,
                self.small: rng.integers(-4, 5),
                self.flag: rng.integers(0, 2),
                self.square: i * i,
            }
            self.graph.token(f"T{i}", features)

    def finish(self, index) -> Transformer:
        """The next token is index modulo TOKENS for -TOKENS <= index < 3 TOKENS."""
        graph = self.graph
        graph.probe("index", graph.gated("index", (1.0, index)))
        wraps = [graph.step(index - TOKENS * k) for k in (0, 1, 2)]
        graph.unembed(index - TOKENS * (wraps[0] + wraps[1] + wraps[2]) + TOKENS, emittable=TOKENS)
        return build(graph)


def random_transformer(seed: int, hard: float) -> Transformer:
    """Dense random weights: softmax heads and an unembedding without any structure."""
    rng = np.random.default_rng(seed)
    d, heads, neurons, layers = 6, 2, 5, 2
    r = lambda *shape: rng.normal(size=shape)  # noqa: E731
    made = [
        Layer(hard * r(2 * heads, d), r(2 * heads, d), r(2 * heads, d), 0.5 * r(d, 2 * heads),
              r(neurons, d), r(neurons, d), 0.1 * r(d, neurons))
        for _ in range(layers)
    ]  # fmt: skip
    for layer in made:
        layer.o[0] = layer.down[0] = 0.0
    embed = r(TOKENS, d)
    embed[:, 0] = 1.0
    model = Transformer(
        SparseRows.of(embed), np.zeros((2, d)), made, SparseRows.of(r(TOKENS, d)), [str(i) for i in range(TOKENS)],
        np.arange(0), head_dim=2,
    )  # fmt: skip
    model.probes = {"slot": (2, 3), "middle": (1, 2)}
    return model
