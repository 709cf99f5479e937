"""Libraries that are made for a program by what it imports: "env" of Emscripten and of AssemblyScript, and WASI as JavaScript is
given it.

They are ordinary modules: what they use of the program they import from "w2x", as any library can (see `units`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from ..wasm.module import Export, Function, FuncType, Import, Instr, Limits, Module, TableType, ValType
from .reach import operands
from .routines import WASI_MODULES, load
from .units import INTRINSIC_MODULE

ENV = "env"
_INVOKE = re.compile(r"invoke_([vijfd])([ijfd]*)")
_LETTERS = {"i": "i32", "j": "i64", "f": "f32", "d": "f64"}
_UPPER = 2  # global of env.wat
_STUB = (Instr("unreachable"), Instr("end"))


def packs(importers: Sequence[Module], given: Collection[tuple[str, str]] = ()) -> list[tuple[str, Module]]:
    """With their names. Only what the program and the given libraries import (importers), and no library has (given: module,
    name), is in them."""
    wanted = _imported(importers, ENV, given)
    found = [(ENV, _env(wanted)), (ENV, _assemblyscript(wanted))]
    found += [(name, _legalised_wasi(name, _imported(importers, name, given))) for name in WASI_MODULES]
    return [(name, module) for name, module in found if module.exports]


def legalised(type: FuncType) -> FuncType:
    """As JavaScript without 64-bit integers sees it: each i64 parameter is two i32, the lower half first; of an i64 result
    it gets the lower half."""
    params = tuple(t for p in type.params for t in (("i32", "i32") if p == "i64" else (p,)))
    return FuncType(params, tuple("i32" if t == "i64" else t for t in type.results))


def _imported(importers: Sequence[Module], module: str, given: Collection[tuple[str, str]]) -> dict[str, FuncType]:
    found: dict[str, FuncType] = {}
    for entry in (e for importer in importers for e in importer.imports):
        if entry.module == module and isinstance(entry.desc, FuncType) and (module, entry.name) not in given:
            found.setdefault(entry.name, entry.desc)
    return found


def _env(wanted: Mapping[str, FuncType]) -> Module:
    pack = load("env")
    exports = [e for name, type in wanted.items() for e in _variant(pack, name, type)]
    functions, types = list(pack.functions), list(pack.types)
    kept = {e.index for e in exports}
    for name, type in wanted.items():
        invoke = _invoke(name, type, types)
        if invoke is not None:
            kept.add(len(functions))
            exports.append(Export(name, "func", len(functions)))
            functions.append(invoke)
    for i in sorted(kept):
        kept |= {x.args[0] for x in functions[i].body if x.name == "call"}  # none of these calls others
    functions = [f if i in kept else replace(f, locals=(), body=_STUB) for i, f in enumerate(functions)]
    kinds = {kind for f in functions for instruction in f.body for kind, _ in operands(instruction)}
    type_ = TableType("funcref", Limits(0))
    table = Import(INTRINSIC_MODULE, "table", "table", type_)
    imports = tuple(i for i in (*pack.imports, table) if i.kind == "global" or i.kind in kinds)
    return replace(
        pack, types=tuple(types), functions=tuple(functions), exports=tuple(exports), imports=imports,
        tables=(type_,) if "table" in kinds else (), memories=pack.memories if "memory" in kinds else (),
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


# invoke_SIG(index, arguments ...): calls element `index` of the table. JavaScript also catches what is thrown in it: here
# nothing is, and a trap ends the call as it does there.


def _invoke(name: str, declared: FuncType, types: list[FuncType]) -> Function | None:
    """None where the name says nothing of the type, or something else than the import."""
    match = _INVOKE.fullmatch(name)
    if match is None:
        return None
    results = () if match[1] == "v" else (_LETTERS[match[1]],)
    type = FuncType(tuple(_LETTERS[c] for c in match[2]), results)
    plain = FuncType(("i32", *type.params), type.results)
    if declared not in (plain, legalised(plain)):
        return None
    types.append(type)
    code = [*_arguments(declared, type.params, 1), Instr("local.get", (0,)), Instr("call_indirect", (len(types) - 1, 0))]
    local: tuple[ValType, ...] = ()
    if declared.results != type.results:
        local = ("i64",)
        result = len(declared.params)
        code += [Instr("local.tee", (result,)), Instr("i64.const", (32,)), Instr("i64.shr_u")]
        code += [Instr("i32.wrap_i64"), Instr("global.set", (_UPPER,)), Instr("local.get", (result,)), Instr("i32.wrap_i64")]
    return Function(declared, local, (*code, Instr("end")), name)


def _arguments(declared: FuncType, wanted: tuple[ValType, ...], first: int) -> Iterator[Instr]:
    """The parameters from `first` on as `wanted`; a pair of i32 becomes an i64 where they are legalised."""
    apart = len(declared.params) - first > len(wanted)
    at = first
    for type in wanted:
        yield Instr("local.get", (at,))
        if apart and type == "i64":
            yield from (Instr("i64.extend_i32_u"), Instr("local.get", (at + 1,)), Instr("i64.extend_i32_u"))
            yield from (Instr("i64.const", (32,)), Instr("i64.shl"), Instr("i64.or"))
            at += 1
        at += 1


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
        body = (*_arguments(type, real[key].params, 0), Instr("call", (index,)), Instr("end"))
        functions.append(Function(type, (), body, key))
    return Module(
        types=tuple(dict.fromkeys(f.type for f in functions)), functions=tuple(functions), memories=(Limits(0),),
        exports=(*(Export(key, "func", len(wanted) + k) for k, key in enumerate(wanted)), Export("memory", "memory", 0)),
        imports=(memory, *imports),
    )  # fmt: skip
