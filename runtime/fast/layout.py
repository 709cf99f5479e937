"""What lives where: the fields of the state, the columns of stores and the rows of tables.

The state is an array of 8-byte fields that generated code and Python share. Memory grows with it only through the pages of
keyed stores (index.py) and the rows of soft stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .forms import Bounds, Form, Graph
from .index import FIELDS

# Integers in generated code are 64 bits; values provably below this stay integers.
INTEGER_LIMIT = 2.0**62


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
class Live:
    """What the roots depend on, through the tokens before too: indices of sums, lookups, (store, column) pairs, and
    (column, distance) of the delay store."""

    sums: list[int] = field(default_factory=list)
    lookups: list[int] = field(default_factory=list)
    columns: list[tuple[int, int]] = field(default_factory=list)
    delays: dict[tuple[int, int], int] = field(default_factory=dict)  # (store, column) -> greatest distance

    def stores(self) -> list[int]:
        return sorted({s for s, _ in self.columns})


def live(graph: Graph, roots: Iterable[Form], rewrite=lambda form: form) -> Live:
    """Everything that can be reached from the roots; rewrite: applied to every form on the way."""
    result = Live()
    seen_atoms: set[int] = set()
    seen_sources: set[int] = set()
    todo = [rewrite(f) for f in roots]

    def reach_lookup(number: int, column: int | None) -> None:
        lookup = graph.lookups[number]
        store = graph.stores[lookup.store]
        if number not in result.lookups:
            result.lookups.append(number)
            if store.kind == "keyed":
                todo.append(rewrite(lookup.query))
                todo.append(rewrite(store.key))
            if store.kind == "soft":
                todo.extend(rewrite(f) for f in (*lookup.query, *store.keys))
            todo.append(rewrite(store.penalty))
        if column is None:
            if store.kind == "register" and (lookup.store, -1) not in result.columns:
                result.columns.append((lookup.store, -1))
            return
        if store.kind == "delay":
            key = (lookup.store, column)
            result.delays[key] = max(result.delays.get(key, 0), lookup.query)
        if (lookup.store, column) not in result.columns:
            result.columns.append((lookup.store, column))
            kept = store.columns[column]
            if isinstance(kept, Form):
                todo.append(rewrite(kept))
            else:
                reach_source(kept)

    def reach_source(source: int) -> None:
        if source in seen_sources:
            return
        seen_sources.add(source)
        name = graph.sources[source].name
        if name[0] == "stored":
            reach_lookup(name[1], name[2])

    while todo:
        for atom in todo.pop().terms:
            if atom in seen_atoms:
                continue
            seen_atoms.add(atom)
            kind, args = graph.kinds[atom], graph.args[atom]
            if kind == "table":
                reach_source(args[0])
            elif kind == "relu":
                todo += args
            elif kind in ("knots", "let"):
                todo.append(args[0])
            elif kind in ("sum", "mean"):
                if args[0] not in result.sums:
                    result.sums.append(args[0])
                    todo.append(rewrite(graph.sums[args[0]]))
            elif kind in ("read", "soft"):
                reach_lookup(args[0], args[1])
            elif kind in ("stamp", "key"):
                reach_lookup(args[0], None)
    return result


@dataclass
class Entry:
    """A store's record: type and byte offset per column; an entry begins with the stamp (keyed: 32 bits, register: 64)."""

    columns: dict[int, tuple[int, Type]]
    size: int


class Layout:
    """Assigns state fields and store entries for everything live. `fields`: name -> index of its 8-byte field."""

    def __init__(self, graph: Graph, reached: Live):
        self.graph = graph
        self.live = reached
        self.fields: dict[tuple, int] = {}
        self.size = 0
        self.entries: dict[int, Entry] = {}
        for name in ("status", "next", "n"):
            self.add((name,))
        for k in sorted(reached.sums):
            self.add(("sum", k))
        for (store, column), depth in sorted(reached.delays.items()):
            self.add(("delay", store, column), depth)
        # A store can be reached by its key alone (nobody reads what is stored), so take the lookups' stores.
        for s in sorted({graph.lookups[k].store for k in reached.lookups}):
            kind = graph.stores[s].kind
            if kind == "delay":
                continue
            self.entries[s] = self._entry(s, wide=kind != "keyed", stamp=kind != "soft")
            if kind == "register":
                self.add(("register", s), self.entries[s].size // 8)
                self.add(("scratch", s), self.entries[s].size // 8)
            elif kind == "keyed":
                self.add(("keyed", s), len(FIELDS))
                self.add(("zero", s), -(-self.entries[s].size // 8))
                self.add(("scratch", s), -(-self.entries[s].size // 8))
            elif kind == "soft":
                self.add(("soft", s))

    def add(self, name: tuple, count: int = 1) -> int:
        """Reserves consecutive fields (once); returns the first one's index."""
        if name not in self.fields:
            self.fields[name] = self.size
            self.size += count
        return self.fields[name]

    def column_type(self, store: int, column: int) -> Type:
        kept = self.graph.stores[store].columns[column]
        if isinstance(kept, Form):
            return type_for(self.graph.bounds(kept))
        return source_type(self.graph.sources[kept].size + 1)

    def _entry(self, store: int, wide: bool, stamp: bool) -> Entry:
        """wide: every column takes 8 bytes (registers, soft stores), else its own size (keyed stores)."""
        columns: dict[int, tuple[int, Type]] = {}
        numbers = [c for s, c in self.live.columns if s == store and c >= 0]
        if wide:
            size = 8 if stamp else 16  # soft: two key components first
            for c in numbers:
                type = self.column_type(store, c)
                if self.graph.stores[store].kind == "soft":
                    type = DOUBLE
                columns[c] = (size, type if type.floating else Type("i64", 8, True, type.exponent))
                size += 8
            return Entry(columns, size)
        size = 4
        for c in sorted(numbers, key=lambda c: -self.column_type(store, c).size):
            type = self.column_type(store, c)
            size = -(-size // type.size) * type.size
            columns[c] = (size, type)
            size += type.size
        return Entry(columns, -(-size // 4) * 4)


class Rows:
    """A table in memory: one record per value of a source, with a column per vector that generated code has asked for."""

    def __init__(self, size: int):
        self.size = size
        self.columns: dict[bytes, tuple[int, Type]] = {}
        self.values: list[tuple[int, Type, np.ndarray]] = []
        self.stride = 0

    def column(self, values: np.ndarray, type: Type) -> int:
        """Byte offset of the column that holds the vector."""
        key = values.tobytes() + repr(type).encode()
        if key not in self.columns:
            self.columns[key] = (self.stride, type)
            self.values.append((self.stride, type, values))
            self.stride += type.size
        return self.columns[key][0]

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
