"""Batched replay: checks every position of a long trace against the dense matrices, a block of tokens at a time.

A decoder needs token t before it can make token t + 1; a checker has them all. So each layer's matrices are applied to
thousands of positions at once, and each lookup becomes one search in sorted keys. This is the dense model with hard
attention and shares no code with the fast engine: it confirms, far beyond the softmax envelope, that the greedy choice
at every position is the token that follows there.

Lookups must have the forms of `compiler.graph`: uniform, or integer parabola keys k = (2a, -a^2 + eps n - penalty). The
keys of every block are checked to have them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..compiler.graph.transformer import HEAD_DIM, Layer, Transformer

BLOCK = 1 << 14
# A key within this distance of an integer is that integer (cumulative sums are rounded at about 1e-10).
ROUNDING = 1e-3
# Positions are the low bits of a composite (key, position).
POSITION_BITS = 32


class ReplayError(ValueError):
    """The checkpoint has a head that replay cannot evaluate; the message names it."""


@dataclass(frozen=True)
class Mismatch:
    """position: of the token whose greedy successor differs. expected: the trace's next token, actual: the model's."""

    position: int
    expected: int
    actual: int


def replay(
    model: Transformer, tokens: np.ndarray, check_from: int = 0, progress: Callable[[int], None] | None = None
) -> Mismatch | None:
    """The first position p >= check_from at which argmax of the logits is not tokens[p + 1]; None if there is none.

    tokens: int [T], the whole sequence from the prefix on. check_from: usually the last token of the prompt.
    """
    layers = [_Layer(index, layer) for index, layer in enumerate(model.layers)]
    embed, unembed = torch.from_numpy(model.embed), torch.from_numpy(np.ascontiguousarray(model.unembed.T))
    unembed, used = _compact(unembed)
    positions = torch.from_numpy(model.positions)
    for start in range(0, len(tokens), BLOCK):
        ids = torch.from_numpy(np.asarray(tokens[start : start + BLOCK], dtype=np.int64))
        n = torch.arange(start + 1, start + len(ids) + 1, dtype=torch.float64)
        x = embed[ids] + n[:, None] * positions[0] + (n * n)[:, None] * positions[1]
        for layer in layers:
            x = layer.forward(x, start)
        first = max(check_from - start, 0)
        last = min(len(ids), len(tokens) - 1 - start)
        for low in range(first, last, 2048):
            high = min(low + 2048, last)
            chosen = (x[low:high][:, used] @ unembed).argmax(1).numpy()
            wrong = np.flatnonzero(chosen != tokens[start + low + 1 : start + high + 1])
            if len(wrong):
                at = int(wrong[0])
                position = start + low + at
                return Mismatch(position, int(tokens[position + 1]), int(chosen[at]))
        if progress:
            progress(start + len(ids))
    return None


def _compact(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Only the rows (residual slots) that the unembedding reads at all."""
    used = torch.nonzero(weight.abs().sum(1)).flatten()
    return weight[used], used


