"""Libraries in wasmtime: in the order in which they need each other, and what they import from "w2x".

A library may import the program's memory and table, which do not exist before the program does. So they are made first,
and the program is changed to import them too; where it imports them of a library, that library is. Functions of the program it
calls through a table, which is filled once the program is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import wasmtime

from ....compiler.link.units import EXPORTED_AS, INTRINSIC_MODULE, PROGRAM_MODULE
from ....compiler.wasm.decode import decode
from ....compiler.wasm.encode import encode
from ....compiler.wasm.module import Export, Function, FuncType, Import, Instr, Limits, Module, TableType
from ...errors import OracleError
from .clock import CLOCK_REGISTERS, Clock

Library: TypeAlias = tuple[str, bytes]
_Named: TypeAlias = tuple[str, wasmtime.Module]


def with_memory_export(module: Module) -> Module:
    """The module, whose first memory WASI can find: under the name "memory"."""
    if not module.memories or any(e.name == EXPORTED_AS["memory"] for e in module.exports):
        return module
    return replace(module, exports=(*module.exports, Export(EXPORTED_AS["memory"], "memory", 0)))


def sharing(program: Module, libraries: Sequence[Library]) -> Module:
    """The program, which imports from "w2x" what its libraries do: its first memory or table, and no index changes.

    One that it imports already stays. Raises OracleError where it is not the first.
    """
    used = [wasm for _, wasm in libraries if INTRINSIC_MODULE.encode() in wasm]
    wanted = {i.name for wasm in used for i in decode(wasm).imports if i.module == INTRINSIC_MODULE}
    for kind in wanted & EXPORTED_AS.keys():
        entities: tuple = program.memories if kind == "memory" else program.tables
        imported = sum(i.kind == kind for i in program.imports)
        index = _shared(program, kind)
        if index > imported:
            raise OracleError(f"a library imports the program's {kind}, and wasmtime can share only the first it has")
        if index == imported:
            entry = Import(INTRINSIC_MODULE, kind, kind, entities[index])
            program = replace(program, imports=(*program.imports, entry))
    return program


def instantiate_linked(
    store: wasmtime.Store, linker: wasmtime.Linker, program: bytes, libraries: Sequence[Library], clock: Clock
) -> wasmtime.Instance:
    """The program (as `sharing` leaves it), with everything that it imports: of libraries of one name, later ones add to
    earlier ones."""
    called = called_by(libraries)
    entries = linker.instantiate(store, wasmtime.Module(store.engine, encode(_entries(called)))) if called else None
    if entries is not None:
        linker.define_instance(store, PROGRAM_MODULE, entries)
    instance = linker.instantiate(store, _define(store, linker, program, libraries, clock))
    if entries is not None:
        exports, table = dict(instance.exports(store).items()), entries.exports(store)[_TABLE]
        for place, name in enumerate(called):
            if isinstance(exports.get(name), wasmtime.Func):
                table.set(store, place, exports[name])  # type: ignore[union-attr]
    return instance


# The table of `_entries`: no name of a program's function that begins like this is imported.
_TABLE = "w2x:functions"


def called_by(libraries: Sequence[Library]) -> dict[str, FuncType]:
    """The functions of the program that libraries import."""
    found: dict[str, FuncType] = {}
    for _, wasm in libraries:
        for entry in decode(wasm).imports if PROGRAM_MODULE.encode() in wasm else ():
            if entry.module == PROGRAM_MODULE and isinstance(entry.desc, FuncType):
                found.setdefault(entry.name, entry.desc)
    return found


def _entries(called: dict[str, FuncType]) -> Module:
    """A module with these functions, each of which calls its element of a table."""
    types = tuple(dict.fromkeys(called.values()))
    functions = [
        Function(type, (), (*(Instr("local.get", (k,)) for k in range(len(type.params))), Instr("i32.const", (place,)),
                            Instr("call_indirect", (types.index(type), 0)), Instr("end")), name)
        for place, (name, type) in enumerate(called.items())
    ]  # fmt: skip
    return Module(
        types=types, functions=tuple(functions), tables=(TableType("funcref", Limits(len(called))),),
        exports=(*(Export(name, "func", place) for place, name in enumerate(called)), Export(_TABLE, "table", 0)),
    )  # fmt: skip


def _define(
    store: wasmtime.Store, linker: wasmtime.Linker, program: bytes, libraries: Sequence[Library], clock: Clock
) -> wasmtime.Module:
    """Defines what the program imports of libraries, and what these import from "w2x"."""
    whole = wasmtime.Module(store.engine, program)
    modules = [(name, wasmtime.Module(store.engine, wasm)) for name, wasm in libraries]
    wanted = {str(i.name) for _, m in modules for i in m.imports if i.module == INTRINSIC_MODULE}
    made = {str(i.name): i.type for i in whole.imports if i.module == INTRINSIC_MODULE}
    sources = _sources(program, (wanted & EXPORTED_AS.keys()) - made.keys())
    for place, wasm in _owners_sharing(libraries, sources).items():
        owner = wasmtime.Module(store.engine, wasm)
        modules[place] = modules[place][0], owner
        made |= {str(i.name): i.type for i in owner.imports if i.module == INTRINSIC_MODULE and i.name in EXPORTED_AS}
    for name, type in made.items():
        linker.define(store, INTRINSIC_MODULE, name, _made(store, type))
    for name in CLOCK_REGISTERS if CLOCK_REGISTERS & wanted else ():
        type = wasmtime.GlobalType(wasmtime.ValType.i32(), True)
        clock.registers[name] = wasmtime.Global(store, type, 0)
        linker.define(store, INTRINSIC_MODULE, name, clock.registers[name])
    clock.reset(store)
    sources = {kind: source for kind, source in sources.items() if kind not in made}
    for name, module in _ordered(modules, sources):
        instance = linker.instantiate(store, module)
        linker.define_instance(store, name, instance)
        for kind, source in sources.items():
            if source.module == name and _has(module, source):
                linker.define(store, INTRINSIC_MODULE, kind, instance.exports(store)[source.name])
    return whole


def _owners_sharing(libraries: Sequence[Library], sources: dict[str, Import]) -> dict[int, bytes]:
    """By their places the libraries whose own memory or table is the program's, and that import it now: one of the others may be
    what they import, so that neither could be there before the other. It must be their first, as for the program."""
    changed: dict[int, Module] = {}
    for kind, source in sources.items():
        for place in (place for place, (name, _) in enumerate(libraries) if name == source.module):
            module = changed.get(place) or decode(libraries[place][1])
            index = next((e.index for e in module.exports if e.name == source.name and e.kind == kind), None)
            if index == sum(i.kind == kind for i in module.imports):
                entities: tuple = module.memories if kind == "memory" else module.tables
                entry = Import(INTRINSIC_MODULE, kind, kind, entities[index])
                changed[place] = replace(module, imports=(*module.imports, entry))
    return {place: encode(module) for place, module in changed.items()}


def _shared(program: Module, kind: str) -> int:
    """Index of the memory or table that is the program's for its libraries."""
    return next((e.index for e in program.exports if e.name == EXPORTED_AS[kind] and e.kind == kind), 0)


