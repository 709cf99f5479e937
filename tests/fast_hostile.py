"""Transformers from a stranger: numbers that strain the proofs on which generated code rests.

`python -m tests.fast_hostile KIND FIRST LAST [--compare]` runs some in a process of its own and prints "ran", "refused: ..." or,
compared with the dense engine, "equal" or "differs". It ends with a signal when generated code touches memory not its own.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from wasm2xformer.compiler.format.checkpoint import CheckpointError
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.transformer import Layer, Transformer
from wasm2xformer.runtime.fast import FastEngine

ONE, N, NN, KEY, SQUARE, TOKEN, OUT, FIRST = range(8)
KNOTS = 40
WIDTH = FIRST + KNOTS
TOKENS = 8
TEMPERATURE = 4096.0
Neuron = tuple[dict[int, float], dict[int, float], tuple[int, float]]


def transformer(
    embed: np.ndarray, positions: np.ndarray, layers: list[Layer], unembed: np.ndarray, prefix: np.ndarray
) -> Transformer:
    names = [str(i) for i in range(TOKENS)]
    return Transformer(SparseRows.of(embed), positions, layers, SparseRows.of(unembed), names, prefix, head_dim=2)


def mlp(neurons: list[Neuron]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gate, up, down = np.zeros((len(neurons), WIDTH)), np.zeros((len(neurons), WIDTH)), np.zeros((WIDTH, len(neurons)))
    for i, (g, u, (slot, c)) in enumerate(neurons):
        for matrix, row in ((gate, g), (up, u)):
            for s, w in row.items():
                matrix[i, s] = w
        down[slot, i] = c
    return gate, up, down


def ramps(slot: int, pairs: list[tuple[float, float]], of: int = N) -> list[Neuron]:
    """slot += sum of c * relu(x + t) for the slot `of`."""
    return [({of: 1.0, ONE: t}, {ONE: 1.0}, (slot, c)) for t, c in pairs]


def keyed(key: dict[int, float], make_key: list[Neuron], query: dict[int, float], prefix: int = 60) -> Transformer:
    """A head that finds by key: the key's square is a product, the newest of equals wins, the value is the token."""
    embed = np.zeros((TOKENS, WIDTH))
    embed[:, ONE], embed[:, TOKEN] = 1.0, np.arange(TOKENS)
    positions = np.zeros((2, WIDTH))
    positions[0, N] = positions[1, NN] = 1.0
    q, k, v, o = (np.zeros(s) for s in ((2, WIDTH), (2, WIDTH), (2, WIDTH), (WIDTH, 2)))
    for slot, w in query.items():
        q[0, slot] = TEMPERATURE * w
    q[1, ONE] = TEMPERATURE
    for slot, w in key.items():
        k[0, slot] = 2.0 * w
    k[1, SQUARE], k[1, N] = -1.0, 2.0**-5
    v[0, TOKEN] = o[OUT, 0] = 1.0
    no_heads = (np.zeros((0, WIDTH)), np.zeros((0, WIDTH)), np.zeros((0, WIDTH)), np.zeros((WIDTH, 0)))
    layers = [Layer(*no_heads, *mlp(make_key)), Layer(*no_heads, *mlp([(key, key, (SQUARE, 1.0))]))]
    layers.append(Layer(q, k, v, o, *mlp([])))
    unembed = np.zeros((TOKENS, WIDTH))
    unembed[:, OUT], unembed[:, ONE] = np.arange(TOKENS), -(np.arange(TOKENS) ** 2) / 2
    read = np.arange(prefix, dtype=np.int32) % TOKENS
    return transformer(embed, positions, layers, unembed, read)


def small_beside_large(seed: int) -> Transformer:
    """Terms of 2^60 that cancel for every position, and small ones that doubles lose beside them: the key leaves its range
    by a little, which a bound in rounded arithmetic does not see."""
    big, start = 2.0 ** (60 + seed), 2.0**27 - 1024
    neurons = ramps(KEY, [(0, big), (-1, -(big - 256)), (-2, -256)])
    slots = list(range(FIRST, FIRST + KNOTS - 1))
    for i, slot in enumerate(slots):
        neurons += ramps(slot, [(-(i + 1), 127), (-(i + 2), -127)])
    last = FIRST + KNOTS - 1
    neurons += ramps(last, [(0, -(big - start)), (-1, (big - start) - 256), (-2, 256)])
    return keyed(dict.fromkeys([KEY, *slots, last], 1.0), neurons, {})


