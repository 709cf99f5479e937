"""Transformers in the stock form that execute nothing: random weights under the names of a compiled program, no certificate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import wasm2xformer as w2x
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.transformer import Layer, Transformer

LAYERS, HEADS, NEURONS, WIDTH = 3, 2, 7, 24


def random_weights(model: w2x.Model, seed: int = 0) -> w2x.Model:
    """`model` with other weights, of a size at which numbers stay small from layer to layer."""
    rng, t = np.random.default_rng(seed), model.transformer

    def layer() -> Layer:
        heads, neurons = 16 * HEADS, NEURONS
        shapes = (
            (heads, WIDTH),
            (heads, WIDTH),
            (heads, WIDTH),
            (WIDTH, heads),
            (neurons, WIDTH),
            (neurons, WIDTH),
            (WIDTH, neurons),
        )
        names = ([f"head {i}" for i in range(HEADS)], [f"neuron {i}" for i in range(neurons)], slots)
        return Layer(*(0.2 * rng.normal(size=shape) for shape in shapes), *names)

    slots = [f"slot {i}" for i in range(WIDTH)]
    embed, unembed = (rng.normal(size=(len(t.vocabulary), WIDTH)) for _ in range(2))
    # The tokens that the program may emit, halts among them, come up often enough for decoding to end.
    stops = [k for k, name in enumerate(t.vocabulary) if name == "H" or name.startswith("T.")]
    unembed[stops] *= 1.3
    made = Transformer(
        SparseRows.of(embed), np.zeros((2, WIDTH)), [layer() for _ in range(LAYERS)], SparseRows.of(unembed), t.vocabulary,
        t.prefix, (), slots, {"some": (1, 3), "last": (LAYERS, 5)}, 16, True,
    )  # fmt: skip
    return replace(model, transformer=made)
