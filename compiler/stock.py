"""A model in the stock form: the same program, with weights that a class of Hugging Face transformers computes exactly."""

from __future__ import annotations

import os
from dataclasses import replace

from .format.checkpoint import Model
from .huggingface.config import stock_problem
from .huggingface.folder import MAX_GIB, write_folder
from .huggingface.mixture_folder import write_mixture
from .mixture_form import mixture_form
from .stock_form import stock_form


def in_stock_form(model: Model) -> Model:
    """`model` with its transformer in the stock form (see `stock_form`); itself if that is so already. Raises CompileError."""
    return model if not stock_problem(model.transformer) else replace(model, transformer=stock_form(model))


def save_folder(model: Model, path: str | os.PathLike[str], max_gib: float = MAX_GIB, *, moe: bool = False) -> None:
    """Writes `model` as a folder that `AutoModelForCausalLM.from_pretrained` loads, as `wasm2xformer PROG -o FOLDER/` does.

    moe: as a mixture of experts, whose circuits of single operations are the experts (`mixture_form`).

    A new folder, or one in the place of an earlier one that holds nothing else; whole or not at all. max_gib: how large its
    tensors, which are dense, may be. Raises CompileError, OSError.
    """
    if moe:
        write_mixture(model, mixture_form(model), path, max_gib)
    else:
        write_folder(in_stock_form(model), path, max_gib)
