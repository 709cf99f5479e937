"""The stock class with hooks: what each node adds to the residual stream, gradients at what it reads, edges patched.

Nodes and ports as in `units`. The prefix is read once and kept as keys and values; what follows is about the T tokens behind.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

Metric = Callable[[torch.Tensor], torch.Tensor]  # logits behind the last token [B, V] -> [B]


class Stream:
    """model: a `LlamaForCausalLM` of a compiled program (`to_hf`, `soften`). prefix: int [P], `transformer.prefix`."""

    def __init__(self, model: Any, prefix: np.ndarray):
        self.model, self.layers = model, model.model.layers
        self.heads, self.width = model.config.num_attention_heads, model.config.head_dim
        self._cache_name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
        cache = DynamicCache()
        with torch.no_grad():
            model(torch.as_tensor(prefix.astype(np.int64))[None], logits_to_keep=1, **{self._cache_name: cache})
        self._prefix, self._read = cache, len(prefix)
        layers = range(len(self.layers))
        nodes = [[*(f"a{i}.h{h}" for h in range(self.heads)), f"m{i}"] for i in layers]
        self.sources = ["input", *(name for layer in nodes for name in layer)]
        ports = [[*(f"a{i}.h{h}<{c}>" for c in "qkv" for h in range(self.heads)), f"m{i}"] for i in layers]
        self.ports = [*(name for layer in ports for name in layer), "logits"]

    def embedded(self, ids: np.ndarray) -> torch.Tensor:
        """float64 [T, d]."""
        return self.model.model.embed_tokens(torch.as_tensor(ids)).detach()

    def logits(self, embedded: torch.Tensor) -> torch.Tensor:
        """embedded: float64 [B, T, d], what the embedding gives. float64 [B, V], behind the last token."""
        cache = deepcopy(self._prefix)
        if len(embedded) > 1:
            cache.batch_repeat_interleave(len(embedded))
        places = torch.arange(self._read, self._read + embedded.shape[1])[None]
        out = self.model(inputs_embeds=embedded, position_ids=places, logits_to_keep=1, **{self._cache_name: cache})
        return out.logits[:, -1]

    @torch.no_grad()
    def outputs(self, embedded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What each source adds, float64 [sources, T, d], and the logits [V]. embedded: [T, d]."""
        found = [embedded]

        def heads(module: Any, arguments: Any) -> None:
            parts = arguments[0][0].split(self.width, -1)
            weights = module.weight.split(self.width, 1)
            found.extend(part @ weight.T for part, weight in zip(parts, weights, strict=True))

        with hooked(
            [(y.self_attn.o_proj.register_forward_pre_hook, heads) for y in self.layers]
            + [(y.mlp.register_forward_hook, lambda _m, _a, out: found.append(out[0])) for y in self.layers]
        ):
            logits = self.logits(embedded[None])[0]
        return torch.stack(found), logits

    def gradients(self, embedded: torch.Tensor, metric: Metric) -> torch.Tensor:
        """Of the metric, by what each port reads: float64 [ports, T, d]. The norms, which only round, count as the identity."""
        kept: list[torch.Tensor] = []

        def keep(_module: Any, _arguments: Any, out: torch.Tensor) -> None:
            out.retain_grad()
            kept.append(out)

        modules = [m for y in self.layers for m in _reading(y)]
        with hooked([(m.register_forward_hook, keep) for m in modules]):
            logits = self.logits(embedded[None].requires_grad_())
            logits.retain_grad()
            metric(logits).sum().backward()
        zero = torch.zeros_like(embedded)
        found = []
        pairs = iter(zip(kept, modules, strict=True))
        for _ in self.layers:
            for _letter in "qkv":
                out, module = next(pairs)
                for part in range(0, self.heads * self.width, self.width):
                    rows = slice(part, part + self.width)
                    found.append(zero if out.grad is None else out.grad[0, :, rows] @ module.weight[rows])
            both = [next(pairs) for _factor in ("gate", "up")]
            found.append(sum((o.grad[0] @ m.weight for o, m in both if o.grad is not None), zero))
        last = zero.clone()
        assert logits.grad is not None
        last[-1] = logits.grad[0] @ self.model.lm_head.weight
        self.model.zero_grad(set_to_none=True)
        return torch.stack([*found, last]).detach()

    @torch.no_grad()
    def patched(self, embedded: torch.Tensor, changes: Sequence[tuple[str, torch.Tensor]]) -> torch.Tensor:
        """Logits [B, V] of B runs, in each of which one port reads the stream with something added. embedded: [T, d]; changes: of
        each run the port and what is added, [T, d]."""
        at: dict[str, list[int]] = {}
        for i, (port, _) in enumerate(changes):
            at.setdefault(port, []).append(i)
        streams: dict[Any, torch.Tensor] = {}  # what enters each norm

        def see(norm: Any, arguments: Any) -> None:
            streams[norm] = arguments[0]

        def changed(norm: Any, runs: list[int]) -> torch.Tensor:
            return norm.forward(streams[norm][runs] + torch.stack([changes[i][1] for i in runs]))

        hooks: list[tuple[Any, Any]] = []
        for port, runs in at.items():
            norm, module, rows = self._place(port)
            hooks.append((norm.register_forward_pre_hook, see))
            hooks.append(_replacing(module, rows, runs, norm, changed))
        with hooked(hooks):
            return self.logits(embedded[None].expand(len(changes), -1, -1))

    @torch.no_grad()
    def replaced(self, embedded: torch.Tensor, node: str, output: torch.Tensor) -> torch.Tensor:
        """Logits [V] of a run in which a head or MLP adds something else. embedded, output: [T, d]."""
        index = int(node[1:].split(".")[0])
        layer = self.layers[index]
        if node[0] == "m":
            hook = (layer.mlp.register_forward_hook, lambda _m, _a, _out: output[None])
        else:
            head = int(node.split(".h")[1])
            rows = slice(head * self.width, (head + 1) * self.width)

            def other(module: Any, arguments: Any, out: torch.Tensor) -> torch.Tensor:
                return out - arguments[0][..., rows] @ module.weight[:, rows].T + output

            hook = (layer.self_attn.o_proj.register_forward_hook, other)
        with hooked([hook]):
            return self.logits(embedded[None])[0]

    def _place(self, port: str) -> tuple[Any, Any, slice | None]:
        """The norm that a port reads through, the module that reads, and which rows of it."""
        if port == "logits":
            return self.model.model.norm, self.model.lm_head, None
        if port[0] == "m":
            layer = self.layers[int(port[1:])]
            return layer.post_attention_layernorm, layer.mlp, None
        index, head, letter = int(port[1:].split(".")[0]), int(port.split(".h")[1].split("<")[0]), port[-2]
        layer = self.layers[index]
        module = getattr(layer.self_attn, f"{letter}_proj")
        return layer.input_layernorm, module, slice(head * self.width, (head + 1) * self.width)


def _reading(layer: Any) -> list[Any]:
    attention = layer.self_attn
    return [attention.q_proj, attention.k_proj, attention.v_proj, layer.mlp.gate_proj, layer.mlp.up_proj]


def _replacing(
    module: Any, rows: slice | None, runs: list[int], norm: Any, changed: Callable[[Any, list[int]], torch.Tensor]
) -> tuple[Any, Any]:
    """A hook by which `module` (or these rows of its weight) reads something else in some runs of a batch."""

    def whole(_module: Any, arguments: Any) -> Any:
        seen = arguments[0].clone()
        seen[runs] = changed(norm, runs)[:, -seen.shape[1] :]
        return (seen,)

    def part(_module: Any, _arguments: Any, out: torch.Tensor) -> torch.Tensor:
        out = out.clone()
        out[runs, :, rows] = changed(norm, runs) @ module.weight[rows].T
        return out

    return (module.register_forward_pre_hook, whole) if rows is None else (module.register_forward_hook, part)


@contextmanager
def hooked(hooks: Sequence[tuple[Any, Any]]) -> Iterator[None]:
    """hooks: (register, hook)."""
    handles = [register(hook) for register, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


__all__ = ["Metric", "Stream", "hooked"]
