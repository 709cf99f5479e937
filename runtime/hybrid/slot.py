"""The router and the experts of one mixture-of-experts layer of a stock class, and a slot among them. Needs torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .errors import ExpertError

# Attributes that count the experts of a router or of an experts module.
_COUNTS = ("num_experts", "num_local_experts")


@dataclass
class ExpertsBlock:
    """router: gives (logits, weights, indices) of tokens [n, width]. experts: all of a layer in one module, its tensors
    [experts, ...]."""

    router: Any
    experts: Any

    @property
    def count(self) -> int:
        return int(self.router.weight.shape[0])

    @property
    def bias(self) -> Any:
        return getattr(self.router, "bias", None)

    @torch.no_grad()
    def logits(self, states: torch.Tensor) -> torch.Tensor:
        weight = self.router.weight
        return torch.nn.functional.linear(states.to(weight.dtype), weight, self.bias).float()


def block_of(layer: Any) -> ExpertsBlock:
    """Raises ExpertError for a layer that is no mixture of experts of a kind that is known."""
    for module in layer.modules():
        router, experts = getattr(module, "gate", getattr(module, "router", None)), getattr(module, "experts", None)
        weight = getattr(router, "weight", None)
        if weight is None or weight.dim() != 2 or not isinstance(experts, torch.nn.Module):
            continue
        if all(p.shape[0] == weight.shape[0] for p in experts.parameters()) and hasattr(router, "top_k"):
            return ExpertsBlock(router, experts)
    known = "OLMoE, Mixtral, Qwen-MoE and GPT-OSS have them"
    raise ExpertError(f"{type(layer).__name__}: no router beside its experts in one module, as {known}")


@dataclass
class ExpertSlot:
    """One expert of a block, made the compiled one's. others: the router as it is without the slot. undo: gives the block
    back."""

    block: ExpertsBlock
    number: int
    others: Any
    undo: Callable[[], None]

    @torch.no_grad()
    def route_without(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(weights, indices) of tokens [n, width], chosen by the stock router among all other experts."""
        _, weights, indices = self.others(states)
        return weights, indices + (indices >= self.number).to(indices.dtype)


@torch.no_grad()
def make_slot(block: ExpertsBlock, number: int | None, row: torch.Tensor, bias: float) -> ExpertSlot:
    """Expert `number` replaced, or one more for None: its own weights 0, its row of the router this one."""
    router, experts = block.router, block.experts
    before = {module: dict(module._parameters) for module in (router, experts)}
    counts = {module: {c: getattr(module, c) for c in _COUNTS if hasattr(module, c)} for module in (router, experts)}
    at = block.count if number is None else number
    if not 0 <= at <= block.count or (number is not None and at == block.count):
        raise ExpertError(f"no expert {number}: the layer has {block.count}")
    others = copy.deepcopy(router)
    if number is not None:
        for name, value in router.named_parameters(recurse=False):
            kept = torch.cat([value[:at], value[at + 1 :]])
            setattr(others, name, torch.nn.Parameter(kept, requires_grad=False))
        _count(others, block.count - 1)
    for module, own in ((router, {"weight": row, "bias": torch.tensor(bias)}), (experts, dict[str, torch.Tensor]())):
        for name, value in before[module].items():
            if value is None:
                continue
            made = own.get(name, torch.zeros(())).to(value).expand(value.shape[1:])[None]
            tensor = torch.cat([value[:at], made, value[at + 1 :]])
            setattr(module, name, torch.nn.Parameter(tensor, requires_grad=False))
        _count(module, int(router.weight.shape[0]))

    def undo() -> None:
        for module, parameters in before.items():
            for name, value in parameters.items():
                if value is not None:
                    setattr(module, name, value)
            for name, value in counts[module].items():
                setattr(module, name, value)

    return ExpertSlot(block, at, others, undo)


def _count(module: Any, count: int) -> None:
    for name in _COUNTS:
        if hasattr(module, name):
            setattr(module, name, count)
