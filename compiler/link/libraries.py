"""What a program can import: the libraries given with it, the hosts of this package, and stubs for the rest."""

from __future__ import annotations

from collections.abc import Mapping

from ..wasm.module import Module
from .routines import standard_libraries
from .stubs import trapping
from .units import Library, Units


def libraries_of(
    program: Module, given: Mapping[str, Module] | None = None, unknown_imports_trap: bool = False
) -> list[Library]:
    """All libraries of a link, in the order in which they are asked.

    given: by name; what one of them has is not asked for elsewhere. unknown_imports_trap: functions that nobody has are
    there too, and trap.
    """
    return [
        *(Library(name, module) for name, module in (given or {}).items()),
        *(Library(name, module, True, own=True) for name, module in standard_libraries().items()),
        *made_for(program, given, unknown_imports_trap),
    ]


def made_for(
    program: Module, given: Mapping[str, Module] | None = None, unknown_imports_trap: bool = False
) -> list[Library]:
    """Those of them that are made for this program. They are ordinary modules, which any engine can link."""
    given = given or {}
    if not unknown_imports_trap:
        return []
    units = Units(program, libraries_of(program, given))
    names = {(name, e.name) for name, module in given.items() for e in module.exports}
    return [Library(name, stub, True) for name, stub in trapping(units, names).items()]


def provided_imports(libraries: Mapping[str, Module] | None = None) -> set[tuple[str, str]]:
    """(module, name) of everything that a program can import, whatever it is."""
    everything = [*standard_libraries().items(), *(libraries or {}).items()]
    return {(name, e.name) for name, m in everything if not name.startswith("w2x") for e in m.exports}
