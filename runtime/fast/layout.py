"""What lives where: the fields of the state, the columns of stores and the rows of tables.

The state is an array of 8-byte fields that generated code and Python share. Memory grows with it only through the pages of
keyed stores (index.py) and the rows of soft stores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from .atoms import RunningSum
from .bounds import Bounds
from .index import FIELDS, PRESENT_SUMMARIES, page_size, pages
from .interface import EXACT_LIMIT, INTEGER_LIMIT, KEY_LIMIT, MAX_KEYED, MAX_WIDE, Refused, Room
from .linear import Form
from .live import Live
from .symbols import Symbols


@dataclass(frozen=True)
class Type:
    """How a number is kept in memory: an LLVM type, its size; integers stand for value * 2^-exponent."""

    llvm: str
    size: int
    signed: bool = False
    exponent: int = 0

    @property
    def floating(self) -> bool:
        return self.llvm == "double"


DOUBLE = Type("double", 8)


def type_for(bounds: Bounds) -> Type:
    """The smallest type that holds every value in the bounds, and 0."""
    if bounds.exponent is None:
        return DOUBLE
    low, high = min(0.0, bounds.low) * 2.0**-bounds.exponent, max(0.0, bounds.high) * 2.0**-bounds.exponent
    for bits in (8, 16, 32, 64):
        if low >= 0 and high < min(2.0**bits, INTEGER_LIMIT):
            return Type(f"i{bits}", bits // 8, False, bounds.exponent)
        if low < 0 and low >= -(2.0 ** (bits - 1)) and high < 2.0 ** (bits - 1) and -low < INTEGER_LIMIT:
            return Type(f"i{bits}", bits // 8, True, bounds.exponent)
    return DOUBLE


def source_type(size: int) -> Type:
    return type_for(Bounds(0, size - 1, 0))


def numpy_type(type: Type) -> np.dtype:
    if type.floating:
        return np.dtype(np.float64)
    return np.dtype(f"{'i' if type.signed else 'u'}{type.size}")


@dataclass
class RecordLayout:
    """A store's record: type and byte offset per column; an entry begins with the stamp (keyed: 32 bits, register: 64)."""

    columns: dict[int, tuple[int, Type]]
    size: int


