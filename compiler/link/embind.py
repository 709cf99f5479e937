"""What Emscripten's embind asks of its host: that functions of C++ are registered. embind.wat says what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..wasm.module import Export, Function, FuncType, Instr, Module
from .routines import load

_PREFIXES = ("_embind_register_", "_embind_finalize_", "_embind_create_")
# Which parameters say class, name, invoker and function, by the function's name; -1: none, which is 0. Later versions have
# more parameters behind them.
_RECORDED = {
    "_embind_register_function": (-1, 0, 4, 5),
    "_embind_register_class_function": (0, 1, 5, 6),
    "_embind_register_class_class_function": (0, 1, 5, 6),
    "_embind_register_class_constructor": (0, -1, 4, 5),
}


def embind(wanted: Mapping[str, FuncType]) -> Module:
    """The pack for a program that imports these from "env": types and fields of objects are for JavaScript alone, and ignored."""
    pack = load("embind")
    exported = {e.name: e for e in pack.exports}
    known = {name: pack.functions[e.index].type for name, e in exported.items()}
    exports = [exported[name] for name, type in wanted.items() if known.get(name) == type]
    functions, types = list(pack.functions), list(pack.types)
    for name, type in wanted.items():
        if not name.startswith(_PREFIXES) or type.results:
            continue
        exports.append(Export(name, "func", len(functions)))
        places = _RECORDED.get(name, ())
        kept = bool(places) and len(type.params) > max(places) and set(type.params) == {"i32"}
        functions.append(Function(type, (), _recording(places) if kept else (Instr("end"),), name))
        types.append(type)
    return replace(pack, types=tuple(dict.fromkeys(types)), functions=tuple(functions), exports=tuple(exports))


def _recording(places: tuple[int, ...]) -> tuple[Instr, ...]:
    arguments = (Instr("i32.const", (0,)) if place < 0 else Instr("local.get", (place,)) for place in places)
    return (*arguments, Instr("call", (0,)), Instr("end"))
