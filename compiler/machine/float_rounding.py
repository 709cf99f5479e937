"""Floating-point numbers rounded to integers that are numbers of the same format: floor, ceil, trunc, nearest."""

from __future__ import annotations

from ..graph.expr import Expr, Number, total
from .float_formats import FloatFormat
from .float_order import not_a_number
from .floats import FloatWords, floor
from .state import State


def float_rounding(s: State, form: FloatFormat) -> FloatWords:
    """The integer beside A: towards 0, or as "f64_floor", "f64_ceil" or "f64_nearest" says, in rows with the field "f64_round";
    likewise of f32.

    The bits of a number are a count of units in its last place, with the exponent above the fraction. So from 1 on its k lowest
    bits, those behind the point, become 0, and a unit at bit k may be added, whose carry raises the exponent. With k = 8 q + r,
    N is the number in such units, as byte q, byte q - 1 and whether anything is below them say it; N mod 2, a multiple of 2^-16,
    takes one floor. To N - (N mod 2) is added how many of two thresholds N mod 2 reaches. For k = `fraction` bit k is the lowest
    one of the exponent of 1, which is odd, as 1 is. Below 1 the result is 0 or 1.
    """
    g, flag, name = s.graph, s.field(f"{form.name}_round"), f"{form.name}.round"
    if not flag.terms:
        return FloatWords()
    n, one, field_, sign = form.significand, form.last_exponent // 2, s.a.exponents[form.name], s.a.signs[form.name]
    point = one + form.fraction  # the exponent of a number whose lowest bit is 1
    nearest = s.field(f"{form.name}_nearest")
    # at[q]: k >= 8 q, at last that there is nothing before the point. Where there is nothing behind it, all are 0.
    limits = [1, *(8 * q for q in range(1, n)), form.fraction + 1]
    at = [Expr.of(g.step(point - limit - field_, f"{name}.behind>={limit}")) for limit in limits]
    small = at[n]
    exactly = [flag + at[q] - at[q + 1] - 1.0 for q in range(n)]
    outwards = g.gated(
        f"{name}.outwards", (s.field(f"{form.name}_ceil") - sign, 1.0), (s.field(f"{form.name}_floor") + sign - 1.0, 1.0)
    )
    g.declare(outwards, 0.0, 1.0)

    bits = point - field_ - 8.0 * total(at[1:n])  # r
    down = g.declare(g.table(bits, [2.0**-r for r in range(8)], name=f"{name}.2^-r"), 2.0**-7, 1.0, -7)
    up = g.declare(g.table(bits, [2.0**r for r in range(8)], name=f"{name}.2^r"), 1.0, 128.0)
    byte = g.declare(g.gated(f"{name}.byte", *((e, s.a.bytes[q]) for q, e in enumerate(exactly))), 0.0, 255.0)
    below = g.declare(g.gated(f"{name}.below", *zip(exactly[1:], s.a.bytes, strict=False)), 0.0, 255.0)
    rest = g.gated(f"{name}.rest", *((e, total(s.a.bytes[:q])) for q, e in enumerate(exactly[2:], 1)))
    g.declare(rest, 0.0, 255.0 * n)
    scaled = g.declare(g.product(byte, down, f"{name}.scaled"), 0.0, 255.0, -7)
    behind = g.declare(g.product(below, down, f"{name}.behind"), 0.0, 255.0, -7)
    half = floor(g, f"{name}.half", 0.5 * scaled, -8)
    modulo = 65536.0 * (scaled - 2.0 * half) + 256.0 * behind + g.step(rest - 1.0, f"{name}.lost")
    first = 65536.0 - 65535.0 * outwards - 32767.0 * nearest
    second = 131072.0 - 65535.0 * outwards - 32768.0 * nearest
    more = g.step(modulo - first, f"{name}.first") + g.step(modulo - second, f"{name}.second")
    units = g.declare(g.product(up, 2.0 * half + more, f"{name}.units"), 0.0, 256.0)

    nan = not_a_number(g, form, flag, s.a, name)
    kept = [flag - nan - (at[j] if j < n else small) for j in range(form.size)]
    kept[0] = flag - nan - at[0]
    where = [e - nan for e in exactly]
    sign_bit = 2.0**31 * sign
    words = FloatWords()
    for word, terms in enumerate((words.low, words.high)):
        here = range(4 * word, min(4 * word + 4, form.size))
        terms += [(kept[j], 256.0 ** (j % 4) * s.a.bytes[j]) for j in here]
        terms += [(where[q], 256.0 ** (q % 4) * Expr.of(units)) for q in here if q < n]
    last = words.low if form.size == 4 else words.high
    one_of_size = float(one << form.fraction - (0 if form.size == 4 else 32))
    last += [(flag + small - 1.0, sign_bit), (_away(s, form, flag, small, outwards, name), one_of_size)]
    last += [(nan, float(form.nan >> (0 if form.size == 4 else 32)))]
    return words


def _away(s: State, form: FloatFormat, flag: Expr, small: Expr, outwards: Number, name: str) -> Expr:
    """1 where a number below 1 becomes 1: outwards, if it is not 0; the nearest one is 1 above 1/2."""
    g, field_ = s.graph, s.a.exponents[form.name]
    bits = total(s.a.bytes) - 128.0 * s.a.signs[form.name]
    some = g.step(bits - 1.0, f"{name}.not 0")
    nearest = s.field(f"{form.name}_nearest")
    found = [(small + Expr.of(outwards) + some + flag - 3.0, 1.0)]
    if nearest.terms:
        upper = s.a.bytes[form.size - 2]
        hidden = 2.0**form.top_bits
        low_bits = field_ - 256.0 / hidden * (s.a.bytes[form.size - 1] - 128.0 * s.a.signs[form.name])
        fraction = total(s.a.bytes[: form.size - 2]) + upper - hidden * low_bits
        more = g.step(fraction - 1.0, f"{name}.fraction")
        half = g.step(field_ - (form.last_exponent // 2 - 1.0), f"{name}.>=1/2")
        found.append((small + half + more + nearest - 3.0, 1.0))
    return Expr.of(g.declare(g.gated(f"{name}.away", *found), 0.0, 1.0))


__all__ = ["float_rounding"]
