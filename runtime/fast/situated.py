"""Forms rewritten for one row and for tokens of which something is known: those at this position and a few before it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .atoms import RunningSum
from .context import Rewriter
from .linear import Form
from .stores import DigitWindow, IndexSource


@dataclass
class Situated(Rewriter):
    """Rewrites what a group's context leaves of a form, for one of the group's rows.

    row: index in the group. recent: by distance, 0 for this position, ids [first, end) that the token is one of. distances: by
    source, how far back the token is that a delay returns. known: running sums that the row decides, as forms.
    """

    group: Rewriter = field(kw_only=True)
    row: int = field(kw_only=True)
    recent: tuple[tuple[int, int], ...] = field(kw_only=True)
    distances: dict[int, int] = field(kw_only=True)
    known: dict[int, Form] = field(kw_only=True)

    def __call__(self, form: Form) -> Form:
        return self.inner(self.group(form))

    def within(self, window: DigitWindow) -> bool:
        return self.group.within(window)

    def _evaluate(self, atom: int) -> Form:
        match self.graph.atoms[atom]:
            case RunningSum(number) if number in self.known:
                return self.inner(self.known[number])
        return super()._evaluate(atom)

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
        return Form({atom: 1.0})


@dataclass
class SituatedForms(Situated):
    """The same, where what has to be checked of a position is not asked: that takes long in rows of large circuits."""

    def __post_init__(self) -> None:
        """No assumptions are rewritten."""
