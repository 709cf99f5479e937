"""From a graph of the stock form to a mixture of experts: neurons that few operations need stand in these operations' experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from ..format.mixture import Mixture, MixtureLayer, OperationExpert
from .expr import Variable
from .graph import Neuron
from .pieces import Circuit, pieces
from .residual import residual
from .schedule import SLACK, Schedule, _Plan
from .stock import StockGraph
from .stock_build import Weights
from .supports import Supports

# A neuron that a larger share of all operations needs is the shared expert's.
FEW = 0.5


@dataclass(frozen=True)
class Operations:
    """What a program's steps do, numbered from 0, which is the row before the first step.

    names: of each. flags: fields of the row that are 0 or 1 and follow from the operation alone. set: of each operation, the
    flags that are 1. fields: of each field of rows, the operations (bit k for operation k) with a step that sets it.
    steps: of each step its operation.
    """

    names: Sequence[tuple[str, ...]]
    flags: frozenset[str]
    set: Sequence[frozenset[str]]
    fields: Mapping[str, int]
    steps: np.ndarray


def build_mixture(graph: StockGraph, operations: Operations) -> Mixture:
    """Raises ValueError where `build_stock` does."""
    circuit = pieces(graph)
    routing = _Routing(graph, circuit, operations)
    plan = _schedule(circuit, routing)
    slots = residual(circuit, plan, len(graph.tokens))
    weights = _MixtureWeights(graph, circuit, plan, slots)
    layers = [weights.experts(index, routing) for index in range(plan.layers)]
    return Mixture(weights.transformer(), layers, routing.experts, routing.of_operation[operations.steps])


def supports_of(graph: StockGraph, circuit: Circuit, operations: Operations) -> Supports:
    """At which of these operations each unit of the circuit is needed."""
    everywhere = (1 << len(operations.names)) - 1
    fields = {v: operations.fields.get(n, everywhere) for n, form in graph.fields.items() for v in form.terms}
    return Supports(circuit, fields, everywhere)


class _Routing:
    """Which experts there are, and which of them each cell of the circuit belongs to.

    Operations are told apart by the flags that the experts' neurons read, in their own gates: these operations' experts are
    different ones, others are one. signatures: of each expert, the flags that are 1.
    """

    def __init__(self, graph: StockGraph, circuit: Circuit, operations: Operations):
        supports = supports_of(graph, circuit, operations)
        needed = [0] * len(circuit.cells)
        for i, cell in enumerate(circuit.cells):
            for neuron in cell:
                needed[i] |= supports.needed(neuron)
        few = FEW * len(operations.names)
        own = [0 < where.bit_count() <= few for where in needed]
        self.flags = self._read(graph, operations, [n for i, cell in enumerate(circuit.cells) if own[i] for n in cell])
        signatures = [frozenset(self.flags) & flags for flags in operations.set]
        self.signatures = list(dict.fromkeys(signatures))
        number = {signature: e for e, signature in enumerate(self.signatures)}
        self.of_operation = np.array([number[signature] for signature in signatures])
        self.experts = [_expert(operations, np.flatnonzero(self.of_operation == e)) for e in range(len(number))]
        self.cells = [self._owners(where) if mine else () for where, mine in zip(needed, own, strict=True)]

    def _owners(self, where: int) -> tuple[int, ...]:
        return tuple(sorted({int(e) for k, e in enumerate(self.of_operation) if where >> k & 1}))

    def _read(self, graph: StockGraph, operations: Operations, neurons: list[Neuron]) -> dict[str, Variable]:
        read = {v for neuron in neurons for form in (neuron.gate, neuron.up) for v in form.terms}
        flags = {name: list(graph.fields[name].terms) for name in sorted(operations.flags & set(graph.fields))}
        return {name: terms[0] for name, terms in flags.items() if len(terms) == 1 and terms[0] in read}


def _expert(operations: Operations, mine: np.ndarray) -> OperationExpert:
    names = tuple(dict.fromkeys(name for k in mine for name in operations.names[k]))
    kinds = dict.fromkeys(name.removeprefix("br.") if len(names) > 3 else name for name in names)
    return OperationExpert(" ".join(kinds) or "nothing", names)


def _schedule(circuit: Circuit, routing: _Routing) -> Schedule:
    """Layers as many as the longest path asks for and a few, with the fewest neurons that one token needs."""
    plan = _Plan(circuit, routing.cells, tuple(routing.flags.values()))
    longest = ceil(max(plan.height.values(), default=0) / 2) + SLACK
    heads = max(1, ceil(sum(1 for t in plan.tasks if t.head) / longest))
    total = sum(t.size for t in plan.tasks if not t.head)
    while plan.run(heads, total, longest, total) is None:
        heads += 1

    def least(fits) -> int:
        low, high = 0, total
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle, high)
        return high

    largest = max(t.size for t in plan.tasks if not t.head)
    best: tuple[int, int] | None = None
    smallest = least(lambda n: n >= largest and plan.run(heads, total, longest, n) is not None)
    for own in range(smallest, 3 * smallest + 2, max(1, smallest // 4)):
        shared = least(lambda n, own=own: n >= largest and plan.run(heads, n, longest, own) is not None)
        if best is None or shared + own < sum(best):
            best = shared, own
    assert best is not None
    times = plan.run(heads, best[0], longest, best[1])
    assert times is not None
    return Schedule(times, longest, heads, *best)


class _MixtureWeights(Weights):
    def experts(self, index: int, routing: _Routing) -> MixtureLayer | None:
        """The router's row of an expert is 2 (its flags) - (how many): the nearest signature, by at least 1, has the most."""
        tasks = [task for task, time in self.plan.times.items() if time == 2 * index + 1 and task.experts]
        if not tasks:
            return None
        count, own, width = len(routing.experts), self.plan.own, self.slots.width
        y = MixtureLayer(
            np.zeros((count, width)), np.zeros((count, own, width)), np.zeros((count, own, width)), np.zeros((count, width, own))
        )  # fmt: skip
        for e, signature in enumerate(routing.signatures):
            y.router[e, [self.slots.of[routing.flags[name]] for name in sorted(signature)]] = 2.0
            y.router[e, self.slots.of[self.circuit.one]] = -float(len(signature))
            neurons = [neuron for task in tasks if e in task.experts for neuron in task.neurons]
            y.neuron_names.append([neuron.name for neuron in neurons])
            for i, neuron in enumerate(neurons):
                y.gate[e, i], y.up[e, i] = self._row(neuron.gate), self._row(neuron.up)
                for weight, variable in neuron.outputs:
                    y.down[e, self.slots.of[variable], i] += weight
        return y


__all__ = ["Operations", "build_mixture", "supports_of"]
