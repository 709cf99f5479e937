"""The stock class of Hugging Face transformers as an engine, and the model in memory as that class. No code of ours decodes."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
import transformers

from ..compiler.format.errors import CompileError, past_certificate
from ..compiler.format.mixture import Mixture
from ..compiler.format.transformer import Transformer, uniform_heads
from ..compiler.huggingface.config import config, generation_config, stock_problem
from ..compiler.huggingface.mixture import fused, mixture_config, mixture_state
from ..compiler.huggingface.tensors import state
from .fast.certified import check_certificate, check_sums
from .torch_device import torch_device

# Scores of one head that are computed together while a prompt is read.
SCORES = 2**22


def llama(t: Transformer, device: str | None = None) -> Any:
    """The transformer as a `transformers.LlamaForCausalLM` in float64, ready for `generate`. Raises CompileError where the stock
    class cannot be it (`config.stock_problem`), ArgumentError for a device that is not there."""
    if problem := stock_problem(t):
        raise CompileError(f"no stock class for this transformer: {problem}")
    return _filled("Llama", config(t), state(t), t, device)


def qwen(m: Mixture, device: str | None = None) -> Any:
    """The mixture as a `transformers.Qwen2MoeForCausalLM` in float64, ready for `generate`. `.mixture` is what it was made of."""
    if problem := stock_problem(m.shared):
        raise CompileError(f"no stock class for this transformer: {problem}")
    model = _filled("Qwen2Moe", mixture_config(m), fused(m, mixture_state(m)), m.shared, device)
    model.mixture = m
    return model


def _filled(name: str, said: dict[str, Any], tensors: dict[str, np.ndarray], t: Transformer, device: str | None) -> Any:
    settings = {k: v for k, v in said.items() if k not in ("architectures", "model_type")}
    kind, of = getattr(transformers, f"{name}ForCausalLM"), getattr(transformers, f"{name}Config")
    with torch.device("meta"):
        model = kind(of(**settings)).to(torch.float64)
    # Copies, so that whoever changes the object does not change the transformer; each original goes as its copy is made.
    weights = {name: torch.tensor(tensors.pop(name)) for name in list(tensors)}
    model.load_state_dict(weights, strict=True, assign=True)
    # What is no weight is left on the meta device: the frequencies of the rotation, which are 0.
    rotary = model.model.rotary_emb
    for buffer_name, buffer in list(rotary.named_buffers()):
        rotary.register_buffer(buffer_name, torch.zeros(buffer.shape), persistent=False)
    model.generation_config = transformers.GenerationConfig(**generation_config(t))
    return model.to(torch_device(device)).eval()


class HFEngine:
    """Engine over `LlamaForCausalLM`, of a mixture `Qwen2MoeForCausalLM`, with its own KV cache. Raises EnvelopeError past the
    model's certificate, CheckpointError for one that promises more than the tensors keep, CompileError for a transformer that is
    not in the stock form.

    device: of torch, "cpu" or "cuda".
    """

    def __init__(self, model: Transformer | Mixture, probe: str | None = None, device: str | None = None):
        check_certificate(model.joined() if isinstance(model, Mixture) else model)
        self.model, self.position = model.shared if isinstance(model, Mixture) else model, 0
        self.probed: list[np.ndarray] = []
        self._stock = qwen(model, device) if isinstance(model, Mixture) else llama(model, device)
        if probe:
            self._record(*self.model.probes[probe])
        # Called otherwise up to transformers 5.23.
        names = inspect.signature(self._stock.forward).parameters
        self._cache = {"cache" if "cache" in names else "past_key_values": transformers.DynamicCache()}
        self._largest = 0.0  # running sum of the tokens that are being read
        if self.model.certificate:
            self._watch_sums()
        self._next = 0
        if len(self.model.prefix):
            self.append(self.model.prefix)

    def _record(self, layer: int, slot: int) -> None:
        """What enters a layer, or the last norm, is the residual stream."""
        stack = self._stock.model
        module = stack.layers[layer] if layer < len(stack.layers) else stack.norm

        def see(module: Any, arguments: tuple[torch.Tensor, ...]) -> None:
            self.probed.append(arguments[0][0, :, slot].cpu().numpy().copy())

        module.register_forward_pre_hook(see)

    def _watch_sums(self) -> None:
        """What enters the output projection are the values of all heads: of uniform ones the means."""
        width = self.model.head_dim
        for layer, module in zip(self.model.layers, self._stock.model.layers, strict=True):
            heads = torch.from_numpy(uniform_heads(layer, width)).to(self._stock.device)
            if not len(heads):
                continue

            def see(module: Any, arguments: tuple[torch.Tensor, ...], heads: torch.Tensor = heads) -> None:
                means = arguments[0][0].unflatten(1, (-1, width))[:, heads].flatten(1)
                n = torch.arange(1, len(means) + 1, device=means.device) + self.position
                self._largest = max(self._largest, float((means * n[:, None]).abs().max()))

            module.self_attn.o_proj.register_forward_pre_hook(see)

    @torch.no_grad()
    def _read(self, tokens: np.ndarray) -> None:
        """Reads int tokens [k] behind the cached ones. Only the logits behind the last one are wanted."""
        if self.model.envelope and self.position + len(tokens) > self.model.envelope:
            raise past_certificate(self.position + len(tokens), self.model.certificate)
        ids = torch.as_tensor(np.asarray(tokens, dtype=np.int64), device=self._stock.device)[None]
        out = self._stock(input_ids=ids, use_cache=True, logits_to_keep=1, **self._cache)
        check_sums(self.model, self.position + len(tokens), self._largest)
        self._largest = 0.0
        # As `generate` does: greedy over logits in float32.
        self._next = int(out.logits[0, -1].to(torch.float32).argmax())
        self.position += len(tokens)

    def append(self, tokens: np.ndarray) -> None:
        """Reads a prompt, in blocks so that the score matrices stay small."""
        done = 0
        while done < len(tokens):
            block = max(32, min(512, SCORES // (self.position + 1)))
            self._read(tokens[done : done + block])
            done += block

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray:
        out: list[int] = []
        while len(out) < limit:
            token = self._next
            out.append(token)
            self._read(np.array([token]))
            if stop[token]:
                break
        return np.array(out, dtype=np.int32)
