"""A compiled program as an object of the stock class."""

from __future__ import annotations

from typing import Any

from ..compiler.format.checkpoint import Model
from ..compiler.mixture_form import mixture_form
from ..compiler.stock import in_stock_form
from .errors import needing


def to_hf(model: Model, device: str | None = None, *, moe: bool = False) -> Any:
    """`model` as a `transformers.LlamaForCausalLM` in float64, in memory, as `from_pretrained` of its folder gives it.

    `prompt` writes what `generate` is given, behind the prefix (`model.transformer.prefix`). device: of torch, "cpu" or "cuda".
    moe: as a `Qwen2MoeForCausalLM` instead, with an expert for each operation of the program; its `.mixture` says which.
    The object has weights of its own: what is done to it does not change `model`.
    Raises CompileError for a model that has no such form, MissingPackage.
    """
    with needing("to_hf", "torch", "transformers", extra="hf"):
        from .hf_engine import llama, qwen
    if moe:
        return qwen(mixture_form(model), device)
    return llama(in_stock_form(model).transformer, device)
