"""Ranges of forms and atoms, as `bounds.py` has them, with what is known of sums, roundings and steps together."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from .atoms import (
    Average,
    Float32,
    Kept,
    Key,
    Knots,
    Let,
    Position,
    PositionSquared,
    Read,
    Relu,
    Round,
    RunningMean,
    RunningSum,
    Share,
    Stamp,
    Table,
    knots_value,
)
from .bounds import Bounds, bounds_of, exponent_of, float32_bounds, granular, product, total
from .interface import EXACT, KEY_LIMIT
from .interned import Interned
from .linear import ONE, Form, linear

# Functions with steps are followed for arguments below this: all that is computed of them is exact.
MAX_WRAPPED = 2.0**40
# Each ramp of a form doubles what there is to look at: with more of them none is.
MAX_RAMPS = 6
# The points of a grid (see Ranges.knot_grid).
MAX_GRID = 4096


class Ranges(Interned):
    """Bounds of what has been interned."""

    def bounds(self, form: Form, assuming: bool = True) -> Bounds:
        """Interval and granularity of a form. Correlations are seen where a form has what is left by a rounding, or by
        a function that is constant but for some steps. assuming: what is assumed of the form itself counts."""
        found = self._form_bounds.get(form) if assuming else None
        if found is None:
            found = self._correlated(form, total(form.constant, self._pieces(form, assuming)))
            if assuming:
                self._form_bounds[form] = found
        return found

    def separately(self, form: Form) -> Bounds:
        """Interval and granularity with each atom on its own."""
        return total(form.constant, [(c, self.atom_bounds(atom)) for atom, c in form.terms.items()])

    def _pieces(self, form: Form, assuming: bool) -> list[tuple[float, Bounds]]:
        """Coefficients and bounds of atoms, or of sums of atoms of which more is known than of each."""
        parts: list[tuple[float, Bounds]] = []
        done: set[int] = set()
        for atom, c in form.terms.items():
            if atom in done:
                continue
            known = next(
                (
                    k
                    for k in self._ranges.get(atom, ())
                    if (assuming or len(form.terms) > len(k[0].terms)) and done.isdisjoint(k[0].terms) and _has(form, k[0], atom)
                ),
                None,
            )
            if known is None:
                parts.append((c, self.atom_bounds(atom)))
                continue
            done.update(known[0].terms)
            whole = total(0.0, [(w, self.atom_bounds(a)) for a, w in known[0].terms.items()])
            parts.append(
                (c / known[0].terms[atom], Bounds(max(whole.low, known[1]), min(whole.high, known[2]), whole.exponent))
            )
        return parts

    def _correlated(self, form: Form, bounds: Bounds) -> Bounds:
        """Only where all that is computed here is exact."""
        if len(form.terms) < 2 or bounds.exponent is None:
            return bounds
        low, high = bounds.low, bounds.high
        rounds = [a for a in form.terms if isinstance(self.atoms[a], Round)]
        if rounds:
            low, high = self._rounded_off(form, max(rounds), low, high)
        read = [a for a in form.terms if isinstance(self.atoms[a], Float32)]
        if read:
            low, high = self._read_off(form, max(read), low, high)
        knots = [a for a in form.terms if isinstance(self.atoms[a], Knots)]
        if knots:
            low, high = self._wrapped(form, knots, low, high)
        ramps = [a for a in form.terms if isinstance(what := self.atoms[a], Relu) and what.up == ONE]
        if 0 < len(ramps) <= MAX_RAMPS:
            low, high = self._cut_off(form, max(ramps), low, high)
        step = 2.0**bounds.exponent
        if max(abs(low), abs(high)) >= EXACT / 4 * step:
            return bounds
        return Bounds(math.ceil(low / step) * step, math.floor(high / step) * step, bounds.exponent)

    def _cut_off(self, form: Form, atom: int, low: float, high: float) -> tuple[float, float]:
        """x + c relu(g) is the larger of x and x + c g, for a negative c the smaller one."""
        c = form.terms[atom]
        rest = linear([(1.0, form), (-c, Form({atom: 1.0}))])
        one, other = self.bounds(rest), self.bounds(linear([(1.0, rest), (c, cast(Relu, self.atoms[atom]).gate)]))
        choose = max if c > 0 else min
        return max(low, choose(one.low, other.low)), min(high, choose(one.high, other.high))

    def _rounded_off(self, form: Form, atom: int, low: float, high: float) -> tuple[float, float]:
        """c round(q) is within |c| / 2 of c q, where it is not cut off."""
        c, what = form.terms[atom], cast(Round, self.atoms[atom])
        query = self.bounds(what.query)
        if query.low < what.low - 0.5 or query.high > what.high + 0.5:
            return low, high
        rest = self.bounds(linear([(1.0, form), (-c, Form({atom: 1.0})), (c, cast(Round, self.atoms[atom]).query)]))
        if rest.exponent is None or rest.magnitude + abs(c) >= EXACT / 4 * 2.0 ** min(rest.exponent, 0):
            return low, high
        return max(low, rest.low - abs(c) / 2), min(high, rest.high + abs(c) / 2)

    def _read_off(self, form: Form, atom: int, low: float, high: float) -> tuple[float, float]:
        """c float32(x) is within |c| / 2 units in the last place of c x."""
        c, x = form.terms[atom], cast(Float32, self.atoms[atom]).form
        rest = self.bounds(linear([(1.0, form), (-c, Form({atom: 1.0})), (c, x)]))
        off = abs(c) * 2.0 ** (math.frexp(max(self.bounds(x).magnitude, 2.0**-100))[1] - 25)
        if rest.exponent is None or rest.magnitude + off >= EXACT / 4 * 2.0 ** min(rest.exponent, 0):
            return low, high
        return max(low, rest.low - off), min(high, rest.high + off)

    def _wrapped(self, form: Form, knots: list[int], low: float, high: float) -> tuple[float, float]:
        """c x + knots(x) as one function of x: linear between the knots, and x is a multiple of 2^exponent."""
        steps = [(form.terms[a], cast(Knots, self.atoms[a])) for a in knots]
        x = steps[0][1].x
        if any(s.x != x for _, s in steps):
            return low, high
        rest = self.expanded(Form({a: c for a, c in form.terms.items() if a not in knots}))
        base = self.expanded(x)
        if not base.terms:  # a constant, written as something that cancels
            return low, high
        atom = next(iter(base.terms))
        slope = rest.terms.get(atom, 0.0) / base.terms[atom]
        if base.without_constant().scaled(slope) != rest.without_constant():
            return low, high
        bounds = self.bounds(x)
        if not bounds.below(-20) or bounds.magnitude >= MAX_WRAPPED or not 2.0**-20 <= abs(slope) < 2.0**20:
            return low, high
        step, points = 2.0**bounds.exponent, [bounds.low, bounds.high]  # type: ignore[operator]
        for _, s in steps:
            for t, _ in s.knots:
                points += [math.floor(-t / step) * step, math.ceil(-t / step) * step]
        at = np.clip(np.array(points), bounds.low, bounds.high)
        values = slope * (at - base.constant) + rest.constant + form.constant
        for c, s in steps:
            values = values + c * knots_value(at, list(s.knots))
        return max(low, float(values.min())), min(high, float(values.max()))

    def atom_bounds(self, atom: int) -> Bounds:
        found = self._bounds.get(atom)
        if found is None:
            found = self._bounds[atom] = self._atom_bounds(atom)
        return found

    def _atom_bounds(self, atom: int) -> Bounds:
        match self.atoms[atom]:
            case Position():
                return Bounds(self.first_position, float(self.last), 0)
            case PositionSquared():
                return Bounds(1.0, 2.0**64, 0)
            case Table(_, vector):
                return self.vector_bounds(vector)
            case Relu(gate, up):
                return self._relu_bounds(gate, up)
            case Knots(x, knots):
                return self._knots_bounds(x, knots)
            case RunningSum(number):
                return self.bounds(self.sums[number]).times(self.last)
            case RunningMean(number):
                b = self.bounds(self.sums[number])
                return Bounds(b.low, b.high, None)
            case Let(form) | Kept(form):
                return self.bounds(form)
            case Round(query, first, last):
                b = self.bounds(query)
                low, high = (min(max(x, first), last) for x in (math.floor(b.low + 0.5), math.ceil(b.high - 0.5)))
                return Bounds(low, high, 0)
            case Read(lookup, column):
                return self._column_bounds(lookup, column)
            case Average(lookup, column):
                b = self._column_bounds(lookup, column)
                return Bounds(b.low, b.high, None)
            case Stamp():
                return Bounds(0.0, float(self.last), 0)
            case Share():
                return Bounds(0.0, 1.0, None)
            case Float32(form):
                return float32_bounds(self.bounds(form))
            case Key(lookup):
                b = self.bounds(self.stores[self.lookups[lookup].store].key).with_zero()
                return Bounds(max(b.low, -float(KEY_LIMIT)), min(b.high, KEY_LIMIT - 1.0), 0)

    def _column_bounds(self, lookup: int, column: int) -> Bounds:
        """Of what a lookup may return: 0 where nothing has been stored."""
        kept = self.stores[self.lookups[lookup].store].columns[column]
        return self.bounds(cast(Form, kept)).with_zero()

    def _relu_bounds(self, gate: Form, up: Form) -> Bounds:
        g, u = self.bounds(gate), self.bounds(up)
        top = max(g.high, 0.0)
        exponent = None if g.exponent is None or u.exponent is None else granular(g.exponent + u.exponent)
        low, high = product(top, u.low)[0], product(top, u.high)[1]
        if gate == up:
            low = 0.0
        return Bounds(min(0.0, low), max(0.0, high), exponent)

    def _knots_bounds(self, x: Form, knots: tuple) -> Bounds:
        grid = self.knot_grid(x, knots)
        if grid is not None:
            return bounds_of(knots_value(grid, list(knots)))
        b = self.bounds(x)
        # The code for it computes with doubles: nothing relies on these bounds without looking.
        values = knots_value(np.array([*(-t for t, _ in knots), b.low, b.high]), list(knots))
        exponents = [exponent_of(v) for pair in knots for v in pair]
        found = bounds_of(values)
        if b.exponent is None or None in exponents:
            return Bounds(found.low, found.high, None)
        parts = [exponent_of(t) for t, _ in knots] + [b.exponent]
        exponent = min(parts) + min(exponent_of(c) for _, c in knots)  # type: ignore[type-var, operator]
        return Bounds(found.low, found.high, granular(exponent))

    def knot_grid(self, x: Form, knots: tuple) -> np.ndarray | None:
        """x = first, first + step, ..., from below all knots to above, where the lattice of x has few such points."""
        bounds = self.bounds(x)
        if bounds.exponent is None or bounds.exponent < -20:
            return None
        step = 2.0**bounds.exponent
        ends = -knots[0][0] / step, -knots[-1][0] / step
        if not all(abs(end) < EXACT / 2 for end in ends) or ends[1] - ends[0] > MAX_GRID:
            return None
        # Cut off in floating point: the bounds may be far outside of what an array can count.
        first = max(float(math.floor(ends[0])), min(bounds.low / step, EXACT / 2))
        last = min(float(math.ceil(ends[1])), max(bounds.high / step, -EXACT / 2))
        first, last = math.floor(first), math.ceil(last)
        return np.arange(first, max(first, last) + 1) * step


def _has(form: Form, part: Form, atom: int) -> bool:
    """Whether a form has a multiple of another one in it, as its coefficient of an atom says."""
    factor = form.terms[atom] / part.terms[atom]
    return all(form.terms.get(a) == factor * c for a, c in part.terms.items())
