"""Which edges a run uses: those along which something other than 0 goes, at some position, to a logit that was decoded from.

Backward from the logits, position by position:

    a life of a slot    is wanted where a wanted reader reads it
    a neuron            is wanted where relu(gate) * up is not 0 and a life that it adds to is wanted
    a head              is wanted where what it brings is not 0 and a life that it adds to is wanted; its keys and values are
                        wanted where its attention goes (weight above 0), values only where they are not 0

A neuron whose gate is closed decides, too, by adding nothing; it is not counted here. So a live edge carries something; one
that is not live may still matter to what would happen with other input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError
from ..results import Run
from .edges import EdgeKind, pairs
from .forward import MOST, LayerRun, run_layers
from .graph import CircuitGraph
from .units import LOGITS, Life, StreamReader, StreamWriter


def live_edges(graph: CircuitGraph, tokens: np.ndarray, decoded: np.ndarray) -> dict[str, int]:
    """Edge -> positions of the reader at which it was live, for edges of the circuit that were.

    tokens: int [T], a run with prefix and prompt, without its last token. decoded: bool [T], the positions whose logits were
    decoded from. Raises ValueError for more than `forward.MOST` tokens.
    """
    return Backward(graph, tokens, decoded).edges()


def differing_edges(graph: CircuitGraph, clean: np.ndarray, corrupted: np.ndarray) -> frozenset[str]:
    """The edges along which something goes that is not the same in two sequences, to the logits behind their last token.

    clean, corrupted: int [T], with prefix. Such an edge brings another value at a position at which one of the two runs wants it
    (see the module). No method that compares the two can find others of the circuit. Raises ValueError as `live_edges`.
    """
    decoded = np.arange(len(clean)) == len(clean) - 1
    one, other = Backward(graph, clean, decoded), Backward(graph, corrupted, decoded)
    found = set()
    for writer, reader, slot, kind in pairs(graph.units):
        needs = [run.need[reader.port] for run in (one, other) if reader.port in run.need]
        if kind is EdgeKind.CARRIES and needs:
            differs = one.added(writer, slot) != other.added(writer, slot)
            if (np.logical_or.reduce(needs) & differs).any():
                found.add(f"{writer.node}->{reader.node_port}")
    return frozenset(found)


def live_in_calls(graph: CircuitGraph, runs: Sequence[Run]) -> dict[str, int]:
    """The same over the calls of an instance, which are one sequence; only decoded tokens count, not those of prompts.

    Raises ArgumentError for calls of more than `forward.MOST` tokens.
    """
    return live_edges(graph, *as_one(graph, runs))


def as_one(graph: CircuitGraph, runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of all calls behind each other without the last one, and which positions were decoded from."""
    parts, decoded = [graph.transformer.prefix], [np.zeros(len(graph.transformer.prefix), dtype=bool)]
    for run in runs:
        parts += [run.prompt, run.tokens]
        decoded += [np.zeros(len(run.prompt), dtype=bool), np.ones(len(run.tokens), dtype=bool)]
    tokens = np.concatenate(parts)
    if len(tokens) > MOST:
        raise ArgumentError(
            f"{len(tokens):,} tokens with the prefix; which edges are live is worked out for at most {MOST:,}"
        )
    return tokens[:-1], np.concatenate(decoded)[1:]


