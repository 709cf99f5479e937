"""Imported functions that nobody provides, as functions that trap: wasmtime's option `unknown-imports-trap`."""

from __future__ import annotations

from collections.abc import Collection

from ..format.isa import MISSING_IMPORT
from ..wasm.module import Export, Function, FuncType, Instr, Module
from .units import PRIVATE, Units, Unresolved


def trapping(units: Units, given: Collection[tuple[str, str]]) -> dict[str, Module]:
    """Modules, by name, with the functions that the program and its libraries import and that lead nowhere.

    given: (module, name) of what libraries have; an import that does not fit one of these stays refused. A call executes
    `unreachable`. Of two imports of one name the first decides the type.
    """
    missing: dict[str, dict[str, FuncType]] = {}
    first: dict[str, Module] = {}  # the first that imports from this name: its types are those that the functions may name
    for unit in units.instantiation_order():
        for index, (position, entry) in enumerate(units.all[unit].imports["func"]):
            if (entry.module, entry.name) in given or PRIVATE.match(entry.module):
                continue
            found = units.find(unit, "func", index)
            if isinstance(found, Unresolved) and (found.unit, found.position) == (unit, position):
                assert isinstance(entry.desc, FuncType)
                first.setdefault(entry.module, units.all[unit].module)
                missing.setdefault(entry.module, {}).setdefault(entry.name, entry.desc)
    return {name: _module(name, functions, first[name]) for name, functions in missing.items()}


def _module(module: str, functions: dict[str, FuncType], importer: Module) -> Module:
    body = (Instr("unreachable"), Instr("end"))
    return Module(
        types=importer.types,
        groups=importer.groups,
        functions=tuple(Function(t, body=body, name=f'{MISSING_IMPORT}"{module}" "{name}"') for name, t in functions.items()),
        exports=tuple(Export(name, "func", k) for k, name in enumerate(functions)),
    )
