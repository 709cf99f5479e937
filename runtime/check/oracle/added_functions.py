"""The functions that are added to an instrumented module, beside those that it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ....compiler.format.types import general
from ....compiler.wasm.module import Function, FuncType, Instr, TableType, ValType
from ....compiler.wasm.simd import V128
from .record import FLUSH_SLOT, LOG_BYTES, PREFIX, RECORD, Added

_BITS: dict[ValType, tuple[ValType, ...]] = {"f32": ("i32",), "f64": ("i64",), "exnref": ("i32",), V128: ("i64", "i64")}


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
    """Calls `index` with floats passed as the integers of their bits, as a host's own floats may change a NaN, and
    vectors as their two halves. Hosts have no exceptions as values: what they pass is null, and of what they get they learn
    whether it is."""
    type_ = FuncType(tuple(map(_general, function.type.params)), tuple(map(_general, function.type.results)))
    bits = FuncType(_bits(type_.params), _bits(type_.results))
    body: list[Instr] = []
    at = 0
    for t in type_.params:
        if t == "exnref":
            body.append(Instr("ref.null", ("exnref",)))
        elif t == V128:
            body += [Instr("local.get", (at,)), Instr("i64x2.splat")]
            body += [Instr("local.get", (at + 1,)), Instr("i64x2.replace_lane", (1,))]
        else:
            body.append(Instr("local.get", (at,)))
            body += [Instr(f"{t}.reinterpret_{_BITS[t][0]}")] if t in _BITS else []
        at += len(_BITS.get(t, (t,)))
    body.append(Instr("call", (index,)))
    extra: list[ValType] = []
    if any(t in _BITS for t in type_.results):
        extra = list(type_.results)
        body += [Instr("local.set", (at + i,)) for i in reversed(range(len(extra)))]
        for i, t in enumerate(extra):
            body += _bits_of([Instr("local.get", (at + i,))], t)
    return Function(bits, tuple(extra), (*body, Instr("end")), name=function.name)


def _bits(types: Iterable[ValType]) -> tuple[ValType, ...]:
    return tuple(integer for t in types for integer in _BITS.get(t, (t,)))


def _bits_of(get: Sequence[Instr], type_: ValType) -> list[Instr]:
    """Code for the integers of a value's bits. get: what brings the value."""
    if type_ == V128:
        return [*get, Instr("i64x2.extract_lane", (0,)), *get, Instr("i64x2.extract_lane", (1,))]
    if type_ == "exnref":
        return [*get, Instr("ref.is_null"), Instr("i32.eqz")]
    return [*get, *([Instr(f"{_BITS[type_][0]}.reinterpret_{type_}")] if type_ in _BITS else [])]


def bits_of_global(type_: ValType, index: int) -> Function:
    """Returns a global's bits: a host's own float may change a NaN."""
    type_ = _general(type_)
    code = _bits_of([Instr("global.get", (index,))], type_)
    return Function(FuncType((), _bits([type_])), body=(*code, Instr("end")))


def bits_of_element(table: TableType, index: int) -> Function:
    """Of an element of a table of exceptions: whether it is one."""
    place: ValType = "i64" if table.limits.wide else "i32"
    code = _bits_of([Instr("local.get", (0,)), Instr("table.get", (index,))], "exnref")
    return Function(FuncType((place,), ("i32",)), body=(*code, Instr("end")))


def _general(type_: ValType) -> ValType:
    """Of exceptions that are never null the plain type; any other type itself."""
    return "exnref" if general(type_) == "exnref" else type_
