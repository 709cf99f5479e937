"""The definition: dense matrices, real softmax, a KV cache. Slow, clear, and what every other engine must equal."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from ..compiler.format.errors import past_certificate
from ..compiler.format.transformer import Transformer, uniform_heads
from .fast.certified import check_certificate, check_sums
from .torch_device import torch_device

# Scores of one head that are computed together.
SCORES = 2**22


class TorchEngine:
    """Engine over dense float64 tensors. Raises EnvelopeError past the model's certificate, or when a running sum gets too
    large to be exact, and CheckpointError for a certificate that promises more than the tensors keep.

    read_prefix: whether the model's prefix is read at once. device: of torch, "cpu" or "cuda"."""

    def __init__(
        self, model: Transformer, probe: str | None = None, read_prefix: bool = True, device: str | None = None
    ):
        self.model, self._device = model, torch_device(device)
        check_certificate(self._dense())
        self._probe = model.probes[probe] if probe else None
        self.probed: list[np.ndarray] = []
        t = lambda a: torch.from_numpy(np.ascontiguousarray(a)).to(self._device)  # noqa: E731
        self._positions, self._unembed = t(model.positions), t(model.unembed.dense())
        self._uniform = [t(uniform_heads(y, model.head_dim)) for y in model.layers]
        self._layers = [tuple(t(w) for w in (y.q, y.k, y.v, y.o, y.gate, y.up, y.down)) for y in model.layers]
        self._cache: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(model.layers)
        self.position = 0
        self._logits = torch.zeros(len(model.vocabulary), dtype=torch.float64)
        if read_prefix and len(model.prefix):
            self.append(model.prefix)

    @torch.no_grad()
    def forward(self, tokens: np.ndarray) -> torch.Tensor:
        """Reads int tokens [k] behind the cached ones; returns the logits [k, V]."""
        k, start = len(tokens), self.position
        if self.model.envelope and start + k > self.model.envelope:
            raise past_certificate(start + k, self.model.certificate)
        n = torch.arange(start + 1, start + k + 1, dtype=torch.float64, device=self._device)
        x = torch.from_numpy(self.model.embed.rows(tokens)).to(self._device)
        x = x + n[:, None] * self._positions[0] + (n * n)[:, None] * self._positions[1]
        largest = torch.zeros((), dtype=torch.float64, device=self._device)
        causal = torch.ones(k, start + k, dtype=torch.bool, device=self._device).tril(start) if k > 1 else None
        for index, (q, key, v, o, *_) in enumerate(self._layers):
            self._record(index, x)
            if len(q):
                seen = self._read(x)
                split = lambda w, x=seen: (x @ w.T).view(k, -1, self.model.head_dim).transpose(0, 1)  # noqa: E731
                keys, values = split(key), split(v)
                cached = self._cache[index]
                if cached is not None:
                    keys, values = torch.cat([cached[0], keys], 1), torch.cat([cached[1], values], 1)
                self._cache[index] = (keys, values)
                y = scaled_dot_product_attention(split(q)[None], keys[None], values[None], attn_mask=causal, scale=1.0)
                if len(self._uniform[index]):
                    largest = torch.maximum(largest, (y[0, self._uniform[index]] * n[:, None]).abs().max())
                x = x + y[0].transpose(0, 1).reshape(k, -1) @ o.T
            x = x + self._mlp(index, self._read(x))
        self._record(len(self._layers), x)
        check_sums(self.model, start + k, float(largest))
        self.position += k
        return self._read(x) @ self._unembed.T

    def _dense(self) -> Transformer:
        """Whose certificate has to hold."""
        return self.model

    def _mlp(self, layer: int, seen: torch.Tensor) -> torch.Tensor:
        """What a layer's MLP adds, of what it reads: both [k, d]."""
        gate, up, down = self._layers[layer][4:]
        return (torch.relu(seen @ gate.T) * (seen @ up.T)) @ down.T

    def _read(self, x: torch.Tensor) -> torch.Tensor:
        """The residual stream as the matrices see it."""
        return x.to(torch.float32).to(torch.float64) if self.model.float32_reads else x

    def _record(self, layer: int, x: torch.Tensor) -> None:
        if self._probe and self._probe[0] == layer:
            self.probed.append(x[:, self._probe[1]].cpu().numpy().copy())

    def append(self, tokens: np.ndarray) -> None:
        """Reads a prompt, in blocks so that the score matrices stay small."""
        done = 0
        while done < len(tokens):
            block = max(32, min(512, SCORES // (self.position + 1)))
            self._logits = self.forward(tokens[done : done + block])[-1]
            done += block

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray:
        out: list[int] = []
        while len(out) < limit:
            token = int(torch.argmax(self._logits))
            out.append(token)
            self._logits = self.forward(np.array([token]))[-1]
            if stop[token]:
                break
        return np.array(out, dtype=np.int32)
