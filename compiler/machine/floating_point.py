"""All operations on floating-point numbers: exact results of one format or the other, rounded; comparisons; integers."""

from __future__ import annotations

from ..graph.expr import Expr
from .float_conversions import float_of_integer, float_of_other
from .float_formats import FORMATS
from .float_integers import integer_of_float
from .float_order import float_order
from .float_product import float_product
from .float_rounding import float_rounding
from .float_sum import float_sum
from .floats import FloatWords, rounded
from .state import State
from .words import Signs


def floating_point(s: State, sign: Signs) -> tuple[FloatWords, list[tuple[Expr, str]]]:
    """What rows of these operations add to the words of the result; (1 where the row traps, the kind of trap)."""
    words, traps = FloatWords(), []
    for form in FORMATS:
        exact = float_sum(s, form) + float_product(s, form) + float_of_integer(s, sign, form) + float_of_other(s, form)
        integer = integer_of_float(s, form)
        words = words + rounded(s, form, exact) + float_order(s, form) + float_rounding(s, form) + integer.words
        if integer.overflow.terms:
            traps += [(integer.invalid, "invalid_conversion"), (integer.overflow, "integer_overflow")]
    return words, traps


__all__ = ["floating_point"]
