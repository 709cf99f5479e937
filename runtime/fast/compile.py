"""The passes of the fast engine, in order: from a checkpoint's tensors to object code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...compiler.format.records import collecting_later
from ...compiler.format.transformer import Transformer
from .context import Rewriter
from .image import CompiledModel, image
from .interface import INSTRUCTIONS, TABLE_BYTES, Refused, Room, size
from .jit import compile_object
from .layout import StateLayout
from .lift import Lifted, lift
from .linear import Form
from .live import Live, live
from .loop import Split, generate
from .pack import Packs, pack
from .specialise import choose_split, rewrite, signatures, static_stores


@dataclass
class Analysis:
    """What is known of a checkpoint once its code has been written. special: the state to keep up behind the prefix, where split
    by row is how (None where it is not). text: LLVM IR. brief: there is more to be had, see `compile_model`."""

    lifted: Lifted
    layout: StateLayout
    packs: Packs
    special: Live
    split: Split | None
    settled: int
    decodable: int
    text: str
    brief: bool = False


@collecting_later()
def compile_model(
    model: Transformer, probe: str | None = None, trusting: bool = True, brief: bool = False
) -> CompiledModel:
    """The passes in order: lift, find what is live, fold what the prefix decides, split by program row, generate, compile.

    probe: name of a probe whose values are wanted. trusting: whether generated code may give up with status UNEXPECTED. brief:
    without what the prefix decides: made in a fifth of the time, for sequences that end soon.
    """
    found = analyse(model, probe, trusting, brief)
    code = compile_object(found.text, quick=True)
    depth = max(found.special.delays.values(), default=0)
    return CompiledModel(code, image(found.layout, found.settled, found.decodable, depth), found.text, brief=found.brief)


@collecting_later()
def analyse(model: Transformer, probe: str | None = None, trusting: bool = True, brief: bool = False) -> Analysis:
    """All passes but the last; arguments as above. Raises Refused."""
    try:
        with np.errstate(all="ignore"):  # numbers that are not finite are refused
            try:
                return _analyse(model, probe, trusting, splitting=True, brief=brief)
            except Refused:
                return _analyse(model, probe, trusting, splitting=False, brief=brief)  # takes less, if that was it
    except ArithmeticError:  # of Python's own numbers, which numpy's setting does not reach
        raise Refused("its numbers go to the ends of doubles, and what is computed from them beyond") from None
    except RecursionError:
        raise Refused("a number is computed in too many steps, one from the other") from None


def _analyse(model: Transformer, probe: str | None, trusting: bool, splitting: bool, brief: bool) -> Analysis:
    lifted = lift(model, model.probes[probe] if probe else None, trusting)
    graph = lifted.graph
    roots = [*lifted.columns, *([lifted.probe] if lifted.probe else [])]
    general = special = live(graph, roots, [Rewriter(graph, {})])
    statics, settled = static_stores(graph, general, model.prefix)
    context, split, decodable = None, None, len(model.embed)
    packs = Packs(graph)
    brief = brief and bool(statics)  # else there is nothing more to be made
    if statics and not brief:
        special = live(graph, roots, [Rewriter(graph, statics)])
        decodable = _decodable(lifted)
        context = Rewriter(graph, statics, tokens=decodable)
        split = _split(graph, context, roots) if splitting else None
        contexts = split.contexts if split else [context]
        for each in contexts:
            rewrite(each, roots, special)
        packs = pack(graph, contexts, special)
        general.columns = list(dict.fromkeys([*general.columns, *special.columns]))
        # A delay must not reach back before the start.
        settled = max(settled, 1 + max(general.delays.values(), default=0))
    bytes_ = size(model)
    layout = StateLayout(graph, general, Room("bytes of tables", TABLE_BYTES, bytes_))
    room = Room("instructions", INSTRUCTIONS, bytes_)
    text = generate(lifted, layout, packs, general, special, context, split, room)
    return Analysis(lifted, layout, packs, special, split, settled, decodable, text, brief)


def _decodable(lifted: Lifted) -> int:
    """Tokens from here on have constant logits: `special` is not made for them."""
    varying = np.array([not f.is_constant() for f in lifted.columns], dtype=bool)
    emitted = np.flatnonzero(lifted.weights[:, varying].any(axis=1))
    return int(emitted[-1]) + 1 if len(emitted) else len(lifted.weights)


def _split(graph, context: Rewriter, roots: list[Form]) -> Split | None:
    lookup = choose_split(graph, context, roots)
    if lookup is None:
        return None
    static = context.statics[lookup]
    groups = signatures(graph, lookup, len(static.keys), context.reached_atoms())
    contexts = [
        Rewriter(graph, context.statics, (lookup, rows, g), context.tokens, context) for g, rows in enumerate(groups)
    ]
    return Split(lookup, static, groups, contexts)
