"""All operations on floating-point numbers: exact results of one format or the other, rounded; and comparisons."""

from __future__ import annotations

from .float_conversions import float_of_integer, float_of_other
from .float_formats import FORMATS
from .float_order import float_order
from .float_product import float_product
from .float_sum import float_sum
from .floats import FloatWords, rounded
from .state import State
from .words import Signs


def floating_point(s: State, sign: Signs) -> FloatWords:
    """What rows of these operations add to the words of the result."""
    words = FloatWords()
    for form in FORMATS:
        exact = float_sum(s, form) + float_product(s, form) + float_of_integer(s, sign, form) + float_of_other(s, form)
        words = words + rounded(s, form, exact) + float_order(s, form)
    return words


__all__ = ["floating_point"]