def key_at_the_limit(seed: int) -> Transformer:
    """Keys that run over one end of the key range after a few positions."""
    sign = 1 if seed % 2 else -1
    start = sign * (2.0**27 - 3 - seed)
    return keyed(
        {KEY: 1.0}, [({ONE: 1.0}, {ONE: 1.0}, (KEY, start)), ({N: 1.0}, {ONE: 1.0}, (KEY, sign))], {TOKEN: 1.0}
    )


def striding_key(seed: int) -> Transformer:
    """Keys that leave the key range after a few positions, by far."""
    stride = (-1.0) ** seed * 2.0 ** (23 + seed % 8)
    return keyed({KEY: 1.0}, [({N: 1.0}, {ONE: 1.0}, (KEY, stride))], {KEY: 1.0, TOKEN: 3.0 * stride})


def growing_key(seed: int) -> Transformer:
    """Keys like n^2 or n^4 times a power of two or a fraction."""
    factor = (2.0**-3, 1.0 / 3.0, 2.0**20, 2.0**61, 2.0**200, -(2.0**31), 5e-324, 1e300)[seed % 8]
    return keyed({KEY: 1.0}, [({N: 1.0}, {N: 1.0}, (KEY, factor)), ({NN: 1.0}, {NN: 1.0}, (KEY, factor))], {TOKEN: 3.0})


def table_key(seed: int) -> Transformer:
    """Keys by token, huge and of any fraction: what one array per store is made of."""
    model = keyed({TOKEN: 1.0}, [], {TOKEN: 1.0})
    values = np.array([0, 2.0**62, -(2.0**63), 2.0**63, 2.0**70, 2.0**100, 0.5, 2.0**27])
    embed = model.embed.dense()
    embed[:, TOKEN] = np.roll(values, seed) if seed % 3 else values * 2.0**-60
    return replace(model, embed=SparseRows.of(embed))


def knot_table(seed: int) -> Transformer:
    """A piecewise-linear function, with values as large as slopes make them, of a product that outgrows 64 bits."""
    slope = (1.0, 2.0**61, 2.0**70, -(2.0**62), 1e-300, 2.0**-30)[seed % 6]
    cube = [({N: 1.0}, {N: 1.0}, (FIRST, 1.0)), ({NN: 1.0}, {NN: 2.0 ** (seed % 3)}, (FIRST, 1.0))]
    model = keyed({KEY: 1.0}, cube, {KEY: 1.0, TOKEN: 1.0})
    points = [(-2.0, slope), (-5.0, -3 * slope), (-9.0, slope), (-100.0, slope)]
    gate, up, down = mlp(ramps(KEY, points, FIRST))
    model.layers.insert(1, Layer(*(getattr(model.layers[0], name) for name in "qkvo"), gate, up, down))
    return model


def far_delay(seed: int) -> Transformer:
    """A head that looks an absurd number of positions back."""
    return keyed({N: 1.0}, [], {N: 1.0, ONE: -(2.0 ** (5 * seed))})


def not_numbers(seed: int) -> Transformer:
    model = keyed({KEY: 1.0}, [({N: 1.0}, {ONE: 1.0}, (KEY, 1.0))], {TOKEN: 1.0})
    value = (np.inf, -np.inf, np.nan, 1e308)[seed % 4]
    if seed % 6 in (0, 2):
        name = ("embed", "", "unembed")[seed % 6]
        return replace(model, **{name: getattr(model, name).changed(0, TOKEN, value)})
    which = (None, model.positions, None, model.layers[0].down, model.layers[2].q, model.layers[2].v)[seed % 6]
    assert which is not None
    which[0, -1 if seed % 6 == 3 else TOKEN] = value
    return model


