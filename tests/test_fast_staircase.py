"""Numbers cut off at both ends, and even staircases: as few instructions, and the same values as the knots give."""

from __future__ import annotations

import random

import numpy as np
import pytest
from fast_models import Features, compare

from wasm2xformer.runtime.fast.atoms import knots_value
from wasm2xformer.runtime.fast.staircase import Staircase, staircase

Knots = list[tuple[float, float]]


def steps(firsts: list[float], height: float = 1.0, unit: float = 1.0) -> Knots:
    """A step between the last point of the lattice below each of these and itself."""
    return [pair for f in firsts for pair in ((0.75 * unit - f, 2 * height / unit), (0.25 * unit - f, -2 * height / unit))]


def value(stairs: Staircase, x: int) -> float:
    return stairs.height * min(max(((x - stairs.first) >> stairs.shift) + 1, 0), stairs.steps)


@pytest.mark.parametrize("seed", range(40))
def test_they_are_the_function_on_the_lattice(seed: int):
    rng = random.Random(seed)
    unit = 2.0 ** rng.randrange(-3, 4)
    first, gap, count = rng.randrange(-50, 50), 2 ** rng.randrange(6), rng.randrange(3, 30)
    knots: Knots = steps([unit * (first + k * gap) for k in range(count)], rng.choice([1.0, -1.0, 8.0]), unit)
    if seed % 2:  # cut off at both ends
        low, width, slope = unit * rng.randrange(-50, 50), unit * rng.randrange(1, 90), rng.choice([1.0, -0.5, 4.0])
        knots = [(-low, slope), (-low - width, -slope)]
    stairs = staircase(knots, unit)
    assert stairs is not None
    x = np.arange(-200, 1200)
    assert [value(stairs, i) for i in x.tolist()] == knots_value(unit * x, knots).tolist()


@pytest.mark.parametrize(
    "knots",
    [
        steps([0, 4, 9]), steps([0, 3, 6]), steps([0, 4]), [*steps([0, 4]), *steps([8], 2.0)],
        [(0.5, 1.0), (-3.0, -1.0)], [(0.0, 1.0), (-1.0, 1.0)], [(0.0, 1.0), (-1.0, -2.0), (-2.0, 1.0)],
        [*steps([0, 4]), (-7.75, 1.0), (-9.25, -1.0)], [(2.0**60, 1.0), (0.0, -1.0)], [],
    ],
)  # fmt: skip
def test_what_is_none(knots: Knots):
    assert staircase(knots, 1.0) is None


def test_code_has_them(monkeypatch: pytest.MonkeyPatch):
    """Numbers too large for a table. The dense engine says what is right."""
    made: list[Staircase] = []
    monkeypatch.setattr("wasm2xformer.runtime.fast.arithmetic.staircase", lambda *a: made.append(staircase(*a)) or made[-1])
    f = Features(3)
    g = f.graph
    (s,) = g.cumulative_sum({"s": f.small})
    stairs = g.staircase(2.0**20 * s, -(2.0**22), 2.0**22, 5, "stairs")
    cut = g.gated("cut", (2.0**13 * s + 2.0**15, 1.0))
    g.add_neuron(2.0**13 * s - 2.0**15, 1.0, cut, -1.0)
    uneven = g.staircase(s, -3.0, 3.0, 4, "uneven")
    compare(f.finish(stairs + 2.0**-12 * cut + uneven), probe="index")
    found = [stair for stair in made if stair is not None]
    assert {stair.shift for stair in found} == {0, 2} and {stair.steps for stair in found} >= {5}
