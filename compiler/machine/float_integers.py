"""Floating-point numbers as integers, towards zero: trunc, which traps where none is near enough, and trunc_sat."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..graph.expr import Expr, total
from .float_formats import F64, FloatFormat
from .floats import FloatOperand, FloatWords, float_operand, floor
from .state import State

LAST = 2.0**32 - 1.0


@dataclass
class IntegerOfFloat:
    """words: added to those of the result. invalid: 1 where what is no number is to be an integer that traps; overflow: 1 where a
    number out of range is."""

    words: FloatWords = field(default_factory=FloatWords)
    invalid: Expr = field(default_factory=lambda: Expr({}))
    overflow: Expr = field(default_factory=lambda: Expr({}))


def integer_of_float(s: State, form: FloatFormat) -> IntegerOfFloat:
    """A as an integer of 32 bits in rows with the field "f64_to", of 64 where "f64_to_wide" is set, too; signed where
    "f64_to_signed32" or "64" is; without traps where "f64_saturate" is. Likewise of f32.

    Of M 2^e, M = sum of 256^i m_i the significand of n bytes, byte i is moved to place i + (e - s) / 8, s = e mod 8: z_j. The
    integer is the sum of 256^j 2^s z_j over j >= 0, and the floor of 2^(s - 8) z_-1. The low word is cut off with one floor more,
    of 2^(s - 8) z_3. Both are below 128, multiples of 2^-8.
    """
    g, flag, name = s.graph, s.field(f"{form.name}_to"), f"{form.name}.integer of"
    if not flag.terms:
        return IntegerOfFloat()
    wide, saturate = s.field(f"{form.name}_to_wide"), s.field(f"{form.name}_saturate")
    a = float_operand(s, form, flag, s.a, name)
    beyond = _beyond(s, form, flag, a, name)
    low, high = _magnitude(s, form, a, 8 if wide.terms else 4, name)
    signed32, signed64 = s.field(f"{form.name}_to_signed32"), s.field(f"{form.name}_to_signed64")
    positive, negative = flag - beyond - a.negative, a.negative - beyond
    most, least = saturate + beyond - a.nan - a.negative - 1.0, saturate + beyond + a.negative - a.nan - 2.0
    words = FloatWords(
        [(positive, low), (negative, -low), (most, LAST - 2.0**31 * signed32), (least, 2.0**31 * signed32)],
    )
    if wide.terms:
        above = g.gated(f"{name}.most", (most + wide - 1.0, LAST - 2.0**31 * signed64), (least, 2.0**31 * signed64))
        words.high += [(positive, high), (negative, -high), (flag, Expr.of(above))]
    traps = beyond - g.relu(beyond + saturate - 1.0, f"{name}.saturated")
    invalid = Expr.of(g.declare(g.relu(traps + a.nan - 1.0, f"{name}.invalid"), 0.0, 1.0))
    return IntegerOfFloat(words, invalid, traps - invalid)


def _beyond(s: State, form: FloatFormat, flag: Expr, a: FloatOperand, name: str) -> Expr:
    """1 where the number, rounded towards zero, is no such integer, or what A is is no number.

    The magnitude is 2^w or more (2^(w - 1) where the integer is signed), except -2^(w - 1) and what is rounded to that; or
    it is 1 or more, and negative, and the integer is not signed.
    """
    g, one, hidden = s.graph, form.last_exponent // 2, 2.0**form.top_bits
    wide = s.field(f"{form.name}_to_wide")
    signed = s.field(f"{form.name}_to_signed32") + s.field(f"{form.name}_to_signed64")
    limit = one + 32.0 + 32.0 * wide - signed
    large, larger = g.step(a.exponent - limit, f"{name}.large"), g.step(a.exponent - limit - 1.0, f"{name}.larger")
    # What is behind the highest bit of 2^31 or 2^63, before the point; for f64 and 31 bits, from bit 5 of byte 2 on.
    more = Expr.of(g.step(total(a.digits) - hidden - 1.0, f"{name}.more"))
    if form is F64:
        unit = g.step(a.digits[2] - 32.0, f"{name}.bit 21")
        upper = Expr.of(g.step(total(a.digits[3:]) - hidden + unit - 1.0, f"{name}.upper"))
        more = Expr.of(g.gated(f"{name}.more than least", (wide, more), (flag - wide, upper))) if wide.terms else upper
    excused = g.relu(large - larger + a.negative + signed - more - 2.0, f"{name}.least")
    below = g.relu(g.step(a.exponent - float(one), f"{name}.>=1") + a.negative - signed - 1.0, f"{name}.below 0")
    return Expr.of(g.step(large - excused + below - 1.0, f"{name}.beyond"))


def _magnitude(s: State, form: FloatFormat, a: FloatOperand, size: int, name: str) -> tuple[Expr, Expr]:
    """The low and the high word of |A|, rounded towards zero, where it fits into so many bytes."""
    g, n = s.graph, form.significand
    # 8 A + s, where byte n - 1 of the significand is at place A - 1: below 1 there is nothing before the point for A = 0.
    moved = a.exponent - float(form.scale - 8 * n)
    last = size + 1  # one byte more than there are, since the highest one is not full
    reached = [g.step(moved - 8.0 * k, f"{name}.moved>={8 * k}") for k in range(last + 1)]
    bits = moved - 8.0 * total(reached[1:])
    scale = g.declare(g.table(bits, [2.0**m for m in range(8)], name=f"{name}.2^s"), 1.0, 128.0)
    scaled = []
    for j in range(-1, size):
        places = ((k, j + n - k) for k in range(last))
        terms = [(reached[k] - reached[k + 1], a.digits[i]) for k, i in places if 0 <= i < n]
        z = g.declare(g.gated(f"{name}.byte{j}", *terms), 0.0, 255.0)
        scaled.append(g.declare(g.product(z, scale, f"{name}.scaled{j}"), 0.0, 255.0 * 128.0))
    below, *v = scaled
    behind = floor(g, f"{name}.whole", 2.0**-8 * Expr.of(below), -8)
    cut = floor(g, f"{name}.cut", 2.0**-8 * Expr.of(v[3]), -8)
    low = behind + total(256.0**j * x for j, x in enumerate(v[:4])) - 2.0**32 * cut
    return low, cut + total(256.0**j * x for j, x in enumerate(v[4:]))


__all__ = ["IntegerOfFloat", "integer_of_float"]
