"""Imports under other names: `a.c` for `wasi_snapshot_preview1.fd_write`, as tools that shorten names leave them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ..format.errors import CompileError, Reason
from ..wasm.encode import encode
from ..wasm.module import Export, Function, FuncType, Import, Module
from .bindgen import advice
from .emscripten import ENV
from .invoke import legalised
from .routines import WASI_MODULES, load

# A name that has been shortened has so many letters at most.
_SHORT = 2
# Of several functions with one type these come first: nearly every program has them.
_COMMON = (
    "fd_write", "fd_read", "fd_close", "fd_seek", "environ_get", "environ_sizes_get", "proc_exit", "emscripten_memcpy_big",
    "emscripten_resize_heap",
)  # fmt: skip


def aliases(module: Module, names: Mapping[str, str]) -> dict[str, bytes]:
    """Libraries that pass each named import on. names: "MODULE.NAME", what the module imports -> what is meant by it. Raises
    CompileError for an import that is not there."""
    types = {(i.module, i.name): i.desc for i in module.imports if isinstance(i.desc, FuncType)}
    wanted: dict[str, list[tuple[str, Import]]] = {}
    reasons = []
    for own, meant in names.items():
        (place, name), (library, function) = _split(own), _split(meant)
        if (place, name) in types:
            wanted.setdefault(place, []).append((name, Import(library, function, "func", types[place, name])))
        else:
            reasons.append(Reason(f'the program imports no function "{place}" "{name}"'))
    if reasons:
        raise CompileError(reasons)
    return {place: encode(_passing_on(entries)) for place, entries in wanted.items()}


def _split(text: str) -> tuple[str, str]:
    module, _, name = text.rpartition(".")
    if not module or not name:
        raise CompileError([Reason(f"{text!r} is not MODULE.NAME, the names of an import")])
    return module, name


def _passing_on(entries: list[tuple[str, Import]]) -> Module:
    types = [entry.desc for _, entry in entries]
    return Module(
        types=tuple(dict.fromkeys(t for t in types if isinstance(t, FuncType))),
        functions=tuple(Function(e.desc, imported=e, name=e.name) for _, e in entries if isinstance(e.desc, FuncType)),
        imports=tuple(entry for _, entry in entries),
        exports=tuple(Export(name, "func", k) for k, (name, _) in enumerate(entries)),
    )


def suggestion(module: str, name: str, type: object) -> str:
    """What an import with a shortened name may be, by its type, or what to do about one of another host's; "" for others."""
    if (said := advice(module, name)) and isinstance(type, FuncType):
        return said
    if not isinstance(type, FuncType) or len(module) > _SHORT or len(name) > _SHORT:
        return ""
    found = [known for known, types in _known().items() if type in types]
    if not found:
        return ""
    found.sort(key=lambda known: _COMMON.index(known[1]) if known[1] in _COMMON else len(_COMMON))
    shown = f"{', '.join(n for _, n in found[:4])}{', ...' if len(found) > 4 else ''}"
    return f"; by its type it may be {shown} (--import {module}.{name}={'.'.join(found[0])}, or --import SCRIPT.js)"


@cache
def _known() -> dict[tuple[str, str], tuple[FuncType, FuncType]]:
    """By module and name: the type, and what JavaScript makes of it."""
    found = {}
    for module, file in ((WASI_MODULES[0], "files"), (ENV, "env")):
        pack = load(file)
        for e in pack.exports:
            if e.kind == "func" and not e.name.startswith("sock_") and "." not in e.name:
                type_ = pack.functions[e.index].type
                found[module, e.name] = (type_, legalised(type_))
    return found
