"""The functions that are added to an instrumented module, beside those that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ....compiler.format.types import OBJECTS, general
from ....compiler.wasm.module import Function, FuncType, Instr, TableType, ValType
from ....compiler.wasm.simd import V128
from .observed import nullable, reference_bits
from .record import FLUSH_SLOT, LOG_BYTES, PREFIX, RECORD, Added

# What a host gets for a value of these types.
_BITS: dict[ValType, tuple[ValType, ...]] = {
    "f32": ("i32",), "f64": ("i64",), "exnref": ("i32",), V128: ("i64", "i64"), "externref": ("i32", "externref"),
    **dict.fromkeys(OBJECTS, ("i32",)), "anyref": ("i32", "externref"),
}  # fmt: skip

# Types of globals and elements that a host cannot look at by itself.
LOOKED_INTO = ("exnref", "externref", *OBJECTS)


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


def room_routine(added: Added) -> Function:
    """room(bytes): sees to it that so many bytes fit behind the log."""
    memory = (added.memory,) if added.memory else ()
    more = [("local.get", 0), ("i32.const", LOG_BYTES + 65535), ("i32.add",), ("i32.const", 16), ("i32.shr_u",)]
    code: list[tuple] = [
        *more, ("memory.size", *memory), ("i32.gt_u",), ("if", FuncType()),
        *more, ("memory.size", *memory), ("i32.sub",), ("memory.grow", *memory), ("drop",),
        ("end",), ("end",),
    ]  # fmt: skip
    body = tuple(Instr(name, tuple(args)) for name, *args in code)
    return Function(FuncType(("i32",)), body=body, name=PREFIX + "room")


def forward(function: Function, index: int, prologue: Iterable[Instr]) -> Function:
    """A function that does what `index` does."""
    arguments = (Instr("local.get", (i,)) for i in range(len(function.type.params)))
    body = (*prologue, *arguments, Instr("call", (index,)), Instr("end"))
    return Function(function.type, body=body, name=function.name)


def bits_entry(function: Function, index: int, objects: int) -> Function:
    """Calls `index` with floats passed as the integers of their bits, as a host's own floats may change a NaN, and
    vectors as their two halves. Hosts have no exceptions as values: what they pass is null. Of what stands for objects they pass
    null (0), the number of an i31ref (see `observed`), a place in the table `objects` (1 for the first one), or, for an anyref
    and an externref, a value of theirs. What they get of references is what is recorded of them, and those that may be objects
    are added to that table, in order.
    """
    whole = [nullable(t) for t in function.type.params]
    params = [general(t) for t in whole]
    results = list(function.type.results)
    body: list[Instr] = []
    at = 0
    for t, full, declared in zip(params, whole, function.type.params, strict=True):
        if t == "exnref":
            body.append(Instr("ref.null", ("exnref",)))
        elif t in OBJECTS:
            body += _object(full, at, objects)
        elif t == "externref":
            body += [Instr("local.get", (at,)), Instr("if", (FuncType((), ("externref",)),))]
            body += [*_taken(at, objects), Instr("extern.convert_any")]
            body += [Instr("else"), Instr("local.get", (at + 1,)), Instr("end")]
        elif t == V128:
            body += [Instr("local.get", (at,)), Instr("i64x2.splat")]
            body += [Instr("local.get", (at + 1,)), Instr("i64x2.replace_lane", (1,))]
        else:
            body.append(Instr("local.get", (at,)))
            body += [Instr(f"{t}.reinterpret_{_BITS[t][0]}")] if t in ("f32", "f64") else []
            body += [Instr("ref.cast", (full,))] if t == "funcref" != full else []
        body += [Instr("ref.as_non_null")] if declared != full else []
        at += len(_passed(t))
    body.append(Instr("call", (index,)))
    extra: list[ValType] = []
    if any(general(t) in _BITS for t in results):
        extra = [*map(nullable, results), "anyref"]
        body += [Instr("local.set", (at + i,)) for i in reversed(range(len(results)))]
        for i, t in enumerate(results):
            if is_kept(t):
                body += [Instr("local.get", (at + i,)), *[Instr("any.convert_extern")] * (general(t) == "externref")]
                body += [Instr("i32.const", (1,)), Instr("table.grow", (objects,)), Instr("drop")]
            body += _bits_of([Instr("local.get", (at + i,))], t, at + (len(results) if general(t) == "externref" else i))
    given = tuple(p for t in params for p in _passed(t))
    return Function(FuncType(given, _bits(results)), tuple(extra), (*body, Instr("end")), name=function.name)


def accepts(type_: ValType, objects: int) -> Function:
    """Whether a reference that the host passes is of this type: a place as for `bits_entry`, or a function."""
    of_function = general(type_) == "funcref"
    get = [Instr("local.get", (0,))] if of_function else [*_taken(0, objects)]
    given: ValType = "funcref" if of_function else "i32"
    return Function(FuncType((given,), ("i32",)), (), (*get, Instr("ref.test", (type_,)), Instr("end")))


def _passed(type_: ValType) -> tuple[ValType, ...]:
    """What a host passes: of an anyref and an externref bits, or its own value and 0."""
    return _BITS.get(type_, (type_,))


def is_kept(type_: ValType) -> bool:
    """Whether the results of this type are kept in a table."""
    return general(type_) in ("externref", *OBJECTS) and general(type_) != "nullref"


def _taken(at: int, objects: int) -> Iterator[Instr]:
    """The object that was returned before, by its place."""
    yield from (Instr("local.get", (at,)), Instr("i32.const", (1,)), Instr("i32.sub"), Instr("table.get", (objects,)))


def _object(type_: ValType, at: int, objects: int) -> Iterator[Instr]:
    """The reference for which bits stand: null, an i31ref or one of those kept, where there is one of the type."""
    null = nullable(type_)
    kind = general(type_)
    if kind in ("structref", "arrayref"):
        yield from (Instr("local.get", (at,)), Instr("if", (FuncType((), (null,)),)), *_taken(at, objects))
        yield from (Instr("ref.cast", (null,)), Instr("else"), Instr("ref.null", (null,)), Instr("end"))
        return
    if kind not in ("anyref", "eqref", "i31ref"):
        yield Instr("ref.null", (null,))
        return
    if kind == "anyref":
        host = Instr("local.get", (at + 1,))
        yield from (host, Instr("any.convert_extern"), host, Instr("ref.is_null"))
        yield from (Instr("if", (FuncType(("anyref",), ("anyref",)),)), Instr("drop"))
    bits, one_of = Instr("local.get", (at,)), Instr("if", (FuncType((), (null,)),))
    yield from (bits, Instr("i32.const", (0,)), Instr("i32.lt_s"), one_of, bits, Instr("ref.i31"))
    yield from (Instr("else"), bits, one_of, *_taken(at, objects))
    if kind != "anyref":
        yield Instr("ref.cast", (null,))
    yield from (Instr("else"), Instr("ref.null", (null,)), Instr("end"), Instr("end"))
    if kind == "anyref":
        yield Instr("end")


def _bits(types: Iterable[ValType]) -> tuple[ValType, ...]:
    return tuple(integer for t in types for integer in _BITS.get(general(t), (general(t),)))


def _bits_of(get: Sequence[Instr], type_: ValType, local: int) -> list[Instr]:
    """Code for the integers of a value's bits. get: what brings the value. local: one of the value's type, with null."""
    kind = general(type_)
    if kind == V128:
        return [*get, Instr("i64x2.extract_lane", (0,)), *get, Instr("i64x2.extract_lane", (1,))]
    if kind == "externref":  # a host cannot tell null from what is no host's value
        inside = [*get, Instr("any.convert_extern"), *_observed("anyref", local)]
        return [*inside, *get]
    if kind == "exnref" or kind in OBJECTS:
        outside = [*get, Instr("extern.convert_any")] if kind == "anyref" else []
        return [*get, *_observed(type_, local), *outside]
    return [*get, *([Instr(f"{_BITS[type_][0]}.reinterpret_{type_}")] if type_ in _BITS else [])]


def _observed(type_: ValType, local: int) -> Iterator[Instr]:
    return (Instr(name, tuple(args)) for name, *args in reference_bits(type_, local))


def _looking(type_: ValType) -> ValType:
    """The type of the local that looking at a value takes."""
    return "anyref" if general(type_) == "externref" else nullable(type_)


def bits_of_global(type_: ValType, index: int) -> Function:
    """Returns a global's bits: a host's own float may change a NaN."""
    code = _bits_of([Instr("global.get", (index,))], type_, 0)
    return Function(FuncType((), _bits([type_])), (_looking(type_),), (*code, Instr("end")))


def bits_of_element(table: TableType, index: int) -> Function:
    """Returns what is recorded of an element of a table of exceptions, objects or hosts' values."""
    place: ValType = "i64" if table.limits.wide else "i32"
    code = _bits_of([Instr("local.get", (0,)), Instr("table.get", (index,))], table.element, 1)
    return Function(FuncType((place,), _bits([table.element])), (_looking(table.element),), (*code, Instr("end")))
