"""WASM values as Python has them, and as bit patterns in slots."""

from __future__ import annotations

import operator
import struct
from typing import Any

import numpy as np

from ..compiler.format.types import ValType
from .errors import ArgumentError

_BITS = {"i32": 32, "i64": 64, "f32": 32, "f64": 64, "funcref": 32, "externref": 32}
_FLOATS = {"f32": ("<f", "<I"), "f64": ("<d", "<Q")}


def encode(function: str, index: int, type_: ValType, value: Any) -> int:
    """Argument number `index` (from 0) as its bit pattern: ints (or anything with __index__) for all numeric types,
    for f32 and f64 as a pattern; Python's and numpy's floats for f32 and f64; None or an int for references.

    Raises ArgumentError.
    """
    where = f"{function}: argument {index + 1}"
    if type_ in _FLOATS and isinstance(value, (float, np.floating)):
        return _float_bits(where, type_, value)
    if value is None and type_.endswith("ref"):
        return 0
    bits, number = _BITS[type_], _integer(where, type_, value)
    if not -(2 ** (bits - 1)) <= number < 2**bits:
        raise ArgumentError(f"{where} = {show(number)} does not fit into {type_}")
    return number + 1 if type_ == "externref" else number % 2**bits


def decode(type_: ValType, bits: int) -> Any:
    """A result from its bit pattern: i32 and i64 signed, floats as floats, references as int or None."""
    if type_ in _FLOATS:
        as_float, as_int = _FLOATS[type_]
        return struct.unpack(as_float, struct.pack(as_int, bits))[0]
    if type_ in ("funcref", "externref"):
        return None if bits == 0 else bits - (type_ == "externref")
    width = _BITS[type_]
    return bits - 2**width if bits >= 2 ** (width - 1) else bits


def show(value: Any) -> str:
    """For messages: short, whatever it is. (Python refuses to print integers of many digits.)"""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


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
