"""Square roots of floating-point numbers: the digits of the significand's root are tokens, see `float_digits`."""

from __future__ import annotations

from ..graph.expr import Expr
from ..graph.graph import Graph
from .float_digits import LongNumbers, at_places, byte_aligned, moved, so_far, word
from .float_formats import FloatFormat
from .floats import FloatOperand, Unrounded, float_operand
from .state import State


def float_root(s: State, form: FloatFormat) -> tuple[LongNumbers, Unrounded]:
    """The square root of A in rows with the field "f32_root" or "f64_root".

    Of z 2^e with e even it is Q = floor(sqrt(z 256^c)) and more, times 2^(e / 2 - 4 c): z is the significand or twice that, and c
    the digits of Q. So z 256^c, moved down by 256^(2 p) for the digit at place p, is whole bytes of z. A subnormal significand
    is moved up by whole bytes, and Q of one of f64 has a digit more: Q has one bit more than a significand at least. Zeros,
    infinities, NaN and negative numbers have no digits.
    """
    g, flag, name = s.graph, s.field(f"{form.name}_root"), f"{form.name}.root"
    if not flag.terms:
        return LongNumbers(), Unrounded()
    a = float_operand(s, form, flag, s.a, name)
    count, more = (4, 0) if form.size == 4 else (7, 1)
    below = Expr.of(g.declare(g.relu(a.negative - a.zero, f"{name}.below 0"), 0.0, 1.0))
    skipped = a.special + a.zero + below
    rare = a.subnormal if more else Expr({})
    gates, bytes_ = byte_aligned(g, form, a, flag, name)
    odd, half = _halved(s, form, flag, a, name)
    radicand = moved(g, _doubled(g, a.digits, odd, name), gates, skipped, form.significand + (form.spare == 0), name)
    digits, complete = so_far(s, flag, count + more, name)
    numbers = LongNumbers(
        flag, skipped, (count - 1.0) * flag + rare, unit=(2.0 * word(digits, 0), 2.0 * word(digits, 1)), squared=flag
    )
    for w, terms in enumerate(numbers.words):
        for seldom, condition in ((0, -rare), (more, rare - 1.0)):
            for place, gate in at_places(s, count - 1 + seldom, condition):
                terms.append((gate, word(radicand, w, count + seldom - 2 * place)))
        for j, digit in enumerate(digits):  # each product of two digits once
            twice = [Expr.of(digit), *(2.0 * other for other in digits[j + 1 :])]
            terms.append((digit, -word(twice, w, 2 * j)))
    nan = Expr.of(g.step(a.nan + below - 1.0, f"{name}.nan"))
    infinite = Expr.of(g.declare(g.relu(a.special - nan, f"{name}.infinite"), 0.0, 1.0))
    negative = Expr.of(g.declare(g.relu(a.negative + a.zero - 1.0, f"{name}.-0"), 0.0, 1.0))
    exponent = half - 4.0 * bytes_ - 4.0 * count * flag - 4.0 * rare
    return numbers, Unrounded(complete, exponent, negative, infinite=infinite, nan=nan)


def _halved(s: State, form: FloatFormat, flag: Expr, a: FloatOperand, name: str) -> tuple[Expr, Expr]:
    """(1 where the exponent less the format's scale is odd; half of what it is then less that 1).

    The exponent's lowest bits are the highest ones of a byte. Of a subnormal number it is 1, not 0, which has the same half.
    """
    g, hidden, scale = s.graph, 2.0**form.top_bits, form.scale
    upper = s.a.bytes[form.size - 1] - 128.0 * s.a.signs[form.name]
    bits = s.a.exponents[form.name] - 256.0 / hidden * upper
    parity, half = bits, 128.0 / hidden * upper
    if form.spare:
        values = range(256 >> form.top_bits)
        parity = Expr.of(g.table(bits, [float(v % 2) for v in values], name=f"{name}.exponent mod 2"))
        half = half + g.table(bits, [float(v // 2) for v in values], name=f"{name}.exponent bits/2")
    usual, more = (1.0 - parity, -1.0) if scale % 2 else (parity, 1.0)
    odd = Expr.of(g.declare(g.gated(f"{name}.odd", (flag, usual), (a.subnormal, more)), 0.0, 1.0))
    whole = Expr.of(g.declare(g.product(flag, half, f"{name}.exponent/2"), 0.0, form.last_exponent // 2))
    return odd, whole - float(scale // 2) * flag - float(scale % 2) * odd


def _doubled(g: Graph, digits: list[Expr], odd: Expr, name: str) -> list[Expr]:
    """The bytes, or those of twice the number where `odd` is 1; one more."""
    carry = [Expr({}), *(Expr.of(g.step(digit - 128.0, f"{name}.carry{i}")) for i, digit in enumerate(digits)), Expr({})]
    made = []
    for i, digit in enumerate([*digits, Expr({})]):
        twice = g.gated(f"{name}.digit{i} doubled", (1.0, digit), (odd, digit + carry[i] - 256.0 * carry[i + 1]))
        made.append(Expr.of(g.declare(twice, 0.0, 255.0)))
    return made


__all__ = ["float_root"]
