"""From a graph of the stock form to matrices: pieces, schedule, slots, weights."""

from __future__ import annotations

import numpy as np

from ..format.certificate import Certificate
from ..format.mixture import NO_NEURON
from ..format.sparse import SparseRows
from ..format.transformer import HEAD_DIM, Layer, Transformer
from .build import _certificate
from .expr import Expr, Variable
from .graph import Lookup, Neuron
from .pieces import Circuit, pieces
from .residual import Residual, residual
from .schedule import Schedule, schedule
from .stock import StockGraph


def build_stock(graph: StockGraph) -> Transformer:
    """A transformer without position input whose layers are all of one size and whose reads are rounded to float32.

    Raises ValueError when none can be made of the graph; the message says why.
    """
    return placed_stock(graph).transformer()


def placed_stock(graph: StockGraph) -> Weights:
    """Where each head and neuron of the graph stands. Raises ValueError as `build_stock`."""
    circuit = pieces(graph)
    plan = schedule(circuit)
    return Weights(graph, circuit, plan, residual(circuit, plan, len(graph.tokens)))


class Weights:
    """A graph of the stock form with a layer for every unit and a slot for every variable: the matrices follow."""

    def __init__(self, graph: StockGraph, circuit: Circuit, plan: Schedule, slots: Residual):
        self.graph, self.circuit, self.plan, self.slots = graph, circuit, plan, slots

    def transformer(self) -> Transformer:
        graph, slots = self.graph, self.slots
        embed = np.zeros((len(graph.tokens), slots.width))
        embed[:, slots.of[self.circuit.one]] = 1.0
        for variable in self.circuit.embedded:
            for token, value in variable.embedding.items():
                embed[token, slots.of[variable]] += value
        layers = [self._layer(index) for index in range(self.plan.layers)]
        return Transformer(
            SparseRows.of(embed), np.zeros((2, slots.width)), layers, SparseRows.of(self._unembedding()), list(graph.tokens),
            np.array(graph.prefix, dtype=np.int32), self._certificate(), slots.names(-1),
            {name: (self.plan.layers, slots.of[v]) for name, v in self.circuit.probes.items()}, float32_reads=True,
        )  # fmt: skip

    def _certificate(self) -> Certificate:
        return _certificate([head.bound for head in self.circuit.heads])

    def _row(self, form: Expr) -> np.ndarray:
        row = np.zeros(self.slots.width)
        for variable, weight in form.terms.items():
            row[self.slots.of[variable]] += weight
        row[self.slots.of[self.circuit.one]] += form.constant
        return row

    def placed(self, index: int) -> tuple[list[Lookup], list[Neuron]]:
        """The heads and neurons of a layer, in the order in which they stand in its matrices, without those that clear slots."""
        heads, neurons = [], []
        for task, time in self.plan.times.items():
            if time == 2 * index and task.head:
                heads.append(task.head)
            elif time == 2 * index + 1 and not task.experts:
                neurons += task.neurons
        return heads, neurons

    def _layer(self, index: int) -> Layer:
        width, heads, neurons = self.slots.width, HEAD_DIM * self.plan.heads, self.plan.neurons
        q, k, v, gate, up = (np.zeros((n, width)) for n in (heads, heads, heads, neurons, neurons))
        y = Layer(q, k, v, np.zeros((width, heads)), gate, up, np.zeros((width, neurons)))
        placed = self.placed(index)
        for head in placed[0]:
            first = HEAD_DIM * len(y.head_names)
            y.head_names.append(f"{head.name} -> {', '.join(v.name for _, v in head.outputs)}")
            for j, (query, key) in enumerate(zip(head.query, head.key, strict=True), first):
                y.q[j], y.k[j] = self._row(query), self._row(key)
            for j, (value, variable) in enumerate(head.outputs, first):
                y.v[j] = self._row(value)
                y.o[self.slots.of[variable], j] += 1.0
        for neuron in placed[1]:
            self._neuron(y, neuron.name, neuron.gate, neuron.up, neuron.outputs)
        for variable in self.slots.erased.get(index, []):
            one = Expr.of(1.0)
            self._neuron(y, f"erase {variable.name}", one, Expr.of(variable), [(-1.0, variable)])
        y.head_names += ["no head"] * (self.plan.heads - len(y.head_names))
        y.neuron_names += [NO_NEURON] * (neurons - len(y.neuron_names))
        y.slot_names = self.slots.names(index)
        return y

    def _neuron(self, y: Layer, name: str, gate: Expr, up: Expr, outputs: list[tuple[float, Variable]]) -> None:
        i = len(y.neuron_names)
        y.neuron_names.append(name)
        y.gate[i], y.up[i] = self._row(gate), self._row(up)
        for weight, variable in outputs:
            y.down[self.slots.of[variable], i] += weight

    def _unembedding(self) -> np.ndarray:
        """2 (id - c) (F - c) - (id - c)^2 - norm; -1 - norm for what cannot be emitted."""
        f, norm, one = (self._row(x) for x in (self.circuit.index, self.circuit.norm, Expr.of(1.0)))
        centred = np.arange(len(self.graph.tokens), dtype=np.float64)[:, None] - self.graph.middle
        unembed = 2.0 * centred * (f - self.graph.middle * one) - centred * centred * one - norm
        unembed[self.graph.emittable :] = -one - norm
        return unembed


__all__ = ["Weights", "build_stock", "placed_stock"]
