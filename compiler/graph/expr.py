"""Linear forms over named variables: the only thing a weight row can read from the residual stream."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field


@dataclass(eq=False)
class Variable:
    """One number per position, held in one residual slot. Its value is the sum of everything written to it:
    an embedding column, head outputs, neurons. Identity is the object; the name is for people.

    embedding: value by token id (absent: 0). Heads and neurons keep their own lists of what they write.
    """

    name: str
    graph: object
    embedding: dict[int, float] = field(default_factory=dict)

    def __add__(self, other: Number) -> Expr:
        return Expr.of(self) + other

    __radd__ = __add__

    def __sub__(self, other: Number) -> Expr:
        return Expr.of(self) - other

    def __rsub__(self, other: Number) -> Expr:
        return -Expr.of(self) + other

    def __mul__(self, factor: float) -> Expr:
        return Expr.of(self) * factor

    __rmul__ = __mul__

    def __neg__(self) -> Expr:
        return -Expr.of(self)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Expr:
    """sum of coefficient * variable, plus a constant. Coefficients are exact float64 values; no term is 0."""

    terms: dict[Variable, float]
    constant: float = 0.0

    @staticmethod
    def of(value: Number) -> Expr:
        if isinstance(value, Expr):
            return value
        if isinstance(value, Variable):
            return Expr({value: 1.0})
        return Expr({}, float(value))

    def __add__(self, other: Number) -> Expr:
        other = Expr.of(other)
        terms = dict(self.terms)
        for variable, weight in other.terms.items():
            total = terms.get(variable, 0.0) + weight
            if total:
                terms[variable] = total
            else:
                terms.pop(variable, None)
        return Expr(terms, self.constant + other.constant)

    __radd__ = __add__

    def __neg__(self) -> Expr:
        return self * -1.0

    def __sub__(self, other: Number) -> Expr:
        return self + -Expr.of(other)

    def __rsub__(self, other: Number) -> Expr:
        return -self + other

    def __mul__(self, factor: float) -> Expr:
        if not isinstance(factor, (int, float)):
            raise TypeError("a linear form can only be multiplied by a number; use Graph.product for two variables")
        if factor == 0:
            return Expr({})
        return Expr({v: w * factor for v, w in self.terms.items()}, self.constant * factor)

    __rmul__ = __mul__

    def only(self, variables: Container[Variable]) -> Expr:
        """Its terms over these variables, and the constant."""
        return Expr({v: w for v, w in self.terms.items() if v in variables}, self.constant)

    def key(self) -> tuple:
        """Equal keys mean equal forms; used to share heads and neurons."""
        return (self.constant, tuple(sorted((id(v), w) for v, w in self.terms.items())))


Number = Variable | Expr | float | int


def total(values) -> Expr:
    """Sum of linear forms."""
    result = Expr({})
    for value in values:
        result = result + value
    return result
