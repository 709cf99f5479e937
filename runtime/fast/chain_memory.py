"""How chains reach memory: pointers that keys are near to, constants of the module, kinds of memory that do not overlap."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .joined import Joined, joined
from .layout import Type, numpy_type
from .linear import Form
from .situations import registers_read
from .symbols import Symbols
from .tokens_alike import Unchained


@dataclass
class Windows:
    """Pointers to entries of keyed stores: keys that differ by a constant from a form which seldom changes lie at a distance
    from one another, as long as they are on one page.

    bases: by (store, form without constant), its number. reach: by number, the least and the greatest constant.
    written: those to which something is written, so their pages must exist.
    """

    fixed: frozenset[int]  # stores of registers that do not change
    bases: dict[tuple[int, Form], int] = field(default_factory=dict)
    reach: list[list[int]] = field(default_factory=list)
    written: set[int] = field(default_factory=set)

    def add(self, graph: Symbols, store: int, key: Form, writing: bool) -> None:
        """Makes or widens a window for a key, if it is one that seldom changes."""
        if not float(key.constant).is_integer() or not graph.bounds(key).below(0):
            return
        try:
            if not self.fixed >= registers_read(graph, key):
                return
        except Unchained:
            return
        number = self.bases.setdefault((store, key.without_constant()), len(self.bases))
        if number == len(self.reach):
            self.reach.append([int(key.constant), int(key.constant)])
        if writing:
            self.written.add(number)
        low, high = self.reach[number]
        self.reach[number] = [min(low, int(key.constant)), max(high, int(key.constant))]

    def has(self, store: int, key: Form) -> bool:
        """Not for keys outside of its reach: of some it became known only later that they lie at a distance from the base."""
        number = self.bases.get((store, key.without_constant()))
        return number is not None and self.reach[number][0] <= key.constant <= self.reach[number][1]

    def number(self, store: int, key: Form) -> int:
        return self.bases[store, key.without_constant()]


@dataclass(frozen=True)
class ConstantTable:
    """A table as a global array, or, where each entry is the one before it and a slope, without one."""

    name: str
    first: int
    slope: int | None


class ConstantTables:
    """Tables that code reads, as constants of the module, each once."""

    def __init__(self) -> None:
        self._tables: dict[int, ConstantTable] = {}
        self._arrays: dict[tuple[str, bytes], str] = {}
        self._joined: dict[Form, Joined | None] = {}
        self.lines: list[str] = []

    def table(self, vector: int, values: np.ndarray, type: Type) -> ConstantTable:
        found = self._tables.get(vector)
        if found is None:
            found = self._tables[vector] = self._table(values, type)
        return found

    def _table(self, values: np.ndarray, type: Type) -> ConstantTable:
        if type.floating:
            return ConstantTable(self.array(values.astype(np.float64), "double"), 0, None)
        whole = np.round(values * 2.0**-type.exponent).astype(np.int64 if type.signed else np.uint64).astype(np.int64)
        slopes = np.diff(whole)
        if len(whole) > 1 and (slopes == slopes[0]).all():
            return ConstantTable("", int(whole[0]), int(slopes[0]))
        return ConstantTable(self.array(whole.astype(numpy_type(type)), type.llvm), 0, None)

    def joined(self, graph: Symbols, form: Form) -> Joined | None:
        """What two sources say together in it, see `joined`."""
        if form not in self._joined:
            self._joined[form] = joined(graph, form)
        return self._joined[form]

    def array(self, values: np.ndarray, llvm: str) -> str:
        """The name of an array of little-endian numbers."""
        key = llvm, values.tobytes()
        if key not in self._arrays:
            self._arrays[key] = self._array(values)
        return self._arrays[key]

    def _array(self, values: np.ndarray) -> str:
        name = f"@t{len(self.lines)}"
        data = "\\" + values.tobytes().hex("\\") if len(values) else ""
        self.lines.append(f'{name} = private constant [{values.nbytes} x i8] c"{data}", align 64')
        return name


# Kinds of memory, which do not overlap, as LLVM's metadata: tokens, the state, entries of a store.
def tag(kind: str, kinds: dict[str, int]) -> str:
    return f", !tbaa !{kinds.setdefault(kind, len(kinds)) * 2 + 2}"


def tags(kinds: dict[str, int]) -> str:
    """The metadata that `tag` names."""
    lines = ['!0 = !{!"memory"}', "!1 = !{}"]
    for kind, number in kinds.items():
        n = 2 * number + 2
        lines += [f'!{n + 1} = !{{!"{kind}", !0, i64 0}}', f"!{n} = !{{!{n + 1}, !{n + 1}, i64 0}}"]
    return "\n".join(lines)
