"""Imported functions that nobody provides, as functions that trap: wasmtime's option `unknown-imports-trap`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..wasm.module import Export, Function, FuncType, Instr, Module


def trapping(module: Module, provided: Collection[tuple[str, str]]) -> dict[str, Module]:
    """Modules, by name, with the functions that `module` imports and that are not among `provided`.

    provided: (module, name). A call executes `unreachable`.
    """
    missing: dict[str, dict[str, FuncType]] = {}
    for entry in module.imports:
        if isinstance(entry.desc, FuncType) and (entry.module, entry.name) not in provided:
            missing.setdefault(entry.module, {})[entry.name] = entry.desc
    return {name: _module(name, functions) for name, functions in missing.items()}


def extended(library: Module, more: Module) -> Module:
    """`library` with the functions that `more` defines, and their exports."""
    first = len(library.functions)
    exports = tuple(replace(e, index=first + e.index) for e in more.exports)
    return replace(library, functions=library.functions + more.functions, exports=library.exports + exports)


def _module(module: str, functions: dict[str, FuncType]) -> Module:
    body = (Instr("unreachable"), Instr("end"))
    return Module(
        functions=tuple(Function(t, body=body, name=f"{module}.{name}") for name, t in functions.items()),
        exports=tuple(Export(name, "func", k) for k, name in enumerate(functions)),
    )
