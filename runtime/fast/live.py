"""What of the past is still needed: reachability from the logits, through heads to earlier positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .atoms import Stamp
from .context import Rewriter
from .linear import Form
from .stores import DigitWindow
from .symbols import Symbols


@dataclass
class Live:
    """sums: numbers of running sums. lookups: those that are made. columns: (store, column) pairs that are read.
    stores: those that lookups search. delays: (store, column) of the delay store -> greatest distance. stamped: stores
    whose positions are read."""

    sums: list[int] = field(default_factory=list)
    lookups: list[int] = field(default_factory=list)
    columns: list[tuple[int, int]] = field(default_factory=list)
    stores: set[int] = field(default_factory=set)
    delays: dict[tuple[int, int], int] = field(default_factory=dict)
    stamped: set[int] = field(default_factory=set)


def live(graph: Symbols, roots: Sequence[Form], contexts: Sequence[Rewriter]) -> Live:
    """What is reached from the roots in any of the contexts; what one context needs, all of them must keep up."""
    result = Live()
    # Forms that decide what a later position finds: needed in every context.
    shared: list[Form | int | DigitWindow] = [*roots, *graph.queries, *(found for found, _, _ in graph.growing)]
    seen: list[set[int]] = [set() for _ in contexts]
    done = 0
    while done < len(shared):
        what = shared[done]
        done += 1
        for context, atoms in zip(contexts, seen):
            _reach(graph, what, context, atoms, result, shared)
    return result


def kept_anyway(graph: Symbols, form: Form, context: Rewriter, known: Live) -> bool:
    """Whether all that a form needs of the past is kept anyway."""
    trial = Live(
        list(known.sums), list(known.lookups), list(known.columns), set(known.stores), dict(known.delays), set(known.stamped)
    )
    _reach(graph, form, context, set(), trial, [])
    return trial == known


def _reach(
    graph: Symbols,
    what: Form | int | DigitWindow,
    context: Rewriter,
    seen: set[int],
    result: Live,
    shared: list[Form | int | DigitWindow],
) -> None:
    """Follows one form or source within a position; what reaches earlier positions goes to `result` and `shared`."""
    todo: list[Form] = []

    def reach_source(source: int) -> None:
        row = context.row_source(source)
        name = graph.sources[source if row is None else row[0]].name
        if name[0] == "row":
            todo.append(context(graph.lookups[name[1]].query))
        elif name[0] == "stored":
            reach_lookup(name[1], name[2])

    def reach_lookup(number: int, column: int | None) -> None:
        lookup = graph.lookups[number]
        store = graph.stores[lookup.store]
        if number not in result.lookups:
            result.lookups.append(number)
            result.stores.add(lookup.store)
            shared.append(store.penalty)
            shared.extend([store.key, *store.keys, *store.windows])
        queries = lookup.query if isinstance(lookup.query, tuple) else (lookup.query,)
        todo.extend(context(q) for q in queries if isinstance(q, Form))
        todo.extend(context(w.form) for w in lookup.windows if not context.within(w))
        if column is None:
            return
        key = (lookup.store, column)
        if store.kind == "delay":
            result.delays[key] = max(result.delays.get(key, 0), lookup.query)
        if key not in result.columns:
            result.columns.append(key)
            shared.append(store.columns[column])

    if isinstance(what, Form):
        todo.append(context(what))
    elif isinstance(what, DigitWindow):
        todo += [] if context.within(what) else [context(what.form)]
    else:
        reach_source(what)
    while todo:
        for atom in todo.pop().terms:
            if atom in seen:
                continue
            seen.add(atom)
            parts = graph.parts(atom)
            todo += parts.forms
            if parts.source is not None:
                reach_source(parts.source)
            if parts.sum is not None and parts.sum not in result.sums:
                result.sums.append(parts.sum)
                shared.append(graph.sums[parts.sum])
            if parts.lookup is not None:
                reach_lookup(parts.lookup, parts.column)
                if isinstance(graph.atoms[atom], Stamp):
                    result.stamped.add(graph.lookups[parts.lookup].store)
