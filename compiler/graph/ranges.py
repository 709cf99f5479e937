"""What values a variable can have: an interval, and the power of two of which all of them are multiples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Significant bits of a float32: an integer of so many is read exactly.
READ_BITS = 24
# No power of two is too fine for the number 0.
ANY = 1 << 20


@dataclass(frozen=True)
class Range:
    """low <= x <= high, and x is a multiple of 2^lowest. lowest None: it carries noise, whoever reads it takes that off."""

    low: float
    high: float
    lowest: int | None = 0

    @property
    def most(self) -> float:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def bits(self) -> float:
        """Of the largest, as a multiple of 2^lowest."""
        return 0.0 if self.lowest is None or not self.most else math.log2(self.most) - self.lowest

    @property
    def read_exactly(self) -> bool:
        """Whether float32 holds every such value, or is not asked to."""
        return self.bits <= READ_BITS

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high, _finer(self.lowest, other.lowest))

    def __mul__(self, other: Range) -> Range:
        products = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        lowest = None if self.lowest is None or other.lowest is None else self.lowest + other.lowest
        return Range(min(products), max(products), lowest if any(products) else ANY)

    def or_zero(self) -> Range:
        return Range(min(self.low, 0.0), max(self.high, 0.0), self.lowest)

    def positive(self) -> Range:
        """Of relu(x)."""
        return Range(max(self.low, 0.0), max(self.high, 0.0), self.lowest if self.high > 0 else ANY)


ZERO = Range(0.0, 0.0, ANY)


def _finer(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else min(a, b)


def lowest_bit(x: float) -> int:
    """The largest e with x a multiple of 2^e."""
    if x == 0:
        return ANY
    numerator, denominator = abs(x).as_integer_ratio()
    return (numerator & -numerator).bit_length() - denominator.bit_length()


def constant(x: float) -> Range:
    return Range(x, x, lowest_bit(x))


def added(ranges: Iterable[Range]) -> Range:
    """Of a sum."""
    result = ZERO
    for r in ranges:
        result = result + r
    return result


def of_values(values: Iterable[float]) -> Range:
    """Of any of these, or 0."""
    known = [0.0, *values]
    return Range(min(known), max(known), min(lowest_bit(v) for v in known))


__all__ = ["ANY", "READ_BITS", "ZERO", "Range", "added", "constant", "lowest_bit", "of_values"]
