"""The modules of a link and where their imports lead.

A *unit* is a module taking part in the link: the program is unit 0; libraries, and a routine file once for each memory,
table or segment that it is made for, follow as they are needed. A *definition* names an entity by the unit that defines
it. Resolving follows imports until a definition, an intrinsic of module "w2x", or a layout value.

From "w2x" a library can import the program's own "memory" and "table" (the one that it exports as
"__indirect_function_table", else its first), and what the host says of the time (PUBLIC); everything else there is for
what comes with this package. From "w2x.program" it can import the functions that the program exports.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from ..format.errors import CompileError, Reason
from ..wasm.module import Export, FuncType, GlobalType, Import, Limits, Module, TableType
from .heap import HeapTypes, heap_types
from .linked import INTRINSIC_MODULE
from .matching import mismatch

# The module from which routines import what the linker decides per instance, see `routines`.
LAYOUT_MODULE = "w2x.layout"
# From here a library imports what the program exports.
PROGRAM_MODULE = "w2x.program"
# Modules of this name and below it are for libraries and routines only.
PRIVATE = re.compile(rf"{INTRINSIC_MODULE}(\.|$)")
# What any library may import from INTRINSIC_MODULE.
PUBLIC = ("memory", "table", "clock_seconds", "clock_nanoseconds")
# Behind a memory's name: the register with its size.
BYTES = "_bytes"
# Under these names the program exports what "memory" and "table" are.
EXPORTED_AS = {"memory": "memory", "table": "__indirect_function_table"}
PROGRAM = 0


@dataclass(frozen=True, order=True)
class Definition:
    """kind: "func", "table", "memory", "global", "tag", also "data" and "elem"; index: in the unit's joint index space."""

    unit: int
    kind: str
    index: int


@dataclass(frozen=True)
class Intrinsic:
    """A function or a hidden register of module "w2x", with its declared type; kind "memory": the one in use."""

    kind: str
    name: str
    type: FuncType | GlobalType | TableType | Limits


@dataclass(frozen=True)
class Layout:
    """A number that the linker decides: `name` of `owner`, e.g. the "offset" of a table. Its owner is None where the
    program has only one of it: an input area, the memory's "maximum"."""

    owner: Definition | None
    name: str

    @property
    def is_register(self) -> bool:
        """A size changes; the others become constants."""
        return self.name in ("size", "bytes")


Target: TypeAlias = Definition | Intrinsic | Layout


@dataclass(frozen=True)
class Unresolved:
    """An import that leads nowhere, by its unit and its position among the unit's imports."""

    unit: int
    position: int
    reason: Reason


@dataclass(frozen=True)
class Library:
    """A module to import from. fallback: asked only for what those before it lack, by name and by type.
    own: part of this package, see `Unit`."""

    name: str
    module: Module
    fallback: bool = False
    own: bool = False


@dataclass(frozen=True)
class Unit:
    """own: a routine or host of this package; it may import everything of "w2x", and its memory is the one in use.

    layout: what the names of LAYOUT_MODULE stand for in a routine's instance. label: tells instances apart. memories: what the
    memories that a routine imports from "w2x" are, by name; a host's is that of the modules which call it.
    imports: by kind, with their positions.
    """

    name: str
    module: Module
    layout: Mapping[str, Layout] = field(default_factory=dict)
    memories: Mapping[str, Definition] = field(default_factory=dict)
    label: str = ""
    imports: Mapping[str, tuple[tuple[int, Import], ...]] = field(default_factory=dict)
    exports: Mapping[str, Export] = field(default_factory=dict)
    fallback: bool = False
    own: bool = False

    @property
    def memory(self) -> int | None:
        """Index of the memory that a host function finds when this unit calls it."""
        return self.shared("memory", len(self.module.memories))

    def shared(self, kind: str, count: int) -> int | None:
        """Index of the memory or table that others can see. count: how many there are."""
        export = self.exports.get(EXPORTED_AS[kind])
        if export is not None and export.kind == kind:
            return export.index
        return 0 if count else None


_Key: TypeAlias = tuple[int, str, int]


