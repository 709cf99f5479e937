"""Replay with hard attention: each lookup is one search in sorted keys, a block of tokens at a time.

A decoder needs token t before it can make token t + 1; a checker has them all. So each layer's matrices are applied to
thousands of positions at once, and each lookup becomes one search in sorted keys. Hard attention equals real softmax within the
checkpoint's certificate; this shares no code with the fast engine.

Lookups must have the forms of `compiler.graph`: uniform; the latest, k = eps n - penalty; integer parabola keys
k = (2a, -a^2 + eps n - penalty); digits on a paraboloid with a floor. The keys of every block are checked to have them.
"""

from __future__ import annotations

import numpy as np
import torch

from ....compiler.format.transformer import Transformer
from ...errors import ReplayError
from ...fast.certified import check_sums
from .heads import HeadGroup, head_groups, read
from .matrices import GatedMlp, SparseMatrix, Stripes

BLOCK = 1 << 14
# A key within this distance of an integer is that integer (cumulative sums are rounded at about 1e-10).
ROUNDING = 1e-3
# Positions are the low bits of a composite (key, position).
POSITION_BITS = 27
# A query that is no integer is rounded when it is at least so far from the middle between two.
FROM_TIE = 2.0**-26


class HardAttention:
    """A model's layers, with their lookups' memory of the sequence so far. Raises ReplayError for a head of another form."""

    def __init__(self, model: Transformer):
        if getattr(model, "float32_reads", False):
            raise ReplayError("reads rounded to float32: hard attention takes the one-file form only, use real softmax")
        self._layers = [
            ([_lookup(group, model) for group in head_groups(index, layer, model.head_dim)], GatedMlp(layer))
            for index, layer in enumerate(model.layers)
        ]

    def forward(self, x: Stripes, start: int) -> None:
        """x: the embedding of the positions from `start` on, those before have been read; becomes the final residual."""
        for lookups, mlp in self._layers:
            found = [lookup.attend(x, start) for lookup in lookups]
            for lookup, values in zip(lookups, found, strict=True):
                lookup.group.write(values, x)
            for stripe in x:
                mlp.add(stripe, stripe)


def _lookup(group: HeadGroup, model: Transformer) -> _Mean | _Nearest | _Digits:
    if not len(group.query):
        return _Mean(group, model)
    return (_Nearest if len(group.query) <= 2 else _Digits)(group)


class _Mean:
    """Uniform attention: running sums divided by the position."""

    def __init__(self, group: HeadGroup, model: Transformer):
        self.group, self.model = group, model
        self.total = torch.zeros((group.value.size, 1), dtype=torch.float64)

    def attend(self, x: Stripes, start: int) -> torch.Tensor:
        sums = torch.cumsum(read(self.group.value, x), 1) + self.total
        check_sums(self.model, start + sums.shape[1], float(sums.abs().max()))
        self.total = sums[:, -1:].clone()
        return sums / torch.arange(start + 1, start + sums.shape[1] + 1, dtype=torch.float64)


