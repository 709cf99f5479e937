"""Who provides what a program imports, in words."""

from __future__ import annotations

from collections.abc import Mapping

from ..wasm.module import Module
from .aliases import suggestion
from .libraries import libraries_of
from .routines import WASI_MODULES
from .units import PROGRAM, Units, Unresolved


def providers(program: Module, given: Mapping[str, Module]) -> list[str]:
    """One text for each import, in their order."""
    units = Units(program, libraries_of(program, given))
    counts: dict[str, int] = {}
    found = []
    for entry in program.imports:
        index = counts.get(entry.kind, 0)
        counts[entry.kind] = index + 1
        target = units.find(PROGRAM, entry.kind, index)
        if isinstance(target, Unresolved):
            why = target.reason.message.partition(": ")[2]
            found.append(f"nobody{f' ({why})' if why else ''}{suggestion(entry.module, entry.name, entry.desc)}")
        elif entry.module in given and any(e.name == entry.name for e in given[entry.module].exports):
            found.append("a library that was given")
        elif entry.module in WASI_MODULES:
            found.append("WASI")
        else:
            found.append(f"the pack for {entry.module!r}")
    return found
