"""All atoms, tables, sources, stores and lookups of one checkpoint, each kept once: equal ones have the same number."""

from __future__ import annotations

from typing import cast

import numpy as np

from ...compiler.format.certificate import GAP
from .atoms import Atom, Let, Parts, Position, PositionSquared, Read, Table, parts
from .bounds import Bounds, bounds_of, total
from .exact_sums import multiplied, summed
from .interface import ANALYSIS_BYTES, EXACT, MAX_POSITION, Room
from .linear import Form, linear
from .stores import HeadLookup, IndexSource, PositionStore

# A form with more terms than this becomes a `let` when it is written to a residual slot.
LET_TERMS = 2


class Interned:
    """Atom ids index `atoms` and the cached bounds; an atom's parts only name smaller ids.

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
        self.stores: list[PositionStore] = []
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
        # By atom: forms that it is part of, and the range that is known of each.
        self._ranges: dict[int, list[tuple[Form, float, float]]] = {}
        # What lookups return of forms of two terms: (returned, read).
        self.pairs: list[tuple[Form, Form]] = []
        # The longest sequence for which the lookups are exact in the dense model, and which one says so (see certificate.py).
        self.exact_for, self.exact_by = MAX_POSITION, ""
        self.head = ""  # the one that is looked at
        # The last position, and what `Position` is at the first one. With positions that are counted: see counting.py.
        self.last, self.first_position = MAX_POSITION, 1.0
        self.counted = False
        # Roundings in a table that the prefix writes, one entry a position: (rounded, lowest entry, position of that).
        self.growing: list[tuple[Form, float, int]] = []
        # Atoms of which the first position has another value than they say.
        self.other_at_first: set[int] = set()
        # Lookups that must ask for keys in a range, which is not known of their queries.
        self.inside: dict[int, tuple[float, float]] = {}
        # By the digits of a key: lowest value and size of each but the last, with those below (see heads.py).
        self.digit_sizes: dict[tuple[Form, ...], list[tuple[float, float]]] = {}
        # Tokens that stand at the first position and must not come again.
        self.floors: set[int] = set()
        self.token = self.source(IndexSource(("token",), vocabulary))
        self.n = self.atom(Position())
        self.nn = self.atom(PositionSquared())

    def limit(self, tokens: int, why: str = "") -> None:
        """The lookup that is looked at is exact for so many tokens and no more."""
        if tokens < self.exact_for:
            self.exact_for, self.exact_by = tokens, f"{self.head}{why}"

    def leads(self, lead: float) -> None:
        """By so much the winner of that lookup leads, in the scores: nothing is exact where that is less than GAP."""
        if lead < GAP:
            self.limit(0, f" leads by {lead:,.6g}, less than {GAP:,.0f}")

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

    def lookup_behind(self, atom: int) -> int | None:
        """The lookup of which an atom is a column, or a table by a column; None for any other atom."""
        what = self.atoms[atom]
        if isinstance(what, Read):
            return what.lookup
        if isinstance(what, Table) and self.sources[what.source].name[0] == "stored":
            return int(self.sources[what.source].name[1])
        return None

    def source(self, source: IndexSource) -> int:
        found = self._source_ids.get(source)
        if found is None:
            found = self._source_ids[source] = len(self.sources)
            self.sources.append(source)
        return found

    def store(self, store: PositionStore) -> int:
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

    # -- tables and forms -----------------------------------------------------------------------------------------

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
        return self._evaluated(form, source)[0]

    def evaluates(self, form: Form, source: int) -> bool:
        """Whether these are exact. A part of a number may have more bits than a double, though the number has not."""
        return self._evaluated(form, source)[1]

    def _evaluated(self, form: Form, source: int) -> tuple[np.ndarray, bool]:
        """Numbers of no granularity, which others have rounded before, count as exact."""
        constant = np.full(self.sources[source].size, form.constant)
        tables = [(c, self.vector_bounds(cast(Table, self.atoms[a]).vector)) for a, c in form.terms.items()]
        parts = [c * self.table_values(a) for a, c in form.terms.items()]
        e = total(form.constant, tables).exponent
        size = abs(form.constant) + sum(abs(c) * bounds.magnitude for c, bounds in tables)
        if e is None or size < EXACT * 2.0**e:
            result = constant
            for part in parts:
                result = result + part
            return result, True
        result, exact = summed([constant, *parts], len(constant))
        pairs = ((np.full(1, c), self.table_values(a)) for a, c in form.terms.items())
        return result, exact and all(multiplied(*pair) for pair in pairs)

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
        parts = [(1.0, Form({a: c for a, c in form.terms.items() if self.parts(a).source is None}, form.constant))]
        for source, atoms in groups.items():
            part = Form({a: form.terms[a] for a in atoms})
            exact = len(atoms) == 1 or self.evaluates(part, source)
            parts.append((1.0, self.table(source, self.evaluate(part, source)) if exact else part))
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
