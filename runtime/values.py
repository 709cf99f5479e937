"""WASM values as text: arguments from a command line, results for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiler.frontend.module import ValType
from .instance import ArgumentError


def parse_arguments(function: str, types: Sequence[ValType], texts: Sequence[str]) -> list[Any]:
    """One value per parameter. Integers also in hexadecimal (0x1f), floats also as inf and nan, `null` for references.

    Raises ArgumentError; whether an integer fits its type is checked by `Instance.invoke`.
    """
    if len(texts) != len(types):
        raise ArgumentError(f"{function} takes {_count(types)}, got {len(texts)}")
    return [_parse(function, i, type_, text) for i, (type_, text) in enumerate(zip(types, texts, strict=True))]


def _count(types: Sequence[ValType]) -> str:
    if not types:
        return "no arguments"
    return f"{len(types)} argument{'s' if len(types) > 1 else ''} ({', '.join(types)})"


def _parse(function: str, index: int, type_: ValType, text: str) -> Any:
    try:
        if type_ in ("f32", "f64"):
            value = float.fromhex(text) if "0x" in text.lower() else float(text)
            with np.errstate(over="ignore"):
                return float(np.float32(value)) if type_ == "f32" else value
        if type_.endswith("ref") and text == "null":
            return None
        return int(text, 0) if text.lstrip("+-").lower().startswith("0x") else int(text)
    except (ValueError, OverflowError):
        raise ArgumentError(f"{function}: argument {index + 1} is {text!r}, expected {type_}") from None


def format_value(type_: ValType, value: Any) -> str:
    """As wasmtime's command line prints it: integers signed, floats with the fewest digits that give them back."""
    if type_ in ("f32", "f64"):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return str(value)
        return np.format_float_positional(np.float32(value) if type_ == "f32" else value, trim="-")
    if type_.endswith("ref"):
        return "null" if value is None else f"{type_} {value}"
    return str(value)
