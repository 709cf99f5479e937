"""How the rows of a program are said in tokens: equal rows share one; where too many are different, equal parts of rows do.

The prefix holds the program in one or more *sections*, one behind the other, each with a token for each row in the order of
the steps: token `P{s}.{k}` says the columns of section s. A *column* is a field of rows, or some bits of a field that has many
values: "a[0:8]" its lowest eight, "a[8:]" all above, the sign included. Which row a token stands for is its position, so nothing
in it depends on that.

A constant (also a global or a register) and a data segment have a token of their own, with its address. Where these would be
too many, both are *spelled*: the prefix says a constant as the digits of a value, which is committed as any value is, to the slot
that the next row names; so these rows stand before the first step. A segment begins with the digits of its address.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations

import numpy as np

from .rows import Row

# The whole vocabulary is to stay below this.
TOKENS_LIMIT = 20_000
# Constants and segments have tokens of their own if these are at most so many.
OWN_TOKENS = 4096
# Positions before the program: the first token and the bytes.
BEFORE_ROWS = 257
# Fields of more than 2^k values are cut into columns of k bits, with the first k of these for which there are few enough tokens.
COLUMN_BITS = (12, 11, 10, 9, 8)
# Columns with at most so many values are taken for flags, and stay together.
FLAG_VALUES = 8
# Up to so many pairs of numbers are found by an array with a place for each.
_DIRECT = 2**22

Columns = tuple[str, ...]


def field_of(column: str) -> str:
    return column.partition("[")[0]


def weight_of(column: str) -> float:
    """A field is the sum of its columns with these weights."""
    return 2.0 ** _bits(column)[0]


def _bits(column: str) -> tuple[int, int | None]:
    """First bit, and the one behind the last (None: no end)."""
    first, _, end = column.partition("[")[2].rstrip("]").partition(":")
    return int(first or 0), int(end) if end else None


class RowTable:
    """The columns of rows, as arrays with a number for each row."""

    def __init__(self, rows: Sequence[Row]):
        self.count = len(rows)
        entries: dict[str, tuple[list[int], list[float]]] = {}
        for i, row in enumerate(rows):
            for name, value in row.items():
                if value:
                    entry = entries.get(name)
                    if entry is None:
                        entry = entries[name] = [], []
                    entry[0].append(i)
                    entry[1].append(value)
        self._entries = {name: (np.array(p), np.array(v, np.float64)) for name, (p, v) in entries.items()}
        self._numbered: dict[str, _Numbered] = {}

    @property
    def fields(self) -> list[str]:
        """Those that are not 0 in all rows, in alphabetical order."""
        return sorted(self._entries)

    @cached_property
    def different(self) -> int:
        """How many different rows there are."""
        return self.numbered(tuple(self.fields)).count

    def values(self, column: str) -> np.ndarray:
        """float64 [rows]."""
        result = np.zeros(self.count)
        places, values = self._entry(column)
        result[places] = values
        return result

    def _entry(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows whose field is not 0, and the column's values there."""
        places, values = self._entries.get(field_of(column), (np.zeros(0, np.int64), np.zeros(0)))
        first, end = _bits(column)
        if end is not None:
            values = values - 2.0**end * np.floor(values / 2.0**end)
        return places, np.floor(values / 2.0**first) if first else values

    def column(self, column: str) -> _Numbered:
        if column not in self._numbered:
            places, values = self._entry(column)
            known, numbers = np.unique(np.append(0.0, values), return_inverse=True)
            all_ = np.full(self.count, numbers.reshape(-1)[0])
            all_[places] = numbers.reshape(-1)[1:]
            self._numbered[column] = _Numbered((column,), all_, len(known))
        return self._numbered[column]

    def numbered(self, columns: Columns) -> _Numbered:
        """Different combinations of the columns' values, numbered."""
        found = _Numbered((), np.zeros(self.count, np.int64), 1)
        for column in columns:
            found = found.with_other(self.column(column))
        return found

    def tokens(self, columns: Columns) -> tuple[list[Row], np.ndarray]:
        """A section: the columns of each of its tokens, in the order in which they first occur, and each row's token."""
        numbers = self.numbered(columns).numbers
        _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        said = np.stack([self.values(c)[first[order]] for c in columns]) if columns else np.zeros((0, len(order)))
        tokens = [dict(zip(columns, values, strict=True)) for values in said.T.tolist()]
        return tokens, place[inverse.reshape(-1)]


