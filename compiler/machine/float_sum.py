"""Sums of floating-point numbers, exactly: the smaller one is moved down to the exponent of the other one, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr, Variable, total
from ..graph.graph import Graph
from .float_formats import FloatFormat
from .floats import FloatOperand, Unrounded, any_of, float_operand, floor
from .state import State


def float_sum(s: State, form: FloatFormat) -> Unrounded:
    """A + B in rows with the field "f32_sum" or "f64_sum"; A - B where "f32_negate" or "f64_negate" is set, too."""
    g, name = s.graph, f"{form.name}.sum"
    flag, negate = s.field(f"{form.name}_sum"), s.field(f"{form.name}_negate")
    if not flag.terms:
        return Unrounded()
    a, b = float_operand(s, form, flag, s.a, f"{name}.a"), float_operand(s, form, flag, s.b, f"{name}.b")
    b_negative = b.negative + negate - 2.0 * g.product(negate, s.b.signs[form.name], f"{name}.negate")
    differ = a.negative + b_negative - 2.0 * g.product(a.negative, b_negative, f"{name}.both negative")
    distance = a.exponent - b.exponent
    beyond = g.relu(distance, f"{name}.a beyond b")
    order = _order(g, name, a, b, distance)
    first = Expr.of(g.step(order, f"{name}.first"))  # 1: the magnitude of a is not less
    equal = first + g.step(-order, f"{name}.equal") - 1.0
    moved = _moved(g, name, a, b, first, beyond + g.relu(-distance, f"{name}.b beyond a"), distance)
    larger = [
        g.declare(g.gated(f"{name}.larger{i}", (first, x), (1.0 - first, y)), 0.0, 255.0)
        for i, (x, y) in enumerate(zip(a.digits, b.digits, strict=True))
    ]
    # Where the significand fills its bytes, a sum has one more.
    digits, lost = _added(g, name, larger, moved, differ, len(larger) + (form.spare == 0))
    # Numbers that add up to nothing give +0.
    negative = g.gated(
        f"{name}.negative", (first, a.negative), (1.0 - first, b_negative), (equal + differ + a.negative - 2.0, -1.0)
    )
    opposite = g.relu(a.special + b.special - 1.0, f"{name}.both special")
    nan = Expr.of(g.step(2.0 * (a.nan + b.nan) + opposite + differ - 2.0, f"{name}.nan"))
    return Unrounded(
        digits,
        b.exponent + beyond - (form.scale + 8.0) * flag,
        Expr.of(g.declare(negative, 0.0, 1.0)),
        lost,
        any_of(g, a.special + b.special, f"{name}.special") - nan,
        nan,
    )


def _order(g: Graph, name: str, a: FloatOperand, b: FloatOperand, distance: Expr) -> Expr:
    """At least 1, 0 or at most -1: which magnitude is greater. By exponents, then the significands' high and low words."""
    difference = [x - y for x, y in zip(a.digits, b.digits, strict=True)]
    words = [total(256.0**i * d for i, d in enumerate(part)) for part in (difference[:4], difference[4:])]
    signs = [g.step(x - 1.0, f"{name}.>0") - g.step(-x - 1.0, f"{name}.<0") for x in (*words, distance)]
    return total(2.0**i * sign for i, sign in enumerate(signs))


@dataclass
class _Moved:
    """u: byte -1, 0, ... of the smaller significand moved down by whole bytes, each divided by 2^r, r < 8. lost: above 0 where
    bytes that are not 0 are farther down."""

    u: list[Variable]
    lost: Expr


def _moved(
    g: Graph, name: str, a: FloatOperand, b: FloatOperand, first: Expr, size: Expr, distance: Expr
) -> _Moved:  # fmt: skip
    """size: how far the exponents are apart, 8 k + r; with k > n, the bytes of a significand, nothing is left."""
    n = len(a.digits)
    reached = [Expr.of(1.0)]  # k >= 0, ... k >= n + 1
    for k in range(1, n + 2):
        steps = (g.step(x - 8.0 * k, f"{name}.distance>={8 * k}") for x in (distance, -distance))
        reached.append(total(steps))
    scale = g.table(size - 8.0 * total(reached[1:]), [2.0**-r for r in range(8)], name=f"{name}.2^-r")
    g.declare(scale, 2.0**-7, 1.0, -7)

    def smaller(what: str, gates: list[tuple[Expr, int]]) -> Variable:
        """The sum of gate times byte i of the smaller significand."""
        terms = [pair for gate, i in gates for pair in ((gate + first - 1.0, b.digits[i]), (gate - first, a.digits[i]))]
        return g.gated(f"{name}.{what}", *terms)

    u = []
    for j in range(-1, n):
        exactly = [(reached[k] - reached[k + 1], j + k) for k in range(n + 1) if 0 <= j + k < n]
        byte = g.declare(smaller(f"byte{j}", exactly), 0.0, 255.0)
        u.append(g.declare(g.product(byte, scale, f"{name}.moved{j}"), 0.0, 255.0, -7))
    gone = g.declare(smaller("gone", [(reached[i + 2], i) for i in range(n)]), 0.0, 256.0 * n)
    return _Moved(u, any_of(g, Expr.of(gone), f"{name}.lost"))


def _added(
    g: Graph, name: str, larger: list[Variable], moved: _Moved, differ: Expr, count: int
) -> tuple[list[Expr], Expr]:  # fmt: skip
    """(bytes -1, 0, ... count - 1 of larger + moved, or of larger - moved where the signs differ; whether anything is lost).

    Byte j of what is moved is the whole part of u_j and what u_(j + 1) has behind the point. What is lost is subtracted too: one
    unit more is borrowed, and something between 0 and that unit is added.
    """
    whole = [floor(g, f"{name}.whole{j - 1}", Expr.of(u), -7) for j, u in enumerate(moved.u)]
    behind = [256.0 * (u - w) for u, w in zip(moved.u, whole, strict=True)]
    parts = [w + b for w, b in zip(whole, [*behind[1:], Expr({})], strict=True)]
    rest = 0.5 * behind[0] + moved.lost  # an integer
    other = 1024.0 * (1.0 - differ)
    lost, under = Expr.of(g.step(rest - 1.0, f"{name}.rest")), Expr.of(g.step(rest - 1.0 - other, f"{name}.borrow below"))
    borrow = Expr.of(g.step(parts[0] + rest - 1.0 - other, f"{name}.borrow0"))
    # As variables, below 256: u_j itself, times 256^j, would have too many bits in the sums that follow.
    signed = [
        g.declare(g.gated(f"{name}.signed{j - 1}", (1.0 - differ, p), (differ, -p)), -255.0, 255.0)
        for j, p in enumerate(parts)
    ]
    raw = [x + y for x, y in zip(larger, signed[1:], strict=True)]
    carry = [-borrow]
    for j in range(1, count):
        below = total(256.0**i * x for i, x in enumerate(raw[:j])) - borrow
        carry.append(g.step(below - 256.0**j, f"{name}.carry{j}") - g.step(-below - 1.0, f"{name}.borrow{j}"))
    carry.append(Expr({}))
    digits = [x + c - 256.0 * up for x, c, up in zip([*raw, Expr({})][:count], carry[:-1], carry[1:], strict=True)]
    return [signed[0] - under + 256.0 * borrow, *digits], lost
