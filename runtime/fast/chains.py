"""Chains: code for what a sequence does most, in which each position goes on to the next by a jump (see chain_region.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...compiler.format.transformer import Transformer
from .atoms import RunningSum
from .chain_constants import Entries
from .chain_plan import ChainPlan
from .chain_region import Region
from .chained import Wanted
from .compile import Analysis, analyse
from .image import ChainCode
from .interface import Refused
from .jit import compile_lightly, compile_optimised
from .layout import type_for
from .samples import Sample
from .situations import Situation, Situations
from .tokens_alike import Unchained, by_token, delayed_tokens, tokens_of
from .traffic import Traffic, Walk

# Situations that code is made for at most; and where so many are not for that part of all positions.
FEW, MUCH, MOST = 1200, 0.9, 2400
# Lines of LLVM IR, where it is made quickly and where it is not.
QUICK_LINES, LINES = 100_000, 250_000
# From so many lines on, LLVM's passes of level 2 take twice as long as those of level 1, and the code is not faster (nbody). With
# fewer it takes a tenth less time than with level 1 (Sudoku, SHA-256).
LONG_LINES = 180_000
# Code is made until it is made for this part of all positions.
ENOUGH = 0.9995


def compile_chains(
    model: Transformer, probe: str | None, trusting: bool, samples: Sequence[Sample], wanted: Wanted,
    entries: Entries = (),
) -> ChainCode | None:  # fmt: skip
    """Chains for what a sequence was at most, None where there can be none. entries: see `StateMemory.entries`; those that
    do not change become part of the code. Other arguments: see `compile.compile_model`."""
    try:
        found = analyse(model, probe, trusting)
        chosen = plan(found, samples, wanted, entries)
        text = Region(chosen, QUICK_LINES if wanted.quick else LINES).text()
        passes = 2 if text.count("\n") < LONG_LINES else 1
        code = compile_lightly(text) if wanted.quick else compile_optimised(text, level=1, passes=passes)
        return ChainCode(code, chosen.tokens(), wanted.quick)
    except (Unchained, Refused):
        return None


def situations_of(found: Analysis) -> Situations:
    """Raises Unchained where rows do not follow from running sums."""
    split, graph = found.split, found.lifted.graph
    if split is None:
        raise Unchained("the code is not split by row")
    for s in found.special.stores:
        store = graph.stores[s]
        if store.kind == "soft" or (store.kind == "keyed" and (not store.exact or s in found.special.stamped)):
            raise Unchained("some lookups are no exact ones by key")
        if store.kind == "delay" and any(store.columns[c] != graph.token for n, c in found.special.delays if n == s):
            raise Unchained("more than tokens is read a fixed distance back")
    if any(type_for(graph.atom_bounds(graph.atom(RunningSum(k)))).floating for k in found.special.sums):
        raise Unchained("a running sum is no integer of 64 bits")
    if len(split.static.rows()) != len(split.static.keys):
        raise Unchained("rows are not numbered one after the other")
    context = split.contexts[0]
    query = context(graph.lookups[split.lookup].query)
    sums = [graph.parts(a).sum for a in query.terms if isinstance(graph.atoms[a], RunningSum)]
    bounds = graph.bounds(query)
    inside = split.static.fixed or (bounds.low >= split.static.keys[0] and bounds.high <= split.static.keys[-1])
    if len(sums) != 1 or sums[0] is None or not bounds.below(0) or (bounds.exponent or 0) < 0 or not inside:
        raise Unchained("the row does not follow from one running sum")
    row_sum = context(graph.sums[sums[0]])
    tokens = tokens_of(graph, split.contexts, found.special, found.decodable, row_sum)
    added = by_token(graph, row_sum, found.decodable)
    group_of, place = np.zeros(len(split.static.keys), dtype=int), np.zeros(len(split.static.keys), dtype=int)
    for g, rows in enumerate(split.groups):
        group_of[rows], place[rows] = g, np.arange(len(rows))
    return Situations(
        graph,
        split.lookup,
        split.static,
        split.contexts,
        group_of,
        place,
        tokens,
        sums[0],
        added,
        delayed_tokens(graph),
    )


def plan(found: Analysis, samples: Sequence[Sample], wanted: Wanted, entries: Entries = ()) -> ChainPlan:
    """For the situations that a sequence was in most."""
    situations = situations_of(found)
    flow, chosen, part = _most_visited(situations, samples, wanted)
    if part < wanted.part or not chosen:
        raise Unchained("too few positions come often")
    return ChainPlan(found, situations, flow, chosen, entries)


def _most_visited(
    situations: Situations, samples: Sequence[Sample], wanted: Wanted
) -> tuple[Traffic, list[Situation], float]:
    """The traffic, the situations that are worth code, and which part of all positions they are."""
    walk = Walk(situations)
    for sample in samples:
        walk.add(*sample)
    flow = walk.traffic()
    chosen, all_, sofar = [], sum(flow.visits.values()), 0
    for number, (situation, count) in enumerate(flow.visits.most_common(min(wanted.most, MOST))):
        if count < wanted.often or sofar > ENOUGH * all_ or (number >= FEW and sofar >= MUCH * all_):
            break
        chosen.append(situation)
        sofar += count
    return flow, chosen, sofar / max(all_, 1)
