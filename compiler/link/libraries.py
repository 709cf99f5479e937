"""What a program can import: the libraries given with it, the hosts of this package, and stubs for the rest."""

from __future__ import annotations

from collections.abc import Mapping

from ..wasm.module import Module
from .emscripten import packs
from .routines import opens_files, standard_libraries
from .stubs import trapping
from .units import Library, Units


def libraries_of(
    program: Module, given: Mapping[str, Module] | None = None, unknown_imports_trap: bool = False
) -> list[Library]:
    """All libraries of a link, in the order in which they are asked.

    given: by name; what one of them has is not asked for elsewhere. unknown_imports_trap: functions that nobody has are
    there too, and trap.
    """
    standard = standard_libraries(opens_files([program, *(given or {}).values()]))
    return [
        *(Library(name, module) for name, module in (given or {}).items()),
        *made_for(program, given, unknown_imports_trap),
        *(Library(name, module, True, own=True) for name, module in standard.items()),
    ]


def made_for(
    program: Module, given: Mapping[str, Module] | None = None, unknown_imports_trap: bool = False
) -> list[Library]:
    """Those of them that are made for this program. They are ordinary modules, which any engine can link."""
    given = given or {}
    names = {(name, e.name) for name, module in given.items() for e in module.exports}
    made = [Library(name, module, True) for name, module in packs([program, *given.values()], names)]
    if unknown_imports_trap:
        units = Units(program, libraries_of(program, given))
        made += [Library(name, stub, True) for name, stub in trapping(units, names).items()]
    return made


def provided_imports(libraries: Mapping[str, Module] | None = None) -> set[tuple[str, str]]:
    """(module, name) of everything that any program can import; what is made for one (`made_for`) is not among it."""
    everything = [*standard_libraries().items(), *(libraries or {}).items()]
    return {(name, e.name) for name, m in everything if not name.startswith("w2x") for e in m.exports}
