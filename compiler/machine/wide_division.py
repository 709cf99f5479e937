"""Division of 64-bit numbers: the digits of a quotient by exact comparisons of numbers in two words, one digit a token.

With y and d the absolute values of dividend and divisor, and Q the number that the quotient's digits so far make up, the digit at
place p is floor(R / U): R = y - d Q is left, and U = d 256^p is the unit. In two words of 32 bits, with bytes d_i and Q_j,

    R = R_h 2^32 + R_l      R_l = y_l - sum over i + j < 4 of d_i Q_j 256^(i + j),         |R_l| < 2^42
                            R_h = y_h - sum over 4 <= i + j < 8 of d_i Q_j 256^(i + j - 4)
    U = U_h 2^32 + U_l      likewise of d_i 256^(i + p),                                   0 <= U_l, U_h < 2^32

Nothing is lost where i + j >= 8: d Q <= y < 2^64, so no such product is other than 0, and U <= y at the first place. The words of
R have carried nothing over, and are compared as they are:

    R >= k U     if and only if     2^32 clip(R_h - k U_h) + R_l - k U_l >= 0

as `long_division` says, for |R_l - k U_l| < 2^42 + 2^40 < 2^43: each comparison is right for all 2^128 pairs of operands.

The remainder is a - d Q modulo 2^64, or a + d Q where a is negative: again two words, |T_l| < 2^43, and how often 2^32 fits into
T_l is counted, first in multiples of 32. A quotient with a sign is 0 - Q.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..graph.expr import Expr, total
from .long_division import Pair, at_least_zero, next_digit
from .state import State
from .words import WORD, WordTerms

# What the low word of dividend less divisor times quotient carries: less than that.
CARRIES = 1024
CARRY_STEP = 32
PLACES = 8
WORDS = ("low", "high")


@dataclass
class WideDivision:
    """emitting: 1 while digits of the quotient are due; index: then the id of the next one, else 0. result: what the words of the
    result are, once a quotient in scratch is complete. by_zero, overflow: 1 where the division traps."""

    emitting: Expr
    index: Expr
    result: WordTerms
    by_zero: Expr
    overflow: Expr


@dataclass
class _Operands:
    """y: the dividend's words, y_l -2^32 .. 2^32 - 1. d: the divisor's bytes. Both are absolute, and 0 when the step does not
    divide. negated: byte i of -b, less b_i. a_negative, b_negative: 1 there, if the step is signed."""

    y: Pair
    d: list[Expr]
    negated: list[Expr]
    a_negative: Expr
    b_negative: Expr


def wide_division(s: State) -> WideDivision | None:
    """None for a machine whose rows divide no 64-bit numbers."""
    divides, remainder = s.field("divide64"), s.field("remainder64")
    if not divides.terms:
        return None
    g, operands = s.graph, _operands(s)
    by_zero, overflow = _traps(s)
    # A quotient that is not the result is complete once S0 has been emitted; the digits of the result follow.
    emitting = Expr.of(g.gated("wide quotient due", (divides - s.scratched - by_zero - overflow, 1.0)))
    differ = operands.a_negative + operands.b_negative
    differ = differ - 2.0 * g.relu(differ - 1.0, "both negative") if differ.terms else differ
    in_scratch = g.gated(
        "wide quotient in scratch", (emitting + remainder - 1.0, 1.0), (emitting + differ - remainder - 1.0, 1.0)
    )
    negate = s.scratched + divides - remainder - 1.0
    words = (total(256.0**j * q for j, q in enumerate(s.quotient_bytes[at : at + 4])) for at in (0, 4))
    raw_low, raw_high = (
        Expr.of(g.gated(f"-quotient.{name}", (negate, -q))) for name, q in zip(WORDS, words, strict=True)
    )
    index = _digit_id(s, operands, emitting, Expr.of(in_scratch))
    return WideDivision(emitting, index, WordTerms(raw_low, raw_high, *_remainder(s, operands)), by_zero, overflow)


def _traps(s: State) -> tuple[Expr, Expr]:
    """Whether the divisor is 0; whether -2^63 is divided by -1."""
    g = s.graph
    by_zero = g.gated("wide divide by zero", (s.field("divide64") - g.step(total(s.b.bytes) - 1.0, "divisor>0"), 1.0))
    if not s.field("divide64_overflow").terms:
        return Expr.of(by_zero), Expr({})
    least = g.step(s.a.high - 2.0**31) - g.step(s.a.high - 2.0**31 - 1.0) - g.step(s.a.low - 1.0, "a.low>0")
    ones = g.step(total(s.b.bytes) - 255.0 * PLACES, "b=-1")
    overflow = g.gated("wide overflow", (s.field("divide64_overflow") + least + ones - 2.0, 1.0))
    return Expr.of(by_zero), Expr.of(overflow)


def _operands(s: State) -> _Operands:
    """Byte i of -b is 255 - b_i + z_i - 256 z_(i + 1), where z_i says that all bytes below b_i are 0; the words of -a are
    -a_l and 2^32 - a_h."""
    g, divides, signed = s.graph, s.field("divide64"), s.field("divide64_signed")
    if not signed.terms:
        d = [Expr.of(g.product(divides, b, f"divisor.{i}")) for i, b in enumerate(s.b.bytes)]
        y = tuple(Expr.of(g.product(divides, x, f"dividend.{n}")) for x, n in zip((s.a.low, s.a.high), WORDS, strict=True))
        return _Operands((y[0], y[1]), d, [], Expr({}), Expr({}))
    a_negative, b_negative = (
        Expr.of(g.step(x.high - 2.0**31 - 2.0 * WORD * (1.0 - signed), name))
        for x, name in ((s.a, "wide a negative"), (s.b, "wide b negative"))
    )
    below = [Expr.of(1.0)]
    below += [1.0 - g.step(total(s.b.bytes[:i]) - 1.0, f"b mod 256^{i}>0") for i in range(1, PLACES + 1)]
    negated = [255.0 - 2.0 * b + below[i] - 256.0 * below[i + 1] for i, b in enumerate(s.b.bytes)]
    d = [
        Expr.of(g.declare(g.gated(f"divisor.{i}", (divides, b), (b_negative, more)), 0.0, 255.0))
        for i, (b, more) in enumerate(zip(s.b.bytes, negated, strict=True))
    ]
    low = g.gated("dividend.low", (divides, s.a.low), (a_negative, -2.0 * s.a.low))
    high = g.gated("dividend.high", (divides, s.a.high), (a_negative, WORD - 2.0 * s.a.high))
    y_low, y_high = g.declare(low, -WORD, WORD), g.declare(high, 0.0, WORD)
    return _Operands((Expr.of(y_low), Expr.of(y_high)), d, negated, a_negative, b_negative)


def _unit(d: Sequence[Expr], p: int) -> Pair:
    """The words of d 256^p, modulo 2^64."""
    low = total(256.0 ** (i + p) * b for i, b in enumerate(d) if i + p < 4)
    return low, total(256.0 ** (i + p - 4) * b for i, b in enumerate(d) if 4 <= i + p < PLACES)


def _reached(s: State, operands: _Operands) -> list[Expr]:
    """Whether y >= d 256^p, for p = 0 ... 8: always at first, in the end never. Where d 256^p has a byte beyond the second word,
    y is less: the high word is more than y's then."""
    g, (y_low, y_high), d = s.graph, operands.y, operands.d
    result = [Expr.of(1.0)]
    for p in range(1, PLACES):
        low, high = _unit(d, p)
        beyond = total(d[PLACES - p :])
        number = (y_low - low, y_high - high - 2.0 * WORD * beyond)
        result.append(Expr.of(at_least_zero(g, f"wide quotient>=256^{p}", number)))
    return [*result, Expr({})]