class _Numbered:
    """Columns and, row by row, the number (below `count`) of the combination of their values."""

    def __init__(self, columns: Columns, numbers: np.ndarray, count: int):
        self.columns, self.numbers, self.count = columns, numbers, count

    def with_other(self, other: _Numbered) -> _Numbered:
        pairs, columns = self.numbers * other.count + other.numbers, self.columns + other.columns
        if self.count * other.count > _DIRECT:
            values, numbers = np.unique(pairs, return_inverse=True)
            return _Numbered(columns, numbers.reshape(-1), len(values))
        ranks = np.cumsum(self._seen(other, pairs))
        return _Numbered(columns, ranks[pairs] - 1, int(ranks[-1]))

    def together(self, other: _Numbered) -> int:
        """How many combinations both have together."""
        pairs = self.numbers * other.count + other.numbers
        if self.count * other.count > _DIRECT:
            return len(np.unique(pairs))
        return int(np.count_nonzero(self._seen(other, pairs)))

    def _seen(self, other: _Numbered, pairs: np.ndarray) -> np.ndarray:
        seen = np.zeros(self.count * other.count, dtype=bool)
        seen[pairs] = True
        return seen


def sections(table: RowTable, most: int) -> tuple[Columns, ...]:
    """The fewest sections found that have together at most `most` tokens; if there are none, those with the fewest tokens."""
    if table.different <= most:
        return (tuple(table.fields),)
    for bits in COLUMN_BITS:
        groups = [table.numbered(columns) for columns in _separate(table, bits)]
        if sum(group.count for group in groups) <= most:
            break
    return _merged(groups, most)


def _merged(groups: list[_Numbered], most: int) -> tuple[Columns, ...]:
    """Puts together what together needs fewer tokens, and then what needs the fewest more, as long as there is room."""
    costs: dict[tuple[Columns, Columns], int] = {}
    while True:
        for a, b in combinations(groups, 2):
            if (a.columns, b.columns) not in costs:
                costs[a.columns, b.columns] = a.together(b) - a.count - b.count
        room = most - sum(group.count for group in groups)
        best = min(combinations(groups, 2), key=lambda pair: costs[pair[0].columns, pair[1].columns], default=None)
        if best is None or costs[best[0].columns, best[1].columns] > max(room, -1):
            return tuple(group.columns for group in groups)
        a, b = best
        groups = [group for group in groups if group not in best] + [a.with_other(b)]


def _separate(table: RowTable, bits: int) -> list[Columns]:
    """Flags together, every other column on its own."""
    flags: list[str] = []
    others: list[str] = []
    for field in table.fields:
        for column in _columns(table, field, bits):
            few = table.column(column).count <= FLAG_VALUES
            (flags if few else others).append(column)
    return [tuple(flags), *((column,) for column in others)] if flags else [(column,) for column in others]


def _columns(table: RowTable, field: str, bits: int) -> list[str]:
    """The field, or parts of it of so many bits."""
    if table.column(field).count <= 2**bits:
        return [field]
    first = bits
    while table.column(f"{field}[{first}:]").count > 2**bits:
        first += bits
    return [*(f"{field}[{k}:{k + bits}]" for k in range(0, first, bits)), f"{field}[{first}:]"]


__all__ = ["BEFORE_ROWS", "OWN_TOKENS", "TOKENS_LIMIT", "Columns", "RowTable", "field_of", "sections", "weight_of"]
