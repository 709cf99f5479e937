"""Tokens that code can treat alike: those that nothing tells apart which is still asked of them, and those whose ids follow one
another and which add the same to the sum that decides the row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .atoms import Table
from .context import Rewriter
from .linear import Form
from .live import Live
from .symbols import Symbols

# A function of the token that changes more often than that, in the order of the ids, does not divide tokens into classes.
MAX_CHANGES = 12
Ids = tuple[int, int]


class Unchained(Exception):
    """Positions of this checkpoint cannot be chained; says why."""


@dataclass
class Tokens:
    """Token ids below `count`. depth: the longest delay. same: by distance, for each id the number of its class: nothing that is
    asked of a token at that distance, or farther back, tells those of a class apart. first: by distance and class its lowest id.
    runs: for each id the ids around it that code treats alike, [first, end), as int [count, 2]."""

    count: int
    depth: int
    same: list[np.ndarray]
    first: list[np.ndarray]
    runs: np.ndarray

    def usual(self, distance: int, ids: Ids) -> Ids:
        """The range that stands for the tokens, if they are all of one class; else the range itself."""
        numbers = self.same[distance][ids[0] : ids[1]]
        if (numbers != numbers[0]).any():
            return ids
        first = int(self.first[distance][numbers[0]])
        return first, first + 1

    def run(self, token: int) -> Ids:
        first, end = self.runs[token].tolist()
        return first, end


def tokens_of(graph: Symbols, contexts: Sequence[Rewriter], special: Live, count: int, row_sum: Form) -> Tokens:
    """row_sum: what a token adds to the sum that decides the row."""
    distances = delayed_tokens(graph)
    depth = max(special.delays.values(), default=0)
    kept = _kept_tokens(graph, distances, depth)
    vectors: list[dict[int, np.ndarray]] = [{} for _ in range(depth + 1)]
    for vector in _vectors_of_this_token(graph, contexts, count, row_sum):
        vectors[0][vector] = graph.vectors[vector][:count]
    # Of tokens before this one, or found in a store, whatever any code may ask: also `general`, which reads prompts.
    for atom in graph.atoms:
        if isinstance(atom, Table) and atom.source in distances and distances[atom.source] <= depth:
            vectors[distances[atom.source]][atom.vector] = graph.vectors[atom.vector][1 : count + 1]
        elif isinstance(atom, Table) and atom.source in kept:
            place = kept[atom.source]
            if place is None:
                raise Unchained("what has been kept of a token is kept once more")
            distance, shift = place
            vectors[distance][~atom.vector] = graph.vectors[atom.vector][shift : count + shift]
    columns = [[v for d in range(distance, depth + 1) for v in vectors[d].values()] for distance in range(depth + 1)]
    same, first = [], []
    for distance in range(depth + 1):
        matrix = np.stack([*columns[distance], np.zeros(count)], axis=1)
        _, lowest, numbers = np.unique(matrix, axis=0, return_index=True, return_inverse=True)
        same.append(numbers.reshape(-1))
        first.append(lowest)
    plain = [v for each in vectors for number, v in each.items() if number >= 0]
    return Tokens(count, depth, same, first, _runs(plain, by_token(graph, row_sum, count)))


def _vectors_of_this_token(graph: Symbols, contexts: Sequence[Rewriter], count: int, row_sum: Form) -> Iterator[int]:
    """Tables of the token that code reads, but for what it adds to the sum that decides the row."""
    seen: set[int] = set()
    for context in contexts:
        for form in context.rewritten():
            if form == row_sum:
                continue
            for atom in form.terms:
                what = graph.atoms[atom]
                if atom not in seen and isinstance(what, Table) and graph.sources[what.source].name == ("token", count):
                    yield what.vector
                seen.add(atom)


def by_token(graph: Symbols, form: Form, count: int) -> np.ndarray:
    """The values of a form that depends on the token alone, float64 [count]."""
    if form.is_constant():
        return np.full(count, form.constant)
    source = graph.single_source(form)
    if source is None or graph.sources[source].name[0] != "token":
        raise Unchained("a running sum depends on more than the token")
    return graph.evaluate(form, source)[:count]


def _runs(columns: list[np.ndarray], added: np.ndarray) -> np.ndarray:
    begins = np.zeros(len(added), dtype=bool)
    begins[0] = True
    for values in columns:
        here = values[1:] != values[:-1]
        if here.sum() <= MAX_CHANGES:
            begins[1:] |= here
    begins[1:] |= added[1:] != added[:-1]
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(added))
    number = np.cumsum(begins) - 1
    return np.stack([starts[number], ends[number]], axis=1)


def delayed_tokens(graph: Symbols) -> dict[int, int]:
    """By source: the distance of the token that it is."""
    found = {}
    for number, source in enumerate(graph.sources):
        if source.name[0] == "stored":
            lookup = graph.lookups[source.name[1]]
            store = graph.stores[lookup.store]
            if store.kind == "delay" and store.columns[source.name[2]] == graph.token:
                found[number] = lookup.query
    return found


def _kept_tokens(graph: Symbols, distances: dict[int, int], depth: int) -> dict[int, tuple[int, int] | None]:
    """By source: the distance of the token that a position has kept, as another one finds it, and what has been added to its id;
    None where it was found in a store itself."""
    found: dict[int, tuple[int, int] | None] = {}
    for number, source in enumerate(graph.sources):
        if source.name[0] != "stored" or number in distances:
            continue
        what = graph.stores[graph.lookups[source.name[1]].store].columns[source.name[2]]
        if what == graph.token:
            found[number] = 0, 1
        elif isinstance(what, int) and distances.get(what, depth + 1) <= depth:
            found[number] = distances[what], 2
        else:
            found[number] = None
    return found
