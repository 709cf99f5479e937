"""WASM values as Python has them, and as bit patterns in slots."""

from __future__ import annotations

import operator
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..compiler.format.references import NUMBER, OUTSIDE
from ..compiler.format.types import HIGH_HALF, LOW_HALF, OBJECTS, ValType, accepts_null, general, is_asked, is_reference
from .errors import ArgumentError

_BITS = {"i32": 32, "i64": 64, "f32": 32, "f64": 64, "v128": 128, LOW_HALF: 64, HIGH_HALF: 64}
_BITS |= dict.fromkeys(("funcref", "externref", "exnref", *OBJECTS), 32)
_FLOATS = {"f32": ("<f", "<I"), "f64": ("<d", "<Q")}


# A reference to a function to which the module itself does not refer (of a library): it has no number.
FOREIGN = -2
EXTERNREF_LIMIT = OUTSIDE - 2  # the largest number of an externref


@dataclass(frozen=True)
class Reference:
    """A value that a program passes as an anyref or an externref, and that is not simply a number there.

    kind: "object", a struct or an array of the program, and number says where it is; "host", the host's value of this number as
    an anyref; "i31", an i31ref as an externref.
    """

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


_NONE: Mapping[int, int] = MappingProxyType({})


def encode(
    function: str, index: int, type_: ValType, value: Any, functions: Mapping[int, int] = _NONE, objects: Collection[int] = ()
) -> int:
    """Argument number `index` (from 0) as its bit pattern: ints (or anything with __index__) for all numeric types,
    for f32 and f64 as a pattern; Python's and numpy's floats for f32 and f64; None for a null reference, an int from 0 to
    EXTERNREF_LIMIT for an externref, only None for an exnref, the index of a function of the module for a funcref.
    A `Reference` to an object goes back in as an anyref, eqref, structref, arrayref or externref, one to a host's value as an
    anyref; types of structs, arrays and functions count as these.
    functions: the reference value of each function that has one (`Program.function_references`). objects: those that the
    instance has given out.

    Raises ArgumentError.
    """
    where = f"{function}: argument {index + 1}"
    if type_ in _FLOATS and isinstance(value, (float, np.floating)):
        return _float_bits(where, type_, value)
    if value is None and is_reference(type_):
        if not accepts_null(type_):
            raise ArgumentError(f"{where} is null, expected {type_}")
        return 0
    asked, type_ = is_asked(type_), general(type_)
    if type_ == "exnref":
        raise ArgumentError(f"{where} = {show(value)}: an exception cannot be passed, only null")
    if type_ == "anyref" and isinstance(value, Reference) and value.kind == "host":
        return OUTSIDE | encode(function, index, "externref", value.number)
    if isinstance(value, Reference) and value.kind == "object":
        if type_ in ("structref", "arrayref") and not asked:
            raise ArgumentError(f"{where} is {value}: nothing says whether it is a {type_}; compile the program again")
        return _object(where, type_, value, objects)
    bits, number = _BITS[type_], _integer(where, type_, value)
    if type_ in OBJECTS:
        if type_ not in ("anyref", "eqref", "i31ref") or not -(2**30) <= number < 2**31:
            which = "null and the number of an i31ref" if type_ in ("anyref", "eqref", "i31ref") else "null"
            raise ArgumentError(f"{where} = {show(number)}: only {which} can be passed")
        return NUMBER | number % NUMBER
    if type_ == "funcref":
        return _function_reference(where, number, functions)
    if type_ == "externref":
        if not 0 <= number <= EXTERNREF_LIMIT:
            raise ArgumentError(f"{where} = {show(number)}: an externref is null or a number from 0 to {EXTERNREF_LIMIT:,}")
        return number + 1
    if not -(2 ** (bits - 1)) <= number < 2**bits:
        raise ArgumentError(f"{where} = {show(number)} does not fit into {type_}")
    return number % 2**bits


def integer_bits(types: Sequence[ValType], values: Sequence[Any]) -> list[int] | None:
    """What `encode` makes of them where all are Python's integers that fit, for i32 and i64, as most arguments are; else None."""
    patterns: list[int] = []
    for type_, value in zip(types, values, strict=True):
        bits = 32 if type_ == "i32" else 64
        if type(value) is not int or (bits == 64 and type_ != "i64") or not -(1 << bits - 1) <= value < 1 << bits:
            return None
        patterns.append(value & (1 << bits) - 1)
    return patterns


