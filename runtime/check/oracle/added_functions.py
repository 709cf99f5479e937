"""The functions that are added to an instrumented module, beside those that it has."""

from __future__ import annotations

from collections.abc import Iterable

from ....compiler.wasm.module import Function, FuncType, Instr, ValType
from .record import FLUSH_SLOT, LOG_BYTES, PREFIX, RECORD, Added

_BITS: dict[ValType, ValType] = {"f32": "i32", "f64": "i64"}


def log_routine(added: Added) -> Function:
    """log(address, value, site): appends a record, and empties the buffer when that filled it."""
    memory = (added.memory,) if added.memory else ()
    pointer = ("global.get", added.pointer)
    offsets = {name: RECORD.fields[name][1] for name in ("site", "address", "value")}  # type: ignore[index]
    code: list[tuple] = [
        pointer, ("local.get", 2), ("i32.store", 2, offsets["site"], *memory),
        pointer, ("local.get", 0), ("i32.store", 2, offsets["address"], *memory),
        pointer, ("local.get", 1), ("i64.store", 3, offsets["value"], *memory),
        pointer, ("i32.const", RECORD.itemsize), ("i32.add",), ("global.set", added.pointer),
        pointer, ("i32.const", LOG_BYTES), ("i32.eq",), ("if", FuncType()),
        ("i32.const", FLUSH_SLOT), ("call_indirect", added.flush_type, added.table),
        ("i32.const", 0), ("global.set", added.pointer),
        ("end",), ("end",),
    ]  # fmt: skip
    body = tuple(Instr(name, tuple(args)) for name, *args in code)
    return Function(FuncType(("i32", "i64", "i32")), body=body, name=PREFIX + "log")


def forward(function: Function, index: int, prologue: Iterable[Instr]) -> Function:
    """A function that does what `index` does."""
    arguments = (Instr("local.get", (i,)) for i in range(len(function.type.params)))
    body = (*prologue, *arguments, Instr("call", (index,)), Instr("end"))
    return Function(function.type, body=body, name=function.name)


def bits_entry(function: Function, index: int) -> Function:
    """Calls `index` with floats passed as the integers of their bits: a host's own floats may change a NaN."""
    type_ = function.type
    body: list[Instr] = []
    for i, t in enumerate(type_.params):
        body.append(Instr("local.get", (i,)))
        if t in _BITS:
            body.append(Instr(f"{t}.reinterpret_{_BITS[t]}"))
    body.append(Instr("call", (index,)))
    extra: list[ValType] = []
    if any(t in _BITS for t in type_.results):
        first = len(type_.params)
        extra = list(type_.results)
        body += [Instr("local.set", (first + i,)) for i in reversed(range(len(extra)))]
        for i, t in enumerate(extra):
            body.append(Instr("local.get", (first + i,)))
            if t in _BITS:
                body.append(Instr(f"{_BITS[t]}.reinterpret_{t}"))
    bits = FuncType(tuple(_BITS.get(t, t) for t in type_.params), tuple(_BITS.get(t, t) for t in type_.results))
    return Function(bits, tuple(extra), (*body, Instr("end")), name=function.name)


def bits_of_global(type_: ValType, index: int) -> Function:
    """Returns a global's bits: a host's own float may change a NaN."""
    integer = _BITS.get(type_, type_)
    cast = (Instr(f"{integer}.reinterpret_{type_}"),) if type_ in _BITS else ()
    return Function(FuncType((), (integer,)), body=(Instr("global.get", (index,)), *cast, Instr("end")))
