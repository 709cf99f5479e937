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

    Raises ReplayError for a head of another form, and for weights of 2^300 or more."""

    def __init__(self, model: Transformer):
        self.titles: list[str] = []
        self.code: list[int] = []
        self.stores: list[list[int]] = []
        self.height = 1
        self._entries, self._places, self._weights = [0], list[int](), list[float]()
        self._targets, self._operands, self._reals = list[int](), list[int](), list[float]()
        self._one = _one(model)
        self._queries: list[int] = []
        matrices = [m for y in model.layers for m in (y.q, y.k, y.v, y.o, y.gate, y.up, y.down)]
        if not all((np.abs(m) < p.FINITE).all() for m in (*matrices, model.positions, model.embed.values)):
            raise ReplayError("weights of 2^300 or more: hard attention takes none, use real softmax")
        for index, layer in enumerate(model.layers):
            if groups := head_groups(index, layer, model.head_dim):
                self._lookups(groups)
            self._neurons(layer.gate, layer.up, layer.down)

    def arrays(self) -> list[np.ndarray]:
        """code, entries, places, weights, targets, operands, reals, queries."""
        lists = (self.code, self._entries, self._places, self._targets, self._operands, self._queries)
        code, entries, places, targets, operands, queries = (np.array([*numbers, 0], np.int64) for numbers in lists)
        weights, reals = (np.array([*numbers, 0.0]) for numbers in (self._weights, self._reals))
        return [code, entries, places, weights, targets, operands, reals, queries]

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
                wanted = [values.index(row) for row in carried[id(g)]]
                begins = [k for k, value in enumerate(wanted) if not k or value != wanted[k - 1] + 1]
                for k, end in zip(begins, [*begins[1:], len(wanted)], strict=True):
                    self._operands += [wanted[k], (height + k) * p.PITCH, (height + end) * p.PITCH]
                height += len(wanted)
                self._queries += [at, len(self._reals), start, len(self._operands)]
                self._reals.append(float(g.query[-2, 0]) if operation == p.DIGITS else 0.0)
                outs.append(g.out)
            store[p.FIRST_QUERY], store[p.LAST_QUERY] = first, len(self.titles)
            self.code += [operation, len(self.stores), 0, 0]
            self.stores.append(store)
        self._sum(np.concatenate(outs, 1))
        self.height = max(self.height, height, len(rows.rows))

    def _named(self, rows: Sequence[int]) -> int:
        """Where `operands` has the places of these rows of y."""
        self._operands += [row * p.PITCH for row in rows]
        return len(self._operands) - len(rows)

    def _neurons(self, gate: np.ndarray, up: np.ndarray, down: np.ndarray) -> None:
        """What gates and ups are sums of is computed once for all that have it, up to a factor and what is added to it, and not
        at all where it is one slot; what only ups are made of, where a gate is open. A slot that is erased is 0 times itself:
        what is no finite number stays none."""
        if not len(gate):
            return
        erasing = self._erasing(gate, up, down)
        left = [i for i in range(len(gate)) if i not in erasing]
        rows = _Rows()
        gates = [self._part(gate[i], rows, p.OF_X) for i in left]
        always = len(rows.rows)
        ups = [self._part(up[i], rows, p.CONSTANT) for i in left]
        first_row = len(self._entries) - 1
        self._product(p.PRODUCT, rows.rows[:always])
        wanted = len(self.code)
        self._product(p.PRODUCT_WANTED, rows.rows[always:], first=always)
        products, self.code[wanted:] = self.code[wanted:], []
        neurons = []
        for i, (gated, gate_place, *g), (lets, up_place, *u) in zip(left, gates, ups, strict=True):
            row = first_row + up_place // p.PITCH if lets == p.OF_Y else 0
            neurons += [gated, gate_place, lets, up_place, row, len(self._reals), *self._down(down[:, i])]
            self._reals += [*g, *u]
        self._operation(p.GATES, neurons)
        self.code += products
        self.code += [p.UPS, 0, 0, 0]
        self._operation(p.ERASE, [slot * p.PITCH for slot in erasing.values()])
        self.code += [p.DOWN, 0, 0, 0]
        self.height = max(self.height, len(rows.rows), len(left))

    def _operation(self, operation: int, operands: Sequence[int]) -> None:
        first = len(self._operands)
        self._operands += operands
        self.code += [operation, first, len(self._operands), 0]

    def _down(self, column: np.ndarray) -> tuple[int, int]:
        """Where `places` and `weights` have what a neuron adds, from the first to behind the last one. It is the row of no
        product."""
        slots = np.flatnonzero(column)
        self._places += (slots * p.PITCH).tolist()
        self._weights += column[slots].tolist()
        self._entries.append(len(self._places))
        self._targets.append(0)
        return self._entries[-2], self._entries[-1]

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
            return p.OF_X, int(columns[0]) * p.PITCH, float(row[columns[0]]), added
        # A power of two: what is rounded stays as it is.
        factor = math.copysign(2.0 ** (math.frexp(row[columns[0]])[1] - 1), row[columns[0]])
        base = np.zeros(len(row))
        base[columns] = row[columns] / factor
        return p.OF_Y, rows.of(base) * p.PITCH, factor, added

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

    def _sum(self, matrix: np.ndarray) -> None:
        """matrix: [slots, rows of h]."""
        slots = np.flatnonzero(matrix.any(1)) if matrix.size else np.empty(0, np.int64)
        if len(slots):
            self._product(p.SUM, matrix[slots], slots)

    def _product(
        self, operation: int, matrix: Sequence[np.ndarray] | np.ndarray, targets: np.ndarray | None = None, first: int = 0
    ) -> None:
        """Each row as one or two entries, or as a multiple of four: what fills it up is its last column once more, with the
        weight 0. first: row of y."""
        begin = len(self._entries) - 1
        for row in matrix:
            columns = np.flatnonzero(row)
            if not len(columns):
                columns = np.zeros(1, np.int64)
            missing = -len(columns) % 4 if len(columns) > 2 else 0
            self._places += [*(columns * p.PITCH).tolist(), *[int(columns[-1]) * p.PITCH] * missing]
            self._weights += [*row[columns].tolist(), *[0.0] * missing]
            self._entries.append(len(self._places))
        self._targets += [0] * len(matrix) if targets is None else (targets * p.PITCH).tolist()
        self.code += [operation, begin, begin + len(matrix), first * p.PITCH]


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
