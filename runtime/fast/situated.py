"""Forms rewritten for one row and for tokens of which something is known: those at this position and a few before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .atoms import Read, RunningSum
from .context import Rewriter
from .linear import Form
from .stores import DigitWindow, IndexSource


@dataclass
class Situated(Rewriter):
    """Rewrites what a group's context leaves of a form, for one of the group's rows.

    row: index in the group. recent: by distance, 0 for this position, ids [first, end) that the token is one of. distances: by
    source, how far back the token is that a delay returns. known: running sums that the row decides, as forms. entries: by store
    and key, what is known of each column, see chain_constants.py; used: (store, key, column) of what has been taken from there.
    """

    group: Rewriter = field(kw_only=True)
    row: int = field(kw_only=True)
    recent: tuple[tuple[int, int], ...] = field(kw_only=True)
    distances: dict[int, int] = field(kw_only=True)
    known: dict[int, Form] = field(kw_only=True)
    entries: Mapping[tuple[int, int], Mapping[int, float]] = field(kw_only=True, default_factory=dict)
    used: set[tuple[int, int, int]] = field(kw_only=True, default_factory=set)
    _keys: dict[int, tuple[int, int] | None] = field(default_factory=dict)

    def __call__(self, form: Form) -> Form:
        return self.inner(self.group(form))

    def within(self, window: DigitWindow) -> bool:
        return self.group.within(window)

    def _evaluate(self, atom: int) -> Form:
        match self.graph.atoms[atom]:
            case RunningSum(number) if number in self.known:
                return self.inner(self.known[number])
            case Read(lookup, column):
                value = self._held(lookup, column)
                if value is not None:
                    return Form({}, value)
        return super()._evaluate(atom)

    def _held(self, lookup: int, column: int) -> float | None:
        """What is known of a column of the entry that a lookup finds."""
        if not self.entries:
            return None
        if lookup not in self._keys:
            self._keys[lookup] = None  # until that is known
            store, query = self.graph.lookups[lookup].store, self.graph.lookups[lookup].query
            key = self(query) if isinstance(query, Form) else None
            if key is not None and key.is_constant() and float(key.constant).is_integer():
                self._keys[lookup] = store, int(key.constant)
        where = self._keys[lookup]
        value = None if where is None else self.entries.get(where, {}).get(column)
        if where is not None and value is not None:
            self.used.add((*where, column))
        return value

    def _table(self, atom: int, source: int, values: np.ndarray) -> Form:
        graph = self.graph
        name = graph.sources[source].name
        if self.split is not None and name == ("row", self.split[0], self.split[2]):
            return Form({}, float(values[self.row]))
        if name[0] == "token" and len(name) == 2:
            first, end = self.recent[0]
            return graph.table(graph.source(IndexSource(("token", first, end), end - first)), values[first:end])
        if source in self.distances:
            distance = self.distances[source]
            first, end = self.recent[distance]
            past = graph.source(IndexSource(("past", distance, first, end), end - first))
            return graph.table(past, values[first + 1 : end + 1])
        if name[0] == "stored":
            value = self._held(name[1], name[2])
            if value is not None:
                return Form({}, float(values[int(value)]))
        return Form({atom: 1.0})


@dataclass
class SituatedForms(Situated):
    """The same, where what has to be checked of a position is not asked: that takes long in rows of large circuits."""

    def __post_init__(self) -> None:
        """No assumptions are rewritten."""
