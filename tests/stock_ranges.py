"""What every slot of a stock form really holds, beside what was inferred or declared of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.graph.expr import Variable
from wasm2xformer.compiler.graph.pieces import Circuit, pieces
from wasm2xformer.compiler.graph.ranges import Range
from wasm2xformer.compiler.graph.residual import residual
from wasm2xformer.compiler.graph.schedule import Schedule, schedule
from wasm2xformer.compiler.graph.stock import StockGraph
from wasm2xformer.compiler.graph.stock_build import Weights
from wasm2xformer.runtime.torch_engine import TorchEngine


def parts(graph: StockGraph) -> tuple[Transformer, Circuit, Schedule, dict[Variable, int]]:
    """A stock form with what it was made of, and the slot of each variable."""
    circuit = pieces(graph)
    plan = schedule(circuit)
    slots = residual(circuit, plan, len(graph.tokens))
    return Weights(graph, circuit, plan, slots).transformer(), circuit, plan, slots.of


class Recorder(TorchEngine):
    """Keeps the residual stream as every attention (reads[2 l]), every MLP (reads[2 l + 1]) and the logits (last) find it."""

    def __init__(self, model: Transformer):
        self.reads: list[torch.Tensor] = []
        super().__init__(replace(model, certificate=()), read_prefix=False)

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        self.reads.append(x)
        return super()._read(x)


def violations(
    tokens: np.ndarray, model: Transformer, circuit: Circuit, plan: Schedule, slots: dict[Variable, int]
) -> list[str]:
    """Where a variable that is read is beyond its range, no multiple of its unit, or no float32. Positions behind the byte table
    count: before, lookups have nothing to find."""
    recorder = Recorder(model)
    recorder.forward(tokens)
    complete: dict[Variable, int] = {}
    for task, time in plan.times.items():
        for v in task.writes:
            complete[v] = max(complete.get(v, -1), time)
    readings: dict[Variable, set[int]] = {v: {2 * plan.layers} for v in (*circuit.index.terms, *circuit.norm.terms)}
    for task, time in plan.times.items():
        for v in task.reads:
            readings.setdefault(v, set()).add(time)
    found = []
    for v, times in readings.items():
        known = circuit.ranges.get(v)
        if known is None:  # the constant
            continue
        for time in times:
            assert complete.get(v, -1) < time
            x = recorder.reads[time][258:, slots[v]].numpy()
            if not fits(x, known, v in circuit.home.values()):
                found.append(f"{v}: {x.min():g}..{x.max():g}, {known}")
    return found


def fits(x: np.ndarray, known: Range, cut_next: bool) -> bool:
    """cut_next: it is read only to be cut, and not exactly."""
    if known.lowest is None:
        return bool((np.abs(x) < 2.0**50).all())
    multiple = x * 2.0**-known.lowest
    if not cut_next and ((x < known.low).any() or (x > known.high).any() or (x != x.astype(np.float32)).any()):
        return False
    return bool((multiple == np.rint(multiple)).all())
