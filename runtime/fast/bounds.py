"""Ranges and granularities that hold for real numbers: exact, or rounded outwards.

The code relies on them for its memory accesses (docs/fast-engine.md lists which), so a bound may be too wide, never too
narrow. A sum of doubles is taken as it is only where nothing was rounded; everything else is computed with fractions and
rounded outwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from .interface import EXACT, INTEGER_LIMIT, LARGEST, WIDE_LIMIT, Refused

# Granularities that are told apart: whatever is a multiple of more counts as one of 2^LAST, and less than 2^FIRST is None.
_FIRST, _LAST = -200, 200


@dataclass(frozen=True)
class Bounds:
    """low <= value <= high, and value is a multiple of 2^exponent (None: of nothing in particular)."""

    low: float
    high: float
    exponent: int | None

    @property
    def integer(self) -> bool:
        return self.exponent is not None and self.exponent >= 0

    @property
    def magnitude(self) -> float:
        return max(abs(self.low), abs(self.high))

    @property
    def fits(self) -> bool:
        """Whether value * 2^-exponent is an integer of 64 bits, with room to spare."""
        return self.exponent is not None and self.magnitude < INTEGER_LIMIT * 2.0**self.exponent

    @property
    def wide(self) -> bool:
        """Whether it is one of 128 bits, with room to spare."""
        return self.exponent is not None and self.magnitude < WIDE_LIMIT * 2.0**self.exponent

    def below(self, exponent: int) -> bool:
        """Whether value * 2^-exponent is an integer of 64 bits, for an exponent of at most the own one."""
        return (
            self.exponent is not None and self.exponent >= exponent and self.magnitude < INTEGER_LIMIT * 2.0**exponent
        )

    def within(self, other: Bounds) -> bool:
        if other.exponent is not None and (self.exponent is None or self.exponent < other.exponent):
            return False
        return other.low <= self.low and self.high <= other.high

    def with_zero(self) -> Bounds:
        return Bounds(min(0.0, self.low), max(0.0, self.high), self.exponent)

    def times(self, count: int) -> Bounds:
        """Of a sum of 0 to `count` such values."""
        low, high = product(min(0.0, self.low), float(count)), product(max(0.0, self.high), float(count))
        return Bounds(low[0], high[1], self.exponent)


def units(value: float, exponent: int) -> int:
    """value * 2^-exponent, for a multiple of 2^exponent."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << -exponent) // denominator if exponent < 0 else numerator // (denominator << exponent)


def granular(exponent: int | None) -> int | None:
    return None if exponent is None or exponent < _FIRST else min(exponent, _LAST)


@cache
def exponent_of(value: float) -> int | None:
    """The largest e such that value is a multiple of 2^e (60 for 0), None for non-finite values and below 2^-60."""
    if value == 0:
        return 60
    if not math.isfinite(value):
        return None
    numerator, denominator = value.as_integer_ratio()
    exponent = (numerator & -numerator).bit_length() - denominator.bit_length()
    return min(exponent, _LAST) if exponent >= -60 else None


def exponent_of_all(values: np.ndarray) -> int | None:
    """The largest e such that all values are multiples of 2^e."""
    if not np.isfinite(values).all():
        return None
    if (np.abs(values) < 2.0**62).all() and (values == np.rint(values)).all():
        bits = int(np.bitwise_or.reduce(values.astype(np.int64)))
        return (bits & -bits).bit_length() - 1 if bits else 60
    exponents = [exponent_of(float(v)) for v in np.unique(values)]
    return None if None in exponents else min(exponents, default=60)  # type: ignore[type-var]


def bounds_of(values: np.ndarray) -> Bounds:
    """Of a finite set of numbers."""
    low, high = float(values.min()), float(values.max())
    return Bounds(_finite(low), _finite(high), exponent_of_all(values))


def total(constant: float, parts: Sequence[tuple[float, Bounds]]) -> Bounds:
    """constant + sum of factor * value, each value on its own: correlations are not seen."""
    low = high = constant
    size = abs(constant)
    exponent = exponent_of(constant)
    for c, b in parts:
        one, two = c * b.low, c * b.high
        low, high, size = low + min(one, two), high + max(one, two), size + max(abs(one), abs(two))
        scale = exponent_of(c)
        if exponent is None or b.exponent is None or scale is None:
            exponent = None
        else:
            exponent = min(exponent, b.exponent + scale)
    exponent = granular(exponent)
    # Rounding is monotone: a size below 2^53 units was one before rounding too, and then no operation rounded anything.
    if exponent is not None and size < EXACT * 2.0**exponent:
        return Bounds(low, high, exponent)
    _finite(size)
    return _widened(constant, parts, exponent)


def _widened(constant: float, parts: Iterable[tuple[float, Bounds]], exponent: int | None) -> Bounds:
    low = high = Fraction(constant)
    for c, b in parts:
        one, two = Fraction(c) * Fraction(b.low), Fraction(c) * Fraction(b.high)
        low, high = low + min(one, two), high + max(one, two)
    return Bounds(_outwards(low, -math.inf), _outwards(high, math.inf), exponent)


def read_exactly(bounds: Bounds) -> bool:
    """Whether float32 holds every such value."""
    return bounds.exponent is not None and bounds.magnitude <= 2.0 ** (bounds.exponent + 24) and bounds.magnitude < 2.0**100


def float32_bounds(bounds: Bounds) -> Bounds:
    """Of such values rounded to float32."""
    if bounds.magnitude >= 2.0**100:
        raise Refused("its numbers may grow to where those of float32 end")
    low, high = (float(np.float32(end)) for end in (bounds.low, bounds.high))
    least = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    exponent = math.frexp(least)[1] - 24 if least > 2.0**-100 else None  # a unit in the last place of the least one
    if bounds.exponent is not None:
        exponent = bounds.exponent if exponent is None else max(exponent, bounds.exponent)
    return Bounds(low, high, granular(exponent))


def product(a: float, b: float) -> tuple[float, float]:
    """The largest double that is not above a * b, and the smallest that is not below."""
    rounded = a * b
    if a.is_integer() and b.is_integer() and abs(rounded) < EXACT:
        return rounded, rounded
    _finite(rounded)
    exact = Fraction(a) * Fraction(b)
    return _outwards(exact, -math.inf), _outwards(exact, math.inf)


def _outwards(value: Fraction, direction: float) -> float:
    rounded = float(value)
    short = rounded > value if direction < 0 else rounded < value
    return math.nextafter(rounded, direction) if short else rounded


def _finite(value: float) -> float:
    if not abs(value) <= LARGEST:
        raise Refused(f"its numbers may grow beyond 2^{round(math.log2(LARGEST))}, where doubles end")
    return value
