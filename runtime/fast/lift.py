"""From matrices to symbols: what every residual slot is, as a linear form over atoms (see symbols.py)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...compiler.format.sparse import SparseRows
from ...compiler.format.transformer import Layer, Transformer
from . import heads
from .beginning import check_beginning
from .counted import counted_reader
from .counting import Counting
from .interface import Refused, size, tensors
from .linear import ONE, ZERO, Form, linear
from .reads import ResidualForms
from .symbols import Symbols


@dataclass
class Lifted:
    """logits = weights @ columns, [V, C] times C forms (one of them may be a constant). probe: the form read out."""

    graph: Symbols
    weights: np.ndarray
    columns: list[Form]
    probe: Form | None


def lift(model: Transformer, probe: tuple[int, int] | None = None, trusting: bool = True) -> Lifted:
    """probe: (layer, slot), or None. trusting: see symbols.Symbols. Raises Refused."""
    lifted = forms(model, probe, trusting)
    if model.float32_reads:
        check_beginning(lifted.graph, model.prefix, lifted.columns)
    return lifted


def forms(model: Transformer, probe: tuple[int, int] | None = None, trusting: bool = True) -> Lifted:
    """The same, where the first positions may find something else than the forms say. Raises Refused."""
    _check_finite(model)
    graph = Symbols(len(model.embed), trusting, size(model), max(1, len(model.prefix)))
    counting = Counting(graph, model.prefix) if model.float32_reads else None
    slots = ResidualForms(graph, _embedding(graph, model), model.float32_reads)
    start = _FirstPosition(model)
    probed = None
    for index, layer in enumerate(model.layers):
        if probe and probe[0] == index:
            probed = slots[probe[1]]
        _attention(graph, layer, index, slots, model.head_dim, start, counting)
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


class _FirstPosition:
    """The residual stream at the first position, as numbers: what a lookup finds that finds nothing else.

    x: [d], None when the model has no prefix, so that any token may come first.
    """

    def __init__(self, model: Transformer):
        self.x = model.embed.row(model.prefix[0]) + model.positions.sum(0) if len(model.prefix) else None
        self._rounded = model.float32_reads

    @property
    def seen(self) -> np.ndarray:
        assert self.x is not None
        return self.x.astype(np.float32).astype(np.float64) if self._rounded else self.x

    def forward(self, layer: Layer) -> None:
        if self.x is not None:
            self.x = self.x + layer.o @ (layer.v @ self.seen)
            seen = self.seen
            self.x = self.x + layer.down @ (np.maximum(layer.gate @ seen, 0) * (layer.up @ seen))

    def rows(self, weights: np.ndarray) -> np.ndarray | None:
        return None if self.x is None else weights @ self.seen


def _attention(
    graph: Symbols,
    layer: Layer,
    index: int,
    slots: ResidualForms,
    head_dim: int,
    start: _FirstPosition,
    counting: Counting | None,
) -> None:
    added: dict[int, list[tuple[float, Form]]] = defaultdict(list)
    readers: dict[tuple, Reader] = {}
    for first in range(0, len(layer.q), head_dim):
        rows = range(first, first + head_dim)
        if not layer.o[:, rows].any():
            continue
        used = [r for r in rows if layer.q[r].any() and layer.k[r].any()]
        keys = {r: slots.row(layer.k[r]) for r in used}
        if counting is not None:  # they add the same to all scores of a position
            used = [r for r in used if not keys[r].is_constant()]
        q, k = tuple(slots.row(layer.q[r]) for r in used), tuple(keys[r] for r in used)
        found = start.rows(layer.v[rows])
        floor = start.rows(layer.k[used]) if found is not None and not found.any() else None
        key = (q, k, floor is not None)
        for row in rows:
            written = np.flatnonzero(layer.o[:, row])
            if not len(written):
                continue
            value = slots.row(layer.v[row])
            if key not in readers:
                graph.head = f"layer {index}, head {first // head_dim}"
                readers[key] = _reader(graph, q, k, index, floor, counting)
            result = readers[key](value)
            for slot in written:
                added[int(slot)].append((float(layer.o[slot, row]), result))
    for at, parts in added.items():
        slots.add(at, parts)


# From a form of the position that is found to one of the position that finds it.
Reader = Callable[[Form], Form]


def _reader(
    graph: Symbols,
    q: tuple[Form, ...],
    k: tuple[Form, ...],
    layer: int,
    floor: np.ndarray | None,
    counting: Counting | None,
) -> Reader:
    if counting is not None:
        return counted_reader(counting, q, k, layer, floor)
    if heads.uniform(graph, q, k):
        return graph.mean
    lookup = heads.classify(graph, q, k, layer, floor)
    return lambda value: heads.read(graph, lookup, value)


def _mlp(graph: Symbols, layer: Layer, slots: ResidualForms) -> None:
    added: dict[int, list[tuple[float, Form]]] = defaultdict(list)
    # Neurons with a constant up-row that write to one slot and share a gate direction are one piecewise-linear function.
    ramps: dict[tuple[int, Form], list[tuple[float, float]]] = defaultdict(list)
    slots.inexact = _taken_apart(layer, slots) if slots.rounded else set()
    for f in range(len(layer.gate)):
        written = np.flatnonzero(layer.down[:, f])
        if not len(written):
            continue
        gate, up = slots.row(layer.gate[f]), slots.row(layer.up[f])
        if up.is_constant() and not gate.is_constant():
            for slot in written.tolist():
                knot = (gate.constant, float(layer.down[slot, f]) * up.constant)
                ramps[slot, gate.without_constant()].append(knot)
            continue
        neuron = graph.neuron(gate, up)
        for slot in written.tolist():
            added[slot].append((float(layer.down[slot, f]), neuron))
    slots.ramps(ramps, added)
    for slot, parts in added.items():
        slots.add(slot, parts)


def _taken_apart(layer: Layer, slots: ResidualForms) -> set[int]:
    """Slots of which this layer moves what it sees to another one."""
    found = set()
    for f in range(len(layer.gate)):
        read, written = (np.flatnonzero(m).tolist() for m in (layer.up[f], layer.down[:, f]))
        if len(read) != 1 or len(written) != 2 or read[0] not in written:
            continue
        moved = layer.down[written, f]
        if moved[0] == -moved[1] and all(slots[s].is_constant() for s in np.flatnonzero(layer.gate[f]).tolist()):
            found.add(read[0])
    return found


def _unembedding(unembed: SparseRows, slots: ResidualForms) -> tuple[np.ndarray, list[Form]]:
    """Slots that hold the same form share a column; all constants share one."""
    columns: dict[Form, np.ndarray] = {}
    used = unembed.used_columns()
    for form, weight in slots.columns(used.tolist(), unembed.dense(used).T):
        for part, factor in ((form.without_constant(), 1.0), (ONE, form.constant)):
            if part != ZERO and factor:
                columns[part] = columns.get(part, 0.0) + factor * weight
    return np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(unembed), 0)), list(columns)
