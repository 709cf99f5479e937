"""f64.add and f64.sub, exactly: the smaller operand is moved down to the exponent of the other one, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr, Variable, total
from ..graph.graph import Graph
from .floats import DIGITS, SCALE, SIGNIFICAND, FloatOperand, Unrounded, any_of, float_operand, floor
from .state import State

# The digits of a sum, one below the significands' included, are the highest ones of the result.
FIRST = DIGITS - SIGNIFICAND


def float_sum(s: State) -> Unrounded:
    """A + B or, where "float_negate" is set, A - B."""
    g, flag, negate = s.graph, s.field("float_sum"), s.field("float_negate")
    if not flag.terms:
        return Unrounded()
    a, b = float_operand(s, flag, s.a, "sum.a"), float_operand(s, flag, s.b, "sum.b")
    b_negative = b.negative + negate - 2.0 * g.product(negate, s.b.negative, "sum.negate")
    differ = a.negative + b_negative - 2.0 * g.product(a.negative, b_negative, "sum.both negative")
    distance = a.exponent - b.exponent
    beyond = g.relu(distance, "sum.a beyond b")
    order = _order(g, a, b, distance)
    first = Expr.of(g.step(order, "sum.first"))  # 1: the magnitude of a is not less
    equal = first + g.step(-order, "sum.equal") - 1.0
    moved = _moved(g, a, b, first, beyond + g.relu(-distance, "sum.b beyond a"), distance)
    larger = [
        g.declare(g.gated(f"sum.larger{i}", (first, x), (1.0 - first, y)), 0.0, 255.0)
        for i, (x, y) in enumerate(zip(a.digits, b.digits, strict=True))
    ]
    digits, lost = _added(g, larger, moved, differ)
    # Numbers that add up to nothing give +0.
    negative = g.gated(
        "sum.negative", (first, a.negative), (1.0 - first, b_negative), (equal + differ + a.negative - 2.0, -1.0)
    )
    opposite = g.relu(a.special + b.special - 1.0, "sum.both special")
    nan = Expr.of(g.step(2.0 * (a.nan + b.nan) + opposite + differ - 2.0, "sum.nan"))
    return Unrounded(
        [Expr({})] * (FIRST - 1) + digits,
        b.exponent + beyond - (SCALE + 8.0 * FIRST) * flag,
        Expr.of(g.declare(negative, 0.0, 1.0)),
        lost,
        any_of(g, a.special + b.special, "sum.special") - nan,
        nan,
    )


def _order(g: Graph, a: FloatOperand, b: FloatOperand, distance: Expr) -> Expr:
    """At least 1, 0 or at most -1: which magnitude is greater. By exponents, then the significands' high and low words."""
    difference = [x - y for x, y in zip(a.digits, b.digits, strict=True)]
    words = [total(256.0**i * d for i, d in enumerate(part)) for part in (difference[:4], difference[4:])]
    signs = [g.step(x - 1.0, "sum.>0") - g.step(-x - 1.0, "sum.<0") for x in (*words, distance)]
    return total(2.0**i * sign for i, sign in enumerate(signs))


@dataclass
class _Moved:
    """u: byte -1, 0, ... 6 of the smaller significand moved down by whole bytes, each divided by 2^r, r < 8. lost: above 0 where
    bytes that are not 0 are farther down."""

    u: list[Variable]
    lost: Expr


def _moved(g: Graph, a: FloatOperand, b: FloatOperand, first: Expr, size: Expr, distance: Expr) -> _Moved:
    """size: how far the exponents are apart, 8 k + r; by 64 and more nothing is left."""
    reached = [Expr.of(1.0)]  # k >= 0, ... k >= 8
    for k in range(1, 9):
        steps = (g.step(x - 8.0 * k, f"sum.distance>={8 * k}") for x in (distance, -distance))
        reached.append(total(steps))
    scale = g.table(size - 8.0 * total(reached[1:]), [2.0**-r for r in range(8)], name="sum.2^-r")
    g.declare(scale, 2.0**-7, 1.0, -7)

    def smaller(name: str, gates: list[tuple[Expr, int]]) -> Variable:
        """The sum of gate times byte i of the smaller significand."""
        terms = [pair for gate, i in gates for pair in ((gate + first - 1.0, b.digits[i]), (gate - first, a.digits[i]))]
        return g.gated(name, *terms)

    u = []
    for j in range(-1, SIGNIFICAND):
        exactly = [(reached[k] - reached[k + 1], j + k) for k in range(8) if 0 <= j + k < SIGNIFICAND]
        byte = g.declare(smaller(f"sum.byte{j}", exactly), 0.0, 255.0)
        u.append(g.declare(g.product(byte, scale, f"sum.moved{j}"), 0.0, 255.0, -7))
    gone = g.declare(smaller("sum.gone", [(reached[i + 2], i) for i in range(SIGNIFICAND)]), 0.0, 256.0 * SIGNIFICAND)
    return _Moved(u, any_of(g, Expr.of(gone), "sum.lost"))


def _added(g: Graph, larger: list[Variable], moved: _Moved, differ: Expr) -> tuple[list[Expr], Expr]:
    """(bytes of larger + moved, or of larger - moved where the signs differ, from byte -1 on; whether anything is lost below).

    Byte j of what is moved is the whole part of u_j and what u_(j + 1) has behind the point. What is lost is subtracted too: one
    unit more is borrowed, and something between 0 and that unit is added.
    """
    whole = [floor(g, f"sum.whole{j - 1}", Expr.of(u), -7) for j, u in enumerate(moved.u)]
    behind = [256.0 * (u - w) for u, w in zip(moved.u, whole, strict=True)]
    parts = [w + b for w, b in zip(whole, [*behind[1:], Expr({})], strict=True)]
    rest = 0.5 * behind[0] + moved.lost  # an integer
    other = 1024.0 * (1.0 - differ)
    lost, under = Expr.of(g.step(rest - 1.0, "sum.rest")), Expr.of(g.step(rest - 1.0 - other, "sum.borrow below"))
    borrow = Expr.of(g.step(parts[0] + rest - 1.0 - other, "sum.borrow0"))
    # As variables, below 256: u_j itself, times 256^j, would have too many bits in the sums that follow.
    signed = [
        g.declare(g.gated(f"sum.signed{j - 1}", (1.0 - differ, p), (differ, -p)), -255.0, 255.0)
        for j, p in enumerate(parts)
    ]
    raw = [x + y for x, y in zip(larger, signed[1:], strict=True)]
    carry = [-borrow]
    for j in range(1, SIGNIFICAND):
        below = total(256.0**i * x for i, x in enumerate(raw[:j])) - borrow
        carry.append(g.step(below - 256.0**j, f"sum.carry{j}") - g.step(-below - 1.0, f"sum.borrow{j}"))
    carry.append(Expr({}))
    digits = [x + c - 256.0 * up for x, c, up in zip(raw, carry, carry[1:], strict=False)]
    return [signed[0] - under + 256.0 * borrow, *digits], lost