class _Layer:
    """One layer with its lookups' memory of the sequence so far."""

    def __init__(self, index: int, layer: Layer):
        as_tensor = lambda a: torch.from_numpy(np.ascontiguousarray(a.T))  # noqa: E731
        self.gate, self.up, self.down = as_tensor(layer.gate), as_tensor(layer.up), as_tensor(layer.down)
        heads = range(len(layer.q) // HEAD_DIM)
        groups: dict[bytes, list[int]] = {}
        for h in heads:
            rows = slice(HEAD_DIM * h, HEAD_DIM * h + HEAD_DIM)
            groups.setdefault(layer.q[rows].tobytes() + layer.k[rows].tobytes(), []).append(h)
        self.lookups = [_lookup(index, layer, members) for members in groups.values()]

    def forward(self, x: torch.Tensor, start: int) -> torch.Tensor:
        if self.lookups:
            x = x + sum(lookup.attend(x, start) for lookup in self.lookups)
        if self.gate.shape[1]:
            x = x + (torch.relu(x @ self.gate) * (x @ self.up)) @ self.down
        return x


def _lookup(index: int, layer: Layer, members: list[int]) -> _Mean | _Nearest:
    rows = np.concatenate([np.arange(HEAD_DIM * h, HEAD_DIM * h + HEAD_DIM) for h in members])
    value, out = torch.from_numpy(layer.v[rows].T.copy()), torch.from_numpy(layer.o[:, rows].T.copy())
    first = slice(HEAD_DIM * members[0], HEAD_DIM * members[0] + HEAD_DIM)
    query, key = layer.q[first], layer.k[first]
    if not query.any() and not key.any():
        return _Mean(value, out)
    name = layer.head_names[members[0]] if members[0] < len(layer.head_names) else str(members[0])
    return _Nearest(f"layer {index}, head {name}", query, key, value, out)


class _Mean:
    """Uniform attention: running sums divided by the position."""

    def __init__(self, value: torch.Tensor, out: torch.Tensor):
        self.value, self.out = value, out
        self.total = torch.zeros(value.shape[1], dtype=torch.float64)

    def attend(self, x: torch.Tensor, start: int) -> torch.Tensor:
        sums = torch.cumsum(x @ self.value, 0) + self.total
        self.total = sums[-1].clone()
        n = torch.arange(start + 1, start + len(x) + 1, dtype=torch.float64)
        return (sums / n[:, None]) @ self.out


class _Nearest:
    """Nearest integer key, the latest among equals; keys with a penalty never win.

    Live state: per key the value at its latest position, sorted by key.
    """

    def __init__(self, name: str, query: np.ndarray, key: np.ndarray, value: torch.Tensor, out: torch.Tensor):
        self.name, self.value, self.out = name, value, out
        self.query, self.key = torch.from_numpy(query.T.copy()), torch.from_numpy(key.T.copy())
        self.eps = float(key[1, 1])  # slot 1 is the position
        self.keys = np.zeros(0, np.int64)
        self.stamps = np.zeros(0, np.int64)
        self.values = np.zeros((0, value.shape[1]))

    def attend(self, x: torch.Tensor, start: int) -> torch.Tensor:
        q, k = (x @ self.query).numpy(), (x @ self.key).numpy()
        wanted = self._integers(q[:, 0] / q[:, 1], "query")
        stamp = np.arange(start, start + len(q))
        valid, keys = self._valid(k, stamp)
        rows = np.flatnonzero(valid)
        values = (x @ self.value).numpy()
        # Block entries sorted by (key, position); the predecessor of (wanted, now) is the latest equal key.
        order = rows[np.lexsort((stamp[rows], keys[rows]))]
        composite = (keys[order] << POSITION_BITS) + stamp[order]
        before = np.searchsorted(composite, (wanted << POSITION_BITS) + stamp, side="right") - 1
        result = np.zeros((len(q), values.shape[1]))
        hit = np.zeros(len(q), bool)
        if len(order):
            candidate = order[np.maximum(before, 0)]
            hit = (before >= 0) & (keys[candidate] == wanted)
            result[hit] = values[candidate[hit]]
        if len(self.keys):
            old = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
            known = ~hit & (self.keys[old] == wanted)
            result[known] = self.values[old[known]]
            hit |= known
        missing = np.flatnonzero(~hit)
        if len(missing):
            result[missing] = self._nearest(wanted[missing], stamp[missing], keys[order], stamp[order], values[order])
        self._remember(keys[order], stamp[order], values[order])
        return torch.from_numpy(result) @ self.out

    def _integers(self, x: np.ndarray, what: str) -> np.ndarray:
        """Rounded, and huge values (queries of accesses that trap) clipped to where no key is."""
        x = np.clip(np.nan_to_num(x), -(2.0**29), 2.0**29)
        rounded = np.rint(x)
        if np.abs(rounded - x).max(initial=0) > ROUNDING:
            raise ReplayError(f"{self.name}: a {what} is no integer")
        return rounded.astype(np.int64)

    def _valid(self, k: np.ndarray, stamp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions whose key counts, and all keys. What is left of -a^2 + eps n is the penalty."""
        a = k[:, 0] / 2
        penalty = self.eps * (stamp + 1) - a * a - k[:, 1]
        valid = penalty < 0.5
        if np.any(penalty[valid] < -0.5):
            raise ReplayError(f"{self.name}: keys are not on a parabola")
        return valid, self._integers(np.where(valid, a, 0.0), "key")

    def _nearest(
        self, wanted: np.ndarray, now: np.ndarray, keys: np.ndarray, stamps: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        """For queries without an equal key: the nearest older key, of two equally near ones the later."""
        result = np.zeros((len(wanted), values.shape[1]))
        best = np.full(len(wanted), np.iinfo(np.int64).max)
        best_stamp = np.full(len(wanted), -1)
        if len(self.keys):
            right = np.searchsorted(self.keys, wanted)
            for side in (right - 1, right):
                at = np.clip(side, 0, len(self.keys) - 1)
                self._improve(result, best, best_stamp, wanted, self.keys[at], self.stamps[at], self.values[at])
        # Keys new in this block: few; each from its first position on (later ones are found as equals or are hidden).
        fresh = np.setdiff1d(np.unique(keys), self.keys, assume_unique=True)
        for key in fresh:
            at = np.flatnonzero(keys == key)
            older = np.searchsorted(stamps[at], now, side="right") - 1
            seen = np.flatnonzero(older >= 0)
            if len(seen):
                entry = at[older[seen]]
                parts = (result[seen], best[seen], best_stamp[seen])
                self._improve(*parts, wanted[seen], keys[entry], stamps[entry], values[entry])
                result[seen], best[seen], best_stamp[seen] = parts
        return result

    @staticmethod
    def _improve(result, best, best_stamp, wanted, keys, stamps, values) -> None:
        distance = np.abs(keys - wanted)
        better = (distance < best) | ((distance == best) & (stamps > best_stamp))
        result[better], best[better], best_stamp[better] = values[better], distance[better], stamps[better]

    def _remember(self, keys: np.ndarray, stamps: np.ndarray, values: np.ndarray) -> None:
        """Keeps the latest entry of each key; those it hides can never win again."""
        if not len(keys):
            return
        last = np.flatnonzero(np.append(keys[1:] != keys[:-1], True))
        kept = ~np.isin(self.keys, keys[last], assume_unique=True)
        merged = np.concatenate([self.keys[kept], keys[last]])
        order = np.argsort(merged, kind="stable")
        self.keys = merged[order]
        self.stamps = np.concatenate([self.stamps[kept], stamps[last]])[order]
        self.values = np.concatenate([self.values[kept], values[last]])[order]
