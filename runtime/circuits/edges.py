"""The edges between units, and between the nodes that hold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ...compiler.format.transformer import Transformer
from .units import StreamReader, StreamUnits, StreamWriter


class EdgeKind(StrEnum):
    """What an edge is there for, the strongest first; of several slots the strongest counts.

    carries: a value that depends on the tokens. constant: one that does not. clears: it is read to be taken away, nothing else.
    residue: the slot held something else by the time it was read: what was written had been taken away, or is what took it.
    """

    CARRIES = "carries"
    CONSTANT = "constant"
    CLEARS = "clears"
    RESIDUE = "residue"


@dataclass
class CircuitEdge:
    """name: "a0.h1->a2.h0<q>". slots: of the residual stream that are written and read, of this kind; variables: their names,
    those that the writer gives them."""

    name: str
    source: str
    target: str
    kind: EdgeKind
    slots: tuple[int, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass
class _Found:
    slots: dict[EdgeKind, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))

    def edge(self, source: str, target: str) -> CircuitEdge:
        kind = next(k for k in EdgeKind if k in self.slots)
        slots = dict(sorted(self.slots[kind].items()))
        return CircuitEdge(
            f"{source}->{target}", source, target, kind, tuple(slots), tuple(dict.fromkeys(slots.values()))
        )


def node_edges(t: Transformer, u: StreamUnits) -> dict[str, CircuitEdge]:
    """Between heads, MLPs, input and logits, by name, in the order of their readers: all that share a slot, of every kind."""
    return _gathered(t, u, True, tuple(EdgeKind))


def unit_edges(t: Transformer, u: StreamUnits) -> dict[str, CircuitEdge]:
    """Between heads, single neurons, input and logits: those that carry something."""
    return _gathered(t, u, False, (EdgeKind.CARRIES,))


def _gathered(t: Transformer, u: StreamUnits, by_node: bool, kinds: tuple[EdgeKind, ...]) -> dict[str, CircuitEdge]:
    found: dict[tuple[str, str], _Found] = defaultdict(_Found)
    for writer, reader, slot, kind in pairs(u):
        if kind in kinds:
            ends = (writer.node, reader.node_port) if by_node else (writer.unit, reader.port)
            found[ends].slots[kind][slot] = _variable(t, writer, slot)
    edges = (f.edge(*ends) for ends, f in found.items())
    return {edge.name: edge for edge in edges}


def pairs(u: StreamUnits) -> Iterator[tuple[StreamWriter, StreamReader, int, EdgeKind]]:
    """Every writer of a slot with every later reader of it: (writer, reader, slot, kind)."""
    by_slot: dict[int, list[StreamWriter]] = defaultdict(list)
    for writer in u.writers:
        for slot in writer.slots:
            by_slot[slot].append(writer)
    for reader in u.readers:
        for slot in reader.slots:
            life = u.read(slot, reader.time)
            for writer in by_slot[slot]:
                if writer.time >= reader.time:
                    break
                yield writer, reader, slot, _kind(writer, reader, u.written(slot, writer.time) == life)


def _kind(writer: StreamWriter, reader: StreamReader, same_life: bool) -> EdgeKind:
    if not same_life or writer.clears is not None:
        return EdgeKind.RESIDUE
    if reader.clears:
        return EdgeKind.CLEARS
    return EdgeKind.CONSTANT if writer.constant else EdgeKind.CARRIES


def _variable(t: Transformer, writer: StreamWriter, slot: int) -> str:
    names = t.slot_names if writer.time < 0 else t.layers[writer.time // 2].slot_names
    return names[slot] if names else ""


__all__ = ["CircuitEdge", "EdgeKind", "node_edges", "pairs", "unit_edges"]
