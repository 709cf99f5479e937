"""From matrices to symbols: what every residual slot is, as a linear form over atoms (see symbols.py)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ...compiler.format.sparse import SparseRows
from ...compiler.format.transformer import Layer, Transformer
from . import heads
from .interface import Refused, size, tensors
from .linear import ONE, ZERO, Form, linear
from .stores import HeadLookup
from .symbols import Symbols


@dataclass
class Lifted:
    """logits = weights @ columns, [V, C] times C forms (one of them may be a constant). probe: the form read out."""

    graph: Symbols
    weights: np.ndarray
    columns: list[Form]
    probe: Form | None


def lift(model: Transformer, probe: tuple[int, int] | None = None, trusting: bool = True) -> Lifted:
    """probe: (layer, slot), or None. trusting: see symbols.Symbols."""
    _check_finite(model)
    if model.float32_reads:
        raise Refused("its reads are rounded to float32, as those of the stock form")
    graph = Symbols(len(model.embed), trusting, size(model), max(1, len(model.prefix)))
    slots, start = _embedding(graph, model), _FirstPosition(model)
    probed = None
    for index, layer in enumerate(model.layers):
        if probe and probe[0] == index:
            probed = slots[probe[1]]
        _attention(graph, layer, index, slots, model.head_dim, start)
        _mlp(graph, layer, slots)
        start.forward(layer)
    if probe and probe[0] == len(model.layers):
        probed = slots[probe[1]]
    weights, columns = _unembedding(model.unembed, slots)
    return Lifted(graph, weights, columns, probed)


def _check_finite(model: Transformer) -> None:
    if not all(np.isfinite(tensor).all() for tensor in tensors(model)):
        raise Refused("a weight is not a finite number")


def _embedding(graph: Symbols, model: Transformer) -> list[Form]:
    result = []
    for slot in range(model.width):
        form = graph.table(graph.token, model.embed.column(slot))
        for atom, weight in ((graph.n, model.positions[0, slot]), (graph.nn, model.positions[1, slot])):
            if weight:
                form = linear([(1.0, form), (float(weight), Form({atom: 1.0}))])
        result.append(form)
    return result


def _row(weights: np.ndarray, slots: list[Form]) -> Form:
    return linear([(float(weights[s]), slots[s]) for s in np.flatnonzero(weights)])


class _FirstPosition:
    """The residual stream at the first position, as numbers: what a lookup finds that finds nothing else.

    x: [d], None when the model has no prefix, so that any token may come first.
    """

    def __init__(self, model: Transformer):
        self.x = model.embed.row(model.prefix[0]) + model.positions.sum(0) if len(model.prefix) else None

    def forward(self, layer: Layer) -> None:
        if self.x is not None:
            self.x = self.x + layer.o @ (layer.v @ self.x)
            self.x = self.x + layer.down @ (np.maximum(layer.gate @ self.x, 0) * (layer.up @ self.x))

    def rows(self, weights: np.ndarray) -> np.ndarray | None:
        return None if self.x is None else weights @ self.x


def _attention(
    graph: Symbols, layer: Layer, index: int, slots: list[Form], head_dim: int, start: _FirstPosition
) -> None:
    added: dict[int, list[tuple[float, Form]]] = defaultdict(list)
    lookups: dict[tuple, HeadLookup] = {}
    for first in range(0, len(layer.q), head_dim):
        rows = range(first, first + head_dim)
        if not layer.o[:, rows].any():
            continue
        used = [r for r in rows if layer.q[r].any() and layer.k[r].any()]
        q, k = (tuple(_row(m[r], slots) for r in used) for m in (layer.q, layer.k))
        found = start.rows(layer.v[rows])
        floor = start.rows(layer.k[used]) if found is not None and not found.any() else None
        key = (q, k, floor is not None)
        for row in rows:
            written = np.flatnonzero(layer.o[:, row])
            if not len(written):
                continue
            value = _row(layer.v[row], slots)
            if heads.uniform(graph, q, k):
                result = graph.mean(value)
            else:
                if key not in lookups:
                    lookups[key] = heads.classify(graph, q, k, index, floor)
                result = heads.read(graph, lookups[key], value)
            for slot in written:
                added[int(slot)].append((float(layer.o[slot, row]), result))
    _add(graph, slots, added)


def _mlp(graph: Symbols, layer: Layer, slots: list[Form]) -> None:
    added: dict[int, list[tuple[float, Form]]] = defaultdict(list)
    # Neurons with a constant up-row that write to one slot and share a gate direction are one piecewise-linear function.
    ramps: dict[tuple[int, Form], list[tuple[float, float]]] = defaultdict(list)
    for f in range(len(layer.gate)):
        written = np.flatnonzero(layer.down[:, f])
        if not len(written):
            continue
        gate, up = _row(layer.gate[f], slots), _row(layer.up[f], slots)
        if up.is_constant() and not gate.is_constant():
            for slot in written:
                knot = (gate.constant, float(layer.down[slot, f]) * up.constant)
                ramps[int(slot), gate.without_constant()].append(knot)
            continue
        neuron = graph.neuron(gate, up)
        for slot in written:
            added[int(slot)].append((float(layer.down[slot, f]), neuron))
    for (written_slot, x), knots in ramps.items():
        added[written_slot].append((1.0, graph.knots(x, knots)))
    _add(graph, slots, added)


def _add(graph: Symbols, slots: list[Form], added: dict[int, list[tuple[float, Form]]]) -> None:
    for slot, parts in added.items():
        slots[slot] = graph.named(linear([(1.0, slots[slot]), *parts]))


def _unembedding(unembed: SparseRows, slots: list[Form]) -> tuple[np.ndarray, list[Form]]:
    """Slots that hold the same form share a column; all constants share one."""
    columns: dict[Form, np.ndarray] = {}
    used = unembed.used_columns()
    for slot, weight in zip(used.tolist(), unembed.dense(used).T, strict=True):
        form = slots[slot]
        for part, factor in ((form.without_constant(), 1.0), (ONE, form.constant)):
            if part != ZERO and factor:
                columns[part] = columns.get(part, 0.0) + factor * weight
    return np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(unembed), 0)), list(columns)
