"""Sums and products of arrays of doubles, and whether they are exact."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(s, r): s is a + b rounded to a double, s + r is a + b (D. E. Knuth, The Art of Computer Programming, volume 2, 4.2.2)."""
    total = a + b
    added = total - a
    return total, (a - (total - added)) + (b - added)


def summed(parts: Iterable[np.ndarray], size: int) -> tuple[np.ndarray, bool]:
    """(the sum of float64 [size] arrays, whether nothing of it has been rounded off). What additions round off is added up,
    too, so that numbers may cancel in any order."""
    total, rest, exact = np.zeros(size), np.zeros(size), True
    for part in parts:
        total, off = two_sum(total, part)
        rest, less = two_sum(rest, off)
        exact &= not less.any()
    total, less = two_sum(total, rest)
    return total, exact and not less.any()


def multiplied(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a * b is exact, for numbers below 2^480 (T. J. Dekker's product of two)."""
    product = a * b
    (high, low), (other_high, other_low) = _halves(a), _halves(b)
    off = ((high * other_high - product) + high * other_low + low * other_high) + low * other_low
    return not off.any()


def _halves(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(h, l) of 26 bits each, with a = h + l."""
    scaled = (2.0**27 + 1.0) * a
    high = scaled - (scaled - a)
    return high, a - high