def _made(store: wasmtime.Store, type: object) -> wasmtime.Memory | wasmtime.Table:
    return wasmtime.Table(store, type, None) if isinstance(type, wasmtime.TableType) else wasmtime.Memory(store, type)  # type: ignore[arg-type]


def _sources(program: bytes, kinds: set[str]) -> dict[str, Import]:
    """The imports that are the program's memory or table."""
    found = {}
    module = decode(program) if kinds else Module()
    for kind in kinds:
        imports = [i for i in module.imports if i.kind == kind]
        if _shared(module, kind) < len(imports):
            found[kind] = imports[_shared(module, kind)]
    return found


def _has(module: wasmtime.Module, entry: Import) -> bool:
    return any(e.name == entry.name for e in module.exports)


def _ordered(modules: Sequence[_Named], sources: dict[str, Import]) -> Iterator[_Named]:
    """Each behind those it imports from."""
    places: dict[str, list[int]] = {}
    for place, (name, _) in enumerate(modules):
        places.setdefault(name, []).append(place)

    def needs(place: int) -> Iterator[int]:
        for entry in modules[place][1].imports:
            if entry.module == INTRINSIC_MODULE:
                source = sources.get(str(entry.name))
                yield from (p for p in places.get(source.module, ()) if _has(modules[p][1], source)) if source else ()
            elif entry.module != modules[place][0]:
                yield from places.get(entry.module, ())

    seen: set[int] = set()
    for root in range(len(modules)):
        open_ = [] if root in seen else [(root, needs(root))]
        seen.add(root)
        while open_:
            place, needed = open_[-1]
            following = next((p for p in needed if p not in seen), None)
            if following is None:
                yield modules[place]
                open_.pop()
            else:
                seen.add(following)
                open_.append((following, needs(following)))
