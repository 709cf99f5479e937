"""What a router reads, split into where it comes from: the token's embedding, what attention added, what MLPs added. Needs
torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from ..errors import ArgumentError
from ..hybrid.layers import decoder_layers, layer_output
from .estimates import Estimate, bootstrap, per_prompt
from .result_table import Cell, Grid, ResultTable
from .study import Study

EMBEDDING, ATTENTION, MLPS = range(3)
TOLERANCE = 1e-3  # relative; a router's input that is farther from the sum of its parts is something else


def router_probe(study: Study, layers: Sequence[int] | None = None) -> ResultTable:
    """By layer, the router's logits as a sum of three parts: the norm's scale is taken as it is, and each part projected to the
    router's rows, less the mean over experts, which moves no choice.

    "embedding", "attention", "MLPs": of what differs between tokens, sum over tokens of part times whole over whole times
    whole, both less their mean over tokens; they add up to 100 %, and one that others take back may be above. "added":
    |attention + MLPs| over that plus |embedding|, mean over tokens, as the reports have it. "first choice by": how often a
    part alone, with the router's bias, makes the same first choice. Raises ArgumentError for a model whose router reads no
    such sum behind an RMSNorm.
    """
    parts = _projected(study)
    rows: list[tuple[Cell, ...]] = []
    at = study.model.at(layers)
    for layer in at:
        p = parts[layer] - parts[layer].mean(-1, keepdims=True)
        shares = _shares_of_variation(study, p)
        sizes = np.linalg.norm(np.stack([p[EMBEDDING], p[ATTENTION] + p[MLPS]]), axis=-1)
        added = study.mean(sizes[1] / np.maximum(sizes.sum(0), 1e-300))
        first = study.routing.chosen[layer][:, 0]
        bias = study.model.blocks[layer].bias
        own = 0.0 if bias is None else bias.detach().double().cpu().numpy()
        alone = [study.share((parts[layer][k] + own).argmax(-1) == first) for k in range(3)]
        rows.append((study.model.layers[layer], *map(_percent, shares), _percent(added), *alone))
    values = np.array([[cell.value for cell in row[1:4] if isinstance(cell, Estimate)] for row in rows])
    return ResultTable(
        "where the router's logits come from",
        ("layer", "#embedding", "#attention", "#MLPs", "#added", "#first choice by embedding", "#by attention", "#by MLPs"), rows,
        grid=Grid(values, "share of what differs between tokens", [str(study.model.layers[k]) for k in at],
                  ["embedding", "attention", "MLPs"], "layer", ""),
    )  # fmt: skip


def _percent(estimate: Estimate) -> Estimate:
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.prompts, True)


def _shares_of_variation(study: Study, p: np.ndarray) -> list[Estimate]:
    """Of parts [3, T, E]."""
    p = p - p.mean(1, keepdims=True)
    whole = p.sum(0)
    prompts = len(study.prompts)
    products = [per_prompt((x * whole).sum(-1), study.prompt, prompts) for x in (*p, whole)]
    sums = np.stack(products, 1)
    return [bootstrap(lambda s, k=k: s[..., k] / np.where(s[..., 3] == 0, np.nan, s[..., 3]), sums) for k in range(3)]  # type: ignore[misc]


@dataclass
class _StreamParts:
    """Of one pass: sums so far [B, n, d], and of each layer with experts the three parts projected [3, B n, E]."""

    sums: list[torch.Tensor] = field(default_factory=list)
    projected: list[torch.Tensor] = field(default_factory=list)


def _projected(study: Study) -> np.ndarray:
    """float64 [L, 3, T, E]."""
    study.require()
    found: list[Any] = [None] * len(study.prompts)
    for numbers in study.batches():
        ids = np.stack([study.prompts[n].ids for n in numbers])
        with _taken_apart(study) as parts:
            study.model.logits(ids, 1)
        every = torch.stack(parts.projected).reshape(len(study.model.layers), 3, *ids.shape, -1).cpu().numpy()
        for row, n in enumerate(numbers):
            found[n] = every[:, :, row, study.prompts[n].first :]
    return np.concatenate(found, 2)


@contextmanager
def _taken_apart(study: Study) -> Iterator[_StreamParts]:
    layers = decoder_layers(study.model.model)
    parts = _StreamParts()
    with ExitStack() as stack:

        def hook(module: Any, see: Any, before: bool = False) -> None:
            made = module.register_forward_pre_hook(see) if before else module.register_forward_hook(see)
            stack.callback(made.remove)

        hook(layers[0], lambda _m, inputs: parts.sums.extend(_begun(inputs[0])), before=True)
        for number, layer in enumerate(layers):
            if not all(hasattr(layer, name) for name in ("self_attn", "mlp", "post_attention_layernorm")):
                raise ArgumentError(f"{type(layer).__name__}: no attention, norm and MLP by their usual names")
            hook(layer.self_attn, lambda _m, _i, output: _add(parts, ATTENTION, output))
            if number in study.model.layers:
                block = study.model.blocks[study.model.layers.index(number)]
                norm = layer.post_attention_layernorm
                hook(norm, lambda _m, inputs: _check_sum(parts, inputs[0]), before=True)
                project = partial(_project, parts, block, norm)
                hook(block.router, lambda _m, inputs, project=project: project(inputs[0]), before=True)
            hook(layer.mlp, lambda _m, _i, output: _add(parts, MLPS, output))
        yield parts


def _begun(embedding: torch.Tensor) -> list[torch.Tensor]:
    whole = embedding.double()
    return [whole, torch.zeros_like(whole), torch.zeros_like(whole)]


def _add(parts: _StreamParts, which: int, output: Any) -> None:
    parts.sums[which] = parts.sums[which] + layer_output(output).double()


def _near(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= TOLERANCE * b.norm())


def _check_sum(parts: _StreamParts, stream: torch.Tensor) -> None:
    if not _near(sum(parts.sums[1:], parts.sums[0]), stream.double()):
        raise ArgumentError("the residual stream of this model is not the sum of embedding, attention and MLPs")


def _project(parts: _StreamParts, block: Any, norm: Any, read: torch.Tensor) -> None:
    """read: the router's input, the residual stream times the norm's weights and a number for each token."""
    weight = norm.weight.detach().double()
    whole = sum(parts.sums[1:], parts.sums[0]) * weight
    read = read.double().reshape(whole.shape)
    scale = (read * whole).sum(-1, keepdim=True) / (whole * whole).sum(-1, keepdim=True)
    if not _near(scale * whole, read):
        raise ArgumentError("the router of this model does not read the residual stream behind an RMSNorm")
    rows = block.router.weight.detach().double()
    parts.projected.append(torch.stack([(scale * part * weight @ rows.T).flatten(0, 1) for part in parts.sums]))