class StateLayout:
    """Assigns state fields and store entries for everything live.

    limits: keys of keyed stores are in [-limit, limit). fields: name -> index of its (first) 8-byte field. Constant arrays
    stand in the state too, from multiples of 64 bytes; room: for their bytes.
    """

    def __init__(self, graph: Symbols, reached: Live, room: Room):
        self.graph, self.room = graph, room
        self.live = reached
        self.fields: dict[tuple, int] = {}
        self.size = 0
        self.entries: dict[int, RecordLayout] = {}
        self.limits: dict[int, int] = {}
        self.arrays: dict[tuple, np.ndarray] = {}
        self.read: set[tuple[int, int]] = set()  # (store, column) that code reads
        self._types: dict[tuple[int, int], Type] = {}
        for name in ("status", "next", "n", "probe", "budget", "row"):  # interface.STATUS and so on
            self.add((name,))
        for k in sorted(reached.sums):
            self.add(("sum", k))
        for (store, column), depth in sorted(reached.delays.items()):
            self.add(("delay", store, column), depth + 1)
        for s in sorted(reached.stores):
            kind = graph.stores[s].kind
            if kind == "delay":
                continue
            columns = [c for store, c in reached.columns if store == s]
            self.entries[s] = self._entry(s, columns, wide=kind != "keyed", stamp=kind != "soft")
            if kind == "register":
                self.add(("register", s), self.entries[s].size // 8)
                self.add(("least", s))
                self.add(("scratch", s), self.entries[s].size // 8)
            elif kind == "keyed":
                self.add(("keyed", s), len(FIELDS))
                self.limits[s] = self._limit(s)
                self.add(("directory", s), pages(self.limits[s]))
                self.add(("present", s), pages(self.limits[s]) // 64 + PRESENT_SUMMARIES)
                self.add(("zero", s), -(-self.entries[s].size // 8))
                self.add(("scratch", s), -(-self.entries[s].size // 8))
            elif kind == "soft":
                self.add(("soft", s))
        strides = [self.entries[s].size for s in self.entries if graph.stores[s].kind == "keyed"]
        if len(strides) > MAX_KEYED:
            raise Refused(f"it has {len(strides):,} tables by key, and {MAX_KEYED:,} are the most")
        if sum(limit > KEY_LIMIT for limit in self.limits.values()) > MAX_WIDE:
            raise Refused(
                f"more than {MAX_WIDE} of its tables by key have keys of more than {KEY_LIMIT.bit_length()} bits"
            )
        if strides:
            self.size = -(-self.size // 8) * 8
            self.add(("empty",), page_size(max(strides)) // 8)

    def _limit(self, store: int) -> int:
        """Keys of a keyed store are in [-limit, limit). With more than KEY_LIMIT only where keys may need it."""
        bounds = self.graph.bounds(self.graph.stores[store].key)
        wide = self.graph.stores[store].exact and not (bounds.low > -KEY_LIMIT and bounds.high < KEY_LIMIT)
        return EXACT_LIMIT if wide else KEY_LIMIT

    def running_sums(self) -> list[tuple[int, int | None]]:
        """(field, granularity) of the sums: integers in units of 2^granularity, or doubles (None)."""
        bounds = {k: self.graph.atom_bounds(self.graph.atom(RunningSum(k))) for k in self.live.sums}
        return [(self.fields["sum", k], None if type_for(b).floating else b.exponent) for k, b in bounds.items()]

    def add(self, name: tuple, count: int = 1) -> int:
        """Reserves consecutive fields (once); returns the first one's index."""
        if name not in self.fields:
            self.fields[name] = self.size
            self.size += count
        return self.fields[name]

    def array(self, name: tuple, values: np.ndarray) -> int:
        """Places a constant array; returns its byte offset in the state."""
        self.room.take(values.nbytes)
        self.size = -(-self.size // 8) * 8
        self.arrays[name] = np.ascontiguousarray(values)
        return 8 * self.add(name, -(-values.nbytes // 8))

    def column(self, store: int, column: int) -> str:
        """Stands for the byte offset of a column; see `settle`."""
        return f"COLUMN{store}.{column}."

    def stride(self, store: int) -> str:
        """Stands for the size of a store's entry."""
        return f"ENTRY{store}."

    def settle(self, text: str) -> str:
        """Once all code is there: leaves out the columns that none of it reads, and puts numbers for what stands for them."""
        numbers, unread = {}, []
        for store, entry in self.entries.items():
            if self.graph.stores[store].kind == "keyed":
                columns = [c for c in entry.columns if (store, c) in self.read]
                entry = self.entries[store] = self._entry(store, columns, wide=False, stamp=True)
            numbers[self.stride(store)] = entry.size
            for s, column in self.live.columns:
                if s == store:
                    numbers[self.column(s, column)] = entry.columns.get(column, (0,))[0]
                    if column not in entry.columns:
                        unread.append(re.escape(self.column(s, column)))
        if unread:
            text = re.sub(rf"^.* ; (?:{'|'.join(unread)})\n", "", text, flags=re.MULTILINE)
        return re.sub(r"(?:COLUMN\d+\.\d+|ENTRY\d+)\.", lambda match: str(numbers[match[0]]), text)

    def column_type(self, store: int, column: int) -> Type:
        """Once and for all: what is known of a form may become more."""
        found = self._types.get((store, column))
        if found is None:
            kept = self.graph.stores[store].columns[column]
            if isinstance(kept, Form):
                found = type_for(self.graph.bounds(kept))
            else:
                found = source_type(self.graph.sources[kept].size + 1)
            self._types[store, column] = found
        return found

    def _entry(self, store: int, numbers: list[int], wide: bool, stamp: bool) -> RecordLayout:
        """wide: every column takes 8 bytes (registers, soft stores), else its own size (keyed stores)."""
        columns: dict[int, tuple[int, Type]] = {}
        if wide:
            size = 8 if stamp else 8 * len(self.graph.stores[store].keys)  # soft: the key's components first
            for c in numbers:
                type = self.column_type(store, c)
                if self.graph.stores[store].kind == "soft":
                    type = DOUBLE
                columns[c] = (size, type if type.floating else Type("i64", 8, True, type.exponent))
                size += 8
            return RecordLayout(columns, size)
        size = 4
        for c in sorted(numbers, key=lambda c: -self.column_type(store, c).size):
            type = self.column_type(store, c)
            size = -(-size // type.size) * type.size
            columns[c] = (size, type)
            size += type.size
        # No entry lies on two cache lines unless it has to.
        return RecordLayout(columns, 1 << (size - 1).bit_length() if size <= 64 else -(-size // 8) * 8)


class Rows:
    """A table in memory: one record per value of a source, with a column per vector that generated code has asked for."""

    def __init__(self, size: int):
        self.size = size
        self.columns: dict[int, int] = {}
        self.values: list[tuple[int, Type, np.ndarray]] = []
        self.stride = 0

    def column(self, vector: int, values: np.ndarray, type: Type) -> int:
        """Byte offset of the column that holds a vector (by its number in the graph)."""
        if vector not in self.columns:
            self.columns[vector] = self.stride
            self.values.append((self.stride, type, values))
            self.stride += type.size
        return self.columns[vector]

    def padded(self) -> int:
        """Bytes from one record to the next: a power of two up to a cache line, so that records do not straddle lines."""
        if self.stride <= 64:
            return max(1, 1 << (self.stride - 1).bit_length()) if self.stride else 1
        return -(-self.stride // 8) * 8

    def data(self) -> np.ndarray:
        """uint8 [size, padded]."""
        result = np.zeros((self.size, self.padded()), dtype=np.uint8)
        for offset, type, values in self.values:
            kept = values if type.floating else np.round(values * 2.0**-type.exponent)
            cast = kept.astype(numpy_type(type))
            result[:, offset : offset + type.size] = cast.view(np.uint8).reshape(self.size, type.size)
        return result


class RowTables:
    """All tables of the generated code, by the name of the source that selects the record."""

    def __init__(self) -> None:
        self._rows: dict[tuple, Rows] = {}
        self._numbers: dict[tuple, int] = {}

    def rows(self, name: tuple, size: int) -> Rows:
        if name not in self._rows:
            self._rows[name] = Rows(size)
        return self._rows[name]

    def number(self, name: tuple) -> int:
        """For tables with a place of their own in the state; see `resolve`."""
        return self._numbers.setdefault(name, len(self._numbers))

    def resolve(self, text: str, layout: StateLayout) -> str:
        """Puts byte offset and record size for the placeholders TABLE<k>. and STRIDE<k>. of table number k."""
        sizes = {}
        for name, k in self._numbers.items():
            rows = self._rows[name]
            sizes[f"TABLE{k}."] = str(layout.array(("table", *name), rows.data()))
            sizes[f"STRIDE{k}."] = str(rows.padded())
        return re.sub(r"(TABLE|STRIDE)\d+\.", lambda match: sizes[match[0]], text)
