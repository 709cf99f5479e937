"""Integers and numbers of the other format as exact results that are to be rounded."""

from __future__ import annotations

from ..graph.expr import Expr, total
from .float_formats import F32, F64, FloatFormat
from .floats import Unrounded, float_operand
from .state import State
from .words import Signs


def float_of_integer(s: State, sign: Signs, form: FloatFormat) -> Unrounded:
    """A as an integer, in rows with the field "f32_integer" or "f64_integer", and where A is signed "..._signed32" or "64".

    Of a negative one the bytes are those of -A = (255 - a_i) + 1, where the 1 is carried through bytes that are 0.
    """
    g, flag, name = s.graph, s.field(f"{form.name}_integer"), f"{form.name}.integer"
    if not flag.terms:
        return Unrounded()
    high = Expr.of(g.product(s.field(f"{form.name}_signed64"), sign.a_high, f"{name}.negative64"))
    negative = high + g.product(s.field(f"{form.name}_signed32"), sign.a_low, f"{name}.negative32")
    none_below = [Expr.of(1.0)]
    for i in range(1, len(s.a.bytes)):
        none_below.append(Expr.of(g.step(-total(s.a.bytes[:i]), f"{name}.0 below{i}")))
    none_below.append(Expr({}))  # then it is not negative
    digits = []
    for i, byte in enumerate(s.a.bytes):
        magnitude = 255.0 - byte + none_below[i] - 256.0 * none_below[i + 1]
        digit = g.gated(f"{name}.digit{i}", (flag - negative, byte), (negative if i < 4 else high, magnitude))
        digits.append(Expr.of(g.declare(digit, 0.0, 255.0)))
    return Unrounded(digits, negative=negative)


def float_of_other(s: State, form: FloatFormat) -> Unrounded:
    """A as a number of the other format, in rows with the field "f32_other" or "f64_other"."""
    flag, source = s.field(f"{form.name}_other"), F32 if form is F64 else F64
    if not flag.terms:
        return Unrounded()
    a = float_operand(s, source, flag, s.a, f"{form.name}.other")
    return Unrounded(
        a.digits, a.exponent - float(source.scale) * flag, a.negative, infinite=a.special - a.nan, nan=a.nan
    )  # fmt: skip


__all__ = ["float_of_integer", "float_of_other"]
