"""What long division by circuits has in common: exact comparisons of numbers in two words, and the next digit found by them.

A number is H 2^32 + L, two words from which no carry has been removed, |L| < 2^43:

    H 2^32 + L >= 0     if and only if     2^32 clip(H) + L >= 0,     clip: to -2^11 .. 2^11

where the high part is cut off it decides alone, and where it is not, the sum is the number. All sums are integers below 2^46, so
in float64 each comparison is right.
"""

from __future__ import annotations

from ..graph.expr import Expr, Variable, total
from ..graph.graph import Graph
from .words import WORD

# High words are cut off here: 2^32 times that is beyond all low words.
CLIP = 2.0**11
# How many multiples of the unit each stage tells apart; together 256. More stages are more layers and fewer comparisons.
RADICES = (4, 4, 4, 4)
# Two words, the low one first.
Pair = tuple[Expr, Expr]


def at_least_zero(g: Graph, name: str, number: Pair) -> Variable:
    """1 where a number in two words is 0 or more, else 0."""
    low, high = number
    clipped = g.gated(f"{name}.high", (high + CLIP, 1.0))
    g.add_neuron(high - CLIP, 1.0, clipped, -1.0)
    g.declare(clipped, 0.0, 2.0 * CLIP)
    return g.step(WORD * (clipped - CLIP) + low, name)


def next_digit(g: Graph, name: str, rest: Pair, unit: Pair, squared: Expr | None = None) -> Expr:
    """The greatest d in 0..255 with d unit + squared d^2 <= rest; 0 <= squared <= 1.

    It is counted in stages (RADICES): first how many of 64, 128, 192 it reaches, then what is left is compared likewise. Where it
    has reached d, k weight more take k weight (unit + 2 squared d) + squared (k weight)^2.
    """
    digit, so_far, weight = Expr({}), Expr({}), 256.0
    for radix in RADICES:
        weight /= radix
        low, high = unit[0] + so_far, unit[1]
        steps = []
        for k in range(1, radix):
            square = (k * weight) ** 2 * squared if squared is not None else Expr({})
            multiple = (rest[0] - k * weight * low - square, rest[1] - k * weight * high)
            steps.append(at_least_zero(g, f"{name}>={k * weight:g}", multiple))
        count = total(steps)
        digit = digit + weight * count
        if weight == 1.0:
            break
        rest = (
            Expr.of(g.gated(f"{name} rest.low of {weight:g}", (1.0, rest[0]), (count, -weight * low))),
            Expr.of(g.gated(f"{name} rest.high of {weight:g}", (1.0, rest[1]), (count, -weight * high))),
        )
        if squared is not None:
            # count^2 is 1, 4, 9 where steps are 1, 2, 3
            squares = total((2.0 * k - 1.0) * step for k, step in enumerate(steps, 1))
            taken = g.product(squared, squares, f"{name} square of {weight:g}")
            g.declare(taken, 0.0, (radix - 1.0) ** 2)
            rest = (rest[0] - weight**2 * taken, rest[1])
            so_far = so_far + 2.0 * weight * g.product(squared, count, f"{name} reached {weight:g}")
    return digit


__all__ = ["CLIP", "RADICES", "Pair", "at_least_zero", "next_digit"]
