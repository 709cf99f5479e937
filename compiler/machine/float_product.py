"""Products of floating-point numbers, exactly: byte products of significands, added up by place, and their sums made bytes."""

from __future__ import annotations

from ..graph.expr import Expr, total
from ..graph.graph import Graph
from .float_formats import FloatFormat
from .floats import Unrounded, float_operand, floor
from .state import State


def float_product(s: State, form: FloatFormat) -> Unrounded:
    """A * B in rows with the field "f32_product" or "f64_product"."""
    g, flag, name = s.graph, s.field(f"{form.name}_product"), f"{form.name}.product"
    if not flag.terms:
        return Unrounded()
    a, b = float_operand(s, form, flag, s.a, f"{name}.a"), float_operand(s, form, flag, s.b, f"{name}.b")
    columns = []
    n = form.significand
    for k in range(2 * n - 1):
        pairs = [(a.digits[i], b.digits[k - i]) for i in range(n) if 0 <= k - i < n]
        columns.append(Expr.of(g.declare(g.gated(f"{name}.column{k}", *pairs), 0.0, n * 255.0**2)))
    # infinity times 0
    undefined = [g.relu(x.special + y.zero - 1.0, f"{name}.undefined") for x, y in ((a, b), (b, a))]
    nan = Expr.of(g.step(a.nan + b.nan + total(undefined) - 1.0, f"{name}.nan"))
    return Unrounded(
        digits=_bytes(g, name, columns),
        exponent=a.exponent + b.exponent - 2.0 * form.scale * flag,
        negative=a.negative + b.negative - 2.0 * g.product(a.negative, b.negative, f"{name}.both negative"),
        infinite=g.step(a.special + b.special - 1.0, f"{name}.special") - nan,
        nan=nan,
    )


def _bytes(g: Graph, name: str, columns: list[Expr]) -> list[Expr]:
    """The bytes of the sum of 256^k columns[k], each column below 2^19; one more byte than there are columns.

    Each column has three bytes; those of one place add up to 516 at most. Carrying once leaves 257 or less, so that from
    then on carries are at most 1: a byte carries where it is 256 or more, or 255 and carried to. With t_i = [>= 255] + [>= 256],
    that is where the sum of 2^i t_i over the bytes below k reaches 2^k.
    """
    none, last = Expr({}), len(columns) - 1  # the first column and the last one are single products
    high = [floor(g, f"{name}.high{k}", 2.0**-16 * c, -16) if 0 < k < last else none for k, c in enumerate(columns)]
    rest = [c - 65536.0 * h for c, h in zip(columns, high, strict=True)]
    middle = [floor(g, f"{name}.middle{k}", 2.0**-8 * r, -8) for k, r in enumerate(rest)]
    low = [r - 256.0 * m for r, m in zip(rest, middle, strict=True)]
    places = [x + y + z for x, y, z in zip([*low, none], [none, *middle], [none, none, *high[:-1]], strict=True)]
    carry = [
        g.step(x - 256.0, f"{name}.carry{k}") + g.step(x - 512.0, f"{name}.carry{k}>=2") for k, x in enumerate(places)
    ]
    once = [x - 256.0 * c + up for x, c, up in zip(places, carry, [none, *carry], strict=False)]
    state = [g.step(x - 255.0, f"{name}.full{k}") + g.step(x - 256.0, f"{name}.beyond{k}") for k, x in enumerate(once)]
    again = [none]
    for k in range(1, len(once)):
        again.append(Expr.of(g.step(total(2.0**i * t for i, t in enumerate(state[:k])) - 2.0**k, f"{name}.again{k}")))
    again.append(none)
    return [x + c - 256.0 * up for x, c, up in zip(once, again, again[1:], strict=False)]


__all__ = ["float_product"]
