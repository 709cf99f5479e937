"""Cases in which the next token is simple: where steps decide much of it, code branches on them and works it out for each case.

A step is an atom that is one number below a threshold of its argument and another from there on. In each branch it is a
constant; so the digits of a number are told apart by comparisons of the number, and the token is what is left: a constant, or
the number and a constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .atoms import Knots, knots_value
from .chain_emit import ChainEmitter
from .choose import choose
from .code import IrValue, double
from .context import Supposed
from .interface import EXACT
from .linear import Form
from .symbols import Symbols
from .unembed import Family, Unembeddings

# Cases of one position at most.
MOST_CASES = 24


@dataclass(frozen=True)
class Threshold:
    """An atom: `below` for x < at, else `above`."""

    x: Form
    at: float
    below: float
    above: float


class Case(NamedTuple):
    """A branch: columns of the unembedding, and what is known of forms: low <= form <= high."""

    columns: list[Form]
    ranges: dict[Form, tuple[float, float]]


def step(graph: Symbols, atom: int) -> Threshold | None:
    what = graph.atoms[atom]
    if not isinstance(what, Knots):
        return None
    grid = graph.knot_grid(what.x, what.knots)
    bounds = graph.bounds(what.x)
    if grid is None or not graph.atom_bounds(atom).fits or bounds.exponent != 0 or not bounds.below(0):
        return None
    values = knots_value(grid, list(what.knots))
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    return (
        Threshold(what.x, float(grid[changes[0]]), float(values[0]), float(values[-1])) if len(changes) == 1 else None
    )


def innermost(graph: Symbols, forms: Iterable[Form]) -> dict[Form, dict[int, Threshold]]:
    """Steps whose arguments have no steps in them, by argument."""
    atoms = dict.fromkeys(a for form in forms for a in graph.atoms_within(form))
    found = {atom: s for atom in atoms if (s := step(graph, atom)) is not None}
    groups: dict[Form, dict[int, Threshold]] = {}
    for atom, s in found.items():
        if s.x in groups or not any(a in found for a in graph.atoms_within(s.x)):
            groups.setdefault(s.x, {})[atom] = s
    return groups


def parted(graph: Symbols, case: Case, x: Form, groups: dict[Form, dict[int, Threshold]]) -> tuple[float, Case, Case]:
    """The case below and the one from the lowest threshold on, of the steps of x. What that says of other steps is seen where
    their arguments differ from x by no less or no more than some number."""
    at = min(s.at for s in groups[x].values())
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    for y, steps in groups.items():
        difference = graph.bounds(x.plus(y, -1.0))
        low |= {atom: s.below for atom, s in steps.items() if at - 1 - difference.low < s.at}
        high |= {atom: s.above for atom, s in steps.items() if at - difference.high >= s.at}
    below, above = Supposed(graph, {}, values=low), Supposed(graph, {}, values=high)
    bounds = graph.bounds(x)
    first, last = case.ranges.get(x, (math.ceil(bounds.low), math.floor(bounds.high)))
    return (
        at,
        Case([below(f) for f in case.columns], case.ranges | {x: (first, min(last, at - 1))}),
        Case([above(f) for f in case.columns], case.ranges | {x: (max(first, at), last)}),
    )


def _size(graph: Symbols, case: Case) -> int:
    return sum(len(graph.atoms_within(f)) for f in case.columns)


class NextToken(NamedTuple):
    """A token that has been chosen: an i32, of ids first .. last; the block that it is known in has been started."""

    ref: str
    first: int
    last: int


def cases(
    emitter: ChainEmitter, columns: list[Form], unembeddings: Unembeddings, budget: int = MOST_CASES
) -> Iterator[NextToken]:
    """The next token, in one case after the other; the caller ends each one's block."""
    yield from _cases(emitter, Case(columns, {}), unembeddings, budget)


def _cases(emitter: ChainEmitter, case: Case, unembeddings: Unembeddings, budget: int) -> Iterator[NextToken]:
    graph, code = emitter.graph, emitter.code
    groups = innermost(graph, case.columns) if budget > 1 else {}
    if not groups:
        yield _token(emitter, case, unembeddings)
        return
    trials = [parted(graph, case, x, groups) for x in groups]
    x, (at, below, above) = min(zip(groups, trials), key=lambda t: min(_size(graph, t[1][1]), _size(graph, t[1][2])))
    value = emitter.form(x)
    under, over = code.label("under"), code.label("over")
    code.do(f"br i1 {code.op(_less(emitter, value, at))}, label %{under}, label %{over}")
    code.start(under)
    small = budget // 2 if innermost(graph, below.columns) else 1
    yield from _cases(emitter.branch(), below, unembeddings, small)
    code.start(over)
    yield from _cases(emitter.branch(), above, unembeddings, budget - small)


def _less(emitter: ChainEmitter, value: IrValue, at: float) -> str:
    """Of a whole number. A sum of which a part is too large for an integer is a wide one or a double."""
    if value.kind == "f":
        return f"fcmp olt double {value.ref}, {double(at)}"
    if value.kind == "w":
        return f"icmp slt i128 {emitter.as_wide(value, 0)}, {int(at)}"
    return f"icmp slt i64 {emitter.as_int(value, 0)}, {int(at)}"


def _token(emitter: ChainEmitter, case: Case, unembeddings: Unembeddings) -> NextToken:
    found = unembeddings.families(case.columns)
    if len(found.families) == 1 and not len(found.ids):
        family = found.families[0]
        direct = _direct(emitter, case, family)
        if direct is not None:
            return direct
    return NextToken(choose(emitter, found, emitter.matrix), 0, emitter.context.tokens - 1)


def _direct(emitter: ChainEmitter, case: Case, family: Family) -> NextToken | None:
    """Where the best logit of a family is that of a whole number within it."""
    if family.a.is_zero() and family.b.is_zero():
        return NextToken(str(family.first), family.first, family.first)
    if not (family.a.is_constant() and family.a.constant > 0):
        return None
    quotient = family.b.scaled(0.5 / family.a.constant)
    if quotient.scaled(2 * family.a.constant) != family.b:
        return None
    if quotient.is_constant():
        # the lower one of two that are equally near
        best = min(max(math.ceil(quotient.constant - 0.5), 0), family.count - 1) + family.first
        return NextToken(str(best), best, best)
    bounds = emitter.graph.bounds(quotient)
    if bounds.exponent is None or bounds.exponent < 0 or not bounds.below(0):
        return None
    low, high = max(bounds.low, -EXACT), min(bounds.high, EXACT)
    known = case.ranges.get(quotient.without_constant())
    if known is not None:
        low, high = max(low, known[0] + quotient.constant), min(high, known[1] + quotient.constant)
    if low < 0 or high > family.count - 1:
        return None
    code, value = emitter.code, emitter.form(quotient)
    number = code.op(f"fptosi double {value.ref} to i64") if value.kind == "f" else emitter.as_int(value, 0)
    whole = code.op(f"add i64 {number}, {family.first}")
    return NextToken(code.op(f"trunc i64 {whole} to i32"), int(low) + family.first, int(high) + family.first)
