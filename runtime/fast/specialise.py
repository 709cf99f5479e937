"""Partial evaluation: what is known once the prefix has been read is folded into the code.

A store is *static* when every token that can write to it stands in the prefix, a key has one such token, and only the token
is kept: writing again changes nothing. Its lookups become arrays, and everything that is a function of the row found is a
table over the rows. One such lookup, whose values gate most neurons, is split further: rows are grouped by the values of
their flags (`signatures`), and for each group the forms are evaluated with these values as constants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .forms import Form, Graph, Source, linear
from .interface import KEY_LIMIT

if TYPE_CHECKING:
    from .live import Live

# Groups of rows with code of their own, and the number of different values up to which a table counts as a flag.
MAX_SIGNATURES = 256
MAX_FLAG_VALUES = 8
# Classes of tokens that the processor is to tell apart by a branch.
MAX_CLASSES = 6
# A static lookup by key is an array over the keys' range, if that is not much longer than the number of keys.
MAX_SPREAD = 64


@dataclass
class Static:
    """A static store: its integer keys, ascending, and the token that each of them was written by."""

    store: int
    keys: np.ndarray
    tokens: np.ndarray

    def rows(self) -> np.ndarray:
        """For each query from the first key to the last one: the row of the nearest key (the upper one of two)."""
        queries = np.arange(self.keys[0], self.keys[-1] + 1)
        above = np.searchsorted(self.keys, queries)
        below = np.maximum(above - 1, 0)
        nearer = np.abs(self.keys[below] - queries) < np.abs(self.keys[above] - queries)
        return np.where(nearer, below, above)


def static_stores(graph: Graph, reached: Live, prefix: np.ndarray) -> tuple[dict[int, Static], int]:
    """The static stores by number, and how many tokens of the prefix it takes until all are complete."""
    found: dict[int, Static] = {}
    settled = 0
    first = {int(t): i for i, t in reversed(list(enumerate(prefix)))}
    read = {graph.lookups[k].store for k in reached.lookups}
    for number in sorted(read):
        store = graph.stores[number]
        if store.kind != "keyed" or graph.single_source(store.key) != graph.token or number in reached.stamped:
            continue
        if not store.penalty.is_constant() and graph.single_source(store.penalty) != graph.token:
            continue
        if any(store.columns[c] != graph.token for s, c in reached.columns if s == number):
            continue
        penalties, keys = (graph.evaluate(f, graph.token) for f in (store.penalty, store.key))
        writers = np.flatnonzero(penalties == 0)
        keys = keys[writers]
        if not (np.abs(keys) < KEY_LIMIT).all() or (keys != np.rint(keys)).any():
            continue
        keys = keys.astype(np.int64)
        order = np.argsort(keys)
        keys, writers = keys[order], writers[order]
        if not len(writers) or not (penalties >= 0).all() or (np.diff(keys) == 0).any():
            continue
        if keys[-1] - keys[0] >= MAX_SPREAD * len(keys):
            continue
        # Between two keys the nearest is the one array entry; a query in the middle would need to know which is later.
        if (np.diff(keys) % 2 == 0).any() or not all(t in first for t in writers.tolist()):
            continue
        if not all(_whole(graph, graph.lookups[k].query) for k in reached.lookups if graph.lookups[k].store == number):
            continue
        found[number] = Static(number, keys, writers)
        settled = max(settled, *(first[t] + 1 for t in writers.tolist()))
    return found, settled


def _whole(graph: Graph, query: Form) -> bool:
    return graph.bounds(query).below(0)


@dataclass
class Context:
    """Rewrites forms for the positions behind the prefix, or, with `split`, for those whose row is in a group.

    split: (lookup, row numbers, name of the group). tokens: only for positions whose token is below this (0: for all).
    """

    graph: Graph
    statics: dict[int, Static]
    split: tuple[int, np.ndarray, int] | None = None
    tokens: int = 0
    _atoms: dict[int, Form] = field(default_factory=dict)
    _forms: dict[Form, Form] = field(default_factory=dict)

    def __call__(self, form: Form) -> Form:
        if not self.statics:
            return form
        found = self._forms.get(form)
        if found is None:
            parts = [(c, self._atom(a)) for a, c in form.terms.items()]
            found = self._forms[form] = linear([(1.0, Form({}, form.constant)), *parts])
        return found

    def reached_atoms(self) -> list[Form]:
        """Every atom that has been rewritten so far, as a form."""
        return list(self._atoms.values())

    def rewrite(self, roots: Iterable[Form], reached: Live) -> None:
        """Rewrites whatever a position of this context may need."""
        graph = self.graph
        queries = [graph.lookups[k].query for k in reached.lookups]
        kept = [graph.stores[s].columns[c] for s, c in reached.columns]
        stores = [graph.stores[s] for s in reached.stores]
        forms = [*roots, *queries, *kept, *(f for s in stores for f in (s.key, s.penalty))]
        for form in forms + [graph.sums[k] for k in reached.sums]:
            if isinstance(form, Form):
                self(form)

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
        kind, args = graph.kinds[atom], graph.args[atom]
        if kind == "table":
            row = self.row_source(args[0])
            if row is not None:
                source, stored = row
                return graph.table(source, graph.vectors[args[1]][stored])
            if args[0] == graph.token and self.tokens:
                source = graph.source(Source(("token", self.tokens), self.tokens))
                return graph.table(source, graph.vectors[args[1]][: self.tokens])
        elif kind == "relu":
            gate = self(args[0])
            if gate.is_constant() and gate.constant <= 0:
                return Form({})
            return graph.neuron(gate, self(args[1]))
        elif kind == "knots":
            x = self(args[0])
            return graph.knots(x.without_constant(), [(t + x.constant, c) for t, c in args[1]])
        elif kind == "let":
            return graph.named(self(args[0]))
        elif kind == "key":
            static = self.statics.get(graph.lookups[args[0]].store)
            if static is not None:
                source, rows = self._rows(args[0], static)
                return graph.table(source, static.keys[rows].astype(np.float64))
        return Form({atom: 1.0})

    def row_source(self, source: int) -> tuple[int, np.ndarray] | None:
        """For a source that a static lookup returns: the source "row", and the stored value for each row."""
        name = self.graph.sources[source].name
        if name[0] != "stored":
            return None
        static = self.statics.get(self.graph.lookups[name[1]].store)
        if static is None:
            return None
        row, rows = self._rows(name[1], static)
        return row, static.tokens[rows] + 1

    def _rows(self, lookup: int, static: Static) -> tuple[int, np.ndarray]:
        """The source of the row that a lookup finds, and the row numbers that its values stand for."""
        if self.split is not None and self.split[0] == lookup:
            _, rows, group = self.split
            return self.graph.source(Source(("row", lookup, group), len(rows))), rows
        count = len(static.keys)
        return self.graph.source(Source(("row", lookup, -1), count)), np.arange(count)


def choose_split(graph: Graph, context: Context, roots: Iterable[Form]) -> int | None:
    """The static lookup whose rows gate most neurons, if it has at least two rows and any gates."""
    votes: dict[int, int] = {}
    seen: set[int] = set()
    todo = [context(f) for f in roots]
    while todo:
        for atom in todo.pop().terms:
            if atom in seen:
                continue
            seen.add(atom)
            kind, args = graph.kinds[atom], graph.args[atom]
            if kind in ("knots", "let"):
                todo.append(args[0])
            if kind == "relu":
                todo += args
                for gate in graph.expanded(args[0]).terms:
                    if graph.kinds[gate] == "table":
                        name = graph.sources[graph.args[gate][0]].name
                        if name[0] == "row" and graph.sources[graph.args[gate][0]].size > 1:
                            votes[name[1]] = votes.get(name[1], 0) + 1
    return max(votes, key=lambda k: (votes[k], -k)) if votes else None


def signatures(graph: Graph, lookup: int, rows: int, forms: Iterable[Form]) -> list[np.ndarray]:
    """Groups of row numbers that agree on the flags among the tables over a lookup's row that the forms use.

    Tables with few different values are taken one after the other as long as there are at most MAX_SIGNATURES groups.
    """
    vectors: dict[int, None] = {}
    for form in forms:
        for atom in form.terms:
            if graph.kinds[atom] == "table":
                source, vector = graph.args[atom]
                if graph.sources[source].name == ("row", lookup, -1):
                    vectors[vector] = None
    candidates = sorted((len(np.unique(graph.vectors[v])), v) for v in vectors)
    groups = np.zeros(rows, dtype=np.int64)
    for distinct, v in candidates:
        if distinct > MAX_FLAG_VALUES:
            break
        _, values = np.unique(graph.vectors[v], return_inverse=True)
        _, finer = np.unique(groups * distinct + values, return_inverse=True)
        if finer.max() < MAX_SIGNATURES:
            groups = finer
    return [np.flatnonzero(groups == g) for g in range(int(groups.max()) + 1)]


@dataclass
class TokenClasses:
    """Tokens with the same features. atoms: token tables, the features. numbers: the class of each token, len(values)
    for none. values: a class's features, in the order of the atoms."""

    atoms: list[int]
    numbers: np.ndarray
    values: list[np.ndarray]


