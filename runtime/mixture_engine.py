"""The definition of a mixture of experts: the dense engine, whose MLPs add what one expert computes, the router's choice."""

from __future__ import annotations

import numpy as np
import torch

from ..compiler.format.mixture import Mixture
from ..compiler.format.transformer import Transformer
from .torch_engine import TorchEngine


class MixtureEngine(TorchEngine):
    """Engine over the dense float64 tensors of a mixture (`MixtureLayer` says what is computed). Raises EnvelopeError and
    CheckpointError as `TorchEngine`, with the certificate of its experts joined.

    sparse: only the experts that tokens choose are computed; else all of them, and all but the chosen one are dropped. Tokens
    are the same. As the stock class does, equal logits of a router choose the lowest number.
    read_prefix, device: as of `TorchEngine`.
    """

    def __init__(
        self,
        model: Mixture,
        probe: str | None = None,
        read_prefix: bool = True,
        device: str | None = None,
        sparse: bool = True,
    ):
        self._mixture = model
        super().__init__(model.shared, probe, False, device)
        t = lambda a: torch.from_numpy(np.ascontiguousarray(a)).to(self._device)  # noqa: E731
        self._experts = [None if y is None else [t(w) for w in (y.router, y.gate, y.up, y.down)] for y in model.layers]
        self._sparse = sparse
        if read_prefix and len(self.model.prefix):
            self.append(self.model.prefix)

    def _dense(self) -> Transformer:
        return self._mixture.joined()

    def _mlp(self, layer: int, seen: torch.Tensor) -> torch.Tensor:
        shared, experts = super()._mlp(layer, seen), self._experts[layer]
        if experts is None:
            return shared
        router, gate, up, down = experts
        chosen = (seen @ router.T).argmax(-1)
        if not self._sparse:
            every = torch.relu(seen @ gate.mT) * (seen @ up.mT) @ down.mT  # [E, k, d]
            return shared + every[chosen, torch.arange(len(seen), device=self._device)]
        if len(seen) == 1:
            e = int(chosen)
            return shared + torch.relu(seen @ gate[e].T) * (seen @ up[e].T) @ down[e].T
        for e in chosen.unique().tolist():
            mine = chosen == e
            shared[mine] += torch.relu(seen[mine] @ gate[e].T) * (seen[mine] @ up[e].T) @ down[e].T
        return shared