class Backward:
    """whole: a unit is wanted wherever somebody reads what it adds, also when that is 0; then all is found that the logits could
    depend on at once, and `need` says where it is.

    need: of each port (`StreamReader.port`) that was read for something the positions, bool [T]. useful: of each unit those
    at which what it adds is wanted, whether it adds anything or not. layers: the run."""

    def __init__(self, graph: CircuitGraph, tokens: np.ndarray, decoded: np.ndarray, whole: bool = False):
        self.whole, self.graph, self.t, self.count = whole, graph, graph.transformer, len(tokens)
        self.embedded = self.t.embed.rows(np.asarray(tokens, np.int64))
        _, self.layers = run_layers(self.t, tokens)
        self.wanted: dict[Life, np.ndarray] = {}
        self.need: dict[str, np.ndarray] = {}
        self.useful: dict[str, np.ndarray] = {}
        self._walk(decoded)

    def _walk(self, decoded: np.ndarray) -> None:
        readers: dict[int, dict[str, StreamReader]] = defaultdict(dict)
        writers: dict[int, list[StreamWriter]] = defaultdict(list)
        for reader in self.graph.units.readers:
            readers[reader.time][reader.port] = reader
        for writer in self.graph.units.writers:
            writers[writer.time].append(writer)
        end = 2 * len(self.layers)
        self._want(readers[end][LOGITS], decoded)
        for time in range(end - 1, -1, -1):
            asked = [(writer, self._asked(writer)) for writer in writers[time] if writer.clears is None]
            for writer, where in asked:
                if where.any():
                    self._ask(writer, where, readers[time])

    def _want(self, reader: StreamReader, where: np.ndarray) -> None:
        self.need[reader.port] = where
        for slot in reader.slots:
            life = self.graph.units.read(slot, reader.time)
            self.wanted[life] = self.wanted.get(life, np.zeros(self.count, dtype=bool)) | where

    def _asked(self, writer: StreamWriter) -> np.ndarray:
        """The positions at which it adds something that is wanted."""
        where, useful = np.zeros(self.count, dtype=bool), np.zeros(self.count, dtype=bool)
        for slot in writer.slots:
            wanted = self.wanted.get(self.graph.units.written(slot, writer.time))
            if wanted is not None and wanted.any():
                useful |= wanted
                where |= wanted & (self.added(writer, slot) != 0)
        self.useful[writer.unit] = useful
        return useful if self.whole else where

    def _ask(self, writer: StreamWriter, where: np.ndarray, readers: dict[str, StreamReader]) -> None:
        if writer.time % 2:
            for factor in ("gate", "up"):
                self._want(readers[f"{writer.unit}<{factor}>"], where)
            return
        head = _run(self.layers, writer).heads[_number(writer)]
        attended = head.weights[where] > 0
        self._want(readers[f"{writer.unit}<q>"], where)
        self._want(readers[f"{writer.unit}<k>"], attended.any(0))
        self._want(readers[f"{writer.unit}<v>"], attended.any(0) & (self.whole | (head.values != 0).any(1)))

    def added(self, writer: StreamWriter, slot: int) -> np.ndarray:
        """float64 [T]: what the unit adds to a slot."""
        if writer.time < 0:
            return self.embedded[:, slot]
        run, layer = _run(self.layers, writer), self.t.layers[writer.time // 2]
        if writer.time % 2:
            index = int(writer.unit.partition(".n")[2])
            return run.neurons[:, index] * layer.down[slot, index]
        part = slice(self.t.head_dim * _number(writer), self.t.head_dim * (_number(writer) + 1))
        return run.heads[_number(writer)].moved @ layer.o[slot, part]

    def edges(self) -> dict[str, int]:
        found: dict[str, np.ndarray] = {}
        for writer, reader, slot, kind in pairs(self.graph.units):
            need = self.need.get(reader.port)
            if kind is not EdgeKind.CARRIES or need is None:
                continue
            where = need & (self.added(writer, slot) != 0)
            if where.any():
                name = f"{writer.node}->{reader.node_port}"
                found[name] = found.get(name, np.zeros(self.count, dtype=bool)) | where
        return {name: int(where.sum()) for name, where in found.items()}


def _run(layers: list[LayerRun], writer: StreamWriter) -> LayerRun:
    return layers[writer.time // 2]


def _number(writer: StreamWriter) -> int:
    """Of a head in its layer."""
    return int(writer.unit.partition(".h")[2])


__all__ = ["Backward", "as_one", "differing_edges", "live_edges", "live_in_calls"]