def random_weights(seed: int) -> Transformer:
    """Dense weights of very different sizes."""
    rng = np.random.default_rng(seed)
    d, heads, neurons = 6, 2, 5
    scale = 2.0 ** rng.integers(-2, 6 + 4 * seed % 40, 40)
    r = lambda *shape: rng.normal(size=shape) * rng.choice(scale, size=shape)  # noqa: E731
    layers = [
        Layer(
            r(2 * heads, d),
            r(2 * heads, d),
            r(2 * heads, d),
            r(d, 2 * heads),
            r(neurons, d),
            r(neurons, d),
            r(d, neurons),
        )
        for _ in range(2)
    ]
    embed = r(TOKENS, d)
    embed[:, 0] = 1.0
    return transformer(embed, np.zeros((2, d)), layers, r(TOKENS, d), np.arange(0))


def random_integers(seed: int) -> Transformer:
    """Keys that are random sums of products of the token and the position, with coefficients of any size."""
    rng = np.random.default_rng(seed)
    slots = [ONE, N, TOKEN, NN]
    row = lambda: {int(s): float(rng.integers(-3, 4)) * 2.0 ** rng.integers(-3, 3) for s in rng.choice(slots, 2)}  # noqa: E731
    neurons = [(row(), row(), (KEY, float(rng.integers(-2, 3)) * 2.0 ** rng.integers(-4, 22))) for _ in range(4)]
    return keyed({KEY: 1.0}, [*neurons, ({ONE: 1.0}, {ONE: 1.0}, (KEY, 1.0))], row())


def many_keyed(heads: int) -> Transformer:
    """Heads that all find the token by key, each by other keys."""
    d, one, token, square, out, n = 5, 0, 1, 2, 3, 4
    embed = np.zeros((TOKENS, d))
    embed[:, one], embed[:, token], embed[:, square] = 1.0, np.arange(TOKENS), np.arange(TOKENS) ** 2
    positions = np.zeros((2, d))
    positions[0, n] = 1.0
    q, k, v = (np.zeros((2 * heads, d)) for _ in range(3))
    o = np.zeros((d, 2 * heads))
    for h in range(heads):
        q[2 * h, token] = q[2 * h + 1, one] = 2.0**20
        k[2 * h, token], k[2 * h, one] = 2.0, 2.0 * h
        k[2 * h + 1, [square, token, one, n]] = -1.0, -2.0 * h, -float(h * h), 2.0**-10
        v[2 * h, token] = o[out, 2 * h] = 1.0
    nothing = np.zeros((0, d))
    layer = Layer(q, k, v, o, nothing, nothing, np.zeros((d, 0)))
    unembed = np.zeros((TOKENS, d))
    unembed[:, out], unembed[:, one] = np.arange(TOKENS), -(np.arange(TOKENS) ** 2) / 2
    prefix = np.array([3, 4, 5], dtype=np.int32)
    return transformer(embed, positions, [layer], unembed, prefix)


KINDS = {
    f.__name__: f
    for f in (
        small_beside_large, key_at_the_limit, striding_key, growing_key, table_key, knot_table, far_delay, not_numbers,
        random_weights, random_integers,
    )
}  # fmt: skip


def outcome(model: Transformer, compared: bool) -> str:
    never = np.zeros(TOKENS, dtype=bool)
    prompts = [np.arange(TOKENS), np.array([3, 1, 3])]
    try:
        engine = FastEngine(model)
        decoded = []
        for prompt in prompts:
            engine.append(prompt)
            decoded += engine.decode(never, 80).tolist()
    except (CheckpointError, EnvelopeError, NotImplementedError) as error:
        return f"refused: {error}"
    if not compared:
        return "ran"
    from wasm2xformer.runtime.torch_engine import TorchEngine

    dense = TorchEngine(model)
    expected = []
    for prompt in prompts:
        dense.append(prompt)
        expected += dense.decode(never, 80).tolist()
    return "equal" if decoded == expected else f"differs: {decoded[:20]} {expected[:20]}"


if __name__ == "__main__":
    for seed in range(int(sys.argv[2]), int(sys.argv[3])):
        print(outcome(KINDS[sys.argv[1]](seed), "--compare" in sys.argv), flush=True)
