"""The instances that are to become one module (`compose`), and where what they import leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..format.errors import CompileError
from ..wasm.module import Import, Module
from .routines import WASI_MODULES
from .units import EXPORTED_AS


@dataclass(frozen=True)
class Part:
    """An instance. imports: by module name, the places of the parts that it imports from, all before it; what is imported
    under other names is left to the linker (of a host, say). name: stands before the names of its exports, which only a
    `present` part has; of others there is what the present ones need. lazily: also segments of its own memories and tables
    are copied by `instantiate`."""

    module: Module
    imports: Mapping[str, int]
    name: str = ""
    present: bool = True
    lazily: bool = False

    def imported(self, kind: str) -> list[Import]:
        """What stands first in that index space."""
        return [i for i in self.module.imports if i.kind == kind]

    @property
    def hosted(self) -> bool:
        """Whether it imports something that is none of the other parts'."""
        return any(i.module not in self.imports for i in self.module.imports)

    @property
    def copies(self) -> bool:
        """Whether its active segments are copied by `instantiate`."""
        tables, memories = len(self.imported("table")), len(self.imported("memory"))
        elements = (e.table < tables for e in self.module.elements if e.mode == "active")
        return self.lazily or any(elements) or any(d.memory < memories for d in self.module.data if d.mode == "active")

    def exported(self, name: str) -> str:
        """What the composition calls one of its exports."""
        return f"{self.name}.{name}" if self.name else name

    def accessing(self, operation: str) -> str:
        """The function that does this to the memory that the part exports, see `shown_memory`: (address) -> (value), or
        (address, value) -> (); an address is i64 where the memory's are."""
        return self._added(f"{operation} memory")

    def sizing(self, kind: str, index: int) -> str:
        """The function () -> (size) of a memory or table of the part's own, for those that `sized` has."""
        return self._added(f"size of {kind} {index}")

    @property
    def instantiating(self) -> str:
        """The function to call before all others, "" where there is nothing to do."""
        return self._added("instantiate") if self.present and (self.copies or self.module.start is not None) else ""

    def _added(self, what: str) -> str:
        return f"{what} of {self.name}" if self.name else f"{what} of it"

    @property
    def shown_memory(self) -> int | None:
        """The memory that the host reads and writes: what it exports under the name "memory", else the first that it exports."""
        shown = sorted((e for e in self.module.exports if e.kind == "memory"), key=lambda e: e.name != EXPORTED_AS["memory"])
        return shown[0].index if shown else None

    @cached_property
    def grows(self) -> frozenset[str]:
        """Of what it changes the size, its own or imported: "memory", "table"."""
        names = {instr.name for f in self.module.functions for instr in f.body}
        return frozenset(kind for kind in ("memory", "table") if f"{kind}.grow" in names)

    @property
    def sized(self) -> list[tuple[str, int]]:
        """(kind, index) of its own memories and tables whose size may be another than is declared."""
        shown = {e.kind for e in self.module.exports}
        counts = {"memory": len(self.module.memories), "table": len(self.module.tables)}
        kinds = [k for k in counts if k in self.grows or k in shown]
        return [(k, i) for k in kinds for i in range(len(self.imported(k)), counts[k])]


def owner(parts: Sequence[Part], place: int, kind: str, index: int) -> tuple[int, int] | Import:
    """Who has what an index of a part stands for: (place, index) of a part of its own, or the import that is left."""
    while True:
        part = parts[place]
        entries = part.imported(kind)
        if index >= len(entries):
            return place, index
        entry = entries[index]
        if entry.module not in part.imports:
            return entry
        place = part.imports[entry.module]
        index = next(e.index for e in parts[place].module.exports if e.name == entry.name)


def index_space(module: Module, kind: str) -> tuple[Any, ...]:
    spaces = {
        "func": module.functions, "table": module.tables, "memory": module.memories, "global": module.globals, "tag": module.tags,
    }  # fmt: skip
    return spaces[kind]


def only_wasi(part: Part) -> bool:
    return all(i.module in part.imports or i.module in WASI_MODULES for i in part.module.imports)


def for_hosts(part: Part, kind: str) -> int | None:
    """The memory or table that functions of the host find when this part calls them, as `units.Unit.shared`."""
    shown = next((e.index for e in part.module.exports if e.name == EXPORTED_AS[kind] and e.kind == kind), None)
    return shown if shown is not None else 0 if index_space(part.module, kind) else None


def check_hosts(parts: Sequence[Part]) -> None:
    """The host has one state and works on one memory and one table."""
    hosted = [place for place, part in enumerate(parts) if part.hosted]
    if len(parts) == 1 or not hosted:
        return
    if len(hosted) > 1 and not all(only_wasi(parts[place]) for place in hosted):
        raise CompileError("two instances that share state import from the host: that is supported of WASI alone")
    for kind in EXPORTED_AS:
        if kind == "table" and all(only_wasi(parts[place]) for place in hosted):
            continue
        found = {for_hosts(parts[p], kind) is not None and owner(parts, p, kind, for_hosts(parts[p], kind) or 0) for p in hosted}
        if len(found) > 1 or (False in found and any(index_space(part.module, kind) for part in parts)):
            raise CompileError(
                f"instances that share state and import from the host: it works on one {kind}, which has to be theirs"
            )
