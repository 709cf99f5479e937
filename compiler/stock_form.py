"""The stock form of a compiled program: the same tokens from a transformer that unmodified LlamaForCausalLM computes."""

from __future__ import annotations

from itertools import product

import numpy as np

from .format.checkpoint import Model
from .format.errors import CompileError
from .format.tokens import runs_of
from .format.transformer import Transformer
from .graph.stock import StockGraph
from .graph.stock_build import build_stock
from .machine.assemble import Assembly, assemble
from .machine.jumps import SINGLE_JUMPS
from .machine.machine import machine
from .machine.tokens import fill
from .restore import is_spelled, restored


def stock_form(model: Model) -> Transformer:
    """A transformer with the vocabulary and prefix of `model.transformer` that decodes the same tokens.

    Without position input, its layers all of one size, its reads rounded to float32, its logits exact in float32: see
    docs/machine.md, "The stock form".

    Raises CompileError when the model has no step program, or one that does not fit its tokens.
    """
    return build_stock(stock_graph(model)[0])


def stock_graph(model: Model) -> tuple[StockGraph, Assembly]:
    """The circuits of the stock form, with vocabulary and prefix of `model.transformer`. Raises CompileError as `stock_form`."""
    t = model.transformer
    if not model.program.steps:
        raise CompileError("only a compiled program has a stock form, this transformer was built by hand")
    singles = sum(name.startswith("J.") for name in t.vocabulary)
    own_tokens = 0 if is_spelled(t) else len(t.vocabulary)
    whole = tuple(
        range(run.first.number, run.first.number + run.count)
        for run in runs_of(t.vocabulary)
        if run.first is not None and run.first.token_class.whole
    )
    # Initial values are not in a checkpoint's steps, and whether they are the right ones does not show in names and prefix.
    ways = (True, False) if model.program.initial else (False,)
    for single_jumps, known in product(dict.fromkeys((SINGLE_JUMPS, singles, 0)), ways):
        try:
            program = model.program if known else restored(model, single_jumps)
            assembly = assemble(program, single_jumps, own_tokens=own_tokens, whole=whole)
        except (ValueError, IndexError, KeyError):
            continue
        graph, features = machine(assembly.architecture, StockGraph)
        fill(graph, features, assembly.architecture, assembly.image)
        if graph.tokens == t.vocabulary and np.array_equal(graph.prefix, t.prefix):
            assert isinstance(graph, StockGraph)
            return graph, assembly
    raise CompileError("the checkpoint's steps do not fit its tokens; compile the program again")


__all__ = ["stock_form", "stock_graph"]
