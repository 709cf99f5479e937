"""The functions that are added to an instrumented module, beside those that it has."""

from __future__ import annotations

from collections.abc import Iterable

from ....compiler.format.types import general
from ....compiler.wasm.module import Function, FuncType, Instr, TableType, ValType
from .record import FLUSH_SLOT, LOG_BYTES, PREFIX, RECORD, Added

_BITS: dict[ValType, ValType] = {"f32": "i32", "f64": "i64", "exnref": "i32"}


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
    """Calls `index` with floats passed as the integers of their bits: a host's own floats may change a NaN. Hosts have no
    exceptions as values: what they pass is null, and of what they get they learn whether it is."""
    type_ = FuncType(tuple(map(_general, function.type.params)), tuple(map(_general, function.type.results)))
    body: list[Instr] = []
    for i, t in enumerate(type_.params):
        if t == "exnref":
            body.append(Instr("ref.null", ("exnref",)))
            continue
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
            body += _as_bits(t)
    bits = FuncType(tuple(_BITS.get(t, t) for t in type_.params), tuple(_BITS.get(t, t) for t in type_.results))
    return Function(bits, tuple(extra), (*body, Instr("end")), name=function.name)


def bits_of_global(type_: ValType, index: int) -> Function:
    """Returns a global's bits: a host's own float may change a NaN."""
    type_ = _general(type_)
    code = (Instr("global.get", (index,)), *_as_bits(type_), Instr("end"))
    return Function(FuncType((), (_BITS.get(type_, type_),)), body=code)


def bits_of_element(table: TableType, index: int) -> Function:
    """Of an element of a table of exceptions: whether it is one."""
    place: ValType = "i64" if table.limits.wide else "i32"
    code = (Instr("local.get", (0,)), Instr("table.get", (index,)), *_as_bits("exnref"), Instr("end"))
    return Function(FuncType((place,), ("i32",)), body=code)


def _as_bits(type_: ValType) -> tuple[Instr, ...]:
    """Code that makes of a value what the host gets."""
    if type_ == "exnref":
        return Instr("ref.is_null"), Instr("i32.eqz")
    return (Instr(f"{_BITS[type_]}.reinterpret_{type_}"),) if type_ in _BITS else ()


def _general(type_: ValType) -> ValType:
    """Of exceptions that are never null the plain type; any other type itself."""
    return "exnref" if general(type_) == "exnref" else type_
