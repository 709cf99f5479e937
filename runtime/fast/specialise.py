"""Partial evaluation: what is known once the prefix has been read is folded into the code.

A store is *static* when every token that can write to it stands in the prefix, a key has one such token, and only the token
is kept: writing again changes nothing. Its lookups become arrays, and everything that is a function of the row found is a
table over the rows. One such lookup, whose values gate most neurons, is split further: rows are grouped by the values of
their flags (`signatures`), and for each group the forms are evaluated with these values as constants.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .atoms import Relu, Table
from .context import Rewriter, Static
from .interface import KEY_LIMIT
from .linear import Form
from .live import Live
from .symbols import Symbols

# Groups of rows with code of their own, and the number of different values up to which a table counts as a flag.
MAX_SIGNATURES = 256
MAX_FLAG_VALUES = 8
# Classes of tokens that the processor is to tell apart by a branch.
MAX_CLASSES = 6
# A static lookup by key is an array over the keys' range, if that is not much longer than the number of keys.
MAX_SPREAD = 64


def static_stores(graph: Symbols, reached: Live, prefix: np.ndarray) -> tuple[dict[int, Static], int]:
    """The static stores by number, and how many tokens of the prefix it takes until all are complete."""
    found: dict[int, Static] = {}
    settled = 0
    first = {int(t): i for i, t in reversed(list(enumerate(prefix)))}
    read = {graph.lookups[k].store for k in reached.lookups}
    for number in sorted(read):
        store = graph.stores[number]
        if (
            store.kind != "keyed"
            or store.exact
            or graph.single_source(store.key) != graph.token
            or number in reached.stamped
        ):
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


def _whole(graph: Symbols, query: Form) -> bool:
    return graph.bounds(query).below(0)


def rewrite(context: Rewriter, roots: Iterable[Form], reached: Live) -> None:
    """Rewrites whatever a position of a context may need."""
    graph = context.graph
    queries = [graph.lookups[k].query for k in reached.lookups]
    kept = [graph.stores[s].columns[c] for s, c in reached.columns]
    stores = [graph.stores[s] for s in reached.stores]
    forms = [*roots, *queries, *kept, *(f for s in stores for f in (s.key, s.penalty))]
    for form in forms + [graph.sums[k] for k in reached.sums]:
        if isinstance(form, Form):
            context(form)


def choose_split(graph: Symbols, context: Rewriter, roots: Iterable[Form]) -> int | None:
    """The static lookup whose rows gate most neurons, if it has at least two rows and any gates."""
    votes: dict[int, int] = {}
    seen: set[int] = set()
    todo = [context(f) for f in roots]
    while todo:
        for atom in todo.pop().terms:
            if atom in seen:
                continue
            seen.add(atom)
            what = graph.atoms[atom]
            todo += graph.parts(atom).forms
            for gate in graph.expanded(what.gate).terms if isinstance(what, Relu) else ():
                origin = graph.parts(gate).source
                if origin is not None and graph.sources[origin].size > 1 and graph.sources[origin].name[0] == "row":
                    lookup = graph.sources[origin].name[1]
                    votes[lookup] = votes.get(lookup, 0) + 1
    return max(votes, key=lambda k: (votes[k], -k)) if votes else None


def signatures(graph: Symbols, lookup: int, rows: int, forms: Iterable[Form]) -> list[np.ndarray]:
    """Groups of row numbers that agree on the flags among the tables over a lookup's row that the forms use.

    Tables with few different values are taken one after the other as long as there are at most MAX_SIGNATURES groups.
    """
    vectors: dict[int, None] = {}
    for form in forms:
        for atom in form.terms:
            what = graph.atoms[atom]
            if isinstance(what, Table) and graph.sources[what.source].name == ("row", lookup, -1):
                vectors[what.vector] = None
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


def token_classes(graph: Symbols, forms: Iterable[Form]) -> TokenClasses | None:
    """Classes by the integer features of the token (below a context's `tokens`) that the forms use, the largest ones."""
    atoms = [
        atom
        for atom in dict.fromkeys(a for form in forms for a in graph.atoms_within(form))
        if _of_cut_token(graph, atom) and graph.atom_bounds(atom).fits
    ]
    if not atoms:
        return None
    features = np.stack([graph.table_values(atom) for atom in atoms], axis=1)
    values, numbers, sizes = np.unique(features, axis=0, return_inverse=True, return_counts=True)
    order = [i for i in np.argsort(-sizes)[:MAX_CLASSES] if sizes[i] >= len(features) // 100]
    place = np.full(len(values), len(order))
    place[order] = np.arange(len(order))
    return TokenClasses(atoms, place[numbers.reshape(-1)], [values[i] for i in order]) if len(order) > 1 else None


def _of_cut_token(graph: Symbols, atom: int) -> bool:
    """Whether an atom is a table of the token, in a context in which only some tokens occur."""
    source = graph.parts(atom).source
    name = graph.sources[source].name if source is not None else ()
    return len(name) == 2 and name[0] == "token"
