"""A model in the stock form: the same program, with weights that a class of Hugging Face transformers computes exactly."""

from __future__ import annotations

from dataclasses import replace

from .format.checkpoint import Model
from .huggingface.config import stock_problem
from .stock_form import stock_form


def in_stock_form(model: Model) -> Model:
    """`model` with its transformer in the stock form (see `stock_form`); itself if that is so already. Raises CompileError."""
    return model if not stock_problem(model.transformer) else replace(model, transformer=stock_form(model))
