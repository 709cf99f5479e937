"""Addresses as digits, for the paraboloid lookups: of slots two digits (12 and 8 bits), of bytes in memory four of 8 bits.

A sum of two addresses has as its low part, modulo B^i, the sum of their low parts less B^i where that carries. So all carries
stand in one MLP, and digit i is the difference of two low parts, divided by B^i.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.expr import Expr, total
from ..graph.graph import Graph

# A slot's lower digit; the upper one counts these.
SLOT_DIGIT = 4096
# A byte address has digits of a byte each.
BYTE_DIGITS = 4
# Positions up to which the latest write to a slot is told from the one before: 12-bit digits leave room for no more.
SLOT_POSITION_BITS = 26


def slot_sizes(slots: int) -> tuple[int, ...]:
    """The sizes of the digits of slot addresses below `slots`."""
    return (SLOT_DIGIT,) if slots <= SLOT_DIGIT else (SLOT_DIGIT, 256)


def digits_of_sum(g: Graph, name: str, parts: Sequence[Expr], size: int, carries: int) -> list[Expr]:
    """Digits of an address from its low parts, parts[i] = address modulo size^(i + 1) or more by up to `carries` times
    that; the last one is the address itself. The highest digit is what remains, it may be beyond the size, or negative."""
    low = []
    for i, part in enumerate(parts[:-1], 1):
        limit = float(size) ** i
        wraps = total(g.step(part - m * limit, f"{name}.carry{i}") for m in range(1, carries + 1))
        low.append(part - limit * wraps)
    low.append(parts[-1])
    return [low[0], *(float(size) ** -i * (b - a) for i, (a, b) in enumerate(zip(low, low[1:]), 1))]


def split(g: Graph, name: str, x: Expr, limit: int, sizes: Sequence[int]) -> list[Expr]:
    """Digits of 0 <= x < limit by rounding, the lowest first, all exact but the lowest, which keeps the noise of x (below 1/4).

    sizes: of all digits but the highest, whose size may be 256 at most. A digit that is always 0 is the constant 0.
    """
    result: list[Expr] = []
    for i in reversed(range(1, len(sizes) + 1)):
        unit = 1
        for size in sizes[:i]:
            unit *= size
        if limit <= unit:
            result.insert(0, Expr({}))
            continue
        digit = g.rounded(f"{name}/{unit}", (x + 0.5) * (1.0 / unit) + 0.5, 1.0 / unit) - 1.0
        x = x - float(unit) * digit
        result.insert(0, digit)
    return [x, *result]
