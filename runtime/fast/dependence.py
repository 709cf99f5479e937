"""What of a position depends on the row that splits the code, and so must wait until the row is known."""

from __future__ import annotations

from .context import Rewriter
from .linear import Form
from .symbols import Symbols


class Dependence:
    """Whether something (rewritten by the context) depends on what a static lookup finds."""

    def __init__(self, graph: Symbols, context: Rewriter, lookup: int):
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
        return any(self.kept(f) for f in (store.key, store.penalty, *store.keys, *(w.form for w in store.windows)))

    def column(self, store: int, column: int) -> bool:
        return self.store(store) or self.kept(self._graph.stores[store].columns[column])

    def source(self, source: int) -> bool:
        row = self._context.row_source(source)
        name = self._graph.sources[source if row is None else row[0]].name
        if name[0] in ("token", "count"):
            return False
        if name[0] == "row":
            return name[1] == self._lookup or self._found(name[1])
        return self._found(name[1]) or self.column(self._graph.lookups[name[1]].store, name[2])

    def _found(self, number: int) -> bool:
        """Which position a lookup finds."""
        lookup = self._graph.lookups[number]
        queries = lookup.query if isinstance(lookup.query, tuple) else (lookup.query,)
        queries = (*queries, *(w.form for w in lookup.windows))
        static = number in self._context.statics
        return any(self.kept(q) for q in queries if isinstance(q, Form)) or (not static and self.store(lookup.store))

    def _atom(self, atom: int) -> bool:
        if atom not in self._atoms:
            self._atoms[atom] = self._evaluate(atom)
        return self._atoms[atom]

    def _evaluate(self, atom: int) -> bool:
        forms, source, sum_, lookup, column = self._graph.parts(atom)
        return (
            any(self.form(f) for f in forms)
            or (source is not None and self.source(source))
            or (sum_ is not None and self.kept(self._graph.sums[sum_]))
            or (lookup is not None and self._found(lookup))
            or (lookup is not None and column is not None and self.column(self._graph.lookups[lookup].store, column))
        )
