"""Entries of keyed stores that no row writes, as the constants of a program: what they hold is part of the code of chains.

They have keys that some positions ask for whatever is computed, and that no row writes in that way. What else is written has
keys at a distance from something that moves; code compares these with the greatest of the former whenever it moves
(`ChainWriter.window`). Where a chain begins, all that has been taken for granted is compared with what is there
(`chain_ends.begin`), so nothing rests on what happened before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .chain_memory import Windows
from .context import Rewriter
from .index import PAGE_KEYS
from .layout import StateLayout, numpy_type
from .live import Live
from .situated import Situated
from .stores import PositionStore
from .symbols import Symbols

# Of each keyed store, by the key with which a page begins, its entries.
Entries = Sequence[Mapping[int, bytes]]
# Entries that are taken for granted at most: those that are asked for most. Each is compared wherever a chain begins.
MOST_KNOWN = 48


@dataclass
class KnownEntries:
    """values: by store and key, the value of each column. greatest: by store, the greatest of these keys. used: (store, key,
    column) whose value is in code."""

    values: dict[tuple[int, int], Mapping[int, float]] = field(default_factory=dict)
    greatest: dict[int, int] = field(default_factory=dict)
    used: set[tuple[int, int, int]] = field(default_factory=set)


def constants(
    graph: Symbols, layout: StateLayout, special: Live, windows: Windows, contexts: Sequence[Situated],
    rows: Callable[[], Iterable[Situated]], visits: Sequence[int], entries: Entries,
) -> KnownEntries:  # fmt: skip
    """contexts: of all situations, each of which a sequence has been in so often. rows: contexts of all rows, without
    anything known of tokens. entries: see `StateMemory.entries`; none where nothing is known."""
    keyed = [store for store in layout.entries if graph.stores[store].kind == "keyed"]
    asked: Counter[tuple[int, int]] = Counter()
    for store, pages in zip(keyed, entries):
        written = _written(graph, store, windows, contexts, rows()) if pages and graph.stores[store].exact else None
        if written is None:
            continue
        lookups = [k for k in special.lookups if graph.lookups[k].store == store]
        for context, count in zip(contexts, visits, strict=True):
            for number in lookups:
                query = context(graph.lookups[number].query)
                if query.is_constant() and _page(query.constant) in pages and query.constant not in written:
                    asked[store, int(query.constant)] += count
    found = KnownEntries()
    for (store, key), _ in asked.most_common(MOST_KNOWN):
        found.values[store, key] = _columns(layout, store, key, entries[keyed.index(store)])
        found.greatest[store] = max(key, found.greatest.get(store, key))
    return found


def _written(
    graph: Symbols, store: int, windows: Windows, contexts: Sequence[Situated], rows: Iterable[Situated]
) -> set[float] | None:
    """Keys that some row writes, whatever is computed; None where a situation writes others than these and those of windows."""
    what, found = graph.stores[store], set()
    for row in rows:
        key = row(what.key)
        if key.is_constant():
            found.add(key.constant)
    for context in contexts:
        key = context(what.key)
        if _may_write(context, what) and not (windows.has(store, key) and all(context.within(w) for w in what.windows)):
            return None
        if key.is_constant():
            found.add(key.constant)
    return found


def _may_write(context: Rewriter, store: PositionStore) -> bool:
    penalty = context(store.penalty)
    return not penalty.is_constant() or penalty.constant <= 0


def _page(key: float) -> float:
    """The key with which the page of a key begins; of what is no integer, none."""
    return key - key % PAGE_KEYS


def _columns(layout: StateLayout, store: int, key: int, pages: Mapping[int, bytes]) -> dict[int, float]:
    entry, found = layout.entries[store], {}
    for column, (at, type) in entry.columns.items():
        value = np.frombuffer(pages[int(_page(key))], numpy_type(type), 1, key % PAGE_KEYS * entry.size + at)[0]
        found[column] = float(value) if type.floating else int(value) * 2.0**type.exponent
    return found
