"""What each instruction of SIMD is on the two halves of its vectors, which are i64 each: the low lanes and the high ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from .expansion import ALL, SAME, Expansion, whole
from .float_lanes import FLOAT_LANES
from .integer_lanes import INTEGER_LANES, Lanes, wider
from .module import Instr

SCALAR = {"i8x16": 8, "i16x8": 16, "i32x4": 32, "i64x2": 64, "f32x4": 32, "f64x2": 64}


def _splat(shape: str) -> Expansion:
    bits = SCALAR[shape]
    if bits == 64:
        return whole("(i64.reinterpret_f64 n)", SAME)
    word = "(i32.reinterpret_f32 n)" if shape == "f32x4" else "n" if bits == 32 else f"(i32.and n {2**bits - 1}:i32)"
    return whole(f"(i64.mul (i64.extend_i32_u {word}) {Lanes(bits).ones})", SAME)


def _lane_of(bits: int, lane: int) -> tuple[str, int]:
    """The half in which a lane is, and its lowest bit there."""
    return ("al", "ah")[lane * bits // 64], lane * bits % 64


def _shifted(value: str, by: int) -> str:
    return f"(i64.shr_u {value} {by})" if by > 0 else f"(i64.shl {value} {-by})" if by < 0 else value


def _extract(shape: str, kind: str, lane: int) -> Expansion:
    bits = SCALAR[shape]
    half, at = _lane_of(bits, lane)
    if bits == 64:
        return whole(half if shape == "i64x2" else f"(f64.reinterpret_i64 {half})")
    word = f"(i32.wrap_i64 {_shifted(half, at)})"
    if kind.endswith("_s"):
        return whole(f"(i32.extend{bits}_s {word})")
    if kind.endswith("_u") and at + bits < 64:
        return whole(f"(i32.and {word} {2**bits - 1}:i32)")
    return whole(f"(f32.reinterpret_i32 {word})" if shape == "f32x4" else word)


def _put(bits: int, lane: int, value: str) -> Expansion:
    """The vector with this value, which is no wider than the lane, in one lane."""
    half, at = _lane_of(bits, lane)
    if bits < 64:
        value = f"(i64.or (i64.and {half} {ALL ^ ((1 << bits) - 1) << at}) {_shifted(value, -at)})"
    return whole(value, "ah") if half == "al" else whole("al", value, backwards=" p)" in value)


def _replace(shape: str, lane: int) -> Expansion:
    bits = SCALAR[shape]
    if bits == 64:
        return _put(bits, lane, "n" if shape == "i64x2" else "(i64.reinterpret_f64 n)")
    word = "(i32.reinterpret_f32 n)" if shape == "f32x4" else "n" if bits == 32 else f"(i32.and n {2**bits - 1}:i32)"
    return _put(bits, lane, f"(i64.extend_i32_u {word})")


def _shuffle(lanes: int) -> Expansion:
    low, high = (_gathered([lanes >> 8 * (i + first) & 255 for i in range(8)]) for first in (0, 8))
    return whole(low, high)


def _gathered(bytes_: list[int]) -> str:
    """Half a vector of bytes of two vectors: what moves by the same distance moves together."""
    masks: dict[tuple[str, int], int] = {}
    for i, number in enumerate(bytes_):
        key = ("al", "ah", "bl", "bh")[number // 8], 8 * (number % 8 - i)
        masks[key] = masks.get(key, 0) | 255 << 8 * i
    parts = []
    for (half, by), mask in masks.items():
        left = ALL >> by if by > 0 else ALL << -by & ALL
        parts.append(_shifted(half, by) if left == mask else f"(i64.and {_shifted(half, by)} {mask})")
    text = parts[0]
    for part in parts[1:]:
        text = f"(i64.or {text} {part})"
    return text


# Memory


def _load(name: str) -> Expansion:
    kind = name.removeprefix("v128.load")
    if not kind:
        return whole("(i64.load p)", "(i64.load+8 p)", backwards=True)
    size, _, what = kind.partition("_")
    if "x" in size:
        bits, x = int(size.partition("x")[0]), "$x"
        upper = f"(i64.shr_{what} $x 32)" if bits == 32 else wider(bits, what, "(i64.shr_u $x 32)")
        return whole(wider(bits, what, x), upper, x="(i64.load p)")
    load = f"(i64.load{size}_u p)" if size != "64" else "(i64.load p)"
    if what == "zero":
        return whole(load, "0")
    return whole(load if size == "64" else f"(i64.mul {load} {Lanes(int(size)).ones})", SAME)


def _load_lane(bits: int, lane: int) -> Expansion:
    return _put(bits, lane, f"(i64.load{bits}_u p)" if bits < 64 else "(i64.load p)")


def _store_lane(bits: int, lane: int) -> Expansion:
    half, at = _lane_of(bits, lane)
    return whole(f"(i64.store{bits if bits < 64 else ''} p {_shifted(half, at)})")


_FIXED: dict[str, Expansion] = {
    **INTEGER_LANES,
    **FLOAT_LANES,
    **{f"{shape}.splat": _splat(shape) for shape in SCALAR if shape != "i64x2"},
    **{f"i8x16.{name}": whole("(i8x8.swizzle al ah bl)", "(i8x8.swizzle al ah bh)") for name in ("swizzle", "relaxed_swizzle")},
    "v128.store": whole("(i64.store p al)", "(i64.store+8 p ah)", backwards=True),
}  # fmt: skip
_OF_LANE: tuple[tuple[str, Callable[..., Expansion]], ...] = (
    (r"(\w+)\.(extract_lane\w*)", lambda shape, kind, lane: _extract(shape, kind, lane)),
    (r"(\w+)\.replace_lane", lambda shape, lane: _replace(shape, lane)),
    (r"v128\.load(\d+)_lane", lambda bits, lane: _load_lane(int(bits), lane)),
    (r"v128\.store(\d+)_lane", lambda bits, lane: _store_lane(int(bits), lane)),
)


def expansion_of(instruction: Instr) -> Expansion | None:
    """None for what has none: everything that is not SIMD, and what of it is not supported."""
    return _expansion(instruction.name, instruction.args[-1] if instruction.args else 0)


def has_expansion(name: str) -> bool:
    return _expansion(name, 0) is not None


@cache
def _expansion(name: str, last: int) -> Expansion | None:
    if name in _FIXED:
        return _FIXED[name]
    if name == "v128.const":
        return whole(str(last & ALL), str(last >> 64))
    if name == "i8x16.shuffle":
        return _shuffle(last)
    for pattern, make in _OF_LANE:
        if match := re.fullmatch(pattern, name):
            return make(*match.groups(), last)
    return _load(name) if name.startswith("v128.load") else None