def _less_products(s: State, name: str, begin: Sequence[tuple], factor: Sequence[Expr], quotient: Sequence[Expr]) -> Pair:
    """Two words, of the terms in `begin` less factor (bytes, of either sign) times quotient, modulo 2^64; carries not removed."""
    units = [_unit(factor, place) for place in range(PLACES)]
    low, high = (
        s.graph.gated(f"{name}.{word}", first, *((q, -unit[w]) for q, unit in zip(quotient, units, strict=True)))
        for w, (word, first) in enumerate(zip(WORDS, begin, strict=True))
    )
    return Expr.of(low), Expr.of(high)


def _digit_id(s: State, operands: _Operands, emitting: Expr, in_scratch: Expr) -> Expr:
    g, ids = s.graph, s.architecture.ids
    fresh, reached = Expr.of(s.features["fresh"]), _reached(s, operands)
    # The first place is the highest one at which the dividend is not less than the unit, the next one is one below.
    gates = [
        (gate, p)
        for p in range(PLACES)
        for gate in (fresh + emitting + reached[p] - reached[p + 1] - 2.0, emitting + s.features[f"place.{p}.next"] - 1.0)
    ]
    units = [_unit(operands.d, p) for p in range(PLACES)]
    unit_low, unit_high = (
        g.declare(g.gated(f"unit.{name}", *((gate, units[p][w]) for gate, p in gates)), 0.0, WORD) for w, name in enumerate(WORDS)
    )
    place = g.gated(
        "wide quotient place", (fresh + emitting - 1.0, total(reached[1:])), (emitting, s.features["in_flight.place"])
    )
    begin = [(1.0, y) for y in operands.y]
    rest_low, rest_high = _less_products(s, "wide rest", begin, operands.d, s.quotient_so_far)
    digit = next_digit(g, "wide quotient", (rest_low, rest_high), (Expr.of(unit_low), Expr.of(unit_high)))
    id_ = g.gated(
        "wide quotient id", (emitting, 256.0 * place + digit + ids["D"]), (in_scratch, float(ids["S"] - ids["D"]))
    )
    return Expr.of(g.declare(id_, 0.0, float(s.architecture.emitted)))


