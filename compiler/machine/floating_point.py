"""All operations on floating-point numbers: exact results of one format or the other, rounded; comparisons; integers."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr
from .float_conversions import float_of_integer, float_of_other
from .float_digits import FloatDigits, LongNumbers, float_digits
from .float_formats import FORMATS
from .float_integers import integer_of_float
from .float_order import float_order
from .float_product import float_product
from .float_quotient import float_quotient
from .float_root import float_root
from .float_rounding import float_rounding
from .float_sum import float_sum
from .floats import FloatWords, rounded
from .state import State
from .words import Signs


@dataclass
class FloatResults:
    """words: added to those of the result. digits: of quotients and roots. traps: (1 where the row traps, the kind of trap)."""

    words: FloatWords
    digits: FloatDigits
    traps: list[tuple[Expr, str]]


def floating_point(s: State, sign: Signs) -> FloatResults:
    """What rows of these operations do."""
    words, traps, long = FloatWords(), [], {form: (float_quotient(s, form), float_root(s, form)) for form in FORMATS}
    digits = float_digits(s, sum((numbers for both in long.values() for numbers, _ in both), LongNumbers()))
    for form in FORMATS:
        (_, quotient), (_, root) = long[form]
        found = quotient + root
        found.lost = digits.lost if found.digits else Expr({})
        exact = float_sum(s, form) + float_product(s, form) + float_of_integer(s, sign, form) + float_of_other(s, form)
        exact = exact + found
        integer = integer_of_float(s, form)
        words = words + rounded(s, form, exact) + float_order(s, form) + float_rounding(s, form) + integer.words
        if integer.overflow.terms:
            traps += [(integer.invalid, "invalid_conversion"), (integer.overflow, "integer_overflow")]
    return FloatResults(words, digits, traps)


__all__ = ["FloatResults", "floating_point"]
