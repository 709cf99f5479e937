"""SIMD of floats on halves of vectors: of f64 a half is one lane, of f32 two, which routines take one after the other."""

from __future__ import annotations

from .expansion import Expansion, halfwise, whole
from .integer_lanes import Lanes


def _f32() -> dict[str, Expansion]:
    found = {}
    for name in ("ceil", "floor", "trunc", "nearest", "sqrt"):
        found[name] = halfwise(f"(f32x2.{name} a)")
    for name in ("add", "sub", "mul", "div", "min", "max", "pmin", "pmax", "eq", "ne", "lt", "le"):
        found[name] = halfwise(f"(f32x2.{name} a b)")
    found |= {
        "gt": halfwise("(f32x2.lt b a)"),
        "ge": halfwise("(f32x2.le b a)"),
        "abs": halfwise(f"(i64.and a {Lanes(32).rest})"),
        "neg": halfwise(f"(i64.xor a {Lanes(32).top})"),
        "relaxed_min": halfwise("(f32x2.min a b)"),
        "relaxed_max": halfwise("(f32x2.max a b)"),
        "relaxed_madd": halfwise("(f32x2.fma a b c)"),
        "relaxed_nmadd": halfwise(f"(f32x2.fma (i64.xor a {Lanes(32).top}) b c)"),
    }
    half = "(i64.extend_i32_u (i32.reinterpret_f32 (f32.demote_f64 (f64.reinterpret_i64 {}))))".format
    found["demote_f64x2_zero"] = whole(f"(i64.or {half('al')} (i64.shl {half('ah')} 32))", "0")
    for sign in "su":
        found[f"convert_i32x4_{sign}"] = halfwise(f"(f32x2.convert_i32_{sign} a)")
    return {f"f32x4.{name}": expansion for name, expansion in found.items()}


def _f64() -> dict[str, Expansion]:
    a, b = "(f64.reinterpret_i64 a)", "(f64.reinterpret_i64 b)"
    bits = "(i64.reinterpret_f64 {})".format
    found = {name: halfwise(bits(f"(f64.{name} {a})")) for name in ("ceil", "floor", "trunc", "nearest", "sqrt")}
    found |= {name: halfwise(bits(f"(f64.{name} {a} {b})")) for name in ("add", "sub", "mul", "div", "min", "max")}
    for name in ("eq", "ne", "lt", "gt", "le", "ge"):
        found[name] = halfwise(f"(i64.sub 0 (i64.extend_i32_u (f64.{name} {a} {b})))")
    found |= {
        "abs": halfwise(f"(i64.and a {2**63 - 1})"),
        "neg": halfwise(f"(i64.xor a {2**63})"),
        "pmin": halfwise(f"(select b a (f64.lt {b} {a}))"),
        "pmax": halfwise(f"(select b a (f64.lt {a} {b}))"),
        "relaxed_min": halfwise(bits(f"(f64.min {a} {b})")),
        "relaxed_max": halfwise(bits(f"(f64.max {a} {b})")),
        "relaxed_madd": halfwise("(f64x1.fma a b c)"),
        "relaxed_nmadd": halfwise(f"(f64x1.fma (i64.xor a {2**63}) b c)"),
    }
    words = ("(i32.wrap_i64 al)", "(i32.wrap_i64 (i64.shr_u al 32))")
    floats = [bits(f"(f64.promote_f32 (f32.reinterpret_i32 {word}))") for word in words]
    found["promote_low_f32x4"] = whole(floats[0], floats[1])
    for sign in "su":
        low, high = (bits(f"(f64.convert_i32_{sign} {word})") for word in words)
        found[f"convert_low_i32x4_{sign}"] = whole(low, high)
    return {f"f64x2.{name}": expansion for name, expansion in found.items()}


def _truncations() -> dict[str, Expansion]:
    found: dict[str, Expansion] = {}
    for sign in "su":
        single = halfwise(f"(i32x2.trunc_sat_f32_{sign} a)")
        part = f"(i64.extend_i32_u (i32.trunc_sat_f64_{sign} (f64.reinterpret_i64 {{}})))".format
        double = whole(f"(i64.or {part('al')} (i64.shl {part('ah')} 32))", "0")
        found |= {f"i32x4.{name}_f32x4_{sign}": single for name in ("trunc_sat", "relaxed_trunc")}
        found |= {f"i32x4.{name}_f64x2_{sign}_zero": double for name in ("trunc_sat", "relaxed_trunc")}
    return found


FLOAT_LANES: dict[str, Expansion] = {**_f32(), **_f64(), **_truncations()}
