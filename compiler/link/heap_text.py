"""The words of which routines for structs and arrays are made: loads, stores and parameters of fields."""

from __future__ import annotations

from .heap import size_of

# The reference that a routine is given; the place that it works on.
R, AT = "(local.get $r)", "(local.get $at)"


def parameters(name: str, type_: str) -> str:
    """Of a field's value: of a vector its two halves."""
    if type_ == "v128":
        return f"(param ${name}l i64) (param ${name}h i64)"
    return f"(param ${name} {word(type_)})"


def word(type_: str) -> str:
    """The type of a field's values in routines."""
    return "i64" if type_ in ("i64", "f64") else "i32"


def load(type_: str, at: str, offset: int, signed: bool = False) -> str:
    size = size_of(type_)
    if size == 1:
        code = f"(call $load8+{offset} {at})"
        return f"(i32.extend8_s {code})" if signed else code
    if size == 2:
        high = f"(i32.shl (call $load8+{offset + 1} {at}) (i32.const 8))"
        code = f"(i32.or (call $load8+{offset} {at}) {high})"
        return f"(i32.extend16_s {code})" if signed else code
    low = f"(call $load32+{offset} {at})"
    if size == 4:
        return low
    high = f"(i64.shl (i64.extend_i32_u (call $load32+{offset + 4} {at})) (i64.const 32))"
    return f"(i64.or (i64.extend_i32_u {low}) {high})"


def store(type_: str, at: str, offset: int, name: str) -> str:
    """Of the value with this name."""
    if type_ == "v128":
        return store("i64", at, offset, f"{name}l") + store("i64", at, offset + 8, f"{name}h")
    size, value = size_of(type_), f"(local.get ${name})"
    if size == 1:
        return f"(call $store8+{offset} {at} {value})"
    if size == 2:
        high = f"(i32.shr_u {value} (i32.const 8))"
        return f"(call $store8+{offset} {at} {value}) (call $store8+{offset + 1} {at} {high})"
    if size == 4:
        return f"(call $store32+{offset} {at} {value})"
    low, high = f"(i32.wrap_i64 {value})", f"(i32.wrap_i64 (i64.shr_u {value} (i64.const 32)))"
    return f"(call $store32+{offset} {at} {low}) (call $store32+{offset + 4} {at} {high})"


def move(size: int, at: str, offset: int, source: str, further: int) -> str:
    """Copies so many bytes, from `further` behind the source."""
    width = min(size, 4) if size != 2 else 1
    places = range(0, size, width)
    return " ".join(
        f"(call $store{8 * width}+{offset + k} {at} (call $load{8 * width}+{further + k} {source}))" for k in places
    )


def not_null(name: str = "$r") -> str:
    return f"(if (i32.eqz (local.get {name})) (then (call $null)))"
