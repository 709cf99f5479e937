"""Partial evaluation: what is known once the prefix has been read is folded into the code.

A store is *static* when only the token is kept, every token that can write to it stands in the prefix, and a key has one such
token: writing again changes nothing. Or when its keys are positions, and those looked up are positions of the prefix. Its
lookups become arrays, and everything that is a function of the row found is a table over the rows. Lookups at positions that
differ by a constant find the same row. One lookup, whose row's values gate most neurons, is split further: rows are grouped
by the values of their flags (`signatures`), and for each group the forms are evaluated with these values as constants.
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
from .stores import PositionStore
from .symbols import Symbols

# Groups of rows with code of their own, and the number of different values up to which a table counts as a flag.
MAX_SIGNATURES = 256
MAX_FLAG_VALUES = 8
# Classes of tokens that the processor is to tell apart by a branch.
MAX_CLASSES = 6
# A static lookup by key is an array over the keys' range, if that is not much longer than the number of keys.
MAX_SPREAD = 64


def static_stores(graph: Symbols, reached: Live, prefix: np.ndarray) -> tuple[dict[int, Static], int]:
    """What lookups in static stores find, by lookup, and how many tokens of the prefix it takes until all stores are complete."""
    found: dict[int, Static] = {}
    settled = 0
    for number in sorted({graph.lookups[k].store for k in reached.lookups}):
        store = graph.stores[number]
        if store.kind != "keyed" or store.exact or number in reached.stamped:
            continue
        if any(store.columns[c] != graph.token for s, c in reached.columns if s == number):
            continue
        lookups = sorted(k for k in reached.lookups if graph.lookups[k].store == number)
        if not all(_whole(graph, graph.lookups[k].query) for k in lookups):
            continue
        writers = _writers(graph, store)
        if writers is None:
            continue
        if graph.single_source(store.key) == graph.token:
            written = _keys_of_tokens(graph, store, writers, prefix)
            if written is not None:
                found |= {k: Static(k, *written[:2]) for k in lookups}
        else:
            written = _keys_of_positions(graph, store, writers, prefix)
            if written is not None:
                found |= _by_row(graph, lookups, *written[:2])
        if written is not None:
            settled = max(settled, written[2])
    return found, settled


# Keys, ascending, the token that wrote each, and how many tokens of the prefix it takes.
Written = tuple[np.ndarray, np.ndarray, int]


def _writers(graph: Symbols, store: PositionStore) -> np.ndarray | None:
    """bool [tokens]: those with penalty 0; None where the token does not decide that."""
    if not store.penalty.is_constant() and graph.single_source(store.penalty) != graph.token:
        return None
    penalties = graph.evaluate(store.penalty, graph.token)
    return penalties == 0 if (penalties >= 0).all() else None


def _keys_of_tokens(graph: Symbols, store: PositionStore, writers: np.ndarray, prefix: np.ndarray) -> Written | None:
    """If each key is written by one token, and all of these stand in the prefix."""
    tokens = np.flatnonzero(writers)
    keys = graph.evaluate(store.key, graph.token)[tokens]
    order = np.argsort(keys, kind="stable")
    keys, tokens = keys[order], tokens[order]
    present, first = np.unique(prefix, return_index=True)
    if not _regular(keys) or not np.isin(tokens, present).all():
        return None
    return keys.astype(np.int64), tokens, int(first[np.searchsorted(present, tokens)].max()) + 1


def _keys_of_positions(graph: Symbols, store: PositionStore, writers: np.ndarray, prefix: np.ndarray) -> Written | None:
    """If the key is the position but for a constant: what the prefix writes no later position can change."""
    if dict(store.key.terms) != {graph.n: 1.0}:
        return None
    at = np.flatnonzero(writers[prefix])
    keys = at + 1 + store.key.constant
    return (keys.astype(np.int64), prefix[at].astype(np.int64), int(at[-1]) + 1) if _regular(keys) else None


def _regular(keys: np.ndarray) -> bool:
    """Integers within the limits, none twice and no two with another in the middle between them (then the nearest one would
    have to be the later one), and close enough for an array."""
    if not len(keys) or not (np.abs(keys) < KEY_LIMIT).all() or (keys != np.rint(keys)).any():
        return False
    return keys[-1] - keys[0] < MAX_SPREAD * len(keys) and not (np.diff(keys) % 2 == 0).any()


def _by_row(graph: Symbols, lookups: list[int], keys: np.ndarray, tokens: np.ndarray) -> dict[int, Static]:
    """Lookups at consecutive positions, those whose queries differ by a constant together: a row is where all of them find
    something."""
    if (np.diff(keys) != 1).any():
        return {}
    groups: dict[Form, list[int]] = {}
    for k in lookups:
        groups.setdefault(graph.lookups[k].query.without_constant(), []).append(k)
    found = {}
    for group in groups.values():
        ahead = np.array([graph.lookups[k].query.constant - graph.lookups[group[0]].query.constant for k in group])
        count = len(keys) - int(ahead.max() - ahead.min())
        if count < 1 or (ahead != np.rint(ahead)).any():
            continue
        for k, start in zip(group, (ahead - ahead.min()).astype(int).tolist(), strict=True):
            found[k] = Static(group[0], keys[start : start + count], tokens[start : start + count], fixed=True)
    return found


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
