"""The symbols of one checkpoint, and the forms made of them.

A residual slot is a `Form`: constant + sum of coefficient * atom (linear.py, atoms.py). Two atoms with the same description are
the same atom, so common subexpressions are shared by construction, and what is subtracted again cancels exactly.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from .assumptions import Assumptions
from .atoms import Knots, Relu, RunningMean, RunningSum, knots_value
from .exact_sums import multiplied
from .linear import ONE, ZERO, Form, linear, power_of_two
from .stores import IndexSource


class Symbols(Assumptions):
    """Neurons, means and piecewise-linear functions as forms, folded where they can be."""

    def neuron(self, gate: Form, up: Form) -> Form:
        """relu(gate) * up, folded where it is linear, zero or a function of one source."""
        found = self._folded.get((gate, up))
        if found is None:
            found = self._folded[gate, up] = self._neuron(gate, up)
        return found

    def _neuron(self, gate: Form, up: Form) -> Form:
        if up.is_zero():
            return ZERO
        if gate.is_constant():
            return up.scaled(gate.constant) if gate.constant > 0 else ZERO
        bounds = self.bounds(gate)
        if bounds.high <= 0:
            return ZERO
        source = self.single_source(gate, up)
        if source is not None and self._exactly(source, gate, up):
            return self.table(source, np.maximum(self.evaluate(gate, source), 0) * self.evaluate(up, source))
        if up.is_constant() and bounds.low >= 0:
            return gate.scaled(up.constant)
        if gate.constant == 0 and set(gate.terms) == {self.n} and set(up.terms) == {self.n} and up.constant == 0:
            return Form({self.nn: gate.terms[self.n] * up.terms[self.n]})
        factor = 1.0
        scale = power_of_two(gate)
        if scale != 1.0:
            gate, factor = gate.scaled(1 / scale), factor * scale
        if set(gate.terms) == {self.n} and gate.constant == 0:
            summed = self._sum_of_mean(up)
            if summed is not None:
                return summed.scaled(factor * gate.terms[self.n])
        scale = up.constant if up.is_constant() else power_of_two(up)
        if scale != 1.0:
            up, factor = (ONE if up.is_constant() else up.scaled(1 / scale)), factor * scale
        return self.of(Relu(gate, up), factor)

    def _exactly(self, source: int, *factors: Form) -> bool:
        """Whether the values of forms of a source, and their product, are doubles, or are as the matrices have them: where reads
        are rounded, several slots may hold what is one number here."""
        if not self.counted:
            return True
        if not all(self.evaluates(form, source) for form in factors):
            return False
        known = [self.bounds(form).exponent for form in factors]
        return None in known or len(factors) < 2 or multiplied(*(self.evaluate(form, source) for form in factors))

    def _sum_of_mean(self, up: Form) -> Form | None:
        """n * up when up is a combination of means: a combination of sums, and n for the constant."""
        terms: dict[int, float] = {}
        for atom, c in up.terms.items():
            what = self.atoms[atom]
            if not isinstance(what, RunningMean):
                return None
            terms[self.atom(RunningSum(what.number))] = c
        if up.constant:
            terms[self.n] = up.constant
        return Form(terms) if up.terms else None

    def mean(self, form: Form) -> Form:
        """The mean of a form over the positions so far."""
        if form.is_constant():
            return form
        base = form.without_constant()
        scale = power_of_two(base)
        base = base.scaled(1 / scale)
        number = self._sum_ids.setdefault(base, len(self.sums))
        if number == len(self.sums):
            self.sums.append(base)
        return self.of(RunningMean(number), scale, form.constant)

    def stored_source(self, lookup: int, column: int, size: int) -> int:
        """The source that column `column` of a lookup's store holds, as the lookup returns it."""
        return self.source(IndexSource(("stored", lookup, column), size))

    def knots(self, x: Form, knots: list[tuple[float, float]]) -> Form:
        """sum of c * relu(x + t) over the (t, c) pairs; x without constant.

        When the slopes add up to 0 this is one atom, constant outside the knots: no cancellation of large numbers.
        """
        key = ("knots", x, tuple(knots))
        found = self._folded.get(key)
        if found is None:
            found = self._folded[key] = self._knots(x, knots)
        return found

    def _knots(self, x: Form, knots: list[tuple[float, float]]) -> Form:
        knots = [(t, c) for t, c in sorted(knots, reverse=True) if c]
        if not knots:
            return ZERO
        if x.is_constant():
            return Form({}, float(knots_value(np.array([x.constant]), knots)[0]))
        source = self.single_source(x)
        if source is not None and self._exactly(source, x):
            values = self.evaluate(x, source)
            return self.table(source, knots_value(values, knots))
        if len(knots) < 2 or sum(c for _, c in knots) != 0:
            return linear([(c, self.neuron(x.shifted(t), ONE)) for t, c in knots])
        bounds = self.bounds(x)
        if bounds.high + knots[0][0] <= 0:
            return ZERO
        if bounds.low + knots[-1][0] >= 0:
            return Form({}, float(sum(t * c for t, c in knots)))
        scale = power_of_two(x)
        if scale != 1.0:
            x = x.scaled(1 / scale)
            knots = [(t / scale, c * scale) for t, c in knots]
        return self.of(Knots(x, tuple(knots)))

    def gathered(self, form: Form) -> Form:
        """The same form with neurons that share a gate added up: relu(g) u + relu(g) v = relu(g) (u + v)."""
        groups: dict[Form, list[int]] = {}
        for atom in form.terms:
            what = self.atoms[atom]
            if isinstance(what, Relu) and what.up != ONE:
                groups.setdefault(what.gate, []).append(atom)
        if not groups:
            return form
        gone = {atom for atoms in groups.values() for atom in atoms}
        rest = Form({a: c for a, c in form.terms.items() if a not in gone}, form.constant)
        sums = {
            g: linear([(form.terms[a], cast(Relu, self.atoms[a]).up) for a in atoms]) for g, atoms in groups.items()
        }
        parts = [(1.0, rest)]
        for gate, up in sums.items():
            up = self.shortest(self.gathered(up))
            # Of pieces of a number and of its negative the same atom is to come.
            sign = -1.0 if self.counted and up.terms and up.terms[min(up.terms)] < 0 else 1.0
            parts.append((sign, self.neuron(gate, up.scaled(sign))))
        return linear(parts)

    def shortest(self, form: Form) -> Form:
        """The form itself, or with what its `let` atoms stand for, if that is not longer."""
        expanded = self.expanded(form)
        return expanded if len(expanded.terms) <= len(form.terms) else form

    def normal(self, form: Form) -> Form:
        """The same form with everything cancelled that can be, for proofs; not as it is computed."""
        found = self._folded.get(("normal", form))
        if found is None:
            found = self.merged(self.gathered(self.expanded(form)))
            parts = [(1.0, Form({}, found.constant))]
            for atom, c in found.terms.items():
                what = self.atoms[atom]
                if isinstance(what, Relu):
                    parts.append((c, self.neuron(what.gate, self.normal(what.up))))
                else:
                    parts.append((c, Form({atom: 1.0})))
            found = self._folded["normal", form] = linear(parts)
        return found
