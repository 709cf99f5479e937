"""A model as what `hard_pass` reads: operations on matrices with few entries, and stores in which lookups find values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ....compiler.format.transformer import Transformer
from ...errors import ReplayError
from . import hard_pass as p
from .heads import HeadGroup, head_groups


class Written:
    """code, stores: as there. titles: of the queries. height: rows of y, and of h.

    Raises ReplayError for a head of another form."""

    def __init__(self, model: Transformer):
        self.titles: list[str] = []
        self.code: list[int] = []
        self.stores: list[list[int]] = []
        self.height = 1
        self._entries, self._places, self._weights = [0], list[int](), list[float]()
        self._targets, self._operands, self._reals = list[int](), list[int](), list[float]()
        self._scales, self._one = list[float](), _one(model)
        self._queries: list[int] = []
        for index, layer in enumerate(model.layers):
            if groups := head_groups(index, layer, model.head_dim):
                self._lookups(groups)
            self._neurons(layer.gate, layer.up, layer.down)

    def arrays(self) -> list[np.ndarray]:
        """code, entries, places, weights, targets, scales, operands, reals, queries."""
        lists = (self.code, self._entries, self._places, self._targets, self._operands, self._queries)
        code, entries, places, targets, operands, queries = (np.array([*numbers, 0], np.int64) for numbers in lists)
        weights, scales, reals = (np.array([*numbers, 0.0]) for numbers in (self._weights, self._scales, self._reals))
        return [code, entries, places, weights, targets, scales, operands, reals, queries]

    def _lookups(self, groups: Sequence[HeadGroup]) -> None:
        """Of one layer: what they read is computed, equal rows once; those with the same keys share a store; what they write is
        added when all have read."""
        rows = _Rows()
        shared: dict[bytes, list[HeadGroup]] = {}
        for group in groups:
            # Uniform ones stay by themselves.
            shared.setdefault(group.key.tobytes() or group.title.encode(), []).append(group)
        stores = [(members, [rows.of(m) for m in _padded(members[0].key)]) for members in shared.values()]
        asked = {id(g): [rows.of(row) for row in _padded(g.query)] for g in groups}
        carried = {id(g): [rows.of(row) for row in g.value] for g in groups}
        self._product(p.PRODUCT, np.array(rows.rows))
        height, outs = 0, []
        for members, key in stores:
            values = list(dict.fromkeys(row for g in members for row in carried[id(g)]))
            first = len(self.titles)
            store = [0] * p.STORE_WIDTH
            operation, store[p.UNIT] = _form(members)
            store[p.SIZE], store[p.COMPONENTS], store[p.KEY] = len(values), len(key), self._named(key)
            store[p.VALUE], store[p.EPS] = self._named(values), len(self._reals)
            score = len(key) - 2 if operation == p.DIGITS else len(key) - 1
            self._reals.append(float(members[0].key[score - len(key), 1]) if key else 0.0)  # slot 1 is the position
            for g in members:
                self.titles.append(g.title)
                at, start = self._named(asked[id(g)]), len(self._operands)
                for row in carried[id(g)]:
                    self._operands += [values.index(row), height * p.LANES]
                    height += 1
                self._queries += [at, len(self._reals), start, len(self._operands)]
                self._reals.append(float(g.query[-2, 0]) if operation == p.DIGITS else 0.0)
                outs.append(g.out)
            store[p.FIRST_QUERY], store[p.LAST_QUERY] = first, len(self.titles)
            self.code += [operation, len(self.stores), 0]
            self.stores.append(store)
        self._sum(np.concatenate(outs, 1))
        self.height = max(self.height, height, len(rows.rows))

    def _named(self, rows: Sequence[int]) -> int:
        """Where `operands` has the places of these rows of y."""
        self._operands += [row * p.LANES for row in rows]
        return len(self._operands) - len(rows)

    def _neurons(self, gate: np.ndarray, up: np.ndarray, down: np.ndarray) -> None:
        """What gates and ups are sums of is computed once for all that have it, up to a factor and what is added to it, and not
        at all where it is one slot. A slot that is erased is 0 times itself: what is no finite number stays none."""
        erasing = self._erasing(gate, up, down)
        scales = np.ones(len(down))
        scales[list(erasing.values())] = 0.0
        rows = _Rows()
        neurons: list[tuple[int, list[int], list[float], int]] = []
        for i in range(len(gate)):
            if i not in erasing:
                of_gate, place, *numbers = self._part(gate[i], rows, p.OF_X)
                of_up, other, *more = self._part(up[i], rows, p.CONSTANT)
                neurons.append((3 * (of_gate - p.OF_X) + of_up, [place, other], [*numbers, *more], i))
        if rows.rows:
            self._product(p.PRODUCT, np.array(rows.rows))
        neurons.sort(key=lambda neuron: neuron[0])  # those of one kind together
        first = len(self._operands)
        for k, (kind, places, numbers, _) in enumerate(neurons):
            self._operands += [kind, *places, k * p.LANES, len(self._reals)]
            self._reals += numbers
        self.code += [p.NEURONS, first, len(self._operands)]
        self._sum(down[:, [i for *_, i in neurons]], scales)
        self.height = max(self.height, len(rows.rows), len(neurons))

    def _part(self, row: np.ndarray, rows: _Rows, constant: int) -> tuple[int, int, float, float]:
        """(where it comes from, its place there, the factor of that, what is added) of a gate or an up. constant: where constants
        come from."""
        columns = np.flatnonzero(row)
        added = 0.0
        if self._one and len(columns) and columns[0] == 0 and (len(columns) > 1 or constant == p.CONSTANT):
            added, columns = float(row[0]), columns[1:]
        if not len(columns):
            return (constant, 0, 0.0, added)
        if len(columns) == 1:
            return p.OF_X, int(columns[0]) * p.LANES, float(row[columns[0]]), added
        # A power of two: what is rounded stays as it is.
        factor = math.copysign(2.0 ** (math.frexp(row[columns[0]])[1] - 1), row[columns[0]])
        base = np.zeros(len(row))
        base[columns] = row[columns] / factor
        return p.OF_Y, rows.of(base) * p.LANES, factor, added

    def _erasing(self, gate: np.ndarray, up: np.ndarray, down: np.ndarray) -> dict[int, int]:
        """Neurons that take away from a slot what is in it, relu(1) * -x_s added to x_s or relu(1) * x_s taken from it, one for a
        slot: the slot by neuron."""
        found: dict[int, int] = {}
        if not self._one or not len(gate):
            return found
        alone = (np.count_nonzero(gate, 1) == 1) & (gate[:, 0] == 1.0) & (np.count_nonzero(up, 1) == 1)
        for i in np.flatnonzero(alone & (np.count_nonzero(down, 0) == 1)).tolist():
            slot = int(np.flatnonzero(up[i])[0])
            own = up[i, slot], down[slot, i]
            if slot and own in ((1.0, -1.0), (-1.0, 1.0)) and slot not in found.values():
                found[i] = slot
        return found

    def _sum(self, matrix: np.ndarray, scales: np.ndarray | None = None) -> None:
        """matrix: [slots, rows of h]. scales: [slots], 0 or 1, what is left of a slot before it is added to."""
        scales = np.ones(len(matrix)) if scales is None else scales
        slots = np.flatnonzero(matrix.any(1) | (scales != 1.0))
        if len(slots):
            self._product(p.SUM, matrix[slots], slots, scales[slots])

    def _product(
        self, operation: int, matrix: np.ndarray, targets: np.ndarray | None = None, scales: np.ndarray | None = None
    ) -> None:
        """Each row as none, one or two entries, or as a multiple of four: what fills it up is its last column once more, with the
        weight 0."""
        first = len(self._entries) - 1
        for row in matrix:
            columns = np.flatnonzero(row)
            if operation == p.PRODUCT and not len(columns):
                columns = np.zeros(1, np.int64)
            missing = -len(columns) % 4 if len(columns) > 2 else 0
            self._places += (np.pad(columns, (0, missing), mode="edge") * p.LANES if missing else columns * p.LANES).tolist()
            self._weights += [*row[columns].tolist(), *[0.0] * missing]
            self._entries.append(len(self._places))
        self._targets += [0] * len(matrix) if targets is None else (targets * p.LANES).tolist()
        self._scales += [1.0] * len(matrix) if scales is None else scales.tolist()
        self.code += [operation, first, first + len(matrix)]


def _one(model: Transformer) -> bool:
    """Whether slot 0 is 1 at all positions and in all layers: all tokens bring it, and nothing is ever added to it."""
    brought = model.embed.dense(np.zeros(1, np.int64))[:, 0]
    added = any(matrix.size and matrix[0].any() for layer in model.layers for matrix in (layer.o, layer.down))
    return bool((brought == 1.0).all()) and not model.positions[:, 0].any() and not added


class _Rows:
    """Different rows of matrices, numbered."""

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []
        self._numbers: dict[bytes, int] = {}

    def of(self, row: np.ndarray) -> int:
        number = self._numbers.setdefault(row.tobytes(), len(self.rows))
        if number == len(self.rows):
            self.rows.append(row)
        return number


def _form(members: Sequence[HeadGroup]) -> tuple[int, int]:
    """(operation, the unit of its digits) of lookups with the same keys. Raises ReplayError for a head of another form."""
    components = len(members[0].key)
    if not components:
        return p.MEAN, 0
    if components <= 2:
        return p.PARABOLA, 0
    for g in members:
        # The component whose query is constant holds the score, the one behind it what a query has of its own.
        score = next((i for i, row in enumerate(g.query) if not row[1:].any() and row[0] > 0), -1)
        if score != components - 2:
            raise ReplayError(f"{g.title}: neither a parabola nor digits with a floor")
    return p.DIGITS, 256 if components > 4 else 4096


def _padded(matrix: np.ndarray) -> np.ndarray:
    """The latest is a parabola of which every key is 0."""
    return np.concatenate([np.zeros_like(matrix), matrix]) if len(matrix) == 1 else matrix