class Units:
    """All units of a link, in the order in which they joined it."""

    def __init__(self, program: Module, libraries: Sequence[Library]):
        self.all: list[Unit] = []
        self._libraries: dict[str, list[Library]] = defaultdict(list)
        for library in libraries:
            self._libraries[library.name].append(library)
        self._by_name: dict[str, list[int]] = {}
        self._found: dict[_Key, Target | Unresolved] = {}
        self.add("", program)

    def add(
        self, name: str, module: Module, layout: Mapping[str, Layout] | None = None, label: str = "",
        fallback: bool = False, own: bool = False, memories: Mapping[str, Definition] | None = None,
    ) -> int:  # fmt: skip
        """Index of the new unit."""
        imports: dict[str, list[tuple[int, Import]]] = {"func": [], "table": [], "memory": [], "global": [], "tag": []}
        for position, entry in enumerate(module.imports):
            imports[entry.kind].append((position, entry))
        exports = {e.name: e for e in module.exports}
        joint = {kind: tuple(entries) for kind, entries in imports.items()}
        self.all.append(Unit(name, module, layout or {}, memories or {}, label, joint, exports, fallback, own))
        return len(self.all) - 1

    @cached_property
    def heap_types(self) -> HeapTypes:
        """The types of structs and arrays of all modules: to be asked for when all are there but routines, which have none."""
        return heap_types(unit.module for unit in self.all)

    def named(self, name: str) -> list[int]:
        """The units of the libraries of that name, in the order in which they are asked; made when first asked for."""
        if name not in self._by_name:
            self._by_name[name] = [
                self.add(name, y.module, fallback=y.fallback, own=y.own) for y in self._libraries.get(name, ())
            ]
        return self._by_name[name]

    def instantiation_order(self) -> list[int]:
        """The program and what it imports from, directly or not: libraries before what imports from them."""
        order: list[int] = []
        seen = {PROGRAM}
        open_ = [(PROGRAM, self._imported_units(PROGRAM))]
        while open_:
            unit, libraries = open_[-1]
            library = next((y for y in libraries if y not in seen), None)
            if library is None:
                order.append(unit)
                open_.pop()
            else:
                seen.add(library)
                open_.append((library, self._imported_units(library)))
        return order

    def _imported_units(self, unit: int) -> Iterator[int]:
        names = dict.fromkeys(i.module for i in self.all[unit].module.imports)
        return (library for name in names for library in self.named(name))

    def resolve(self, unit: int, kind: str, index: int) -> Target:
        """Raises CompileError when nobody provides the import, or not as it is declared."""
        found = self.find(unit, kind, index)
        if isinstance(found, Unresolved):
            raise CompileError([found.reason])
        return found

    def find(self, unit: int, kind: str, index: int) -> Target | Unresolved:
        """What an index of a joint index space stands for."""
        path: dict[_Key, None] = {}
        at: _Key = (unit, kind, index)
        found = self._found.get(at)
        while found is None:
            path[at] = None
            step = self._step(*at)
            if not isinstance(step, tuple):
                found = step
            elif step in path:
                found = self._unresolved(*at, "leads back to itself")
            else:
                at = step
                found = self._found.get(at)
        self._found.update(dict.fromkeys(path, found))
        return found

    def _step(self, unit: int, kind: str, index: int) -> Target | Unresolved | _Key:
        """What an index stands for, or, where it is an import of something in another unit, that."""
        here = self.all[unit]
        entries = here.imports.get(kind, ())
        if index >= len(entries):
            return Definition(unit, kind, index)
        entry = entries[index][1]
        if entry.module == INTRINSIC_MODULE and unit != PROGRAM:
            memory = here.memories.get(entry.name.removesuffix(BYTES))
            if memory is not None:
                return memory if kind == "memory" else Layout(memory, "bytes")
            if here.own or (entry.name in PUBLIC and kind == "global"):
                return Intrinsic(kind, entry.name, entry.desc)  # type: ignore[arg-type]
            if entry.name in EXPORTED_AS and entry.name == kind:
                return self._programs(unit, kind, index, entry)
        if entry.module == PROGRAM_MODULE and unit != PROGRAM:
            return self._exported(unit, kind, index, entry)
        if entry.module == LAYOUT_MODULE and here.own:
            return here.layout.get(entry.name, Layout(None, entry.name))
        if PRIVATE.match(entry.module) and not here.own:
            return self._unresolved(unit, kind, index, "is not provided")
        return self._provided(unit, kind, index, entry)

    def _programs(self, unit: int, kind: str, index: int, entry: Import) -> Unresolved | _Key:
        """The program's memory or table."""
        program = self.all[PROGRAM]
        entities = program.module.memories if kind == "memory" else program.module.tables
        shared = program.shared(kind, len(entities))
        if shared is None:
            return self._unresolved(unit, kind, index, f"is not provided: the program has no {kind}")
        wrong = mismatch(entry.desc, entities[shared], "the program")
        if wrong:
            return self._unresolved(unit, kind, index, wrong, "incompatible import type for")
        return PROGRAM, kind, shared

    def _exported(self, unit: int, kind: str, index: int, entry: Import) -> Unresolved | _Key:
        """A function that the program exports."""
        export = self.all[PROGRAM].exports.get(entry.name)
        if kind != "func" or export is None or export.kind != kind:
            return self._unresolved(unit, kind, index, f"is not provided: the program exports no such {kind}")
        wrong = mismatch(entry.desc, self.all[PROGRAM].module.functions[export.index].type, "the program")
        if wrong:
            return self._unresolved(unit, kind, index, wrong, "incompatible import type for")
        return PROGRAM, kind, export.index

    def _provided(self, unit: int, kind: str, index: int, entry: Import) -> Unresolved | _Key:
        """What the first library has that has it; one of this package that has another type is not asked."""
        first = ""
        for library in self.named(entry.module):
            export = self.all[library].exports.get(entry.name)
            if export is None:
                continue
            wrong = self._mismatch(entry, library, export)
            if not wrong:
                return library, kind, export.index
            first = first or wrong
            if not self.all[library].fallback:
                break
        if first:
            return self._unresolved(unit, kind, index, first, "incompatible import type for")
        return self._unresolved(unit, kind, index, "is not provided")

    def _mismatch(self, entry: Import, unit: int, export: Export) -> str:
        module = self.all[unit].module
        if export.kind != entry.kind:
            return f"imported as a {entry.kind}, {entry.module} has a {export.kind}"
        entity = {
            "func": lambda: module.functions[export.index].type,
            "global": lambda: module.globals[export.index].type,
            "table": lambda: module.tables[export.index],
            "memory": lambda: module.memories[export.index],
            "tag": lambda: module.tags[export.index],
        }[export.kind]()
        return mismatch(entry.desc, entity, entry.module, module.types)

    def _unresolved(self, unit: int, kind: str, index: int, why: str, what: str = "") -> Unresolved:
        position, entry = self.all[unit].imports[kind][index]
        name = f'"{entry.module}" "{entry.name}" ({kind})'
        text = f"{what} {name}: {why}" if what else f"the import {name} {why}"
        return Unresolved(unit, position, Reason(text))
