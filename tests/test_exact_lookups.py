"""Paraboloid lookups: exact match or 0, under torch's own softmax in float64, and what the certificate has to do with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from wasm2xformer.compiler.format.certificate import GAP, tokens_of
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.graph import Graph, build
from wasm2xformer.runtime.check.replay import ReplayError, replay
from wasm2xformer.runtime.fast.engine import FastEngine
from wasm2xformer.runtime.fast.lift import lift
from wasm2xformer.runtime.torch_engine import TorchEngine

KEYS, VALUES = 6, 7


def attend(keys: np.ndarray, off: np.ndarray, queries: np.ndarray, values: np.ndarray, eps: float) -> np.ndarray:
    """The head of `Graph.paraboloid` in numbers. keys: [n, k] centred digits, the first is the floor; queries at the end."""
    n, k = keys.shape
    temperature, positions = GAP / eps, np.arange(1.0, n + 1)
    key = np.concatenate([2 * keys, (eps * positions - (keys**2).sum(1) - off)[:, None], np.ones((n, 1))], 1)
    key[0] = [*[0.0] * k, -0.5, 0.0]
    own = -(queries**2).sum(1) - eps * n
    query = temperature * np.concatenate([queries, np.ones((len(queries), 1)), own[:, None]], 1)
    pad = lambda x: torch.from_numpy(np.pad(x, ((0, 0), (0, 16 - x.shape[1]))))[None, None]  # noqa: E731
    value = np.zeros((n, 16))
    value[1:, 0] = values[1:]
    found = scaled_dot_product_attention(pad(query), pad(key), torch.from_numpy(value)[None, None], scale=1.0)
    return found[0, 0, :, 0].numpy()


def latest(keys: np.ndarray, off: np.ndarray, queries: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What it must give: the last value that counts under the same digits, or 0."""
    known = {tuple(key): value for key, out, value in zip(keys[1:].tolist(), off[1:], values[1:]) if not out}
    return np.array([known.get(tuple(q), 0.0) for q in queries.tolist()])


@pytest.mark.parametrize(("digits", "size", "exponent"), [(1, 4096, -27), (2, 64, -27), (4, 256, -29)])
def test_a_million_keys_without_one_wrong_bit(digits: int, size: int, exponent: int) -> None:
    """30 % switched off; half of the queries are for keys that occur. Few keys, so that they repeat, or many."""
    rng = np.random.default_rng(digits)
    n = 1_000_000
    keys = rng.integers(-size // 2, size // 2, (n, digits)).astype(float)
    off, values = (rng.random(n) < 0.3).astype(float), rng.integers(-(2**31), 2**31, n).astype(float)
    queries = np.concatenate([keys[rng.integers(1, n, 16)], rng.integers(-size, size, (16, digits))]).astype(float)
    got = attend(keys, off, queries, values, 2.0**exponent)
    np.testing.assert_array_equal(got, latest(keys, off, queries, values))
    assert (got[:16] != 0).sum() > 8 and (got == 0).any()


def memory(position_bits: int = 28) -> Transformer:
    """w{k}.{v} writes v under key k, ?{k} makes the model say what stands there: v, or 0."""
    g = Graph()
    low, high, value, writes, floor, asks = (g.feature(n) for n in ("low", "high", "value", "writes", "floor", "asks"))
    for v in range(VALUES):
        g.token(f"v{v}")
    g.token("BOS", {floor: 1})
    for k in range(KEYS):
        for v in range(VALUES):
            g.token(f"w{k}.{v}", {low: k % 4, high: k // 4, value: v, writes: 1})
        g.token(f"?{k}", {low: k % 4, high: k // 4, asks: 1})
    digits = [g.product(1.0 - floor, low), g.product(1.0 - floor, high)]
    (found,) = g.paraboloid(
        "memory", digits, digits, {"found": value}, floor=floor, sizes=(4, 4), off=1.0 - writes - floor,
        position_bits=position_bits,
    )  # fmt: skip
    g.unembed(g.product(asks, found), emittable=VALUES)
    g.prefix = [g.token_ids["BOS"]]
    return build(g)


def ask(engine: TorchEngine | FastEngine, model: Transformer, tokens: list[str]) -> str:
    engine.append(np.array([model.vocabulary.index(t) for t in tokens], dtype=np.int32))
    return model.vocabulary[int(engine.decode(np.ones(len(model.vocabulary), dtype=bool), 1)[0])]


def test_the_engines_agree_and_nothing_found_is_0() -> None:
    model = memory()
    assert [(s.kind, s.exact) for s in lift(model).graph.stores] == [("keyed", True)]
    fast, dense, rng, known = FastEngine(model), TorchEngine(model), np.random.default_rng(0), {}
    for _ in range(200):
        k, v = int(rng.integers(KEYS)), int(rng.integers(VALUES))
        wanted = int(rng.integers(KEYS))
        known[k] = v
        for engine in (fast, dense):
            assert ask(engine, model, [f"w{k}.{v}", f"?{wanted}"]) == f"v{known.get(wanted, 0)}"


def test_what_breaks_when_the_certificate_is_passed() -> None:
    """With a bound of 64 tokens: what was written longer ago than that is lost to the floor. Every engine stops before."""
    model = memory(position_bits=6)
    assert tokens_of(model.certificate) == 64
    fast, dense = FastEngine(model), TorchEngine(model)
    for engine in (fast, dense):
        assert ask(engine, model, ["w1.5", *["v0"] * 40, "?1"]) == "v5"
        with pytest.raises(EnvelopeError, match=r"exact only up to 64 \(head memory\)"):
            engine.append(np.zeros(40, dtype=np.int32))
    sequence = np.array([model.prefix[0], *[0] * 99], dtype=np.int32)
    with pytest.raises(EnvelopeError, match="exact only up to 64"):
        replay(model, sequence)
    unbound = TorchEngine(replace(model, certificate=()))
    assert ask(unbound, model, ["w1.5", *["v0"] * 40, "?1"]) == "v5"
    assert ask(unbound, model, [*["v0"] * 40, "?1"]) == "v0"


def test_a_second_floor_is_read_as_the_dense_model_reads_it() -> None:
    model = memory()
    fast, dense = FastEngine(model), TorchEngine(model)
    story = ["w1.5", "BOS", "w2.3"]
    assert [ask(e, model, [*story, "?1"]) for e in (fast, dense)] == ["v5", "v5"]
    assert [ask(e, model, ["?4"]) for e in (fast, dense)] == ["v0", "v0"]


def test_replay_refuses_digits_that_are_none() -> None:
    model = replace(memory(), certificate=())
    layer = next(y for y in model.layers if len(y.q))
    layer.k[0] *= 1.25
    with pytest.raises(ReplayError, match="digit"):
        replay(model, np.array([model.prefix[0], *[9] * 20], dtype=np.int32))