def token_classes(graph: Graph, forms: Iterable[Form]) -> TokenClasses | None:
    """Classes by the integer features of the token (below a context's `tokens`) that the forms use, the largest ones."""
    atoms = [
        atom
        for atom in dict.fromkeys(a for form in forms for a in _atoms_within(graph, form))
        if graph.kinds[atom] == "table"
        and len(graph.sources[graph.args[atom][0]].name) == 2
        and graph.sources[graph.args[atom][0]].name[0] == "token"
        and graph.atom_bounds(atom).fits
    ]
    if not atoms:
        return None
    features = np.stack([graph.vectors[graph.args[atom][1]] for atom in atoms], axis=1)
    values, numbers, sizes = np.unique(features, axis=0, return_inverse=True, return_counts=True)
    order = [i for i in np.argsort(-sizes)[:MAX_CLASSES] if sizes[i] >= len(features) // 100]
    place = np.full(len(values), len(order))
    place[order] = np.arange(len(order))
    return TokenClasses(atoms, place[numbers.reshape(-1)], [values[i] for i in order]) if len(order) > 1 else None


def _atoms_within(graph: Graph, form: Form) -> list[int]:
    """All atoms that a form is made of at its own position."""
    found: dict[int, None] = {}
    todo = [form]
    while todo:
        for atom in todo.pop().terms:
            if atom not in found:
                found[atom] = None
                todo += [x for x in graph.args[atom] if isinstance(x, Form)]
    return list(found)


class Dependence:
    """Whether something (rewritten by the context) depends on what a static lookup finds."""

    def __init__(self, graph: Graph, context: Context, lookup: int):
        self._graph, self._context, self._lookup = graph, context, lookup
        self._atoms: dict[int, bool] = {}

    def kept(self, what: Form | int) -> bool:
        """A column of a store: a form (not yet rewritten) or the number of a source."""
        return self.form(self._context(what)) if isinstance(what, Form) else self.source(what)

    def form(self, form: Form) -> bool:
        return any(self._atom(a) for a in form.terms)

    def store(self, number: int) -> bool:
        """Whether and where a position writes to a store."""
        store = self._graph.stores[number]
        return any(self.kept(f) for f in (store.key, store.penalty, *store.keys))

    def column(self, store: int, column: int) -> bool:
        return self.store(store) or self.kept(self._graph.stores[store].columns[column])

    def source(self, source: int) -> bool:
        row = self._context.row_source(source)
        name = self._graph.sources[source if row is None else row[0]].name
        if name[0] == "token":
            return False
        if name[0] == "row":
            return name[1] == self._lookup or self._found(name[1])
        return self._found(name[1]) or self.column(self._graph.lookups[name[1]].store, name[2])

    def _found(self, number: int) -> bool:
        """Which position a lookup finds."""
        lookup = self._graph.lookups[number]
        queries = lookup.query if isinstance(lookup.query, tuple) else (lookup.query,)
        static = lookup.store in self._context.statics
        return any(self.kept(q) for q in queries if isinstance(q, Form)) or (not static and self.store(lookup.store))

    def _atom(self, atom: int) -> bool:
        if atom not in self._atoms:
            self._atoms[atom] = self._evaluate(atom)
        return self._atoms[atom]

    def _evaluate(self, atom: int) -> bool:
        kind, args = self._graph.kinds[atom], self._graph.args[atom]
        if kind == "table":
            return self.source(args[0])
        if kind == "relu":
            return self.form(args[0]) or self.form(args[1])
        if kind in ("knots", "let"):
            return self.form(args[0])
        if kind in ("sum", "mean"):
            return self.kept(self._graph.sums[args[0]])
        if kind in ("read", "soft"):
            return self._found(args[0]) or self.column(self._graph.lookups[args[0]].store, args[1])
        return kind in ("stamp", "key") and self._found(args[0])
