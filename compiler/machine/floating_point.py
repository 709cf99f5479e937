"""All operations on floating-point numbers: exact results of one format or the other, rounded."""

from __future__ import annotations

from .float_formats import FORMATS
from .float_product import float_product
from .float_sum import float_sum
from .floats import FloatWords, rounded
from .state import State


def floating_point(s: State) -> FloatWords:
    """What rows of these operations add to the words of the result."""
    words = FloatWords()
    for form in FORMATS:
        words = words + rounded(s, form, float_sum(s, form) + float_product(s, form))
    return words


__all__ = ["floating_point"]
