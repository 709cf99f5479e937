"""A model as what `hard_pass` reads: operations on matrices with few entries, and stores in which lookups find values."""

from __future__ import annotations

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
        self._queries: list[int] = []
        for index, layer in enumerate(model.layers):
            if groups := head_groups(index, layer, model.head_dim):
                self._lookups(groups)
            self._neurons(layer.gate, layer.up, layer.down)

    def arrays(self) -> list[np.ndarray]:
        """code, entries, places, weights, targets, operands, reals, queries."""
        lists = (self.code, self._entries, self._places, self._targets, self._operands, self._queries)
        code, entries, places, targets, operands, queries = (np.array([*numbers, 0], np.int64) for numbers in lists)
        weights, reals = np.array([*self._weights, 0.0]), np.array([*self._reals, 0.0])
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
        rows = _Rows()
        pairs = [[rows.of(row) for row in neuron] for neuron in zip(gate, up, strict=True)]
        if not pairs:
            return
        self._product(p.PRODUCT, np.array(rows.rows))
        first = self._named([row for pair in pairs for row in pair])
        self.code += [p.GATE, first, len(self._operands)]
        self._sum(down)
        self.height = max(self.height, len(rows.rows), len(pairs))

    def _sum(self, matrix: np.ndarray) -> None:
        """matrix: [slots, rows of h]."""
        slots = np.flatnonzero(matrix.any(1)) if matrix.size else np.empty(0, np.int64)
        if len(slots):
            self._product(p.SUM, matrix[slots], slots)

    def _product(self, operation: int, matrix: np.ndarray, targets: np.ndarray | None = None) -> None:
        """Each row as one entry, or as a multiple of four: what fills it up is its last column once more, with the weight 0."""
        first = len(self._entries) - 1
        for row in matrix:
            columns = np.flatnonzero(row)
            missing = -len(columns) % 4 if len(columns) > 1 else 0
            full = np.pad(columns, (0, missing), mode="edge") if len(columns) else np.zeros(1, np.int64)
            self._places += (full * p.LANES).tolist()
            self._weights += [*row[columns].tolist(), *[0.0] * (len(full) - len(columns))]
            self._entries.append(len(self._places))
        self._targets += [0] * len(matrix) if targets is None else (targets * p.LANES).tolist()
        self.code += [operation, first, first + len(matrix)]


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
