"""Comparisons, the lesser and the greater of two floating-point numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr, Number, total
from ..graph.graph import Graph
from .float_formats import FloatFormat
from .floats import FloatWords
from .state import State, Value


@dataclass
class _Number:
    """words: signed, the low one first, both of the number's sign: their order is that of the numbers, and both zeros are 0.
    negative: the sign bit; nan: 1 where it is not a number. All 0 in other rows."""

    words: list[Expr]
    negative: Expr
    nan: Expr


def float_order(s: State, form: FloatFormat) -> FloatWords:
    """1 where one of the relations holds that fields "f64_less", "..._equal", "..._greater", "..._unordered" ask for; the lesser
    ("..._least") or the greater ("..._greatest") operand, -0 before 0, or NaN; in rows with the field "f32_order" or "f64_order".
    """
    g, name, flag = s.graph, f"{form.name}.order", s.field(f"{form.name}_order")
    if not flag.terms:
        return FloatWords()

    def wanted(what: str) -> Expr:
        return s.field(f"{form.name}_{what}")

    a, b = _number(g, form, flag, s.a, f"{name}.a"), _number(g, form, flag, s.b, f"{name}.b")
    difference = [x - y for x, y in zip(a.words, b.words, strict=True)]
    signs = [g.step(d - 1.0, f"{name}.>0") - g.step(-d - 1.0, f"{name}.<0") for d in difference]
    order = total(2.0**i * sign for i, sign in enumerate(signs))
    less, greater = Expr.of(g.step(-order - 1.0, f"{name}.less")), Expr.of(g.step(order - 1.0, f"{name}.greater"))
    equal, unordered = flag - less - greater, Expr.of(g.step(a.nan + b.nan - 1.0, f"{name}.unordered"))
    relations = [(wanted("less"), less), (wanted("equal"), equal), (wanted("greater"), greater)]
    truth: list[tuple[Number, Number]] = [(field - unordered, holds) for field, holds in relations]
    truth.append((wanted("unordered"), unordered))
    least, greatest = wanted("least"), wanted("greatest")
    if not (least + greatest).terms:
        return FloatWords(truth)
    first = g.gated(
        f"{name}.first",
        (least + less - unordered - 1.0, 1.0),
        (least + equal + a.negative - unordered - 2.0, 1.0),
        (greatest + greater - unordered - 1.0, 1.0),
        (greatest + equal - a.negative - unordered - 1.0, 1.0),
    )
    g.declare(first, 0.0, 1.0)
    second, nan = least + greatest - unordered - first, least + greatest + unordered - 1.0
    low = [*truth, (first, s.a.low), (second, s.b.low), (nan, float(form.nan % 2**32))]
    if form.size == 4:
        return FloatWords(low)
    return FloatWords(low, [(first, s.a.high), (second, s.b.high), (nan, float(form.nan >> 32))])


def _number(g: Graph, form: FloatFormat, flag: Expr, value: Value, name: str) -> _Number:
    """The word w of the magnitude becomes (1 - 2 sign) w."""
    sign = value.signs[form.name]
    magnitude = [value.low] if form.size == 4 else [value.low, value.high]
    magnitude[-1] = magnitude[-1] - 2.0**31 * sign
    words = [Expr.of(g.gated(f"{name}.word{i}", (flag - sign, 2.0 * w), (flag, -w))) for i, w in enumerate(magnitude)]
    nan = not_a_number(g, form, flag, value, name)
    return _Number(words, Expr.of(g.product(flag, sign, f"{name}.negative")), nan)


def not_a_number(g: Graph, form: FloatFormat, flag: Expr, value: Value, name: str) -> Expr:
    """1 where the operand is not a number: its magnitude's bits are beyond those of infinity; 0 in rows without the flag."""
    low, high = value.low, (value.low if form.size == 4 else value.high) - 2.0**31 * value.signs[form.name]
    infinity = float(form.infinity >> (0 if form.size == 4 else 32))
    more = g.step(high - infinity - 1.0, f"{name}.high beyond")
    nan = [(more + flag - 1.0, 1.0)]
    if form.size == 8:
        as_high, some = g.step(high - infinity, f"{name}.high"), g.step(low - 1.0, f"{name}.low")
        nan.append((as_high + some + flag - 2.0 * more - 2.0, 1.0))
    return Expr.of(g.declare(g.gated(f"{name}.nan", *nan), 0.0, 1.0))


__all__ = ["float_order", "not_a_number"]
