"""Libraries that are made for a program by what it imports: "env" of Emscripten and of AssemblyScript, "wbg" of
wasm-bindgen, and WASI as JavaScript is given it.

They are ordinary modules: what they use of the program they import from "w2x", as any library can (see `units`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from ..wasm.module import Export, Function, FuncType, Import, Instr, Limits, Module, TableType
from .bindgen import bindgen_packs
from .embind import embind
from .invoke import NEEDED, THROWING, arguments, find_matching_catch, invoke, legalised, needed_exports
from .reach import operands
from .routines import WASI_MODULES, load
from .units import INTRINSIC_MODULE

ENV = "env"
_STUB = (Instr("unreachable"), Instr("end"))


def packs(importers: Sequence[Module], given: Collection[tuple[str, str]] = ()) -> list[tuple[str, Module]]:
    """With their names. Only what the program and the given libraries import (importers), and no library has (given: module,
    name), is in them."""
    wanted = _imported(importers, ENV, given)
    found = [(ENV, _env(wanted, importers[0])), (ENV, _assemblyscript(wanted))]
    found += [(ENV, embind(wanted))]
    found += [(name, _legalised_wasi(name, _imported(importers, name, given))) for name in WASI_MODULES]
    found += bindgen_packs(importers)
    return [(name, module) for name, module in found if module.exports]


def _imported(importers: Sequence[Module], module: str, given: Collection[tuple[str, str]]) -> dict[str, FuncType]:
    found: dict[str, FuncType] = {}
    for entry in (e for importer in importers for e in importer.imports):
        if entry.module == module and isinstance(entry.desc, FuncType) and (module, entry.name) not in given:
            found.setdefault(entry.name, entry.desc)
    return found


def _env(wanted: Mapping[str, FuncType], program: Module) -> Module:
    needed = needed_exports(e.name for e in program.exports if e.kind == "func") if THROWING & wanted.keys() else None
    pack = load("env") if needed is None else _calling(load("env_throwing"), needed)
    exports = [e for name, type in wanted.items() for e in _variant(pack, name, type)]
    functions, types = list(pack.functions), [t for t in pack.types if isinstance(t, FuncType)]
    indices = {e.name: e.index for e in pack.exports}
    for name, type in wanted.items():
        made = invoke(name, type, types, needed is not None)
        if made is None and needed is not None:
            made = find_matching_catch(name, type, indices)
        if made is not None:
            exports.append(Export(name, "func", len(functions)))
            functions.append(made)
    return _only(replace(pack, types=tuple(types), functions=tuple(functions), exports=tuple(exports)))


def _calling(pack: Module, needed: tuple[str, ...]) -> Module:
    """env_throwing.wat, which imports the program's functions under the names that they have there."""
    names = {names[0]: name for names, name in zip(NEEDED, needed, strict=True)}
    functions = (
        f if f.imported is None else replace(f, imported=replace(f.imported, name=names.get(f.imported.name, f.imported.name)))
        for f in pack.functions
    )
    imports = (replace(i, name=names.get(i.name, i.name)) if i.kind == "func" else i for i in pack.imports)
    return replace(pack, functions=tuple(functions), imports=tuple(imports))


def _only(pack: Module) -> Module:
    """Only what the exported functions need, with the indices that it has; the rest traps."""
    kept = {e.index for e in pack.exports}
    todo = sorted(kept)
    while todo:
        called = {x.args[0] for x in pack.functions[todo.pop()].body if x.name == "call"} - kept
        kept |= called
        todo += called
    functions = [
        f if i in kept or f.imported is not None else replace(f, locals=(), body=_STUB) for i, f in enumerate(pack.functions)
    ]
    kinds = {kind for f in functions for instruction in f.body for kind, _ in operands(instruction)} | {"global", "func"}
    table = Import(INTRINSIC_MODULE, "table", "table", TableType("funcref", Limits(0)))
    imports = (*(i for i in pack.imports if i.kind != "table"), table)
    return replace(
        pack, functions=tuple(functions), imports=tuple(i for i in imports if i.kind in kinds),
        tables=(TableType("funcref", Limits(0)),) if "table" in kinds else (),
        memories=pack.memories if "memory" in kinds else (),
    )  # fmt: skip


def _assemblyscript(wanted: Mapping[str, FuncType]) -> Module:
    """All of it, where one of its functions is imported with its type."""
    pack = load("assemblyscript")
    types = {e.name: pack.functions[e.index].type for e in pack.exports if e.kind == "func"}
    return pack if any(types.get(name) == type for name, type in wanted.items()) else Module()


def _variant(pack: Module, name: str, type: FuncType) -> Iterator[Export]:
    """The export of that name, of that type where there is one."""
    found = [e for e in pack.exports if e.name.partition(".")[0] == name]
    found.sort(key=lambda e: pack.functions[e.index].type != type)
    yield from (replace(e, name=name) for e in found[:1])


def _legalised_wasi(name: str, imported: Mapping[str, FuncType]) -> Module:
    """Functions of WASI with legalised types, where the program imports them so: they call the real ones."""
    standard = load("files")
    real: Mapping[str, FuncType] = {e.name: standard.functions[e.index].type for e in standard.exports}
    wanted = {
        key: type
        for key, type in imported.items()
        if key in real and type != real[key] and type == legalised(real[key])
    }
    if not wanted:
        return Module()
    memory = Import(INTRINSIC_MODULE, "memory", "memory", Limits(0))
    imports = [Import(name, key, "func", real[key]) for key in wanted]
    functions = [Function(real[key], imported=entry, name=entry.name) for key, entry in zip(wanted, imports, strict=True)]
    for index, (key, type) in enumerate(wanted.items()):
        body = (*arguments(type, real[key].params, 0), Instr("call", (index,)), Instr("end"))
        functions.append(Function(type, (), body, key))
    return Module(
        types=tuple(dict.fromkeys(f.type for f in functions)), functions=tuple(functions), memories=(Limits(0),),
        exports=(*(Export(key, "func", len(wanted) + k) for k, key in enumerate(wanted)), Export("memory", "memory", 0)),
        imports=(memory, *imports),
    )  # fmt: skip
