"""Linear forms over atoms, which are numbers here: constant + sum of coefficient * atom."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .interface import LARGEST


class Form:
    """constant + sum coefficient * atom. terms: atom id -> coefficient (never 0). Immutable by convention."""

    __slots__ = ("_hash", "_key", "constant", "terms")

    def __init__(self, terms: dict[int, float], constant: float = 0.0):
        self.terms = terms
        self.constant = constant
        self._key: tuple | None = None
        self._hash: int | None = None

    @property
    def key(self) -> tuple:
        if self._key is None:
            self._key = (self.constant, *sorted(self.terms.items()))
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key == other.key

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.key)
        return self._hash

    def is_constant(self) -> bool:
        return not self.terms

    def is_zero(self) -> bool:
        return not self.terms and self.constant == 0.0

    def scaled(self, factor: float) -> Form:
        if factor == 1.0:
            return self
        if factor == 0.0:
            return ZERO
        terms = {a: c * factor for a, c in self.terms.items()}
        if not all(terms.values()):  # a product of small numbers may be 0
            terms = {a: c for a, c in terms.items() if c}
        return Form(terms, self.constant * factor)

    def plus(self, other: Form, factor: float = 1.0) -> Form:
        """self + factor * other."""
        return linear([(1.0, self), (factor, other)])

    def shifted(self, constant: float) -> Form:
        return Form(self.terms, self.constant + constant)

    def without_constant(self) -> Form:
        return Form(self.terms, 0.0) if self.constant else self

    def __repr__(self) -> str:
        return " + ".join([f"{c:g}*a{a}" for a, c in self.terms.items()] + [f"{self.constant:g}"])


def linear(parts: Iterable[tuple[float, Form]]) -> Form:
    """sum of factor * form."""
    terms: dict[int, float] = {}
    constant = 0.0
    for factor, form in parts:
        if factor == 0.0:
            continue
        constant += factor * form.constant
        for atom, c in form.terms.items():
            total = terms.get(atom, 0.0) + factor * c
            if total:
                terms[atom] = total
            else:
                terms.pop(atom, None)
    return Form(terms, constant)


ZERO = Form({}, 0.0)
ONE = Form({}, 1.0)


def power_of_two(form: Form) -> float:
    """The power of two by which to divide a form so that its smallest |coefficient| is in [1, 2); 1 for a very small one."""
    smallest = min(abs(c) for c in form.terms.values())
    exponent = math.floor(math.log2(smallest)) if smallest <= LARGEST else 0
    return 2.0**exponent if exponent > -300 else 1.0
