"""Exceptions: the registers in which one travels, which functions one can leave, and the routines for those that are values.

An exception in flight is in hidden registers: EXCEPTION holds the number of its tag, that is the tag's index and one, or 0
for none; VALUE with a number behind it what it carries; REFERENCE the exception as a value, or 0 while it is none. So a function
that an exception leaves returns as always, and who called it looks at EXCEPTION.

A value (exnref) is made only where a handler hands one on: its parts are stored in an area of hidden memory, one behind the
other, and the value says where the next one begins, so null is 0. Nothing in this area is given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import wasmtime

from ..format.isa import EXCEPTION_REGISTER
from ..format.limits import EXCEPTION_BYTES
from ..format.types import FuncType, is_wide
from ..wasm.decode import decode
from ..wasm.module import BLOCKS, CATCHES, Instr, Module
from .linked import Exceptions

EXCEPTION = EXCEPTION_REGISTER
VALUE, REFERENCE, TOP = "exception_value", "exception_reference", "exception_top"
# The layout value with the place of the area.
EXCEPTIONS = "exceptions"
CAPTURE, RESTORE = "capture", "restore"
_CALLS = frozenset({"call", "call_indirect", "call_ref", "return_call", "return_call_indirect", "return_call_ref"})


def hands_on(instruction: Instr) -> bool:
    """Whether it needs exceptions to be values."""
    if instruction.name == "try_table":
        return any(CATCHES[handler[0]].endswith("_ref") for handler in instruction.args[1])
    return instruction.name == "throw_ref"


def registers_of(exceptions: Exceptions | None) -> dict[str, int]:
    """The registers of exceptions, with their initial values."""
    if exceptions is None:
        return {}
    names = [EXCEPTION, *(f"{VALUE}{k}" for k in range(len(exceptions.widths)))]
    return dict.fromkeys([*names, *([REFERENCE, TOP] if exceptions.capture is not None else [])], 0)


def widths_of(modules: Iterable[Module]) -> tuple[bool, ...]:
    """For each place among the values of an exception, whether any tag has a value of 64 bits there."""
    widths: list[bool] = []
    for tag in (tag for module in modules for tag in module.tags):
        widths += [False] * (len(tag.type.params) - len(widths))
        for place, type in enumerate(tag.type.params):
            widths[place] |= is_wide(type)
    return tuple(widths)


def throwing(module: Module, references: Iterable[int]) -> tuple[frozenset[int], frozenset[FuncType]]:
    """Of a linked module: functions that an exception may leave, and the types of those that have a reference.

    references: the functions that have one.
    """
    out = [frozenset(_out_of(function.body)) for function in module.functions]
    referenced = frozenset(references)
    functions = {index for index, calls in enumerate(out) if None in calls}
    types: set[FuncType] = set()
    callers: dict[int | FuncType, list[int]] = {}
    for index, calls in enumerate(out):
        for call in calls:
            if call is not None:
                name, target = call
                callers.setdefault(target if name == "call" else module.function_type(target), []).append(index)
    named = {t.name: t for t in module.types if isinstance(t, FuncType) and t.name}
    todo = sorted(functions)
    while todo:
        index = todo.pop()
        found = list(callers.get(index, ()))
        type = module.functions[index].type
        for called in (type, *(named[name] for name in type.above)) if index in referenced else ():
            if called not in types:  # a call of a type may be of one below it
                types.add(called)
                found += callers.get(called, ())
        todo += sorted({*found} - functions)
        functions.update(found)
    return frozenset(functions), frozenset(types)


def _out_of(body: Sequence[Instr]) -> Iterator[tuple[str, int] | None]:
    """What may let an exception out of a function: None for its own, else a call: ("call", the function's index), or through a
    reference ("type", the index of its type)."""
    opened: list[bool] = []  # for each open block, whether it or one around it catches everything
    for instr in body:
        name = instr.name
        if name in BLOCKS:
            everything = name == "try_table" and any(CATCHES[h[0]].startswith("catch_all") for h in instr.args[1])
            opened.append(everything or (bool(opened) and opened[-1]))
        elif name == "end" and opened:
            opened.pop()
        elif name in _CALLS and (name.startswith("return") or not (opened and opened[-1])):
            yield ("call" if name in ("call", "return_call") else "type"), instr.args[0]
        elif name in ("throw", "throw_ref") and not (opened and opened[-1]):
            yield None


def exception_routines(widths: Sequence[bool]) -> Module:
    """CAPTURE: the exception in flight as a value. RESTORE: a value in flight again; returns the number of its tag."""
    places = [4 + sum(8 if wide else 4 for wide in widths[:k]) for k in range(len(widths) + 1)]
    size = places[-1]
    registers = "\n".join(
        f'(import "w2x" "{VALUE}{k}" (global $value{k} (mut {"i64" if wide else "i32"})))' for k, wide in enumerate(widths)
    )
    stores = "\n".join(_stores(k, place, widths[k]) for k, place in enumerate(places[:-1]))
    loads = "\n".join(_loads(k, place, widths[k]) for k, place in enumerate(places[:-1]))
    text = f"""(module
      (import "w2x" "trap_null_access" (func $trap_null_access))
      (import "w2x" "trap_exceptions_exhausted" (func $trap_exceptions_exhausted))
      (import "w2x" "hidden_load32" (func $load (param i32) (result i32)))
      (import "w2x" "hidden_store32" (func $store (param i32 i32)))
      (import "w2x" "{EXCEPTION}" (global $exception (mut i32)))
      (import "w2x" "{REFERENCE}" (global $reference (mut i32)))
      (import "w2x" "{TOP}" (global $top (mut i32)))
      (import "w2x.layout" "{EXCEPTIONS}" (global $area i32))
      {registers}
      (func (export "{CAPTURE}") (result i32) (local $at i32)
        (if (i32.eqz (global.get $reference)) (then
          (if (i32.gt_u (global.get $top) (i32.const {EXCEPTION_BYTES - size})) (then (call $trap_exceptions_exhausted)))
          (local.set $at (i32.add (global.get $area) (global.get $top)))
          (call $store (local.get $at) (global.get $exception))
          {stores}
          (global.set $top (i32.add (global.get $top) (i32.const {size})))
          (global.set $reference (global.get $top))))
        (global.get $reference))
      (func (export "{RESTORE}") (param $value i32) (result i32) (local $at i32)
        (if (i32.eqz (local.get $value)) (then (call $trap_null_access)))
        (local.set $at (i32.sub (i32.add (global.get $area) (local.get $value)) (i32.const {size})))
        {loads}
        (global.set $reference (local.get $value))
        (call $load (local.get $at))))"""
    return decode(bytes(wasmtime.wat2wasm(text)))


def _stores(k: int, place: int, wide: bool) -> str:
    low = f"(i32.wrap_i64 (global.get $value{k}))" if wide else f"(global.get $value{k})"
    text = f"(call $store (i32.add (local.get $at) (i32.const {place})) {low})"
    if wide:
        high = f"(i32.wrap_i64 (i64.shr_u (global.get $value{k}) (i64.const 32)))"
        text += f" (call $store (i32.add (local.get $at) (i32.const {place + 4})) {high})"
    return text


def _loads(k: int, place: int, wide: bool) -> str:
    low = f"(call $load (i32.add (local.get $at) (i32.const {place})))"
    if not wide:
        return f"(global.set $value{k} {low})"
    high = f"(i64.extend_i32_u (call $load (i32.add (local.get $at) (i32.const {place + 4}))))"
    return f"(global.set $value{k} (i64.or (i64.extend_i32_u {low}) (i64.shl {high} (i64.const 32))))"
