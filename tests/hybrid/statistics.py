"""Rates and medians with their intervals."""

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


def median(values: list[float]) -> str:
    """The median, and an interval of 95 % for it: what stands n / 2 - 0.98 sqrt(n) from both ends."""
    ordered, n = sorted(values), len(values)
    low = max(0, math.floor(n / 2 - 0.98 * math.sqrt(n)) - 1)
    return f"{(ordered[(n - 1) // 2] + ordered[n // 2]) / 2:.2f} ({ordered[low]:.2f} to {ordered[n - 1 - low]:.2f})"
