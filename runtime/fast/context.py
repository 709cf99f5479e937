"""Forms rewritten by what is known at a place of the generated code: static stores, the row's group, the tokens that occur."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .atoms import Float32, Key, Knots, Let, Relu, Round, Table
from .linear import ZERO, Form, linear
from .reads import float32
from .stores import DigitWindow, IndexSource
from .symbols import Symbols


@dataclass
class Static:
    """What a lookup finds in a static store: its integer keys, ascending, and the token that each of them was written by.

    row: the lookup that stands for it: of lookups whose queries differ by a constant, all find the row of the first one. fixed: a
    query below or above all keys finds what is not known.
    """

    row: int
    keys: np.ndarray
    tokens: np.ndarray
    fixed: bool = False

    def rows(self) -> np.ndarray:
        """For each query from the first key to the last one: the row of the nearest key (the upper one of two)."""
        queries = np.arange(self.keys[0], self.keys[-1] + 1)
        above = np.searchsorted(self.keys, queries)
        below = np.maximum(above - 1, 0)
        nearer = np.abs(self.keys[below] - queries) < np.abs(self.keys[above] - queries)
        return np.where(nearer, below, above)


@dataclass
class Rewriter:
    """Rewrites forms for the positions behind the prefix, or, with `split`, for those whose row is in a group.

    split: (lookup, row numbers, name of the group). tokens: only for positions whose token is below this (0: for all).
    assumptions: ranges that generated code must check here, (form, low, high). outer: a context in which this one is a case.
    """

    graph: Symbols
    statics: dict[int, Static]  # by lookup
    split: tuple[int, np.ndarray, int] | None = None
    tokens: int = 0
    outer: Rewriter | None = None
    _atoms: dict[int, Form] = field(default_factory=dict)
    _forms: dict[Form, Form] = field(default_factory=dict)
    _within: dict[DigitWindow, bool] = field(default_factory=dict)
    _proofs: Rewriter | None = None
    assumptions: list[tuple[Form, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # What is assumed of this row's form is known to no other row's code, which does not check it.
        self.assumptions += [(self(form), low, high) for form, low, high in self.graph.assumptions]

    def __call__(self, form: Form) -> Form:
        return self.inner(form) if self.statics else form

    def inner(self, form: Form) -> Form:
        """The rewritten form; of parts of forms that are being rewritten."""
        found = self._forms.get(form)
        if found is None:
            parts = [(c, self._atom(a)) for a, c in form.terms.items()]
            found = self._forms[form] = self.graph.shortest(linear([(1.0, Form({}, form.constant)), *parts]))
        return found

    def reached_atoms(self) -> list[Form]:
        """Every atom that has been rewritten so far, as a form."""
        return list(self._atoms.values())

    def within(self, window: DigitWindow) -> bool:
        """Whether a window holds in this context without looking."""
        if self._proofs is None:  # what is rewritten only to prove something is not computed
            self._proofs = Rewriter(self.graph, self.statics, self.split, self.tokens)
        found = self._within.get(window)
        if found is None:
            proved = self.outer is not None and self.outer.within(window)
            found = proved or self.graph.within(replace(window, form=self._proofs(window.form)))
            self._within[window] = found
        return found

    def rewritten(self) -> list[Form]:
        """Every form that has been rewritten so far."""
        return list(self._forms.values())

    def _atom(self, atom: int) -> Form:
        found = self._atoms.get(atom)
        if found is None:
            found = self._atoms[atom] = self._evaluate(atom)
        return found

    def _evaluate(self, atom: int) -> Form:
        graph = self.graph
        match graph.atoms[atom]:
            case Table(source, vector):
                return self._table(atom, source, graph.vectors[vector])
            case Relu(gate, up):
                gate = self.inner(gate)
                if gate.is_constant() and gate.constant <= 0:
                    return ZERO
                return graph.neuron(gate, self.inner(up))
            case Knots(x, knots):
                x = self.inner(x)
                return graph.knots(x.without_constant(), [(t + x.constant, c) for t, c in knots])
            case Let(form):
                return graph.named(self.inner(form))
            case Round(query, low, high):
                query = self.inner(query)
                if query.is_constant():
                    return Form({}, min(max(float(np.rint(query.constant)), low), high))
                bounds = graph.bounds(query)
                inside = low <= bounds.low and bounds.high <= high
                return query if bounds.integer and inside else graph.of(Round(query, low, high))
            case Float32(form):
                return float32(graph, self.inner(form))
            case Key(lookup) if lookup in self.statics:
                static = self.statics[lookup]
                source, rows = self._rows(static)
                return graph.table(source, static.keys[rows].astype(np.float64))
        return Form({atom: 1.0})

    def _table(self, atom: int, source: int, values: np.ndarray) -> Form:
        graph = self.graph
        row = self.row_source(source)
        if row is not None:
            source, stored = row
            return graph.table(source, values[stored])
        if source == graph.token and self.tokens:
            source = graph.source(IndexSource(("token", self.tokens), self.tokens))
            return graph.table(source, values[: self.tokens])
        return Form({atom: 1.0})

    def row_source(self, source: int) -> tuple[int, np.ndarray] | None:
        """For a source that a static lookup returns: the source "row", and the stored value for each row."""
        name = self.graph.sources[source].name
        if name[0] != "stored":
            return None
        static = self.statics.get(name[1])
        if static is None:
            return None
        row, rows = self._rows(static)
        return row, static.tokens[rows] + 1

    def _rows(self, static: Static) -> tuple[int, np.ndarray]:
        """The source of the row that a lookup finds, and the row numbers that its values stand for."""
        if self.split is not None and self.split[0] == static.row:
            _, rows, group = self.split
            return self.graph.source(IndexSource(("row", static.row, group), len(rows))), rows
        count = len(static.keys)
        return self.graph.source(IndexSource(("row", static.row, -1), count)), np.arange(count)


@dataclass
class Supposed(Rewriter):
    """Rewrites forms (that are rewritten for a situation already) with the values that some atoms have."""

    values: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is assumed that was not before."""

    def __call__(self, form: Form) -> Form:
        return self.inner(form)

    def _evaluate(self, atom: int) -> Form:
        if atom in self.values:
            return Form({}, self.values[atom])
        if self.graph.parts(atom).source is not None:
            return Form({atom: 1.0})
        return super()._evaluate(atom)
