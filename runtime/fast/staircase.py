"""Piecewise-linear functions of integers that take few instructions: numbers cut off at both ends, and even staircases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .interface import EXACT

# So many steps are worth a shift and a clamp.
LEAST_STEPS = 3


@dataclass(frozen=True)
class Staircase:
    """height * clamp(((x - first) >> shift) + 1, 0, steps) for an integer x: 0 below first, height there, 2 height at
    first + 2^shift, ... With shift 0 that is x cut off at both ends, less first - 1."""

    first: int
    shift: int
    steps: int
    height: float


def staircase(knots: Sequence[tuple[float, float]], step: float) -> Staircase | None:
    """sum of c * relu(x + t) over the (t, c) pairs, in the order of falling t, as a staircase of x / step for multiples x of
    `step`, a power of two. None where it is no such function, or a number is too large for that."""
    if len(knots) % 2 or not all(abs(t) < EXACT / 2 * step for t, _ in knots):
        return None
    pairs = list(zip(knots[::2], knots[1::2], strict=True))
    if any(a[1] != -b[1] for a, b in pairs):
        return None
    if len(pairs) == 1:
        ((t, c), (end, _)) = pairs[0]
        low, high = -t / step, -end / step
        if low.is_integer() and high.is_integer():
            return Staircase(int(low) + 1, 0, int(high - low), c * step)
        return None
    firsts, heights = [], set()
    for (t, c), (end, _) in pairs:
        firsts.append(math.ceil(-end / step))
        heights.add(c * (t - end))
        if firsts[-1] - 1 > -t / step:  # it rises over more than one point
            return None
    gaps = {b - a for a, b in zip(firsts, firsts[1:])}
    if len(firsts) < LEAST_STEPS or len(heights) > 1 or len(gaps) > 1:
        return None
    (gap,), (height,) = gaps, heights
    return Staircase(firsts[0], gap.bit_length() - 1, len(firsts), height) if gap > 0 and gap & (gap - 1) == 0 else None


__all__ = ["Staircase", "staircase"]
