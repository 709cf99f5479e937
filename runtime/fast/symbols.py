"""The symbols of one checkpoint: all atoms, tables, sources, stores and lookups, interned, and the forms made of them.

A residual slot is a `Form`: constant + sum of coefficient * atom (linear.py, atoms.py). Two atoms with the same description are
the same atom, so common subexpressions are shared by construction, and what is subtracted again cancels exactly.
"""

from __future__ import annotations

import math
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
    RunningMean,
    RunningSum,
    Stamp,
    Table,
    parts,
)
from .bounds import Bounds, bounds_of, exponent_of, granular, product, total
from .interface import ANALYSIS_BYTES, EXACT, KEY_LIMIT, LARGEST, MAX_POSITION, Room
from .linear import ONE, ZERO, Form, linear

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


@dataclass
class Store:
    """What positions leave behind for later ones. Lookups with different queries share a store.

    kind "delay":    the last few positions
         "register": the latest position with the least penalty
         "keyed":    by integer key the latest position whose penalty is 0
         "soft":     all positions, with their two-dimensional keys
    columns: what is kept of a position: a form's value, or a source (its index in Symbols.sources).
    latest: the latest of equal keys, and of equally near ones, wins. Without that they must not occur.
    nonnegative: the key's square is only right for keys >= 0.
    keys, layer: of a soft store.
    """

    kind: str
    key: Form = ZERO
    penalty: Form = ZERO
    latest: bool = True
    nonnegative: bool = False
    keys: tuple[Form, Form] = (ZERO, ZERO)
    layer: int = 0
    columns: list[Form | int] = field(default_factory=list)
    _numbers: dict[Form | int, int] = field(default_factory=dict)

    def identity(self) -> tuple:
        return (self.kind, self.key, self.penalty, self.latest, self.nonnegative, self.keys, self.layer)

    def column(self, what: Form | int) -> int:
        number = self._numbers.setdefault(what, len(self.columns))
        if number == len(self.columns):
            self.columns.append(what)
        return number


@dataclass(frozen=True)
class HeadLookup:
    """query: delay: the distance; keyed: the form b; register: None; soft: two forms."""

    store: int
    query: Any


class Symbols:
    """All atoms, interned. Atom ids index `atoms` and the cached bounds; an atom's parts only name smaller ids.

    size: the checkpoint's tensors in bytes, by which its tables are limited. trusting: whether lookups may rest on conditions
    that are only checked while running (see heads.py).
    """

    def __init__(self, vocabulary: int, trusting: bool = True, size: int = 0):
        self.trusting = trusting
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
        found = self._lookup_ids.get((lookup.store, lookup.query))
        if found is None:
            found = self._lookup_ids[lookup.store, lookup.query] = len(self.lookups)
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
        """values[source], float64 [size]. Constant vectors become constants."""
        first = float(values[0])
        if (values == first).all():
            return Form({}, first)
        return self.of(Table(source, self.vector(np.ascontiguousarray(values))))

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

    # -- ranges ---------------------------------------------------------------------------------------------------

    def bounds(self, form: Form) -> Bounds:
        """Interval and granularity of a form (each term on its own: correlations are not seen)."""
        found = self._form_bounds.get(form)
        if found is None:
            parts = [(c, self.atom_bounds(atom)) for atom, c in form.terms.items()]
            found = self._form_bounds[form] = total(form.constant, parts)
        return found

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