class _Nearest:
    """Nearest integer key, the latest among equals; keys with a penalty never win.

    Live state: per key its latest position and the value there, sorted by key.
    """

    def __init__(self, group: HeadGroup):
        self.group, self.name, self.value = group, group.title, group.value
        query, key = group.query, group.key
        if len(query) == 1:  # the latest: a parabola of which every key is 0
            query, key = (np.concatenate([np.zeros_like(m), m]) for m in (query, key))
        self.query, self.key = SparseMatrix(query), SparseMatrix(key)
        self.eps = float(key[1, 1])  # slot 1 is the position
        self.keys = np.zeros(0, np.int64)
        self.stamps = np.zeros(0, np.int64)
        self.values = np.zeros((0, self.value.size))

    def attend(self, x: Stripes, start: int) -> torch.Tensor:
        q, k = read(self.query, x).numpy(), read(self.key, x).numpy()
        wanted = self._nearest_integers(q[0] / q[1])
        now = np.arange(start, start + len(wanted))
        valid, keys = self._valid(k, now)
        rows = np.flatnonzero(valid)
        # The block's entries by (key, position): the last one not behind (wanted, now) is the latest equal key.
        composite = (keys[rows] << POSITION_BITS) + now[rows]
        order = rows[np.argsort(composite)]
        entries = _Entries(self.keys, self.stamps, keys[order], now[order])
        found = entries.latest(wanted, now)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            found[missing] = entries.nearest(wanted[missing], now[missing])
        values = np.concatenate([self.values, read(self.value, x).T.numpy()[order], np.zeros((1, self.value.size))])
        self.keys, self.stamps, kept = entries.remaining()
        self.values = values[kept]
        return torch.from_numpy(values[found].T)  # -1: before the first key there is nothing to find

    def _nearest_integers(self, x: np.ndarray) -> np.ndarray:
        """Of queries: the nearest key is the one nearest to it, as long as keys are integers that lie densely there."""
        x = np.clip(np.nan_to_num(x), -(2.0**29), 2.0**29)
        rounded = np.rint(x)
        if (np.abs(rounded - x) > 0.5 - FROM_TIE).any():
            raise ReplayError(f"{self.name}: a query is in the middle between two integers")
        return rounded.astype(np.int64)

    def _integers(self, x: np.ndarray, what: str) -> np.ndarray:
        """Rounded, and huge values clipped to where no key is."""
        x = np.clip(np.nan_to_num(x), -(2.0**29), 2.0**29)
        rounded = np.rint(x)
        if np.abs(rounded - x).max(initial=0) > ROUNDING:
            raise ReplayError(f"{self.name}: a {what} is no integer")
        return rounded.astype(np.int64)

    def _valid(self, k: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions whose key counts, and all keys. What is left of -a^2 + eps n is the penalty."""
        a = k[0] / 2
        penalty = self.eps * (now + 1) - a * a - k[1]
        valid = penalty < 0.5
        if np.any(penalty[valid] < -0.5):
            raise ReplayError(f"{self.name}: keys are not on a parabola")
        return valid, self._integers(np.where(valid, a, 0.0), "key")


class _Digits:
    """Exact match of digits, the latest among equals, or 0: queries K (b, 1, -|b|^2 - eps m), keys (2a, score, 1 - floor).

    Two digits (or one) have 12 bits, more have 8, as those of `compiler.machine`: a digit but the highest that is out of this
    range is refused. A key is then one integer, and the live state as in `_Nearest`.
    """

    def __init__(self, group: HeadGroup):
        self.group, self.name, self.value = group, group.title, group.value
        query, key = group.query, group.key
        # The component whose query is constant holds the score, the one behind it what a query has of its own.
        self.score = next((i for i in range(len(query)) if not query[i, 1:].any() and query[i, 0] > 0), -1)
        if self.score != len(query) - 2:
            raise ReplayError(f"{self.name}: neither a parabola nor digits with a floor")
        self.query, self.key = SparseMatrix(query), SparseMatrix(key)
        self.temperature, self.eps = float(query[self.score, 0]), float(key[self.score, 1])
        self.size = 256 if self.score > 2 else 4096
        self.keys, self.stamps = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.values = np.zeros((0, self.value.size))

    def attend(self, x: Stripes, start: int) -> torch.Tensor:
        q, k = read(self.query, x).numpy() / self.temperature, read(self.key, x).numpy()
        now = np.arange(start, start + q.shape[1])
        wanted, keys = self._numbers(q[:-2], "query"), self._numbers(k[:-2] / 2, "key")
        self._expect(q[-1], -(np.rint(q[:-2]) ** 2).sum(0) - self.eps * (now + 1), "what a query has of its own")
        score = k[-2] + ((k[:-2] / 2) ** 2).sum(0)
        penalty = self.eps * (now + 1) - score
        floor = k[-1] == 0
        if (floor != (now == 0)).any() or (k[-1][~floor] != 1).any():
            raise ReplayError(f"{self.name}: the floor is not the first position")
        valid = (penalty < 0.5) & ~floor
        if (np.abs(penalty[valid]) > self.eps / 4).any():
            raise ReplayError(f"{self.name}: keys are not on a paraboloid")
        values = read(self.value, x).T.numpy()
        if (start == 0 and (k[:-1, 0] != [*[0.0] * (len(k) - 2), -0.5]).any()) or (start == 0 and values[0].any()):
            raise ReplayError(f"{self.name}: the first position is no floor")
        rows = np.flatnonzero(valid)
        order = rows[np.argsort((keys[rows] << POSITION_BITS) + now[rows])]
        entries = _Entries(self.keys, self.stamps, keys[order], now[order])
        found = entries.latest(wanted, now)
        kept_values = np.concatenate([self.values, values[order], np.zeros((1, self.value.size))])
        self.keys, self.stamps, kept = entries.remaining()
        self.values = kept_values[kept]
        return torch.from_numpy(kept_values[found].T)  # -1, the last one: 0

    def _numbers(self, digits: np.ndarray, what: str) -> np.ndarray:
        """One integer for the digits of each position."""
        whole = np.rint(digits)
        if np.abs(whole - digits).max(initial=0) > 0:
            raise ReplayError(f"{self.name}: a digit of a {what} is no integer")
        half = self.size // 2
        if (np.abs(whole[:-1] + 0.5) > half).any() or (np.abs(whole[-1]) > 2**14).any():
            raise ReplayError(f"{self.name}: a digit of a {what} is out of range")
        number = np.zeros(digits.shape[1], np.int64)
        for digit in whole[::-1]:
            number = number * self.size + digit.astype(np.int64)
        return number

    def _expect(self, x: np.ndarray, expected: np.ndarray, what: str) -> None:
        if not np.array_equal(x, expected):
            raise ReplayError(f"{self.name}: {what} is not that of a paraboloid")


class _Entries:
    """Keys of earlier blocks (one entry each), and this block's, both sorted by (key, position). Numbered in this order."""

    def __init__(self, old: np.ndarray, old_stamps: np.ndarray, keys: np.ndarray, stamps: np.ndarray):
        self.old, self.keys = old, keys
        self.stamps = np.concatenate([old_stamps, stamps])
        self.composite = (keys << POSITION_BITS) + stamps

    def latest(self, wanted: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Number of the latest entry at or before `now` whose key is `wanted`, -1 where there is none."""
        found = np.full(len(wanted), -1)
        if len(self.old):
            at = np.minimum(np.searchsorted(self.old, wanted), len(self.old) - 1)
            found = np.where(self.old[at] == wanted, at, -1)
        if len(self.keys):
            at = np.searchsorted(self.composite, (wanted << POSITION_BITS) + now, side="right") - 1
            found = np.where((at >= 0) & (self.keys[at] == wanted), len(self.old) + at, found)
        return found

    def nearest(self, wanted: np.ndarray, now: np.ndarray) -> np.ndarray:
        """The same for the key that is nearest to `wanted`; of two equally near ones, the later entry."""
        fresh, first = np.unique(self.keys, return_index=True)
        keys = np.concatenate([fresh, self.old])
        born = np.concatenate([self.stamps[len(self.old) + first], np.full(len(self.old), -1)])
        keys, at = np.unique(keys, return_index=True)  # an old key is also listed as a fresh one
        born = np.where(np.isin(keys, self.old, assume_unique=True), -1, born[at])
        right = _first_born(born, np.searchsorted(keys, wanted), now)
        left = len(keys) - 1 - _first_born(born[::-1], len(keys) - np.searchsorted(keys, wanted), now)
        found, distance = np.full(len(wanted), -1), np.full(len(wanted), np.iinfo(np.int64).max)
        for side in (left, right):
            there = np.flatnonzero((side >= 0) & (side < len(keys)))
            key = keys[side[there]]
            entry, far = self.latest(key, now[there]), np.abs(key - wanted[there])
            later = self.stamps[entry] > np.where(found[there] < 0, -1, self.stamps[found[there]])
            better = (far < distance[there]) | ((far == distance[there]) & later)
            found[there[better]], distance[there[better]] = entry[better], far[better]
        return found

    def remaining(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keys, positions and numbers of the latest entries; those that they hide can never win again."""
        last = np.flatnonzero(np.append(self.keys[1:] != self.keys[:-1], True)) if len(self.keys) else np.arange(0)
        kept = np.flatnonzero(~np.isin(self.old, self.keys[last], assume_unique=True))
        keys = np.concatenate([self.old[kept], self.keys[last]])
        order = np.argsort(keys)
        numbers = np.concatenate([kept, len(self.old) + last])[order]
        return keys[order], self.stamps[numbers], numbers


def _first_born(born: np.ndarray, start: np.ndarray, now: np.ndarray) -> np.ndarray:
    """For each query the first i >= start with born[i] <= now; len(born) where there is none.

    Minima of ranges of 2^k elements say which ranges can be skipped: O(log n) steps for all queries together.
    """
    size = len(born)
    minima = [np.append(born, np.iinfo(np.int64).max)]
    while 2 ** len(minima) <= size:
        half = 2 ** (len(minima) - 1)
        ahead = np.minimum(np.arange(size + 1) + half, size)
        minima.append(np.minimum(minima[-1], minima[-1][ahead]))
    at = start.copy()
    for k, minimum in reversed([*enumerate(minima)]):
        at = np.where(minimum[at] > now, np.minimum(at + 2**k, size), at)
    return at
