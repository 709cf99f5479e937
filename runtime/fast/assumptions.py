"""What the analysis takes for granted and generated code checks: ranges of forms, that a rounding gives a position."""

from __future__ import annotations

import math
from collections.abc import Container

from .atoms import Round
from .linear import Form, power_of_two
from .ranges import Ranges
from .stores import DigitWindow

# Roundings are taken to give positions up to here (if the prefix has as many).
ROUNDING_LIMIT = 4096


class Assumptions(Ranges):
    """`assumptions` collects what has to be checked, `queries` what is rounded."""

    def rounded(self, query: Form) -> Form | None:
        """The position nearest to a query, as a form: the integer nearest to it. None if it may be halfway between two.

        Right for queries between the first and the current position; a range for it is assumed, see `assume`.
        """
        varying, bounds = self.bounds(query.without_constant()), self.bounds(query)
        if varying.exponent is None:
            return None
        step = 2.0**varying.exponent
        if varying.exponent < 0 and (query.constant / step) % 1.0 == 0:
            return None
        if (varying.exponent >= 0 and not bounds.integer) or not self.bounds(query, assuming=False).fits:
            return None
        if not (bounds.low >= 0.5 and bounds.high < self.started + 0.5):
            high = min(self.started, ROUNDING_LIMIT) + 0.5
            self.assumptions.append(self.assume(query, 0.5, high))
        self.queries.append(query)
        if bounds.integer:
            return query
        return self.of(Round(query))

    def rounded_entry(self, query: Form, first: float, last: float, start: int) -> Form | None:
        """The number nearest to a query of first .. last, the keys of a table whose entries stand at positions start, start + 1,
        ...; where it divides whole numbers, it is assumed to be there, so that what is left has a range. None if it has no
        granularity."""
        bounds, unit = self.bounds(query), min(map(abs, query.terms.values()), default=1.0)
        if bounds.exponent is None:
            return None
        inside = self._reaches(query, first, last)
        whole = bounds.integer or (unit < 1.0 and 2.0 ** self.bounds(query.without_constant()).exponent >= unit)  # type: ignore[operator]
        if not inside and whole and self.trusting and self.bounds(query, assuming=False).fits:
            self.assumptions.append(self.assume(query, first - 0.5, last + 0.5))
            inside = self._reaches(query, first, last)
        found = query if inside and self.bounds(query).integer else self.of(Round(query, first, last))
        self.growing.append((found, first, start))
        return found

    def _reaches(self, query: Form, first: float, last: float) -> bool:
        """Whether the integer nearest to a query is in first .. last."""
        bounds = self.bounds(query)
        return bounds.low >= first - 0.5 and bounds.high < last + 0.5

    def assume_exclusive(self, atoms: Container[int]) -> None:
        """Assumes of the pairs among these atoms that one of the two is 0: the digit of a value is one of the token
        or of another one, never of both. Checked where the value is stored."""
        for returned, read in self.pairs:
            if any(a in self._ranges or a not in atoms for a in returned.terms):
                continue
            bounds = [self.bounds(Form({a: c})) for a, c in returned.terms.items()]
            low, high = min(0.0, *(b.low for b in bounds)), max(0.0, *(b.high for b in bounds))
            self.know(returned, low, high)
            self.assumptions.append(self.assume(read, low, high + 0.5))

    def within(self, window: DigitWindow) -> bool:
        """Whether a window holds without looking."""
        bounds = self.bounds(window.form)
        return window.low <= bounds.low and bounds.high < window.low + window.size

    def assume(self, form: Form, low: float, high: float) -> tuple[Form, float, float]:
        """From now on low <= form < high counts as known; generated code checks it at every position. Returns the same of
        the form without constant and scale."""
        base, scale = _direction(form)
        low, high = (low - form.constant) / scale, (high - form.constant) / scale
        bounds = self.bounds(base)
        assert bounds.exponent is not None
        step = 2.0**bounds.exponent
        low, high = math.ceil(low / step) * step, math.ceil(high / step) * step
        if not (low <= bounds.low and bounds.high < high):
            self.know(base, low, high - step)
        return base, low, high

    def know(self, base: Form, low: float, high: float) -> None:
        """low <= base <= high, wherever a form has a multiple of it."""
        known = next((k for k in self._ranges.get(next(iter(base.terms)), ()) if k[0] == base), None)
        if known is not None:
            low, high = max(low, known[1]), min(high, known[2])
            if known == (base, low, high):
                return
        for atom in base.terms:
            others = [k for k in self._ranges.get(atom, ()) if k[0] != base]
            # The longest forms first: of them more is known than of their parts.
            self._ranges[atom] = sorted([*others, (base, low, high)], key=lambda k: -len(k[0].terms))
        self._bounds.clear()
        self._form_bounds.clear()


def _direction(form: Form) -> tuple[Form, float]:
    """(base, scale) with form = scale * base + constant, the same base for all multiples of a form by powers of two."""
    scale = power_of_two(form)
    return form.without_constant().scaled(1 / scale), scale
