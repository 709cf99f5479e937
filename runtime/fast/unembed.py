"""Families of tokens whose logits are a quadratic function of the token id: their argmax needs no loop.

On a run of ids first, first + 1, ... on which every column of the unembedding is a polynomial of degree 2 in v = id - first,

    logit(first + v) = c + b v - a v^2

with three linear forms a, b, c. For a > 0 its maximum over the integers is the one nearest to b / 2a.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .bounds import exponent_of, exponent_of_all
from .interface import EXACT
from .linear import ONE, Form, linear
from .symbols import Symbols

# Products of constants and weights have fewer units than this where they are added up, so that sums of some are exact, too.
FOLDED = 2.0**50
# Any three points are on a parabola; a run must be at least this long to be taken for one.
MIN_RUN = 4


@dataclass
class Family:
    """Token ids first .. first + count - 1; a, b, c as above. A single token is a family with a = b = 0."""

    first: int
    count: int
    a: Form
    b: Form
    c: Form


@dataclass
class Unembedding:
    """The argmax is the best of the families' winners and of the other rows (ids, weights [R, C] on `columns`)."""

    families: list[Family]
    ids: np.ndarray
    weights: np.ndarray
    columns: list[Form]


class Unembeddings:
    """families(columns) for one matrix [V, C] and changing forms: constants are folded into one column first, but for those whose
    products with the weights would be rounded, so that logits would be on no parabola any more."""

    def __init__(self, weights: np.ndarray):
        self._weights = weights
        # By column: the largest weight, and of which power of two all are multiples.
        self._most = [(float(np.abs(w).max(initial=0.0)), exponent_of_all(w)) for w in weights.T]
        self._runs: dict[bytes, tuple] = {}

    def families(self, columns: list[Form]) -> Unembedding:
        constants = np.array([f.constant if self._folds(i, f.constant) else 0.0 for i, f in enumerate(columns)])
        rest = [f.shifted(-c) for f, c in zip(columns, constants.tolist(), strict=True)]
        varying = [i for i, f in enumerate(rest) if not f.is_zero()]
        constant = self._weights @ constants
        weights = np.concatenate([self._weights[:, varying], constant[:, None]], axis=1)
        forms = [rest[i] for i in varying] + [ONE]
        key = repr(varying).encode() + constant.tobytes()
        if key not in self._runs:
            self._runs[key] = _runs(weights)
        return _families(weights, forms, *self._runs[key])

    def _folds(self, column: int, constant: float) -> bool:
        """Whether a constant times any weight of the column, and sums of such products, are exact."""
        weight, unit = self._most[column]
        own = exponent_of(constant)
        return own is not None and unit is not None and abs(constant) * weight < FOLDED * 2.0 ** (own + unit)


def without_beaten(graph: Symbols, found: Unembedding) -> Unembedding:
    """Leaves out families that one with lower ids always beats, if it only is as good (the lowest id of equals wins)."""
    kept: list[Family] = []
    for family in found.families:
        if not any(_beats(graph, other, family) for other in kept):
            kept.append(family)
    return replace(found, families=kept)


def _beats(graph: Symbols, one: Family, other: Family) -> bool:
    """Whether no id of the other has a larger logit than the best of one, whose ids are lower. Both best ones have the same
    v, and c decides; or the other's logit is its c, and one has c at v = 0."""
    same = (one.count, one.a, one.b) == (other.count, other.a, other.b)
    if not (same or (other.a.is_zero() and other.b.is_zero())) or one.first + one.count > other.first:
        return False
    return graph.bounds(other.c.plus(one.c, -1.0)).high <= 0


def _families(weights: np.ndarray, columns: list[Form], runs: list[tuple[int, int]], rest: np.ndarray) -> Unembedding:
    found = []
    for first, count in runs:
        rows = weights[first : first + 3]
        bend = (rows[2] - 2 * rows[1] + rows[0]) / 2
        slope = rows[1] - rows[0] - bend
        form = lambda w: linear([(float(x), f) for x, f in zip(w, columns) if x])  # noqa: E731
        found.append(Family(first, count, form(-bend), form(slope), form(rows[0])))
    return _without_hopeless(found, weights, columns, _first_of_equals(weights, rest))


def _runs(weights: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Maximal runs (first, count) with constant second differences, and the ids in none."""
    size = len(weights)
    runs: list[tuple[int, int]] = []
    rest: list[int] = []
    if size >= MIN_RUN:
        second = weights[2:] - 2 * weights[1:-1] + weights[:-2]
        same = (second[1:] == second[:-1]).all(axis=1)  # same[i]: rows i .. i+3 are on one parabola
        breaks = np.append(np.flatnonzero(~same), len(same))
    i = 0
    while i < size:
        if i <= size - MIN_RUN and same[i]:
            end = int(breaks[np.searchsorted(breaks, i)]) + 3  # rows i .. end-1
            if _exact(weights[i:end]):
                runs.append((i, end - i))
            else:
                rest.extend(range(i, end))
            i = end
        else:
            rest.append(i)
            i += 1
    return runs, np.array(rest, dtype=np.int64)


def _exact(rows: np.ndarray) -> bool:
    """Whether c + b v - a v^2 with coefficients from the first three rows is computed for all rows without rounding."""
    exponent = exponent_of_all(rows.reshape(-1))
    if exponent is None:
        return False
    bend = np.abs(rows[2] - 2 * rows[1] + rows[0]) / 2
    slope = np.abs(rows[1] - rows[0]) + bend
    size = (bend * float(len(rows)) ** 2 + slope * len(rows) + 4 * np.abs(rows[:3]).max(axis=0)).max()
    return bool(size < EXACT / 2 * 2.0**exponent)


def _first_of_equals(weights: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Of rows with equal weights only the lowest id can win."""
    if not len(ids):
        return ids
    _, first = np.unique(weights[ids], axis=0, return_index=True)
    return ids[np.sort(first)]


def _without_hopeless(found: list[Family], weights: np.ndarray, columns: list[Form], rest: np.ndarray) -> Unembedding:
    """Drops what a constant logit elsewhere always beats."""
    varying = np.array([not f.is_constant() for f in columns], dtype=bool)
    constants = np.array([f.constant for f in columns])
    fixed = np.flatnonzero(~weights[:, varying].any(axis=1))
    if len(fixed):
        logits = weights[fixed] @ constants
        best = float(logits.max())
        winner = int(fixed[np.argmax(logits)])
        losers = np.zeros(len(weights), dtype=bool)
        losers[fixed] = (logits < best) | ((logits == best) & (fixed > winner))
        rest = rest[~losers[rest]]
        # A family loses when it is constant and its first token does.
        found = [f for f in found if not (f.a.is_zero() and f.b.is_zero() and f.c.is_constant() and losers[f.first])]
    return Unembedding(found, rest, weights[rest], columns)
