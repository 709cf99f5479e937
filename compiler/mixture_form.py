"""A compiled program as a mixture of experts: the same tokens, and at each one only the circuits of the operation under way."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np

from .format.checkpoint import Model
from .format.mixture import Mixture
from .graph.mixture_build import Operations, build_mixture
from .machine.assemble import Assembly
from .machine.rows import fields
from .stock_form import stock_graph


def mixture_form(model: Model) -> Mixture:
    """The stock form (`stock_form`) with its MLPs as a shared expert and one expert for each operation of the program.

    Which neurons are an operation's is worked out from the circuits (`graph/supports.py`); the router reads the flags of the
    row that is executed. Of a folder with experts it is what is in it. Raises CompileError as `stock_form` does.
    """
    if model.mixture is not None:
        return model.mixture
    graph, assembly = stock_graph(model)
    return build_mixture(graph, step_operations(assembly, model))


def step_operations(assembly: Assembly, model: Model) -> Operations:
    """Steps whose operations set the same fields of the row are of one operation. Where a branch shares its row with the step
    behind it, both are of that one's."""
    numbers: dict[frozenset[str], int] = {frozenset(): 0}
    names: dict[int, dict[str, None]] = defaultdict(dict)
    values: dict[str, set[float]] = defaultdict(set)
    rows, steps = [], []
    firsts = [*model.program.step_at, len(model.program.steps)]
    for first, end in pairwise(firsts):
        step = model.program.steps[end - 1]
        row = fields(step)
        for name, value in row.items():
            values[name].add(float(value))
        number = numbers.setdefault(frozenset(name for name, value in row.items() if value), len(numbers))
        names[number][step.op] = None
        rows.append(number)
        steps += [number] * (end - first)
    set_by: dict[str, int] = defaultdict(int)
    for row, number in zip(assembly.image.all_rows, [0] * len(assembly.image.leading) + rows, strict=True):
        for name, value in row.items():
            if value:
                set_by[name] |= 1 << number
    flags = frozenset(name for name, found in values.items() if found <= {0.0, 1.0})
    return Operations(
        [tuple(names[k]) for k in range(len(numbers))], flags, [flags & used for used in numbers],
        {name: set_by[name] for name in set_by}, np.array(steps),
    )  # fmt: skip


__all__ = ["mixture_form", "step_operations"]
