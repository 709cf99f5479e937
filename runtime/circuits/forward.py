"""The forward pass over a whole sequence with everything that each unit adds to the residual stream, in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...compiler.format.transformer import Layer, Transformer

# Positions of a sequence whose attention is held as a matrix.
MOST = 8192


@dataclass
class HeadRun:
    """scores, weights: float64 [T, T], of each position (row) at all up to it, scores below their largest; [T, 0] of a head that
    adds nothing. values: float64 [T, w]. moved: float64 [T, w], weights @ values, what the head brings."""

    scores: np.ndarray
    weights: np.ndarray
    values: np.ndarray
    moved: np.ndarray


@dataclass
class LayerRun:
    """before, middle: float64 [T, d], the stream as the attention and as the MLP find it. heads: one for each.
    gates, ups: float64 [T, F]. neurons: relu(gates) * ups."""

    before: np.ndarray
    middle: np.ndarray
    heads: list[HeadRun]
    gates: np.ndarray
    ups: np.ndarray
    neurons: np.ndarray


def run_layers(t: Transformer, tokens: np.ndarray) -> tuple[np.ndarray, list[LayerRun]]:
    """tokens: int [T], prefix included. The stream that the logits are read from, float64 [T, d], and every layer's part.

    Raises ValueError for more than MOST tokens.
    """
    if len(tokens) > MOST:
        raise ValueError(f"{len(tokens):,} tokens, at most {MOST:,} are looked at as a whole; take a shorter run")
    x = t.embed.rows(np.asarray(tokens, np.int64))
    layers = []
    for layer in t.layers:
        before = x
        heads = list(_heads(layer, t.head_dim, read(t, before)))
        middle = before + np.concatenate([h.moved for h in heads], 1) @ layer.o.T
        seen = read(t, middle)
        gates, ups = seen @ layer.gate.T, seen @ layer.up.T
        neurons = np.maximum(gates, 0.0) * ups
        layers.append(LayerRun(before, middle, heads, gates, ups, neurons))
        x = middle + neurons @ layer.down.T
    return x, layers


def read(t: Transformer, x: np.ndarray) -> np.ndarray:
    """The stream as the matrices see it."""
    return x.astype(np.float32).astype(np.float64) if t.float32_reads else x


def _heads(layer: Layer, width: int, seen: np.ndarray) -> Iterator[HeadRun]:
    count = len(seen)
    causal = np.tril(np.ones((count, count), dtype=bool))
    for first in range(0, len(layer.q), width):
        part = slice(first, first + width)
        if not layer.o[:, part].any():
            yield HeadRun(
                np.zeros((count, 0)), np.zeros((count, 0)), np.zeros((count, width)), np.zeros((count, width))
            )
            continue
        scores = np.where(causal, (seen @ layer.q[part].T) @ (seen @ layer.k[part].T).T, -np.inf)
        scores -= scores.max(1, keepdims=True)
        weights = np.exp(scores, where=scores > -750.0, out=np.zeros_like(scores))  # 0 below, and slow there
        weights /= weights.sum(1, keepdims=True)
        values = seen @ layer.v[part].T
        yield HeadRun(scores, weights, values, weights @ values)


__all__ = ["MOST", "HeadRun", "LayerRun", "read", "run_layers"]
