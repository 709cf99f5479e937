"""What of a position is as it was at the one before it, where the token between them changes nothing that it depends on.

A token is *quiet* if reading it adds nothing to certain running sums and writes to none of certain stores, in the code at hand.
What is made of these sums, of what is found in these stores and of the row alone is then the same number again.
"""

from __future__ import annotations

import numpy as np

from .atoms import Average, Position, PositionSquared, RunningMean, Share
from .context import Rewriter
from .dependence import Dependence
from .linear import Form
from .live import Live
from .stores import IndexSource
from .symbols import Symbols


class Repeats(Dependence):
    """Whether something (rewritten by the context) may differ from what it was at the position before, which was in the same row.

    sums, stores: those that have not changed since.
    """

    def __init__(self, graph: Symbols, context: Rewriter, lookup: int, sums: set[int], stores: set[int]):
        super().__init__(graph, context, lookup)
        self.sums, self.stores = sums, stores

    def store(self, number: int) -> bool:
        return number not in self.stores

    def column(self, store: int, column: int) -> bool:
        return self.store(store)

    def source(self, source: int) -> bool:
        row = self._context.row_source(source)
        name = self._graph.sources[source if row is None else row[0]].name
        if name[0] == "row":
            return name[1] != self._lookup and self._found(name[1])
        return name[0] != "stored" or self._found(name[1])

    def _evaluate(self, atom: int) -> bool:
        if isinstance(self._graph.atoms[atom], Position | PositionSquared | RunningMean | Average | Share):
            return True
        forms, source, sum_, lookup, _ = self._graph.parts(atom)
        return (
            any(self.form(f) for f in forms)
            or (source is not None and self.source(source))
            or (sum_ is not None and sum_ not in self.sums)
            or (lookup is not None and self._found(lookup))
        )

    def atom(self, atom: int) -> bool:
        return self._atom(atom)


class TokenRepeats(Repeats):
    """The same where the token between the two is quiet.

    quiet: bool [tokens of the context]. before: of an outer context, whose quiet tokens these are taken from.
    """

    def __init__(
        self, graph: Symbols, context: Rewriter, lookup: int, reached: Live, before: TokenRepeats | None = None
    ):  # fmt: skip
        super().__init__(graph, context, lookup, set(), set())
        self.quiet: np.ndarray = np.ones(context.tokens, dtype=bool) if before is None else before.quiet
        self.sums = self._at_rest({k: self._added(graph.sums[k]) == 0 for k in reached.sums})
        self.stores = self._at_rest({s: self._penalties(s) > 0 for s in sorted(reached.stores)})

    def _at_rest(self, calm: dict[int, np.ndarray]) -> set[int]:
        """Those of some sums or stores that quiet tokens leave as they are; fewer tokens are quiet then. calm: by number, bool
        [tokens]."""
        result = set()
        for number, tokens in sorted(calm.items(), key=lambda t: -int((t[1] & self.quiet).sum())):
            if (tokens & self.quiet).any():
                self.quiet = self.quiet & tokens
                result.add(number)
        return result

    def _by_token(self, form: Form) -> tuple[np.ndarray, Form]:
        """A form without its constant as what depends on the token alone, float64 [tokens], and the rest."""
        source = self._graph.source(IndexSource(("token", self._context.tokens), self._context.tokens))
        own = Form({a: c for a, c in form.terms.items() if self._graph.parts(a).source == source})
        rest = Form({a: c for a, c in form.terms.items() if a not in own.terms})
        return self._graph.evaluate(own, source), rest

    def _added(self, form: Form) -> np.ndarray:
        """By token, what a running sum gets; not a number where that is not known."""
        form = self._context(form)
        values, rest = self._by_token(form)
        known = rest.is_constant() and self._exact(form)
        return values + form.constant if known else np.full(len(values), np.nan)

    def _penalties(self, number: int) -> np.ndarray:
        """By token, no more than the penalty of a store, as code computes it; 0 where nothing is known."""
        store = self._graph.stores[number]
        form = self._context(store.penalty)
        values, rest = self._by_token(form)
        known = store.kind in ("keyed", "register") and self._graph.bounds(store.penalty).low >= 0 and self._exact(form)
        return values + form.constant + self._graph.bounds(rest).low if known else np.zeros(len(values))

    def _exact(self, form: Form) -> bool:
        """Whether code computes a form with integers."""
        bounds = self._graph.bounds(form)
        return bounds.exponent is not None and bounds.fits
