"""Columns that hold what is read together: a word instead of its bytes.

Where forms keep asking a lookup for the same combination of columns, the combination gets a column of its own, computed once when
the position is stored instead of every time it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from .atoms import Read, Table
from .context import Rewriter
from .linear import Form, linear, power_of_two
from .live import Live
from .symbols import Symbols

# A combination must be read in this part of the contexts.
MIN_USES = 0.2

# (column, vector or -1, coefficient), sorted: what is read of one store.
Combination = tuple[tuple[int, int, float], ...]


@dataclass
class Packs:
    """columns: (store, combination) -> column."""

    graph: Symbols
    columns: dict[tuple[int, Combination], int] = field(default_factory=dict)

    def __call__(self, form: Form) -> Form:
        """The form with packed columns where it has the combinations that they hold."""
        if not self.columns or len(form.terms) < 2:
            return form
        terms, parts = dict(form.terms), []
        for lookup, atoms in _by_lookup(self.graph, form).items():
            combination, scale = _combination(self.graph, form, atoms)
            column = self.columns.get((self.graph.lookups[lookup].store, combination))
            if column is not None:
                for atom in atoms:
                    del terms[atom]
                parts.append((scale, self.graph.of(Read(lookup, column))))
        return linear([(1.0, Form(terms, form.constant)), *parts]) if parts else form


def pack(graph: Symbols, contexts: Sequence[Rewriter], reached: Live) -> Packs:
    """Finds the combinations that the contexts' forms read, and adds columns for them to the stores."""
    uses: Counter[tuple[int, Combination]] = Counter()
    for context in contexts:
        found = set()
        for form in context.rewritten():
            merged = graph.merged(form)
            for lookup, atoms in _by_lookup(graph, merged).items():
                found.add((graph.lookups[lookup].store, _combination(graph, merged, atoms)[0]))
        uses.update(found)
    result = Packs(graph)
    for (store, combination), count in uses.items():
        if count < MIN_USES * len(contexts):
            continue
        column = graph.stores[store].column(_kept(graph, store, combination))
        result.columns[store, combination] = column
        if (store, column) not in reached.columns:
            reached.columns.append((store, column))
    return result


def _by_lookup(graph: Symbols, form: Form) -> dict[int, list[int]]:
    """The form's atoms that keyed and register lookups return, by lookup; two of one lookup at least."""
    groups: dict[int, list[int]] = {}
    for atom in form.terms:
        lookup = graph.lookup_behind(atom)
        if lookup is not None and graph.stores[graph.lookups[lookup].store].kind in ("keyed", "register"):
            groups.setdefault(lookup, []).append(atom)
    return {lookup: atoms for lookup, atoms in groups.items() if len(atoms) > 1}


def _combination(graph: Symbols, form: Form, atoms: Iterable[int]) -> tuple[Combination, float]:
    """What the atoms read, up to a factor, and the factor."""
    part = Form({a: form.terms[a] for a in atoms})
    first = min(part.terms)
    scale = power_of_two(part) * (1.0 if part.terms[first] > 0 else -1.0)
    entries = []
    for atom, c in part.terms.items():
        what = graph.atoms[atom]
        if isinstance(what, Table):
            entries.append((graph.sources[what.source].name[2], what.vector, c / scale))
        else:
            entries.append((cast(Read, what).column, -1, c / scale))
    return tuple(sorted(entries)), scale


def _kept(graph: Symbols, store: int, combination: Combination) -> Form:
    """The combination in terms of the position that is stored. (Vectors begin with the value for "nothing stored", 0.)"""
    parts = []
    for column, vector, c in combination:
        what = graph.stores[store].columns[column]
        if isinstance(what, Form):
            parts.append((c, what))
        else:
            parts.append((c, graph.table(what, graph.vectors[vector][1:])))
    return linear(parts)
