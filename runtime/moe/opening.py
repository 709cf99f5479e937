"""From where a model lies, or from one in memory, to what the tools look at. Needs torch and transformers."""

from __future__ import annotations

import os

from ...compiler.format.checkpoint import Model
from ...compiler.huggingface.folder import has_experts
from ...compiler.huggingface.mixture_folder import read_mixture
from ...compiler.load import load
from ...compiler.mixture_form import mixture_form
from ..errors import ArgumentError
from ..hf_engine import qwen
from ..hybrid.chat import open_model
from ..hybrid.errors import ExpertError
from .routed_model import RoutedModel


def open(path: str | os.PathLike[str], device: str | None = None) -> RoutedModel:
    """A checkpoint of a compiled program as a mixture, or whatever `from_pretrained` takes whose layers are mixtures of
    experts. A folder with experts is taken as it is, also where its tensors were changed.

    device: of torch. Raises CheckpointError, CompileError, ArgumentError.
    """
    path = os.fspath(path)
    if has_experts(path):
        program, mixture = read_mixture(path)
        return RoutedModel(qwen(mixture, device), program=program, mixture=mixture)
    if path.endswith(".safetensors") or os.path.isfile(os.path.join(path, "wasm2xformer.json")):
        return compiled(load(path), device)
    try:
        model, tokenizer = open_model(path, device)
    except ExpertError as error:
        raise ArgumentError(str(error)) from None
    return RoutedModel(model, tokenizer)


def compiled(program: Model, device: str | None = None) -> RoutedModel:
    """A compiled program as a mixture, with the truth about its experts. Raises CompileError for one that has no such form."""
    made = qwen(mixture_form(program), device)
    return RoutedModel(made, program=program, mixture=made.mixture)
