"""What reads from the residual stream and what writes to it, worked out from the matrices alone.

A slot of the stream is cleared and used again, so what is written to it reaches only those who read before it is cleared. A
*life* of a slot is the time between two clearings: (slot, how often it was cleared before). An edge is a life that one unit
writes to and another one reads.

A neuron clears slot s when it adds -1 times what it reads there and writes nothing else: relu(g) * (a x_s) * b with g a positive
constant and g a b = -1.

Times: the attention of layer l is 2l, its MLP 2l + 1; the embedding writes at -1, the logits are read at 2L. Nodes are named as
EAP-IG does: "input", "a{layer}.h{head}", "m{layer}", "logits"; neurons "m{layer}.n{index}".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

import numpy as np

from ...compiler.format.transformer import Layer, Transformer

Life = tuple[int, int]
EMBEDDED = -1
INPUT, LOGITS = "input", "logits"


@dataclass(frozen=True)
class StreamWriter:
    """A head, a neuron or the embedding. unit: its name; node: of the head, the MLP or the input. slots: it writes to these.

    constant: what it writes is the same at every position of every sequence. clears: the slot that it clears, or None.
    """

    unit: str
    node: str
    time: int
    slots: tuple[int, ...]
    constant: bool = False
    clears: int | None = None


@dataclass(frozen=True)
class StreamReader:
    """What reads: one of the three inputs of a head, the gate or the other factor ("up") of a neuron, or the logits.

    port: "a1.h0<q>", "m3.n5<gate>", "logits". node_port: "a1.h0<q>", "m3", "logits". clears: it reads a slot to clear it.
    """

    port: str
    node_port: str
    time: int
    slots: tuple[int, ...]
    clears: bool = False


@dataclass
class StreamUnits:
    """In the order of time. names: of every head and neuron. cleared: of each slot the times at which it is."""

    writers: list[StreamWriter] = field(default_factory=list)
    readers: list[StreamReader] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    cleared: dict[int, list[int]] = field(default_factory=dict)

    def written(self, slot: int, time: int) -> Life:
        """The life that a unit of this time writes to: an MLP clears and writes at once, so what it writes stays."""
        return slot, bisect_right(self.cleared.get(slot, []), time)

    def read(self, slot: int, time: int) -> Life:
        """The life that a unit of this time reads."""
        return slot, bisect_left(self.cleared.get(slot, []), time)


def used_heads(layer: Layer, width: int) -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """(head, rows of q, rows of k, rows of v) of those that write anything; the rows, float64 [n, d], are what has an effect."""
    found = []
    for head in range(len(layer.q) // width):
        part = slice(width * head, width * (head + 1))
        q, k, v, o = layer.q[part], layer.k[part], layer.v[part], layer.o[:, part]
        scored = q.any(1) & k.any(1)
        moved = v.any(1) & o.any(0)
        if moved.any():
            found.append((head, q[scored], k[scored], v[moved]))
    return found


def units(t: Transformer) -> StreamUnits:
    """Of a transformer without position input."""
    made = StreamUnits()
    embedding = t.embed.dense(np.arange(t.width))
    same = np.flatnonzero((embedding[:1] == embedding).all(0) & (embedding[0] != 0))
    constants = {int(s): float(embedding[0, s]) for s in same} if len(embedding) else {}
    fixed: dict[Life, bool] = {}
    _write(made, fixed, StreamWriter(INPUT, INPUT, EMBEDDED, tuple(sorted(constants)), constant=True))
    _write(made, fixed, StreamWriter(INPUT, INPUT, EMBEDDED, tuple(s for s in _slots(embedding) if s not in constants)))
    for index, layer in enumerate(t.layers):
        clearing = [_clears(layer, i, constants) for i in range(len(layer.gate))]
        for slot in {s for s in clearing if s is not None}:
            made.cleared.setdefault(slot, []).append(2 * index + 1)
        _heads(made, fixed, index, layer, t.head_dim)
        _neurons(made, fixed, index, layer, clearing)
    made.readers.append(StreamReader(LOGITS, LOGITS, 2 * len(t.layers), tuple(map(int, t.unembed.used_columns()))))
    return made


def _slots(rows: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(rows.any(0)).tolist())


def _write(made: StreamUnits, fixed: dict[Life, bool], writer: StreamWriter) -> None:
    made.writers.append(writer)
    for slot in writer.slots:
        life = made.written(slot, writer.time)
        fixed[life] = fixed.get(life, True) and writer.constant


def _clears(layer: Layer, neuron: int, constants: dict[int, float]) -> int | None:
    gate, up, down = (np.flatnonzero(w) for w in (layer.gate[neuron], layer.up[neuron], layer.down[:, neuron]))
    if len(up) != 1 or len(down) != 1 or up[0] != down[0] or not set(gate.tolist()) <= set(constants):
        return None
    slot = int(up[0])
    g = sum(layer.gate[neuron, s] * constants[s] for s in gate.tolist())
    return slot if max(g, 0.0) * layer.up[neuron, slot] * layer.down[slot, neuron] == -1.0 else None


def _heads(made: StreamUnits, fixed: dict[Life, bool], index: int, layer: Layer, width: int) -> None:
    time, writers = 2 * index, []
    for head, q, k, v in used_heads(layer, width):
        node = f"a{index}.h{head}"
        made.names[node] = layer.head_names[head] if layer.head_names else ""
        made.readers += [
            StreamReader(f"{node}<{c}>", f"{node}<{c}>", time, _slots(w)) for c, w in (("q", q), ("k", k), ("v", v))
        ]
        constant = all(fixed.get(made.read(s, time), True) for s in _slots(v))
        part = slice(width * head, width * (head + 1))
        moved = layer.v[part].any(1)
        writers.append(StreamWriter(node, node, time, _slots(layer.o[:, part].T[moved]), constant))
    for writer in writers:
        _write(made, fixed, writer)


def _neurons(made: StreamUnits, fixed: dict[Life, bool], index: int, layer: Layer, clearing: list[int | None]) -> None:
    time, node, writers = 2 * index + 1, f"m{index}", []
    for i, clears in enumerate(clearing):
        slots = tuple(np.flatnonzero(layer.down[:, i]).tolist())
        read = {c: tuple(np.flatnonzero(w[i]).tolist()) for c, w in (("gate", layer.gate), ("up", layer.up))}
        if not slots or not all(read.values()):
            continue
        unit = f"{node}.n{i}"
        made.names[unit] = layer.neuron_names[i] if layer.neuron_names else ""
        made.readers += [StreamReader(f"{unit}<{c}>", node, time, s, clears is not None) for c, s in read.items()]
        constant = all(fixed.get(made.read(s, time), True) for part in read.values() for s in part)
        writers.append(StreamWriter(unit, node, time, slots, constant, clears))
    for writer in writers:
        _write(made, fixed, writer)


__all__ = ["INPUT", "LOGITS", "Life", "StreamReader", "StreamUnits", "StreamWriter", "units", "used_heads"]
