"""A causal language model with mixtures of experts, of transformers or made of a compiled program, and what is known of it.
Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ...compiler.format.checkpoint import Model
from ...compiler.format.mixture import Mixture
from ..errors import ArgumentError
from ..hybrid.errors import ExpertError
from ..hybrid.layers import decoder_layers
from ..hybrid.slot import ExpertsBlock, block_of


@dataclass
class RoutedModel:
    """model: of any class whose layers have a router that gives (logits, weights, indices) beside a module with all experts:
    Qwen2-MoE, OLMoE, Mixtral, Qwen3-MoE, GPT-OSS and those made alike. tokenizer: None for a compiled program.
    program, mixture: of a compiled program, with the truth about its experts; else None.
    Raises ArgumentError for a model without such layers.
    """

    model: Any
    tokenizer: Any = None
    program: Model | None = None
    mixture: Mixture | None = None
    layers: list[int] = field(init=False)
    blocks: list[ExpertsBlock] = field(init=False)

    def __post_init__(self) -> None:
        found, reason = {}, ""
        try:
            for number, layer in enumerate(decoder_layers(self.model)):
                try:
                    found[number] = block_of(layer)
                except ExpertError as error:  # a dense layer
                    reason = str(error)
        except ExpertError as error:
            reason = str(error)
        if not found:
            raise ArgumentError(f"{type(self.model).__name__} is no mixture of experts that is known: {reason}")
        self.layers, self.blocks = list(found), list(found.values())

    @property
    def experts(self) -> int:
        """How many each layer has."""
        return self.blocks[0].count

    @property
    def top_k(self) -> int:
        return int(self.blocks[0].router.top_k)

    @property
    def compiled(self) -> bool:
        return self.mixture is not None

    @cached_property
    def expert_names(self) -> list[str]:
        """Of a compiled program the operations, else numbers."""
        if self.mixture is not None:
            return [expert.name for expert in self.mixture.experts]
        return [str(e) for e in range(self.experts)]

    def expert(self, name: str | int) -> int:
        """An expert by number, by name or, of a compiled program, by operation. Raises ArgumentError."""
        if str(name).isdecimal() and int(name) < self.experts:
            return int(name)
        for number, known in enumerate(self.mixture.experts if self.mixture else []):
            if name == known.name or name in known.operations:
                return number
        there = ", ".join(self.expert_names) if self.compiled else f"0 to {self.experts - 1}"
        raise ArgumentError(f"no expert {name!r}; there are: {there}")

    def at(self, layers: Sequence[int] | None) -> list[int]:
        """Where these layers are among those with experts; all for None or none. Raises ArgumentError."""
        for layer in layers or ():
            if layer not in self.layers:
                raise ArgumentError(f"layer {layer} has no experts; those that have: {', '.join(map(str, self.layers))}")
        return [self.layers.index(layer) for layer in layers] if layers else list(range(len(self.layers)))

    def token_text(self, token: int) -> str:
        """As it is in the text; of a compiled program its name."""
        if self.program is not None:
            return self.program.transformer.vocabulary[token]
        return str(self.tokenizer.decode([token]))

    def shown(self, token: int) -> str:
        """For a table: no white space that cannot be seen."""
        text = self.token_text(token)
        return text if self.compiled else repr(text)[1:-1].replace(" ", "␣")

    @torch.no_grad()
    def logits(self, ids: np.ndarray, keep: int) -> torch.Tensor:
        """[B, keep, V] behind the last `keep` positions of int ids [B, n]."""
        tensor = torch.as_tensor(np.asarray(ids, dtype=np.int64), device=self.model.device)
        return self.model(tensor, use_cache=False, logits_to_keep=keep).logits.float()


def number_of_tokens(model: RoutedModel) -> int:
    """The size of the vocabulary."""
    return int(model.model.get_input_embeddings().weight.shape[0])
