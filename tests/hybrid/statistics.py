"""Rates with their intervals."""

from __future__ import annotations

import math


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's, of 95 %."""
    z = 1.96
    p, n = right / count, count
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))


def rate(right: int, count: int) -> str:
    low, high = interval(right, count)
    return f"{right} of {count} (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
