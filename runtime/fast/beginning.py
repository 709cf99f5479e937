"""The first positions of a checkpoint that counts its positions, where it does not count yet as it does later (see counting.py).

What a head finds there may be another position than the one that code of the fast engine takes. So whatever may differ must be
forgotten again: no sum may have it, no store may keep it, and behind the prefix nothing may be left of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .atoms import Average, Key, Stamp
from .counting import ALL
from .interface import Refused
from .linear import Form
from .symbols import Symbols


class _Horizons:
    """Up to which position something may differ; 0: nowhere."""

    def __init__(self, graph: Symbols, prefix: np.ndarray):
        self.graph, self.prefix = graph, prefix
        self._atoms: dict[int, int] = {}

    def form(self, form: Form) -> int:
        return max((self.atom(a) for a in form.terms), default=0)

    def atom(self, atom: int) -> int:
        found = self._atoms.get(atom)
        if found is None:
            found = self._atoms[atom] = self._of_atom(atom)
        return found

    def _of_atom(self, atom: int) -> int:
        graph = self.graph
        forms, source, number, lookup, column = graph.parts(atom)
        found = max((self.form(f) for f in forms), default=int(atom in graph.other_at_first))
        if number is not None:
            found = max(found, self.form(graph.sums[number]))
        if source is not None and graph.sources[source].name[0] == "stored":
            _, lookup, column = graph.sources[source].name
        if lookup is None:
            return found
        if isinstance(graph.atoms[atom], (Key, Stamp, Average)):
            return max(found, ALL + 1, self._query(lookup))
        return max(found, self._returned(lookup, column, atom))

    def _query(self, lookup: int) -> int:
        query = self.graph.lookups[lookup].query
        queries = query if isinstance(query, tuple) else (query,)
        windows = [w.form for w in self.graph.lookups[lookup].windows]
        return max((self.form(f) for f in (*queries, *windows) if isinstance(f, Form)), default=0)

    def _returned(self, lookup: int, column: int | None, atom: int) -> int:
        graph = self.graph
        store = graph.stores[graph.lookups[lookup].store]
        assert column is not None
        if store.kind == "delay":
            distance = graph.lookups[lookup].query
            own = self.kept(store.columns[column])
            until = ALL - 1 + distance
            zero = own == 0 and self._zero(store.columns[column], atom, until)
            return max(0 if zero else until, own + distance if own else 0)
        found = self._query(lookup)
        if store.kind == "keyed" and not store.exact and not self._zero(store.columns[column], atom, ALL + 1):
            found = max(found, ALL + 1)
        return found

    def kept(self, what: Form | int) -> int:
        if isinstance(what, Form):
            return self.form(what)
        name = self.graph.sources[what].name
        if name[0] != "stored":
            return 0
        return self._returned(name[1], name[2], -1)

    def _zero(self, what: Form | int, atom: int, until: int) -> bool:
        """Whether a column is 0 for all tokens up to some position; atom: of the table over it, where it is a source."""
        graph = self.graph
        tokens = self.prefix[:until]
        if isinstance(what, Form):
            return graph.single_source(what) == graph.token and not graph.evaluate(what, graph.token)[tokens].any()
        return what == graph.token and atom >= 0 and not graph.table_values(atom)[1 + tokens].any()


def check_beginning(graph: Symbols, prefix: np.ndarray, logits: Sequence[Form]) -> None:
    """Raises Refused if something that may differ at first could reach what is decoded."""
    horizons = _Horizons(graph, prefix)
    for form in graph.sums:
        # The counter is not n everywhere, so what is counter * mean must be 0.
        alone = graph.single_source(form) == graph.token
        if not alone or graph.evaluate(form, graph.token)[prefix[:ALL]].any():
            raise Refused("a running sum does not begin with zeros")
    for store in graph.stores:
        if store.kind not in ("keyed", "register"):
            continue
        if horizons.form(store.key) or horizons.form(store.penalty) or any(horizons.form(w.form) for w in store.windows):
            raise Refused("where a position is kept depends on what it finds in the first ones")
        last = max((horizons.kept(c) for c in store.columns), default=0)
        if last and not _unwritten(graph, store.penalty, prefix, last, first=1 if store.exact else 0):
            raise Refused("a position keeps what it finds in the first ones")
    if max((horizons.form(f) for f in logits), default=0) > len(prefix):
        raise Refused("its prefix is too short for a counter")


def _unwritten(graph: Symbols, penalty: Form, prefix: np.ndarray, last: int, first: int) -> bool:
    """Whether the tokens of the positions up to `last`, a part of the prefix, have a penalty."""
    terms = graph.expanded(penalty).terms
    own = Form({a: c for a, c in terms.items() if graph.parts(a).source == graph.token}, penalty.constant)
    rest = graph.bounds(Form({a: c for a, c in terms.items() if a not in own.terms}))
    if last > len(prefix) or rest.low < 0 or not own.terms:
        return False
    return bool((graph.evaluate(own, graph.token)[prefix[first:last]] > 0).all())


__all__ = ["check_beginning"]
