"""The choice of a token from the final residual, with few logits (`choice_pass`)."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ....compiler.format.transformer import Transformer
from ..diff.native import NativeFunction
from . import choice_pass as p


class Choices:
    """Equal rows of the unembedding have equal logits and are computed once. read: the slots that logits depend on."""

    def __init__(self, model: Transformer):
        self.read = model.unembed.used_columns()
        rows, ids = np.unique(model.unembed.dense(self.read) + 0.0, axis=0, return_index=True)  # of equal ones the lowest id
        order = np.argsort(ids)
        rows, ids = rows[order], ids[order]
        patterns, pattern_of = np.unique(rows != 0, axis=0, return_inverse=True)
        self._blocks, self._boxes, self._columns, self._ids = [list[int](), list[float](), list[int](), list[int]()]
        self._low, self._high, self._weights = list[float](), list[float](), [np.zeros(p.ROWS)]
        for number, pattern in enumerate(patterns):
            members = np.flatnonzero(pattern_of.reshape(-1) == number)
            used = np.flatnonzero(pattern)
            lifted = _lifting(rows[np.ix_(members, used)])
            used = np.concatenate([used[lifted], np.delete(used, lifted)])
            for first in range(0, len(members), p.ROWS):
                some = members[first : first + p.ROWS]
                self._add(rows[np.ix_(some, used)].T, used, ids[some], bool(lifted))
        count = len(self._blocks) // p.BLOCK_WIDTH
        whole = (np.array([*part, 0], np.int64) for part in (self._blocks, self._columns, self._ids))
        blocks, columns, numbers = whole
        boxes, low, high = (np.array([*part, 0.0]) for part in (self._boxes, self._low, self._high))
        self._arrays = blocks, boxes, columns, low, high, np.concatenate(self._weights), numbers
        self._count, self._choose = count, NativeFunction(p.choose)

    def _add(self, part: np.ndarray, used: np.ndarray, ids: np.ndarray, lifted: bool) -> None:
        """part: [columns, rows] of a block, in the columns `used`."""
        width, start = -len(ids) % 8 + len(ids), len(self._columns)
        weights = sum(map(len, self._weights))
        self._blocks += [start, start + len(used), int(lifted), weights, width, len(self._ids), len(ids), 0]
        box = [0.0] * p.BOX_WIDTH
        if lifted:
            a, w = part[1] / 2, part[0]
            t = w + a * a
            box = [a.min(), a.max(), t.max(), (4 * a * a + abs(t) + abs(w)).max()]
        self._boxes += map(float, box)
        self._columns += used.tolist()
        self._low += part.min(1).tolist()
        self._high += part.max(1).tolist()
        self._ids += ids.tolist()
        self._weights.append(np.pad(part, ((0, 0), (0, width - len(ids)))).reshape(-1))

    def of(self, x: np.ndarray) -> np.ndarray:
        """x: float64 [n, read] -> int64 [n]: the argmax of each row's logits, of equal ones the lowest id."""
        chosen, sizes = np.empty(len(x), np.int64), np.array([*x.shape, self._count], np.int64)
        self._choose(sizes, *self._arrays, np.ascontiguousarray(x), np.empty(self._count + 1), np.empty(p.ROWS), chosen)
        return chosen


def _lifting(rows: np.ndarray) -> list[int]:
    """rows: of one pattern. The columns h, s for which w_h + (w_s / 2)^2 takes far fewer values than w_h; none if there are none.
    A guess: a bad one costs time only."""
    best, found = 0.5, list[int]()
    if len(rows) > p.ROWS:
        for h, s in permutations(range(rows.shape[1]), 2):
            ratio = len(np.unique(rows[:, h] + (rows[:, s] / 2) ** 2)) / len(np.unique(rows[:, h]))
            if ratio < best:
                best, found = ratio, [h, s]
    return found
