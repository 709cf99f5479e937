"""Where each head looks at a position, from the dense matrices with real softmax: for the debugger in the terminal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...compiler.format.transformer import Layer, Transformer

BLOCK = 256  # positions that are read together


@dataclass(frozen=True)
class HeadLook:
    """A head at one position: its lookup and values by name, the position that weighs most (-1: all weigh the same), that
    weight, and what it hands on of each value."""

    layer: int
    head: int
    lookup: str
    values: tuple[str, ...]
    winner: int
    weight: float
    handed: tuple[float, ...]


class Looks:
    """Reads int32 [T] tokens once (which takes time in proportion to the square of their number), then answers for positions."""

    def __init__(self, t: Transformer, tokens: np.ndarray):
        self.t, self.tokens = t, tokens
        shapes = [(len(tokens), y.q.shape[0]) for y in t.layers]
        self._keys, self._values = ([np.empty(shape) for shape in shapes] for _ in range(2))
        for start in range(0, len(tokens), BLOCK):
            self._forward(start, min(start + BLOCK, len(tokens)), None)

    def at(self, position: int) -> list[HeadLook]:
        """All heads, layer by layer."""
        found: list[HeadLook] = []
        self._forward(position, position + 1, found)
        return found

    def _forward(self, start: int, stop: int, found: list[HeadLook] | None) -> None:
        t = self.t
        n = np.arange(start + 1, stop + 1, dtype=np.float64)[:, None]
        x = t.embed.rows(self.tokens[start:stop]) + n * t.positions[0] + n * n * t.positions[1]
        for index, y in enumerate(t.layers):
            if len(y.head_names):
                x = x + self._attend(index, y, self._read(x), start, found) @ y.o.T
            read = self._read(x)
            x = x + (np.maximum(read @ y.gate.T, 0) * (read @ y.up.T)) @ y.down.T

    def _attend(self, index: int, y: Layer, read: np.ndarray, start: int, found: list[HeadLook] | None) -> np.ndarray:
        stop, width = start + len(read), self.t.head_dim
        self._keys[index][start:stop], self._values[index][start:stop] = read @ y.k.T, read @ y.v.T
        queries, mixed = read @ y.q.T, np.empty((len(read), y.q.shape[0]))
        future = np.arange(stop)[None, :] > np.arange(start, stop)[:, None]
        for h, name in enumerate(y.head_names):
            own = slice(width * h, width * (h + 1))
            scores = queries[:, own] @ self._keys[index][:stop, own].T
            scores[future] = -np.inf
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            mixed[:, own] = weights @ self._values[index][:stop, own]
            if found is not None:
                found.append(_look(index, h, name, y, own, weights[-1], mixed[-1, own]))
        return mixed

    def _read(self, x: np.ndarray) -> np.ndarray:
        """What a layer reads of the residual: some models round it to float32."""
        return x.astype(np.float32).astype(np.float64) if getattr(self.t, "float32_reads", False) else x


def _look(layer: int, head: int, name: str, y: Layer, own: slice, weights: np.ndarray, mixed: np.ndarray) -> HeadLook:
    lookup, _, values = name.partition(" -> ")
    names = tuple(values.split(", "))
    uniform = not (y.q[own].any() and y.k[own].any())
    winner = -1 if uniform else int(len(weights) - 1 - np.argmax(weights[::-1]))
    return HeadLook(layer, head, lookup, names, winner, float(weights[winner]), tuple(mixed[: len(names)].tolist()))


__all__ = ["HeadLook", "Looks"]