def integers_of(types: Sequence[ValType], patterns: Sequence[int]) -> list[int] | None:
    """What `decode` makes of them where all are i32 and i64 that `fits`; else None."""
    values: list[int] = []
    for type_, pattern in zip(types, patterns, strict=True):
        bits = 32 if type_ == "i32" else 64
        if (bits == 64 and type_ != "i64") or not 0 <= pattern < 1 << bits:
            return None
        values.append(pattern - (1 << bits) if pattern >> bits - 1 else pattern)
    return values


def _object(where: str, type_: ValType, value: Reference, objects: Collection[int]) -> int:
    """Whether it is of the parameter's type, the program's own code has to say, see `Instance.invoke`."""
    if type_ not in ("anyref", "eqref", "structref", "arrayref", "externref"):
        raise ArgumentError(f"{where} is {value}, expected {type_}")
    if value.number not in objects:
        raise ArgumentError(f"{where} is {value}: no call of this instance has returned that one")
    return value.number | OUTSIDE if type_ == "externref" else value.number


def decode(type_: ValType, bits: int, functions: Mapping[int, int] = _NONE) -> Any:
    """A result from its bit pattern: i32 and i64 signed, floats as floats, a v128 unsigned (lane 0 in its lowest bits),
    references as None or an int as for `encode` (of an exception which one it is; of a function that stands for several
    indices the lowest; FOREIGN where it has none), or as a `Reference`. bits: one that `fits`."""
    type_ = general(type_)
    if type_ in _FLOATS:
        as_float, as_int = _FLOATS[type_]
        return struct.unpack(as_float, struct.pack(as_int, bits))[0]
    if type_ == "funcref":
        return None if bits == 0 else next((i for i, v in sorted(functions.items()) if v == bits), FOREIGN)
    if type_ in OBJECTS or type_ == "externref":
        return _reference(type_ == "externref", bits)
    if type_ == "exnref":
        return bits or None
    if type_ in ("v128", LOW_HALF, HIGH_HALF):
        return bits
    width = _BITS[type_]
    return bits - 2**width if bits >= 2 ** (width - 1) else bits


def _reference(outside: bool, bits: int) -> Any:
    """outside: it is an externref."""
    if bits == 0:
        return None
    if bits >= NUMBER:
        number = bits - NUMBER if bits < NUMBER + 2**30 else bits - 2 * NUMBER
        return Reference("i31", number) if outside else number
    if outside:
        return bits - 1 if bits < OUTSIDE else Reference("object", bits - OUTSIDE)
    return Reference("object", bits) if bits < OUTSIDE else Reference("host", bits - OUTSIDE - 1)


def fits(type_: ValType, bits: int) -> bool:
    """Whether a value that stands in tokens, as so many digits as there are, is a bit pattern of this type."""
    return 0 <= bits < 1 << _BITS[general(type_)]


def show(value: Any) -> str:
    """For messages: short, whatever it is. (Python refuses to print integers of many digits.)"""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _function_reference(where: str, number: int, functions: Mapping[int, int]) -> int:
    if number not in functions:
        some = ", ".join(map(str, sorted(functions)[:20])) + (", ..." if len(functions) > 20 else "")
        there = f"there are: {some}" if some else "the program has none"
        raise ArgumentError(f"{where} = {show(number)} is not the index of a function that has a reference; {there}")
    return functions[number]


def _integer(where: str, type_: ValType, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ArgumentError(f"{where} is {show(value)}, expected {type_}") from None


def _float_bits(where: str, type_: ValType, value: float | np.floating) -> int:
    if isinstance(value, np.float32) and type_ == "f32":
        return int(value.view(np.uint32))  # a NaN keeps its bits
    as_float, as_int = _FLOATS[type_]
    try:
        return struct.unpack(as_int, struct.pack(as_float, float(value)))[0]
    except OverflowError:
        raise ArgumentError(f"{where} = {value} does not fit into {type_}") from None


def slots_of(types: Sequence[ValType], values: Sequence[int]) -> list[int]:
    """Bit patterns as they stand in slots: of a v128 first the low half, then the high one."""
    parts: list[int] = []
    for type_, value in zip(types, values, strict=True):
        parts += [value % 2**64, value >> 64] if type_ == "v128" else [value]
    return parts


def values_of(types: Sequence[ValType], slots: Iterable[int]) -> list[int]:
    """The inverse; as many as there are slots for."""
    rest, found = iter(slots), []
    for type_, low in zip(types, rest):
        found.append(low | next(rest, 0) << 64 if type_ == "v128" else low)
    return found