def _remainder(s: State, operands: _Operands) -> Pair:
    """The words of a - d Q, or a + d Q where a is negative, once the quotient is complete, else 0; see above. The high one may be
    2^32, where a negative dividend leaves 0."""
    g, remainder = s.graph, s.field("remainder64")
    if not remainder.terms:
        return Expr({}), Expr({})
    complete = s.scratched + remainder - 1.0
    a, b = operands.a_negative, operands.b_negative
    factor = []
    for i, byte in enumerate(s.b.bytes):
        terms = [(complete, byte)]
        if operands.negated:
            more = operands.negated[i]
            terms += [(complete + b - 1.0, more), (complete + a - 1.0, -2.0 * byte), (complete + a + b - 2.0, -2.0 * more)]
        factor.append(Expr.of(g.declare(g.gated(f"divisor.{i} of remainder", *terms), -255.0, 255.0)))
    begin = [(complete, s.a.low), (complete, s.a.high)]
    low, high = _less_products(s, "wide remainder", begin, factor, s.quotient_bytes)
    # Lifted so that it is never negative; the low word of the dividend itself carries nothing.
    lift = CARRIES if operands.negated else CARRIES - 1
    most = (lift + CARRIES - 1) // CARRY_STEP if operands.negated else lift // CARRY_STEP
    size, lifted = CARRY_STEP * WORD, low + lift * WORD
    upper = g.staircase(lifted, size, size, most, "remainder carries/32")
    lower = g.staircase(lifted - size * upper, WORD, WORD, CARRY_STEP - 1, "remainder carries mod 32")
    carried = float(CARRY_STEP) * upper + lower - float(lift)
    return low - WORD * carried, high + carried


__all__ = ["WideDivision", "wide_division"]
