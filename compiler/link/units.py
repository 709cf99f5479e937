"""The modules of a link and where their imports lead.

A *unit* is a module taking part in the link: the program is unit 0; libraries, and a routine file once for each memory,
table or segment that it is made for, follow as they are needed. A *definition* names an entity by the unit that defines
it. Resolving follows imports until a definition, an intrinsic of module "w2x", or a layout value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..format.errors import CompileError, Reason
from ..wasm.module import Export, FuncType, GlobalType, Import, Limits, Module, TableType
from .linked import INTRINSIC_MODULE

# The module from which routines import what the linker decides per instance, see `routines`.
LAYOUT_MODULE = "w2x.layout"
# Modules of this name and below it are for libraries and routines only.
PRIVATE = re.compile(rf"{INTRINSIC_MODULE}(\.|$)")
PROGRAM = 0


@dataclass(frozen=True, order=True)
class Definition:
    """kind: "func", "table", "memory", "global", also "data" and "elem"; index: in the unit's joint index space."""

    unit: int
    kind: str
    index: int


@dataclass(frozen=True)
class Intrinsic:
    """A function or a hidden register of module "w2x", with its declared type; kind "memory": the program's memory."""

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
        return self.name == "size"


Target: TypeAlias = Definition | Intrinsic | Layout


@dataclass(frozen=True)
class Unit:
    """layout: what the names of LAYOUT_MODULE stand for in a routine's instance. label: tells instances apart."""

    name: str
    module: Module
    layout: Mapping[str, Layout] = field(default_factory=dict)
    label: str = ""
    imports: Mapping[str, tuple[Import, ...]] = field(default_factory=dict)
    exports: Mapping[str, Export] = field(default_factory=dict)


class Units:
    """All units of a link, in the order in which they joined it."""

    def __init__(self, program: Module, libraries: Mapping[str, Module]):
        self.libraries = libraries
        self.all: list[Unit] = []
        self._by_name: dict[str, int] = {}
        self.add("", program)

    def add(self, name: str, module: Module, layout: Mapping[str, Layout] | None = None, label: str = "") -> int:
        """Index of the new unit."""
        imports = {k: tuple(i for i in module.imports if i.kind == k) for k in ("func", "table", "memory", "global")}
        exports = {e.name: e for e in module.exports}
        self.all.append(Unit(name, module, layout or {}, label, imports, exports))
        return len(self.all) - 1

    def library(self, name: str) -> int | None:
        """The unit of a library, made when first asked for; None when there is no such library."""
        if name not in self._by_name:
            if name not in self.libraries:
                return None
            self._by_name[name] = self.add(name, self.libraries[name])
        return self._by_name[name]

    def imported(self, unit: int, kind: str, index: int) -> Import | None:
        """The import behind an index of the joint index space, None for what the module defines."""
        imports = self.all[unit].imports.get(kind, ())
        return imports[index] if index < len(imports) else None

    def resolve(self, unit: int, kind: str, index: int) -> Target:
        """Raises CompileError when nobody provides the import, or not as it is declared."""
        entry = self.imported(unit, kind, index)
        seen = set()
        while entry is not None:
            if unit == PROGRAM and PRIVATE.match(entry.module):
                raise CompileError([missing(entry)])
            if entry.module == INTRINSIC_MODULE:
                return Intrinsic(kind, entry.name, entry.desc)  # type: ignore[arg-type]
            if entry.module == LAYOUT_MODULE:
                return self.all[unit].layout.get(entry.name, Layout(None, entry.name))
            library = self.library(entry.module)
            export = self.all[library].exports.get(entry.name) if library is not None else None
            if library is None or export is None:
                raise CompileError([missing(entry)])
            if export.kind != kind or not self._matches(entry, library, export.index):
                text = f'incompatible import type for "{entry.module}" "{entry.name}" ({kind})'
                raise CompileError([Reason(text)])
            if (library, export.index) in seen:
                raise CompileError(f'the import "{entry.module}" "{entry.name}" leads back to itself')
            seen.add((library, export.index))
            unit, index = library, export.index
            entry = self.imported(unit, kind, index)
        return Definition(unit, kind, index)

    def _matches(self, entry: Import, unit: int, index: int) -> bool:
        """Import matching of the specification, section 4.5.4: limits may be narrower than asked for."""
        module = self.all[unit].module
        match entry.desc:
            case FuncType():
                return module.functions[index].type == entry.desc
            case GlobalType():
                return module.globals[index].type == entry.desc
            case TableType(element, limits):
                table = module.tables[index]
                return table.element == element and _within(table.limits, limits)
            case Limits():
                return _within(module.memories[index], entry.desc)
        return False


def _within(given: Limits, wanted: Limits) -> bool:
    if given.minimum < wanted.minimum:
        return False
    return wanted.maximum is None or (given.maximum is not None and given.maximum <= wanted.maximum)


def missing(entry: Import) -> Reason:
    """The refusal of an import that nobody provides."""
    return Reason(f'the import "{entry.module}" "{entry.name}" ({entry.kind}) is not provided')
