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
from .graph import CircuitGraph, node_of
from .units import LOGITS, Life, StreamReader, StreamWriter


def live_edges(graph: CircuitGraph, tokens: np.ndarray, decoded: np.ndarray) -> dict[str, int]:
    """Edge -> positions of the reader at which it was live, for edges of the circuit that were.

    tokens: int [T], a run with prefix and prompt, without its last token. decoded: bool [T], the positions whose logits were
    decoded from. Raises ValueError for more than `forward.MOST` tokens.
    """
    return _Backward(graph, tokens, decoded).edges()


def live_in_calls(graph: CircuitGraph, runs: Sequence[Run]) -> dict[str, int]:
    """The same over the calls of an instance, which are one sequence; only decoded tokens count, not those of prompts.

    Raises ArgumentError for calls of more than `forward.MOST` tokens.
    """
    parts, decoded = [graph.transformer.prefix], [np.zeros(len(graph.transformer.prefix), dtype=bool)]
    for run in runs:
        parts += [run.prompt, run.tokens]
        decoded += [np.zeros(len(run.prompt), dtype=bool), np.ones(len(run.tokens), dtype=bool)]
    tokens = np.concatenate(parts)
    if len(tokens) > MOST:
        raise ArgumentError(
            f"{len(tokens):,} tokens with the prefix; which edges are live is worked out for at most {MOST:,}"
        )
    return live_edges(graph, tokens[:-1], np.concatenate(decoded)[1:])


class _Backward:
    def __init__(self, graph: CircuitGraph, tokens: np.ndarray, decoded: np.ndarray):
        self.graph, self.t, self.count = graph, graph.transformer, len(tokens)
        self.embedded = self.t.embed.rows(np.asarray(tokens, np.int64))
        _, self.layers = run_layers(self.t, tokens)
        self.wanted: dict[Life, np.ndarray] = {}
        self.need: dict[str, np.ndarray] = {}  # of each port, the positions at which it was read for something
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
        where = np.zeros(self.count, dtype=bool)
        for slot in writer.slots:
            wanted = self.wanted.get(self.graph.units.written(slot, writer.time))
            if wanted is not None and wanted.any():
                where |= wanted & (self.added(writer, slot) != 0)
        return where

    def _ask(self, writer: StreamWriter, where: np.ndarray, readers: dict[str, StreamReader]) -> None:
        if writer.time % 2:
            for factor in ("gate", "up"):
                self._want(readers[f"{writer.unit}<{factor}>"], where)
            return
        head = _run(self.layers, writer).heads[_number(writer)]
        attended = head.weights[where] > 0
        self._want(readers[f"{writer.unit}<q>"], where)
        self._want(readers[f"{writer.unit}<k>"], attended.any(0))
        self._want(readers[f"{writer.unit}<v>"], attended.any(0) & (head.values != 0).any(1))

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
                name = f"{node_of(writer.unit)}->{reader.node_port}"
                found[name] = found.get(name, np.zeros(self.count, dtype=bool)) | where
        return {name: int(where.sum()) for name, where in found.items()}


def _run(layers: list[LayerRun], writer: StreamWriter) -> LayerRun:
    return layers[writer.time // 2]


def _number(writer: StreamWriter) -> int:
    """Of a head in its layer."""
    return int(writer.unit.partition(".h")[2])


__all__ = ["live_edges", "live_in_calls"]
