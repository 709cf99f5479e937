"""Quotients of floating-point numbers: the digits of one significand divided by the other are tokens, see `float_digits`."""

from __future__ import annotations

from ..graph.expr import Expr, total
from .float_digits import LongNumbers, at_places, byte_aligned, moved, so_far, word
from .float_formats import FloatFormat
from .floats import Unrounded, float_operand
from .state import State


def digits_of_quotient(form: FloatFormat) -> int:
    """Of normal numbers, each of which has a quotient from 1/2 to 2 with any other one's significand."""
    return (form.fraction + 10) // 8


def float_quotient(s: State, form: FloatFormat) -> tuple[LongNumbers, Unrounded]:
    """A / B in rows with the field "f32_divide" or "f64_divide".

    Q = floor(m_a 2^x / m_b), with x = 8 c - 1 for c digits, is at least 2^(8 c - 2): two bits more than the significand or more.
    Subnormal significands are moved up by whole bytes. Where an operand is subnormal, there are c' digits, so many that they have
    8 bits more than a significand, and x = 8 c' - 8, or 8 c' where m_a < m_b: Q is nearly 256^(c' - 1) or more. Three bytes
    tell which; then it is less for certain. Zeros, infinities and NaN have no digits.
    """
    g, flag, name = s.graph, s.field(f"{form.name}_divide"), f"{form.name}.quotient"
    if not flag.terms:
        return LongNumbers(), Unrounded()
    a, b = float_operand(s, form, flag, s.a, f"{name}.a"), float_operand(s, form, flag, s.b, f"{name}.b")
    skipped = a.special + b.special + a.zero + b.zero
    rare = Expr.of(g.step(a.subnormal + b.subnormal - 1.0, f"{name}.subnormal"))
    (a_gates, a_bytes), (b_gates, b_bytes) = (
        byte_aligned(g, form, x, flag, f"{name}.{which}") for x, which in ((a, "a"), (b, "b"))
    )
    n, count = form.significand, digits_of_quotient(form)
    dividend = moved(g, a.digits, a_gates, skipped, n, f"{name}.a")
    divisor = moved(g, b.digits, b_gates, skipped, n, f"{name}.b")
    digits, complete = so_far(s, flag, form.size, name)
    difference = total(256.0**i * (y - x) for i, (x, y) in enumerate(zip(dividend[-3:], divisor[-3:], strict=True)))
    less = Expr.of(g.step(difference - 1.0 - 2.0**24 * (1.0 - rare), f"{name}.less"))
    # How far the dividend is moved, the place of the first digit, and 0 where that is so.
    usual, seldom, smaller = 8 * count - 1, 8 * form.size - 8, 8 * form.size
    ways = ((usual, count - 1, -rare), (seldom, form.size - 1, rare - less - 1.0), (smaller, form.size - 1, less - 1.0))
    first = float(count - 1) * flag + float(form.size - count) * rare
    numbers = LongNumbers(flag, skipped, first, unit=(word(divisor, 0), word(divisor, 1)))
    for w, terms in enumerate(numbers.words):
        for shift, highest, condition in ways:
            for place, gate in at_places(s, highest, condition):
                # m_a 2^(shift - 8 place): whole bytes, and less than 8 bits
                whole, rest = divmod(shift - 8 * place, 8)
                terms.append((gate, 2.0**rest * word(dividend, w, whole)))
        terms += [(digit, -word(divisor, w, j)) for j, digit in enumerate(digits)]
    undefined = g.relu(a.special + b.special - 1.0, f"{name}.both special") + g.relu(a.zero + b.zero - 1.0, f"{name}.both 0")
    nan = Expr.of(g.step(a.nan + b.nan + undefined - 1.0, f"{name}.nan"))
    infinite = g.gated(f"{name}.infinite", (a.special - nan, 1.0), (b.zero - a.special - nan, 1.0))
    negative = a.negative + b.negative - 2.0 * g.product(a.negative, b.negative, f"{name}.both negative")
    exponent = a.exponent - b.exponent - 8.0 * (a_bytes - b_bytes) - float(usual) * flag
    exponent = exponent + float(usual - seldom) * rare - float(smaller - seldom) * less
    return numbers, Unrounded(complete, exponent, negative, infinite=Expr.of(g.declare(infinite, 0.0, 1.0)), nan=nan)


__all__ = ["digits_of_quotient", "float_quotient"]
