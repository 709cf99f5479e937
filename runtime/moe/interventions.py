"""Routers made to choose otherwise, for as long as a `with` lasts. Needs torch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ..errors import ArgumentError
from ..hybrid.slot import ExpertsBlock
from .routed_model import RoutedModel

# Of a router's input [T, d], and what it gave: logits [T, E], weights [T, k], indices [T, k].
Change = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


@contextmanager
def experts_off(
    model: RoutedModel, experts: Collection[int], layers: Sequence[int] | None = None, reroute: bool = False
) -> Iterator[None]:
    """Without these experts, in these layers (all). They add nothing where they are chosen; reroute: the routers choose
    among the others instead. Raises ArgumentError when fewer are left than are chosen."""
    off = sorted(set(experts))
    if reroute and model.experts - len(off) < model.top_k:
        raise ArgumentError(f"{model.experts - len(off)} experts are left, but {model.top_k} are chosen for each token")
    with _changed(model, layers, lambda block: _rerouted(block, off) if reroute else _silenced(off)):
        yield


@contextmanager
def forced(model: RoutedModel, expert: int, layers: Sequence[int] | None = None) -> Iterator[None]:
    """This expert alone for every token, with weight 1, in these layers (all)."""

    def change(_states: Any, logits: Any, weights: Any, indices: Any) -> tuple[Any, Any, Any]:
        return logits, torch.ones_like(weights[:, :1]), torch.full_like(indices[:, :1], expert)

    with _changed(model, layers, lambda block: change):
        yield


@contextmanager
def top(model: RoutedModel, k: int) -> Iterator[None]:
    """k experts for each token, in all layers. Raises ArgumentError when there are fewer."""
    if not 1 <= k <= model.experts:
        raise ArgumentError(f"{k} experts for each token: there are 1 to {model.experts}")
    before = [block.router.top_k for block in model.blocks]
    try:
        for block in model.blocks:
            block.router.top_k = k
        yield
    finally:
        for block, own in zip(model.blocks, before):
            block.router.top_k = own


def _silenced(off: list[int]) -> Change:
    def change(_states: Any, logits: Any, weights: Any, indices: Any) -> tuple[Any, Any, Any]:
        gone = torch.isin(indices, torch.tensor(off, device=indices.device))
        return logits, weights.masked_fill(gone, 0.0), indices

    return change


def _rerouted(block: ExpertsBlock, off: list[int]) -> Change:
    """The router's own code, with the rows of the others alone."""
    kept = [e for e in range(block.count) if e not in off]
    others = copy.deepcopy(block.router)
    for name, value in block.router.named_parameters(recurse=False):
        setattr(others, name, torch.nn.Parameter(value[kept], requires_grad=False))
    for name in ("num_experts", "num_local_experts"):
        if hasattr(others, name):
            setattr(others, name, len(kept))
    numbers = torch.tensor(kept)

    def change(states: Any, logits: Any, _weights: Any, _indices: Any) -> tuple[Any, Any, Any]:
        _, weights, indices = others(states)
        return logits, weights, numbers.to(indices.device)[indices]

    return change


@contextmanager
def _changed(model: RoutedModel, layers: Sequence[int] | None, change_of: Callable[[ExpertsBlock], Change]) -> Iterator[None]:
    with ExitStack() as stack:
        for at in model.at(layers):
            change = change_of(model.blocks[at])
            hook = model.blocks[at].router.register_forward_hook(
                lambda _module, inputs, output, change=change: change(inputs[0].reshape(-1, inputs[0].shape[-1]), *output)
            )
            stack.callback(hook.remove)
        yield
