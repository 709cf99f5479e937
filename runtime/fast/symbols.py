"""The symbols of one checkpoint: all atoms, tables, sources, stores and lookups, interned, and the forms made of them.

A residual slot is a `Form`: constant + sum of coefficient * atom (linear.py, atoms.py). Two atoms with the same description are
the same atom, so common subexpressions are shared by construction, and what is subtracted again cancels exactly.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from .atoms import (
    Atom,
    Average,
    Key,
    Knots,
    Let,
    Parts,
    Position,
    PositionSquared,
    Read,
    Relu,
    Round,
    RunningMean,
    RunningSum,
    Stamp,
    Table,
    parts,
)
from .bounds import Bounds, bounds_of, exponent_of, granular, product, total
from .interface import ANALYSIS_BYTES, EXACT, KEY_LIMIT, LARGEST, MAX_POSITION, Room
from .linear import ONE, ZERO, Form, linear

# Roundings are taken to give positions up to here (if the prefix has as many).
ROUNDING_LIMIT = 4096
# Functions with steps are followed for arguments below this: all that is computed of them is exact.
MAX_WRAPPED = 2.0**40
# A form with more terms than this becomes a `let` when it is written to a residual slot.
LET_TERMS = 2
# The points of a grid (see Symbols.knot_grid).
MAX_GRID = 4096


@dataclass(frozen=True)
class IndexSource:
    """An integer in range(size) per position. name says where it comes from:

    ("token",)               the token at this position
    ("row", lookup)          the row that a static lookup selects
    ("stored", lookup, k)    column k of what a lookup returns: 1 + another source's value, or 0 for "nothing stored
                             yet" (every table is 0 there)
    """

    name: tuple
    size: int


@dataclass(frozen=True)
class DigitWindow:
    """low <= form < low + size: lower digits of a key or a query, as one number. Where that is not proved it is checked."""

    form: Form
    low: float
    size: float


@dataclass
class Store:
    """What positions leave behind for later ones. Lookups with different queries share a store.

    kind "delay":    the last few positions
         "register": the latest position with the least penalty
         "keyed":    by integer key the latest position whose penalty is 0
         "soft":     all positions, with all components of their keys
    columns: what is kept of a position: a form's value, or a source (its index in Symbols.sources).
    latest: the latest of equal keys, and of equally near ones, wins. Without that they must not occur.
    nonnegative: the key's square is only right for keys >= 0.
    exact: a lookup finds its key, or nothing: all columns are 0 then. windows: the key's digits, see heads.py.
    keys, layer: of a soft store.
    """

    kind: str
    key: Form = ZERO
    penalty: Form = ZERO
    latest: bool = True
    nonnegative: bool = False
    exact: bool = False
    windows: tuple[DigitWindow, ...] = ()
    keys: tuple[Form, ...] = ()
    layer: int = 0
    columns: list[Form | int] = field(default_factory=list)
    _numbers: dict[Form | int, int] = field(default_factory=dict)

    def identity(self) -> tuple:
        return (
            self.kind, self.key, self.penalty, self.latest, self.nonnegative, self.exact, self.windows, self.keys, self.layer
        )  # fmt: skip

    def column(self, what: Form | int) -> int:
        number = self._numbers.setdefault(what, len(self.columns))
        if number == len(self.columns):
            self.columns.append(what)
        return number


@dataclass(frozen=True)
class HeadLookup:
    """query: delay: the distance; keyed: the form b; register: None; soft: as many forms as the keys have. windows: the digits
    of a query of an exact store."""

    store: int
    query: Any
    windows: tuple[DigitWindow, ...] = ()


class Symbols:
    """All atoms, interned. Atom ids index `atoms` and the cached bounds; an atom's parts only name smaller ids.

    size: the checkpoint's tensors in bytes, by which its tables are limited. trusting: whether lookups may rest on conditions
    that are only checked while running (see heads.py).
    """

    def __init__(self, vocabulary: int, trusting: bool = True, size: int = 0, started: int = 1):
        """started: positions of the prefix, behind which everything happens that has to be fast."""
        self.trusting, self.started = trusting, started
        self.room = Room("bytes of tables in the analysis", ANALYSIS_BYTES, size)
        self.atoms: list[Atom] = []
        self._ids: dict[Atom, int] = {}
        self._parts: list[Parts] = []
        self._bounds: dict[int, Bounds] = {}
        self._form_bounds: dict[Form, Bounds] = {}
        self.vectors: list[np.ndarray] = []
        self._vector_ids: dict[bytes, int] = {}
        self.sources: list[IndexSource] = []
        self._source_ids: dict[IndexSource, int] = {}
        self.stores: list[Store] = []
        self._store_ids: dict[tuple, int] = {}
        self.lookups: list[HeadLookup] = []
        self._lookup_ids: dict[tuple, int] = {}
        self.sums: list[Form] = []  # running sums; `sum` and `mean` atoms name one by its index
        self._sum_ids: dict[Form, int] = {}
        self._vector_bounds: dict[int, Bounds] = {}
        self._folded: dict[tuple, Form] = {}
        # Queries that are rounded; what is assumed of some, as (form, low, high): see `assume`.
        self.queries: list[Form] = []
        self.assumptions: list[tuple[Form, float, float]] = []
        # By atom: a form that it is part of, and the range that is known of it. An atom is in one at most.
        self._ranges: dict[int, tuple[Form, float, float]] = {}
        # What lookups return of forms of two terms: (returned, read).
        self.pairs: list[tuple[Form, Form]] = []
        # The longest sequence for which the lookups are exact in the dense model, as far as they say (see certificate.py).
        self.exact_for = MAX_POSITION
        # By the digits of a key: lowest value and size of each but the last, with those below (see heads.py).
        self.digit_sizes: dict[tuple[Form, ...], list[tuple[float, float]]] = {}
        # Tokens that stand at the first position and must not come again.
        self.floors: set[int] = set()
        self.token = self.source(IndexSource(("token",), vocabulary))
        self.n = self.atom(Position())
        self.nn = self.atom(PositionSquared())

    # -- interning ------------------------------------------------------------------------------------------------

    def atom(self, atom: Atom) -> int:
        found = self._ids.get(atom)
        if found is None:
            found = self._ids[atom] = len(self.atoms)
            self.atoms.append(atom)
            self._parts.append(parts(atom))
        return found

    def of(self, atom: Atom, factor: float = 1.0, constant: float = 0.0) -> Form:
        """constant + factor * atom."""
        return Form({self.atom(atom): factor}, constant)

    def parts(self, atom: int) -> Parts:
        return self._parts[atom]

    def source(self, source: IndexSource) -> int:
        found = self._source_ids.get(source)
        if found is None:
            found = self._source_ids[source] = len(self.sources)
            self.sources.append(source)
        return found

    def store(self, store: Store) -> int:
        """Interned by everything but the columns."""
        found = self._store_ids.get(store.identity())
        if found is None:
            found = self._store_ids[store.identity()] = len(self.stores)
            self.stores.append(store)
        return found

    def lookup(self, lookup: HeadLookup) -> int:
        found = self._lookup_ids.get((lookup.store, lookup.query, lookup.windows))
        if found is None:
            found = self._lookup_ids[lookup.store, lookup.query, lookup.windows] = len(self.lookups)
            self.lookups.append(lookup)
        return found

    def vector(self, values: np.ndarray) -> int:
        data = values.tobytes()
        found = self._vector_ids.get(data)
        if found is None:
            self.room.take(len(data))
            found = self._vector_ids[data] = len(self.vectors)
            self.vectors.append(values)
        return found

    # -- building forms -------------------------------------------------------------------------------------------

    def table(self, source: int, values: np.ndarray) -> Form:
        """values[source], float64 [size]. Constant vectors become constants, and a vector and its negative share a table."""
        first = float(values[0])
        if (values == first).all():
            return Form({}, first)
        sign = 1.0 if values[np.argmax(values != 0)] > 0 else -1.0
        return self.of(Table(source, self.vector(0.0 + sign * np.ascontiguousarray(values))), sign)

    def single_source(self, *forms: Form) -> int | None:
        """The one source that all the forms depend on, if there is exactly one and nothing else."""
        found = None
        for form in forms:
            for atom in form.terms:
                source = self.parts(atom).source
                if source is None:
                    return None
                if found is None:
                    found = source
                elif found != source:
                    return None
        return found

    def evaluate(self, form: Form, source: int) -> np.ndarray:
        """The values of a form of one source, float64 [size]."""
        total = np.full(self.sources[source].size, form.constant)
        for atom, c in form.terms.items():
            total = total + c * self.table_values(atom)
        return total

    def table_values(self, atom: int) -> np.ndarray:
        """float64 [size of its source], of a table atom."""
        return self.vectors[cast(Table, self.atoms[atom]).vector]

    def vector_bounds(self, vector: int) -> Bounds:
        found = self._vector_bounds.get(vector)
        if found is None:
            found = self._vector_bounds[vector] = bounds_of(self.vectors[vector])
        return found

    def merged(self, form: Form) -> Form:
        """The same form with the tables of each source added up into one."""
        found = self._folded.get(("merged", form))
        if found is None:
            found = self._folded["merged", form] = self._merged(form)
        return found

    def _merged(self, form: Form) -> Form:
        groups: dict[int, list[int]] = {}
        for atom in form.terms:
            source = self.parts(atom).source
            if source is not None:
                groups.setdefault(source, []).append(atom)
        if all(len(atoms) == 1 for atoms in groups.values()):
            return form
        rest = Form({a: c for a, c in form.terms.items() if self.parts(a).source is None}, form.constant)
        parts = [(1.0, rest)]
        for source, atoms in groups.items():
            parts.append((1.0, self.table(source, self.evaluate(Form({a: form.terms[a] for a in atoms}), source))))
        return linear(parts)

    def atoms_within(self, form: Form) -> list[int]:
        """All atoms that a form is made of at its own position."""
        found: dict[int, None] = {}
        todo = [form]
        while todo:
            for atom in todo.pop().terms:
                if atom not in found:
                    found[atom] = None
                    todo += self.parts(atom).forms
        return list(found)

    def named(self, form: Form) -> Form:
        """The form itself if it is short, else a `let` atom for it."""
        if len(form.terms) <= LET_TERMS:
            return form
        return self.of(Let(form.without_constant()), constant=form.constant)

    def expanded(self, form: Form) -> Form:
        """The form with its `let` atoms replaced by what they stand for."""
        while any(isinstance(self.atoms[a], Let) for a in form.terms):
            form = linear([(1.0, Form({}, form.constant)), *(self._opened(a, c) for a, c in form.terms.items())])
        return form

    def _opened(self, atom: int, c: float) -> tuple[float, Form]:
        what = self.atoms[atom]
        return (c, what.form) if isinstance(what, Let) else (1.0, Form({atom: c}))

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
        if source is not None:
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
        source = self.single_source(x)
        if source is not None:
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
        return linear(
            [(1.0, rest), *((1.0, self.neuron(g, self.shortest(self.gathered(up)))) for g, up in sums.items())]
        )

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

    def assume_exclusive(self, atoms: Container[int]) -> None:
        """Assumes of the pairs among these atoms that one of the two is 0: the digit of a value is one of the token
        or of another one, never of both. Checked where the value is stored."""
        for returned, read in self.pairs:
            if any(a in self._ranges or a not in atoms for a in returned.terms):
                continue
            bounds = [self.bounds(Form({a: c})) for a, c in returned.terms.items()]
            low, high = min(0.0, *(b.low for b in bounds)), max(0.0, *(b.high for b in bounds))
            self._know(returned, low, high)
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
        exponent = self.bounds(base).exponent
        assert exponent is not None
        step = 2.0**exponent
        low, high = math.ceil(low / step) * step, math.ceil(high / step) * step
        self._know(base, low, high - step)
        return base, low, high

    def _know(self, base: Form, low: float, high: float) -> None:
        """low <= base <= high, wherever a form has a multiple of it."""
        first = next(iter(base.terms))
        known = self._ranges.get(first)
        if known is not None and known[0] == base:
            low, high = max(low, known[1]), min(high, known[2])
        if known == (base, low, high) or (known is not None and known[0] != base):
            return
        self._ranges |= dict.fromkeys(base.terms, (base, low, high))
        self._bounds.clear()
        self._form_bounds.clear()

    # -- ranges ---------------------------------------------------------------------------------------------------

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
            known = self._ranges.get(atom)
            if (
                known is None
                or not _has(form, known[0], atom)
                or not (assuming or len(form.terms) > len(known[0].terms))
            ):
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
        knots = [a for a in form.terms if isinstance(self.atoms[a], Knots)]
        if knots:
            low, high = self._wrapped(form, knots, low, high)
        ramps = [a for a in form.terms if isinstance(what := self.atoms[a], Relu) and what.up == ONE]
        if ramps:
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
        """c round(q) is within |c| / 2 of c q."""
        c = form.terms[atom]
        rest = self.bounds(linear([(1.0, form), (-c, Form({atom: 1.0})), (c, cast(Round, self.atoms[atom]).query)]))
        if rest.exponent is None or rest.magnitude + abs(c) >= EXACT / 4 * 2.0 ** min(rest.exponent, 0):
            return low, high
        return max(low, rest.low - abs(c) / 2), min(high, rest.high + abs(c) / 2)

    def _wrapped(self, form: Form, knots: list[int], low: float, high: float) -> tuple[float, float]:
        """c x + knots(x) as one function of x: linear between the knots, and x is a multiple of 2^exponent."""
        steps = [(form.terms[a], cast(Knots, self.atoms[a])) for a in knots]
        x = steps[0][1].x
        if any(s.x != x for _, s in steps):
            return low, high
        rest = self.expanded(Form({a: c for a, c in form.terms.items() if a not in knots}))
        base = self.expanded(x)
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
                return Bounds(1.0, float(MAX_POSITION), 0)
            case PositionSquared():
                return Bounds(1.0, 2.0**64, 0)
            case Table(_, vector):
                return self.vector_bounds(vector)
            case Relu(gate, up):
                return self._relu_bounds(gate, up)
            case Knots(x, knots):
                return self._knots_bounds(x, knots)
            case RunningSum(number):
                return self.bounds(self.sums[number]).times(MAX_POSITION)
            case RunningMean(number):
                b = self.bounds(self.sums[number])
                return Bounds(b.low, b.high, None)
            case Let(form):
                return self.bounds(form)
            case Round(query):
                b = self.bounds(query)
                return Bounds(math.floor(b.low + 0.5), math.ceil(b.high - 0.5), 0)
            case Read(lookup, column):
                return self._column_bounds(lookup, column)
            case Average(lookup, column):
                b = self._column_bounds(lookup, column)
                return Bounds(b.low, b.high, None)
            case Stamp():
                return Bounds(0.0, float(MAX_POSITION), 0)
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


def _direction(form: Form) -> tuple[Form, float]:
    """(base, scale) with form = scale * base + constant, the same base for all multiples of a form by powers of two."""
    scale = power_of_two(form)
    return form.without_constant().scaled(1 / scale), scale


def knots_value(x: np.ndarray, knots: list[tuple[float, float]]) -> np.ndarray:
    """sum of c * relu(x + t)."""
    total = np.zeros(len(x))
    for t, c in knots:
        total += c * np.maximum(x + t, 0)
    return total


def power_of_two(form: Form) -> float:
    """The power of two by which to divide a form so that its smallest |coefficient| is in [1, 2); 1 for a very small one."""
    smallest = min(abs(c) for c in form.terms.values())
    exponent = math.floor(math.log2(smallest)) if smallest <= LARGEST else 0
    return 2.0**exponent if exponent > -300 else 1.0
