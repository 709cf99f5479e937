"""The atoms: what one number per position can be, other than a linear form of others.

`parts` is the one way to walk through them: passes that ask what an atom depends on see its parts, whatever its kind is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .linear import Form


@dataclass(frozen=True, slots=True)
class Position:
    """n, counted from 1; or what a checkpoint counts itself, where positions are no input (see counting.py)."""


@dataclass(frozen=True, slots=True)
class PositionSquared:
    """n^2."""


@dataclass(frozen=True, slots=True)
class Table:
    """vector[source]. A source is an integer with a finite domain: the current token, a token stored by a lookup, a row of a
    static lookup. Everything that depends on one source only is a table."""

    source: int
    vector: int


@dataclass(frozen=True, slots=True)
class Relu:
    """relu(gate) * up."""

    gate: Form
    up: Form


@dataclass(frozen=True, slots=True)
class Knots:
    """sum of c * relu(x + t) over knots (t, c), the greatest t first, with slopes c that add up to 0: steps, one-hots, tables."""

    x: Form
    knots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class RunningSum:
    """Of form `number` of Symbols.sums over the positions so far."""

    number: int


@dataclass(frozen=True, slots=True)
class RunningMean:
    number: int


@dataclass(frozen=True, slots=True)
class Read:
    """A column of the position that a lookup finds."""

    lookup: int
    column: int


@dataclass(frozen=True, slots=True)
class Average:
    """A column's softmax average."""

    lookup: int
    column: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """The number of the position that a lookup finds."""

    lookup: int


@dataclass(frozen=True, slots=True)
class Key:
    """The key of the position that a lookup finds."""

    lookup: int


@dataclass(frozen=True, slots=True)
class Round:
    """The integer nearest to a form that is never halfway between two; of low .. high, where these are given."""

    query: Form
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Float32:
    """A form rounded to the nearest float32."""

    form: Form


@dataclass(frozen=True, slots=True)
class Share:
    """1 / n, where n counts every position from 1: the mean of what is 1 at the first position and 0 behind it."""


@dataclass(frozen=True, slots=True)
class Let:
    """A name for a long form, so that it is computed once."""

    form: Form


@dataclass(frozen=True, slots=True)
class Kept:
    """What a form was at the position before, where it is that still and code has kept it. Nobody looks into it."""

    form: Form


Atom = (
    Position
    | PositionSquared
    | Table
    | Relu
    | Knots
    | RunningSum
    | RunningMean
    | Read
    | Average
    | Stamp
    | Key
    | Round
    | Float32
    | Share
    | Let
    | Kept
)


class Parts(NamedTuple):
    """What an atom is a function of: forms of the same position, a source, a running sum, a lookup and a column of it."""

    forms: tuple[Form, ...] = ()
    source: int | None = None
    sum: int | None = None
    lookup: int | None = None
    column: int | None = None


def parts(atom: Atom) -> Parts:
    match atom:
        case Table(source):
            return Parts(source=source)
        case Relu(gate, up):
            return Parts((gate, up))
        case Knots(form) | Let(form) | Round(form) | Float32(form):
            return Parts((form,))
        case RunningSum(number) | RunningMean(number):
            return Parts(sum=number)
        case Read(lookup, column) | Average(lookup, column):
            return Parts(lookup=lookup, column=column)
        case Stamp(lookup) | Key(lookup):
            return Parts(lookup=lookup)
        case Position() | PositionSquared() | Share() | Kept():
            return Parts()


def knots_value(x: np.ndarray, knots: list[tuple[float, float]]) -> np.ndarray:
    """sum of c * relu(x + t)."""
    total = np.zeros(len(x))
    for t, c in knots:
        total += c * np.maximum(x + t, 0)
    return total
