"""From a graph to matrices: what is needed, when, in which slot, with which weight."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace

import numpy as np

from ..format.certificate import Certificate, HeadBound
from ..format.sparse import SparseRows
from ..format.transformer import HEAD_DIM, Layer, Transformer
from .expr import Expr, Variable
from .graph import Graph, Lookup, Neuron

Unit = Lookup | Neuron
# Times: the attention of layer l runs at 2l, its MLP at 2l + 1; the embedding is written at -1.
EMBEDDING = -1


def build(graph: Graph) -> Transformer:
    """The passes in order: what is not 0, needed units, schedule (as soon as possible), slots (reuse by liveness), weights.

    Raises ValueError when no transformer can be made of the graph; the message says why.
    """
    graph = _without_zeros(graph)
    units = _needed(graph)
    times = _schedule(graph, units)
    layers = max((t // 2 + 1 for t in times.values()), default=1)
    slots, erasures, width = _assign_slots(graph, units, times, layers)
    return _weights(graph, units, times, layers, slots, erasures, width)


def _inputs(unit: Unit) -> list[Expr]:
    if isinstance(unit, Neuron):
        return [unit.gate, unit.up]
    return [*unit.query, *unit.key, *(value for value, _ in unit.outputs)]


def _outputs(graph: Graph) -> list[Expr]:
    if graph.index is None:
        raise ValueError("the graph has no unembedding: call Graph.unembed")
    blocks = [e for b in graph.blocks for e in (b.g1, b.g2, b.penalty)]
    return [*graph.index, *blocks, graph.others_penalty, *(Expr.of(v) for v in graph.probes.values())]


def _variables(exprs: Iterable[Expr]) -> list[Variable]:
    """In a fixed order, so that a graph always gives the same matrices."""
    return list(dict.fromkeys(v for e in exprs for v in e.terms))


def _without_zeros(graph: Graph) -> Graph:
    """The same graph without what is 0 at every position: variables that nothing writes, what only multiplies or moves
    them, and so on."""
    written = _written(graph)
    result = copy(graph)
    result.neurons, result.lookups, result.writers = [], [], defaultdict(list)
    units: list[Unit] = [*graph.lookups, *graph.neurons]
    for unit in units:
        if not (outputs := _writes(unit, written)):
            continue
        if isinstance(unit, Neuron):
            unit = Neuron(unit.name, unit.gate.only(written), unit.up.only(written), unit.outputs)
            result.neurons.append(unit)
        else:
            query, key = (tuple(x.only(written) for x in components) for components in (unit.query, unit.key))
            moved = [(e.only(written), v) for e, v in unit.outputs if v in outputs]
            unit = Lookup(unit.name, unit.kind, query, key, unit.bound, moved)
            result.lookups.append(unit)
        for variable in dict.fromkeys(outputs):
            result.writers[variable].append(unit)
    assert graph.index is not None
    result.index = (graph.index[0].only(written), graph.index[1].only(written))
    result.blocks = [
        replace(b, g1=b.g1.only(written), g2=b.g2.only(written), penalty=b.penalty.only(written)) for b in graph.blocks
    ]
    result.others_penalty = graph.others_penalty.only(written)
    return result


def _written(graph: Graph) -> set[Variable]:
    """The variables to which the embedding or a unit adds something that is not 0."""
    units: list[Unit] = [*graph.lookups, *graph.neurons]
    written = {graph.one, graph.position, graph.position_squared}
    for variable in _variables([*_outputs(graph), *(e for unit in units for e in _inputs(unit))]):
        if variable.graph is not graph:  # slots of two graphs have nothing to do with each other
            raise ValueError(f"variable {variable} belongs to another graph")
        for token, value in variable.embedding.items():
            if not 0 <= token < len(graph.tokens):
                raise ValueError(f"variable {variable} has an embedding for token {token}, which does not exist")
            if value:
                written.add(variable)
    before = 0
    while len(written) > before:
        before = len(written)
        for unit in units:
            written.update(_writes(unit, written))
    return written


def _writes(unit: Unit, written: set[Variable]) -> list[Variable]:
    """The outputs that get anything but 0 from it, when all variables but the written ones are 0."""

    def zero(e: Expr) -> bool:
        return not e.constant and written.isdisjoint(e.terms)

    if isinstance(unit, Neuron):
        closed = unit.gate.constant <= 0 and written.isdisjoint(unit.gate.terms)
        return [] if closed or zero(unit.up) else [v for _, v in unit.outputs]
    return [v for e, v in unit.outputs if not zero(e)]


def _needed(graph: Graph) -> list[Unit]:
    """Units from which the logits or a probe can be reached, with the outputs nobody reads dropped."""
    live: set[Variable] = set()
    todo = list(_variables(_outputs(graph)))
    while todo:
        variable = todo.pop()
        if variable in live:
            continue
        live.add(variable)
        for unit in graph.writers.get(variable, []):
            if isinstance(unit, Neuron):
                todo += _variables([unit.gate, unit.up])
            else:
                todo += _variables([*unit.query, *unit.key, *(e for e, v in unit.outputs if v is variable)])
    units: list[Unit] = []
    for lookup in graph.lookups:
        outputs = [(e, v) for e, v in lookup.outputs if v in live]
        # All uniform heads are one lookup, but a mean may need another mean: each runs as soon as its own value is there.
        parts = [[o] for o in outputs] if lookup.kind == "uniform" else [outputs] if outputs else []
        units += [replace(lookup, outputs=part) for part in parts]
    for neuron in graph.neurons:
        kept = [(w, v) for w, v in neuron.outputs if v in live]
        if kept:
            units.append(Neuron(neuron.name, neuron.gate, neuron.up, kept))
    return units


def _schedule(graph: Graph, units: list[Unit]) -> dict[Unit, int]:
    """Each unit runs as soon as all that it reads is complete."""
    missing: dict[Variable, int] = defaultdict(int)  # writers that have no time yet
    for unit in units:
        for variable in _written_variables(unit):
            missing[variable] += 1
    readers: dict[Variable, list[Unit]] = defaultdict(list)
    waiting: dict[Unit, int] = {}  # variables that are not complete yet
    for unit in units:
        reads = [v for v in _variables(_inputs(unit)) if missing[v]]
        waiting[unit] = len(reads)
        for variable in reads:
            readers[variable].append(unit)
    times: dict[Unit, int] = {}
    complete: dict[Variable, int] = {}
    todo = [unit for unit in units if not waiting[unit]]
    for unit in todo:  # grows while it is read
        after = max((complete.get(v, EMBEDDING) for v in _variables(_inputs(unit))), default=EMBEDDING)
        parity = 1 if isinstance(unit, Neuron) else 0
        times[unit] = after + 1 if (after + 1) % 2 == parity else after + 2
        for variable in _written_variables(unit):
            complete[variable] = max(complete.get(variable, EMBEDDING), times[unit])
            missing[variable] -= 1
            if not missing[variable]:
                for reader in readers[variable]:
                    waiting[reader] -= 1
                    if not waiting[reader]:
                        todo.append(reader)
    for unit in units:
        if unit not in times:
            raise ValueError(
                f"{unit.name} reads what it writes, or what such a unit does: a circuit cannot have cycles"
            )
    return {unit: times[unit] for unit in units}


def _written_variables(unit: Unit) -> list[Variable]:
    return list(dict.fromkeys(variable for _, variable in unit.outputs))


def _assign_slots(
    graph: Graph, units: list[Unit], times: dict[Unit, int], layers: int
) -> tuple[dict[Variable, int], list[tuple[int, int, Variable]], int]:
    """Slot per variable; erasures (layer, slot, variable) clear a slot in an MLP after the last read and before its next use."""
    end = 2 * layers
    first: dict[Variable, int] = {}
    last: dict[Variable, int] = {}
    for unit, time in times.items():
        for _, v in unit.outputs:
            first[v] = min(first.get(v, time), time)
            last[v] = max(last.get(v, time), time)
        for v in _variables(_inputs(unit)):
            last[v] = max(last.get(v, time), time)
    for v in _variables(_outputs(graph)):
        last[v] = end
        first.setdefault(v, EMBEDDING)  # the probe of something that is always 0
    for v in last:
        if v.embedding:
            first[v] = EMBEDDING
    fixed = [graph.one, graph.position, graph.position_squared]
    slots: dict[Variable, int] = {v: i for i, v in enumerate(fixed)}
    width = len(fixed)
    free: list[int] = []
    releasing: list[tuple[int, int, Variable]] = []  # (time of the erasing MLP, slot, variable)
    erasures: list[tuple[int, int, Variable]] = []
    owner: dict[int, tuple[int, Variable]] = {}
    for v in sorted((v for v in first if v not in slots), key=lambda v: (first[v], last.get(v, 0))):
        while releasing and releasing[0][0] < first[v]:
            time, slot, old = heapq.heappop(releasing)
            owner[slot] = (time, old)
            heapq.heappush(free, slot)
        if free:
            slot = heapq.heappop(free)
            time, old = owner.pop(slot)
            erasures.append((time // 2, slot, old))
        else:
            slot, width = width, width + 1
        slots[v] = slot
        gone = last.get(v, first[v])
        erase_at = gone if gone % 2 else gone + 1
        if erase_at < end:
            heapq.heappush(releasing, (erase_at, slot, v))  # ties broken by slot; slots are unique here
    return slots, erasures, width


def _weights(
    graph: Graph,
    units: list[Unit],
    times: dict[Unit, int],
    layers: int,
    slots: dict[Variable, int],
    erasures: list[tuple[int, int, Variable]],
    width: int,
) -> Transformer:
    def row(expr: Expr) -> np.ndarray:
        result = np.zeros(width)
        for variable, weight in expr.terms.items():
            result[slots[variable]] += weight
        result[slots[graph.one]] += expr.constant
        return result

    heads: list[list[tuple[Lookup, list[tuple[Expr, Variable]]]]] = [[] for _ in range(layers)]
    neurons: list[list[tuple[str, Expr, Expr, list[tuple[float, int]]]]] = [[] for _ in range(layers)]
    bounds: list[HeadBound | None] = []
    for unit in units:
        layer = times[unit] // 2
        if isinstance(unit, Neuron):
            neurons[layer].append((unit.name, unit.gate, unit.up, [(w, slots[v]) for w, v in unit.outputs]))
            continue
        bounds.append(unit.bound)
        open_head = heads[layer][-1] if heads[layer] else None
        if unit.kind == "uniform" and open_head and open_head[0].kind == "uniform" and len(open_head[1]) < HEAD_DIM:
            open_head[1].extend(unit.outputs)
            continue
        for i in range(0, len(unit.outputs), HEAD_DIM):
            heads[layer].append((unit, unit.outputs[i : i + HEAD_DIM]))
    for layer, slot, old in erasures:
        neurons[layer].append((f"erase {old.name}", Expr({}, 1.0), Expr({old: -1.0}), [(1.0, slot)]))

    made = []
    for layer in range(layers):
        h, f = len(heads[layer]), len(neurons[layer])
        q, k, v, gates, ups = (np.zeros((rows, width)) for rows in (HEAD_DIM * h, HEAD_DIM * h, HEAD_DIM * h, f, f))
        y = Layer(q, k, v, np.zeros((width, HEAD_DIM * h)), gates, ups, np.zeros((width, f)))
        for i, (lookup, outputs) in enumerate(heads[layer]):
            y.head_names.append(f"{lookup.name} -> {', '.join(v.name for _, v in outputs)}")
            first = HEAD_DIM * i
            for j, (query, key) in enumerate(zip(lookup.query, lookup.key, strict=True), first):
                y.q[j], y.k[j] = row(query), row(key)
            for j, (value, variable) in enumerate(outputs, first):
                y.v[j] = row(value)
                y.o[slots[variable], j] += 1.0
        for i, (name, gate, up, written) in enumerate(neurons[layer]):
            y.neuron_names.append(name)
            y.gate[i], y.up[i] = row(gate), row(up)
            for weight, slot in written:
                y.down[slot, i] += weight
        made.append(y)
    _name_slots(graph, made, slots, times, layers, width)

    positions = np.zeros((2, width))
    positions[0, slots[graph.position]] = 1.0
    positions[1, slots[graph.position_squared]] = 1.0
    probes = {name: (layers, slots[v]) for name, v in graph.probes.items()}
    return Transformer(
        _embedding(graph, slots, width), positions, made, _unembedding(graph, row, width), list(graph.tokens),
        np.array(graph.prefix, dtype=np.int32), _certificate(bounds), made[0].slot_names if made else [], probes,
    )  # fmt: skip


def _certificate(bounds: list[HeadBound | None]) -> Certificate:
    """One entry for each lookup; nothing at all when one of them claims nothing."""
    known = [b for b in bounds if b is not None]
    return tuple(dict.fromkeys(known)) if len(known) == len(bounds) else ()


def _name_slots(graph, made, slots, times, layers, width) -> None:
    """Which variable each slot holds at the end of each layer (the newest one written by then)."""
    written: dict[Variable, int] = {v: EMBEDDING for v in slots if v.embedding}
    for unit, time in times.items():
        for _, v in unit.outputs:
            written[v] = min(written.get(v, time), time)
    for layer in range(layers):
        names = [""] * width
        newest = [-2] * width
        for v, slot in slots.items():
            time = written.get(v, EMBEDDING)
            if newest[slot] < time <= 2 * layer + 1:
                newest[slot], names[slot] = time, v.name
        made[layer].slot_names = names


def _embedding(graph: Graph, slots: dict[Variable, int], width: int) -> SparseRows:
    count = len(graph.tokens)
    ids, values, places = [np.arange(count)], [np.ones(count)], [np.full(count, slots[graph.one])]
    for variable, slot in slots.items():
        entries = variable.embedding
        ids.append(np.fromiter(entries.keys(), np.int64, len(entries)))
        values.append(np.fromiter(entries.values(), np.float64, len(entries)))
        places.append(np.full(len(entries), slot))
    return SparseRows.of_entries((count, width), *map(np.concatenate, (ids, places, values)))


def _unembedding(graph: Graph, row: Callable[[Expr], np.ndarray], width: int) -> SparseRows:
    assert graph.index is not None
    blocks = [(row(b.g1), row(b.g2), row(b.penalty), b) for b in graph.blocks]
    forms = [row(graph.index[0]), row(graph.index[1]), row(graph.others_penalty), row(Expr({}, 1.0))]
    used = np.flatnonzero(np.any([*forms, *(form for block in blocks for form in block[:3])], axis=0))
    f1, f2, others_penalty, one = (form[used] for form in forms)
    ids = np.arange(len(graph.tokens), dtype=np.float64)[:, None]
    unembed = 2 * ids * f1 - ids * ids * f2
    in_block = np.zeros(len(ids), dtype=bool)
    for g1, g2, penalty, block in blocks:
        v = np.arange(block.count, dtype=np.float64)[:, None]
        rows = slice(block.first, block.first + block.count)
        unembed[rows] += 2 * v * g1[used] - v * v * g2[used] - penalty[used]
        in_block[rows] = True
    others = ~in_block
    others[graph.emittable :] = False
    unembed[others] -= others_penalty
    unembed[graph.emittable :] = -one
    at, columns = np.nonzero(unembed)
    return SparseRows.of_entries((len(unembed), width), at, used[columns], unembed[at, columns])
