"""WASM values as text: arguments from a command line, results for people."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.format.types import ValType, general, is_reference
from ..bit_patterns import Reference, encode
from ..errors import ArgumentError

if TYPE_CHECKING:
    from ..results import Run


def parse_arguments(function: str, types: Sequence[ValType], texts: Sequence[str]) -> list[Any]:
    """One value per parameter. Integers also in hexadecimal (0x1f), `null` for references, object:1 and host:1 for those that
    are printed as object 1 and host 1. Floats in decimal or hexadecimal
    (0x1.8p3), rounded to nearest, and inf, nan, nan:0x200001 (a NaN with this fraction). A vector as its lanes,
    i32x4:1,2,3,4, or as one number, lane 0 in the lowest bits.

    Raises ArgumentError; whether an integer fits its type is checked by `Instance.invoke`.
    """
    if len(texts) != len(types):
        raise ArgumentError(f"{function} takes {_count(types)}, got {len(texts)}")
    return [_parse(function, i, type_, text) for i, (type_, text) in enumerate(zip(types, texts, strict=True))]


def _count(types: Sequence[ValType]) -> str:
    if not types:
        return "no arguments"
    return f"{len(types)} argument{'s' if len(types) > 1 else ''} ({', '.join(types)})"


_KINDS = {
    "i32": "an integer", "i64": "an integer", "f32": "a number", "f64": "a number",
    "v128": "an integer or lanes such as i32x4:1,2,3,4",
    "funcref": "null or an integer", "externref": "null, an integer, or an object as object:1", "exnref": "null",
    **dict.fromkeys(("anyref", "eqref"), "null, an integer, or an object as object:1"), "i31ref": "null or an integer",
    **dict.fromkeys(("structref", "arrayref"), "null, or an object as object:1"), "nullref": "null",
}  # fmt: skip


def _parse(function: str, index: int, type_: ValType, text: str) -> Any:
    try:
        if type_ in ("f32", "f64"):
            return _parse_float(type_, text)
        if type_ == "v128" and ":" in text:
            return _parse_lanes(text)
        if is_reference(type_) and text == "null":
            return None
        if is_reference(type_) and (found := re.fullmatch(r"(object|host)[: ](\d{1,10})", text)):
            return Reference(found[1], int(found[2]))
        return int(text, 0) if text.lstrip("+-").lower().startswith("0x") else int(text)
    except (ValueError, OverflowError):
        kind = _KINDS.get(general(type_), "a value")
        raise ArgumentError(f"{function}: argument {index + 1} is {text!r}, expected {type_}, {kind}") from None


_SHAPES = {"i8x16": 16, "i16x8": 8, "i32x4": 4, "i64x2": 2, "f32x4": 4, "f64x2": 2}


def _parse_lanes(text: str) -> int:
    """A vector by its lanes; lane 0 comes first and is in the lowest bits."""
    shape, _, rest = text.partition(":")
    lanes = rest.split(",")
    if len(lanes) != _SHAPES.get(shape):
        raise ValueError("a shape, and as many lanes as it has")
    width, type_ = 128 // len(lanes), shape.partition("x")[0]
    bits = 0
    for i, lane in enumerate(lanes):
        value: Any = int(lane, 0) if type_[0] == "i" else _parse_float(type_, lane)
        if type_[0] == "f":
            value = encode("", 0, type_, value)
        if not -(1 << width - 1) <= value < 1 << width:
            raise ValueError("a lane that does not fit")
        bits |= (value % (1 << width)) << width * i
    return bits


_NAN = re.compile(r"([+-]?)nan:(0x[0-9a-f]+)", re.IGNORECASE)
_FRACTION = {"f32": 23, "f64": 52}


def _parse_float(type_: ValType, text: str) -> float | int:
    """A NaN with a fraction as its bit pattern."""
    if named := _NAN.fullmatch(text):
        bits, fraction = _FRACTION[type_], int(named[2], 16)
        if not 0 < fraction < 1 << bits:
            raise ValueError("the fraction of a NaN is not zero and fits into its bits")
        ones = 0x1FF if type_ == "f32" else 0xFFF
        return (ones if named[1] == "-" else ones >> 1) << bits | fraction
    hexadecimal = "0x" in text.lower()
    value = float.fromhex(text) if hexadecimal else float(text)
    if type_ == "f64":
        return value
    if 1e-50 < abs(value) < 1e39 and not hexadecimal:
        # Rounded twice, a decimal number may end up beside the nearest f32. Of the two neighbours of what is not exact,
        # the one with an odd last bit makes the second rounding right.
        from fractions import Fraction

        exact = Fraction(text)
        if exact != Fraction(value) and np.float64(value).view(np.uint64) % 2 == 0:
            value = math.nextafter(value, math.inf if exact > Fraction(value) else -math.inf)
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def format_value(type_: ValType, value: Any) -> str:
    """As wasmtime's command line prints it: integers signed, floats with the fewest digits that give them back; a vector as one
    hexadecimal number, lane 0 in its lowest digits."""
    if type_ in ("f32", "f64"):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return str(value)
        return np.format_float_positional(np.float32(value) if type_ == "f32" else value, trim="-")
    if type_ == "v128":
        return f"0x{value:032x}"
    if is_reference(type_):
        return "null" if value is None else f"{type_} {value}"
    return str(value)


def format_outcome(types: Sequence[str], run: Run) -> str:
    """How a call ended: its results, the trap, or the exit code."""
    if run.trap is not None:
        return f"trap: {run.trap}"
    if run.exit_code is not None:
        return f"exit code {run.exit_code}"
    return ", ".join(format_value(t, v) for t, v in zip(types, run.values, strict=True)) or "nothing"
