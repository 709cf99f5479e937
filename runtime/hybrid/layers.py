"""Where things are in a causal language model of transformers, and its hidden states. Needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from .errors import ExpertError


def decoder_layers(model: Any) -> Any:
    """The model's list of decoder layers: the one list of modules that is as long as its config says. Raises ExpertError."""
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    found = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    if not found:
        raise ExpertError(f"{type(model).__name__}: no list of {count} decoder layers is found in it")
    return found[0]


def layer_output(output: Any) -> torch.Tensor:
    """The residual stream behind a layer: some classes return more than that."""
    return output[0] if isinstance(output, tuple) else output


@torch.no_grad()
def states(model: Any, tokenizer: Any, texts: Sequence[str], layers: Iterable[int], batch: int = 32) -> dict[int, torch.Tensor]:
    """The residual stream behind each of these layers (from 0) at the last token of each text: float32 [texts, width]."""
    kept: dict[int, list[torch.Tensor]] = {k: [] for k in layers}
    modules = decoder_layers(model)
    hooks = [
        modules[k].register_forward_hook(
            lambda _, __, output, into=into: into.append(layer_output(output)[:, -1].float().cpu())  # type: ignore[misc]
        )
        for k, into in kept.items()
    ]
    try:
        for i in range(0, len(texts), batch):
            model(**padded(tokenizer, texts[i : i + batch], model.device))
    finally:
        for hook in hooks:
            hook.remove()
    return {k: torch.cat(into) for k, into in kept.items()}


def padded(tokenizer: Any, texts: Sequence[str], device: Any) -> dict[str, torch.Tensor]:
    """One batch, padded on the left: what `generate` and the model take."""
    rows = [tokenizer(text).input_ids for text in texts]
    length = max(map(len, rows))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    ids = torch.tensor([[pad] * (length - len(r)) + r for r in rows], device=device)
    mask = torch.tensor([[0] * (length - len(r)) + [1] * len(r) for r in rows], device=device)
    return {"input_ids": ids, "attention_mask": mask}
