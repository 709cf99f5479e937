"""Which positions follow one another: rows, and what is known of the tokens by which they are reached.

Behind a prefix the row of the next position is the row of this one and what the next token adds to the running sums, if all
else that the query for the row is made of stays. So where the token is known up to tokens that add the same, the next row is
known, and its code can follow without a lookup. A `Situation` is what code may rely on: the row, and for each of the last
tokens a range of ids that it is one of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .atoms import RunningSum
from .context import Rewriter, Static
from .linear import Form
from .situated import Situated, SituatedForms
from .symbols import Symbols
from .tokens_alike import Ids, Tokens, Unchained


class Situation(NamedTuple):
    """row: its number among the keys. recent: by distance, 0 for this position's token, ids [first, end). A range of one id
    stands for all tokens that code cannot tell from it (see `Tokens.usual`)."""

    row: int
    recent: tuple[Ids, ...]


@dataclass
class Situations:
    """What follows what. lookup, static: by whose row the code is split. group_of, place: by row of the store, its group and its
    index in it. row_sum: the running sum that decides the row."""

    graph: Symbols
    lookup: int
    static: Static
    contexts: Sequence[Rewriter]
    group_of: np.ndarray
    place: np.ndarray
    tokens: Tokens
    row_sum: int
    added: np.ndarray
    distances: dict[int, int]
    _query: dict[Situation, Form] = field(default_factory=dict)
    _next: dict[tuple[Situation, Ids], Situation | None] = field(default_factory=dict)

    def context(self, situation: Situation, **entries: Any) -> Situated:
        """Rewrites forms for the situation. entries: what is known of entries, and what of that is used, see `Situated`."""
        return self._situated(situation, {self.row_sum: self._sum(situation)}, **entries)

    def forms(self, situation: Situation) -> Situated:
        """The same, without what has to be checked of a position."""
        return self._situated(situation, {self.row_sum: self._sum(situation)}, SituatedForms)

    def _situated(
        self, situation: Situation, known: dict[int, Form], kind: type[Situated] = Situated, **entries: Any
    ) -> Situated:
        group = self.contexts[self.group_of[situation.row]]
        return kind(
            self.graph, group.statics, group.split, group.tokens, group=group, row=int(self.place[situation.row]),
            recent=situation.recent, distances=self.distances, known=known, **entries,
        )  # fmt: skip

    def _rest(self, situation: Situation) -> Form:
        """The query for the row but for its running sum."""
        found = self._query.get(situation)
        if found is None:
            query = self._situated(situation, {}, SituatedForms)(self.graph.lookups[self.lookup].query)
            atom = self.graph.atom(RunningSum(self.row_sum))
            terms = dict(query.terms)
            if terms.pop(atom, 0.0) != 1.0:
                raise Unchained("the row does not follow from one running sum")
            found = self._query[situation] = Form(terms, query.constant)
        return found

    def _sum(self, situation: Situation) -> Form:
        key = float(self.static.keys[0]) + situation.row
        return self._rest(situation).scaled(-1.0).shifted(key)

    def start(self, row: int) -> Situation:
        """Nothing is known of the tokens."""
        return Situation(row, ((0, self.tokens.count),) * (self.tokens.depth + 1))

    def follow(self, situation: Situation, ids: Ids) -> Situation | None:
        """Where a token of a run leads, if that is known."""
        key = situation, ids
        if key not in self._next:
            self._next[key] = self._follow(situation, ids)
        return self._next[key]

    def _follow(self, situation: Situation, ids: Ids) -> Situation | None:
        recent = (ids, *situation.recent[:-1])
        usual = tuple(self.tokens.usual(distance, each) for distance, each in enumerate(recent))
        before = self._rest(situation)
        trial = Situation(situation.row, usual)  # the query depends on the row through the sum only
        after = self._rest(trial)
        if before.without_constant() != after.without_constant():
            return None
        row = situation.row + self.added[ids[0]] + after.constant - before.constant
        if row != int(row) or not 0 <= row < len(self.static.keys):
            return None
        return Situation(int(row), usual)


def registers_read(graph: Symbols, form: Form) -> set[int]:
    """Stores that are read, where all that a form is made of are registers, sums and tables by what registers hold; raises
    Unchained otherwise."""
    found = set()
    for atom in graph.atoms_within(form):
        if isinstance(graph.atoms[atom], RunningSum):
            continue
        lookup = graph.lookup_behind(atom)
        store = None if lookup is None else graph.lookups[lookup].store
        if store is None or graph.stores[store].kind != "register":
            raise Unchained("an address or the row depends on more than sums and registers")
        found.add(store)
    return found
