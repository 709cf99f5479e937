"""A variant of a compiled model whose gradients are not 0: softer attention and smooth neurons, and how far it is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import torch

from ...compiler.format.checkpoint import Model
from ...compiler.format.transformer import Transformer
from ...compiler.stock import in_stock_form
from ..hf_engine import llama
from ..results import Run
from .graph import CircuitGraph, circuits
from .live import Backward, as_one

# silu(b x) / b of the class's default activation is relu(x) to the last bit with b = 4096: its smallest gates are 1/2.
STEEPEST = 4096.0


@dataclass(frozen=True)
class SoftenError:
    """What softening costs, over decoded positions of runs. right: how many logits are still largest at the program's token, of
    positions. stream: the largest difference in any slot behind any layer; logits: of logits, over their largest."""

    right: int
    positions: int
    stream: float
    logits: float


def soften(model: Model, temperature: float) -> Any:
    """The stock form as a `transformers.LlamaForCausalLM` in float64 with scores divided by `temperature` and, instead of relu,
    silu(b x) / b with b = 4096 / temperature. Its tensors are its own.

    A head's winner leads by 1024 / temperature or more. At 1 everything is as it was; tokens are right up to 64
    (docs/ground-truth.md), `soften_error` measures it. Raises CompileError as `to_hf`, ValueError for a temperature below 1.
    """
    if not temperature >= 1:
        raise ValueError(f"a temperature of {temperature}; from 1 on, which leaves the model as it is")
    t = in_stock_form(model).transformer
    sharp, steep = np.full(len(t.layers[0].q), 1 / temperature), np.full(len(t.layers[0].gate), STEEPEST / temperature)
    return _softer(t, [(sharp, steep)] * len(t.layers))


def soften_for(model: Model, runs: Sequence[Run], error: float) -> Any:
    """The same with a temperature for each head and a steepness for each neuron, as soft as these runs allow: no head and
    no neuron off by more than about `error`, wherever a decoded logit depends on it. runs: of instances of their own.

    Most heads decide between far more than the run gives them to decide, and are much sharper than it needs; those that the
    runs do not use stay as they are. Raises CompileError as `to_hf`, ValueError for an error that is not in 0 .. 1.
    """
    if not 0 < error < 1:
        raise ValueError(f"an error of {error}; between 0 and 1")
    graph = circuits(model)
    seen = [Backward(graph, *as_one(graph, [run]), whole=True) for run in runs]
    layers = range(len(graph.transformer.layers))
    return _softer(
        graph.transformer, [(_sharpness(graph, seen, i, error), _steepness(graph, seen, i, error)) for i in layers]
    )


def _sharpness(graph: CircuitGraph, seen: list[Backward], index: int, error: float) -> np.ndarray:
    """For each row of q what it is multiplied with."""
    width = graph.transformer.head_dim
    factors = np.ones(len(graph.transformer.layers[index].q))
    for head in range(len(factors) // width):
        leads = [lead for run in seen for lead in _leads(run, index, head)]
        if leads and min(leads) > 0:
            part = slice(head * width, (head + 1) * width)
            size = max(float(np.abs(run.layers[index].heads[head].values).max()) for run in seen)
            factors[part] = min(1.0, log(max(size, 1.0) / error) / min(leads))
    return factors


def _leads(run: Backward, index: int, head: int) -> list[float]:
    """By how much the winner leads where the head is needed."""
    need, scores = run.need.get(f"a{index}.h{head}<q>"), run.layers[index].heads[head].scores
    if need is None or scores.shape[1] < 2:
        return []
    return (-np.partition(scores[need], -2, axis=1)[:, -2]).tolist()


def _steepness(graph: CircuitGraph, seen: list[Backward], index: int, error: float) -> np.ndarray:
    """For each neuron b: |g| |up| |down| exp(-b |g|) is the error at a gate g."""
    layer = graph.transformer.layers[index]
    steep = np.full(len(layer.gate), STEEPEST)
    for i in range(len(layer.gate)):
        parts = [
            (run, where) for run in seen if (where := run.useful.get(f"m{index}.n{i}")) is not None and where.any()
        ]
        gates = np.concatenate([np.abs(run.layers[index].gates[where, i]) for run, where in parts] or [np.zeros(0)])
        ups = np.concatenate([np.abs(run.layers[index].ups[where, i]) for run, where in parts] or [np.zeros(0)])
        gates, ups = gates[ups * gates > 0], ups[ups * gates > 0]
        if len(gates) and np.ptp(gates):
            size = gates * ups * np.abs(layer.down[:, i]).max()
            steep[i] = min(STEEPEST, float((np.log(np.maximum(size / error, 1.0)) / gates).max()))
    return np.maximum(steep, 1e-9)


def _softer(t: Transformer, factors: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    """factors: of each layer those of q's rows, and the steepness of each neuron."""
    stock = llama(t)
    with torch.no_grad():
        for parameter in stock.parameters():
            parameter.data = parameter.data.clone()
        for layer, (sharp, steep) in zip(stock.model.layers, factors, strict=True):
            layer.self_attn.q_proj.weight *= torch.as_tensor(sharp)[:, None]
            layer.mlp.gate_proj.weight *= torch.as_tensor(steep)[:, None]
            layer.mlp.down_proj.weight /= torch.as_tensor(steep)
            layer.mlp.act_fn = torch.nn.SiLU()
    stock.config.hidden_act = "silu"
    return stock


@torch.no_grad()
def soften_error(model: Model, soft: Any, runs: Sequence[Run]) -> SoftenError:
    """Compares with the model at every decoded position of these runs, each of an instance of its own."""
    t = in_stock_form(model).transformer
    exact = llama(t)
    right = positions = 0
    stream = logits = 0.0
    for run in runs:
        ids = torch.as_tensor(np.concatenate([t.prefix, run.prompt, run.tokens]).astype(np.int64))[None]
        first = len(t.prefix) + len(run.prompt) - 1
        a, b = (one(ids[:, :-1], output_hidden_states=True) for one in (exact, soft))
        right += int((b.logits[0, first:].argmax(-1) == ids[0, first + 1 :]).sum())
        positions += ids.shape[1] - 1 - first
        layers = zip(a.hidden_states[:-1], b.hidden_states[:-1], strict=True)
        stream = max(stream, *(float((x - y)[0, first:].abs().max()) for x, y in layers))
        logits = max(logits, float((a.logits - b.logits)[0, first:].abs().max() / a.logits[0, first:].abs().max()))
    return SoftenError(right, positions, stream, logits)


__all__ = ["STEEPEST", "SoftenError", "soften", "soften_error", "soften_for"]
