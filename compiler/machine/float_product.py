"""f64.mul, exactly: byte products of the significands, added up by place, and their sums made bytes again."""

from __future__ import annotations

from ..graph.expr import Expr, total
from ..graph.graph import Graph
from .floats import DIGITS, SCALE, SIGNIFICAND, Unrounded, float_operand, floor
from .state import State

# Sums of byte products of one place.
MOST = SIGNIFICAND * 255.0**2


def float_product(s: State) -> Unrounded:
    g, flag = s.graph, s.field("float_product")
    if not flag.terms:
        return Unrounded()
    a, b = float_operand(s, flag, s.a, "product.a"), float_operand(s, flag, s.b, "product.b")
    columns = []
    for k in range(DIGITS - 1):
        pairs = [(a.digits[i], b.digits[k - i]) for i in range(SIGNIFICAND) if 0 <= k - i < SIGNIFICAND]
        columns.append(Expr.of(g.declare(g.gated(f"product.column{k}", *pairs), 0.0, MOST)))
    # infinity times 0
    undefined = [g.relu(x.special + y.zero - 1.0, "product.undefined") for x, y in ((a, b), (b, a))]
    nan = Expr.of(g.step(a.nan + b.nan + total(undefined) - 1.0, "product.nan"))
    return Unrounded(
        digits=_bytes(g, columns),
        exponent=a.exponent + b.exponent - 2.0 * SCALE * flag,
        negative=a.negative + b.negative - 2.0 * g.product(a.negative, b.negative, "product.both negative"),
        infinite=g.step(a.special + b.special - 1.0, "product.special") - nan,
        nan=nan,
    )


def _bytes(g: Graph, columns: list[Expr]) -> list[Expr]:
    """The bytes of the sum of 256^k columns[k], each column below 2^19.

    Each column has three bytes; those of one place add up to 516 at most. Carrying once leaves 257 or less, so that from
    then on carries are at most 1: a byte carries where it is 256 or more, or 255 and carried to. With t_i = [>= 255] + [>= 256],
    that is where the sum of 2^i t_i over the bytes below k reaches 2^k.
    """
    none = Expr({})
    high = [
        floor(g, f"product.high{k}", 2.0**-16 * c, -16) if 0 < k < len(columns) - 1 else none
        for k, c in enumerate(columns)
    ]
    rest = [c - 65536.0 * h for c, h in zip(columns, high, strict=True)]
    middle = [floor(g, f"product.middle{k}", 2.0**-8 * r, -8) for k, r in enumerate(rest)]
    low = [r - 256.0 * m for r, m in zip(rest, middle, strict=True)]
    places = [x + y + z for x, y, z in zip([*low, none], [none, *middle], [none, none, *high[:-1]], strict=True)]
    carry = [
        g.step(x - 256.0, f"product.carry{k}") + g.step(x - 512.0, f"product.carry{k}>=2") for k, x in enumerate(places)
    ]
    once = [x - 256.0 * c + up for x, c, up in zip(places, carry, [none, *carry], strict=False)]
    state = [
        g.step(x - 255.0, f"product.full{k}") + g.step(x - 256.0, f"product.beyond{k}") for k, x in enumerate(once)
    ]
    again = [none]
    for k in range(1, DIGITS):
        again.append(Expr.of(g.step(total(2.0**i * t for i, t in enumerate(state[:k])) - 2.0**k, f"product.again{k}")))
    again.append(none)
    return [x + c - 256.0 * up for x, c, up in zip(once, again, again[1:], strict=False)]
