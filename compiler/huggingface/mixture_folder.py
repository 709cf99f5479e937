"""The folder of a mixture: what `Qwen2MoeForCausalLM` loads. The files of `folder`; wasm2xformer.json says what the experts are:

{"checkpoint": the metadata of a one-file checkpoint, for the transformer without its experts,
 "mixture": {"experts": [{"name": ..., "operations": [...]}, ...], "step_experts": [of each step of the program its expert],
             "layers": [null, or the names of each expert's neurons]},
 "prefix": token ids}
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from ..format import metadata as stored
from ..format.checkpoint import Model, check_sizes, checkpoint_errors, metadata_of, model_of
from ..format.errors import CompileError
from ..format.mixture import Mixture, OperationExpert
from ..format.output_folder import replace_folder
from ..format.tensors import Tensors, write_tensors
from .card import card
from .config import generation_config, stock_problem
from .folder import (
    CONFIG,
    FILES,
    MAX_GIB,
    NAMES,
    WEIGHTS,
    _json,
    _write,
    check_folder,
    folder_tensors,
    prefix_of,
    read_names,
)
from .mixture import mixture_config, mixture_state, read_layers
from .tensors import byte_count, read_transformer
from .tokenizer import tokenizer, tokenizer_config


class StoredExpert(msgspec.Struct, forbid_unknown_fields=True):
    """mixture.OperationExpert"""

    name: stored.Name
    operations: tuple[stored.Operation, ...]


class StoredMixture(msgspec.Struct, forbid_unknown_fields=True):
    """What a `Mixture` has besides tensors."""

    experts: tuple[StoredExpert, ...]
    step_experts: tuple[stored.Natural, ...]
    layers: tuple[tuple[stored.Names, ...] | None, ...]


class MixtureMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """wasm2xformer.json of a folder with experts."""

    checkpoint: stored.Metadata
    mixture: StoredMixture
    prefix: tuple[stored.Natural, ...]


def mixture_gib(m: Mixture) -> float:
    """How large the tensors of the folder will be, in GiB."""
    experts = sum(8 * (y.router.size + 3 * y.gate.size + m.shared.width) for y in m.layers if y)
    return (byte_count(m.shared) + experts) / 2**30


def write_mixture(model: Model, m: Mixture, path: str | os.PathLike[str], max_gib: float = MAX_GIB) -> None:
    """Writes the mixture of `model` as `folder.write_folder` does. Raises CompileError when larger than max_gib; OSError."""
    if problem := stock_problem(m.shared):
        raise CompileError(f"no folder for the stock class: {problem}")
    if mixture_gib(m) > max_gib:
        raise CompileError(
            f"the folder's tensors would be {mixture_gib(m):,.2f} GiB, more than {max_gib:g} GiB (--max-size-gib)"
        )
    replace_folder(path, FILES, lambda folder: _fill(model, m, Path(folder), Path(path).absolute().name))


def _fill(model: Model, m: Mixture, folder: Path, name: str) -> None:
    write_tensors(folder / WEIGHTS, mixture_state(m), "format", "pt")
    shared = replace(model, transformer=m.shared)
    texts = {
        CONFIG: mixture_config(m),
        "generation_config.json": generation_config(m.shared),
        "tokenizer.json": tokenizer(shared),
        "tokenizer_config.json": tokenizer_config(shared),
        NAMES: mixture_metadata(model, m),
    }
    for file, value in texts.items():
        _write(folder / file, _json(value))
    _write(folder / "README.md", card(shared, name))


def mixture_metadata(model: Model, m: Mixture) -> MixtureMetadata:
    """wasm2xformer.json of the mixture of `model`."""
    experts = tuple(StoredExpert(expert.name, expert.operations) for expert in m.experts)
    layers = tuple(None if y is None else tuple(map(tuple, y.neuron_names)) for y in m.layers)
    found = StoredMixture(experts, tuple(m.steps.tolist()), layers)
    return MixtureMetadata(metadata_of(replace(model, transformer=m.shared)), found, tuple(m.shared.prefix.tolist()))


def read_mixture(path: str | os.PathLike[str]) -> tuple[Model, Mixture]:
    """Reads such a folder as it is: the mixture, and the model with `mixture.shared` as its transformer.

    Raises CheckpointError for anything that is not one of this version, whole and consistent. That its experts do anything
    sensible is not said: a stranger's may not.
    """
    folder = Path(path)
    with checkpoint_errors(folder):
        found = read_names(folder, MixtureMetadata)
        prefix = prefix_of(found.prefix)
        check_sizes(found.checkpoint, prefix.shape)
        _check_names(found)
        with folder_tensors(folder) as tensors:
            m = _mixture(found, tensors, prefix)
        model = model_of(found.checkpoint, m.shared)
        check_folder(folder, model, lambda: mixture_config(m))
    return model, m


def _check_names(found: MixtureMetadata) -> None:
    """Raises ValueError for names of experts and neurons that do not fit the rest."""
    mixture, count, steps = found.mixture, len(found.mixture.experts), len(found.checkpoint.program.steps)
    if not count:
        raise ValueError("mixture.experts: there is none")
    if len(mixture.step_experts) != steps:
        raise ValueError(f"mixture.step_experts: {len(mixture.step_experts)} for {steps} steps")
    if max(mixture.step_experts, default=0) >= count:
        raise ValueError(f"mixture.step_experts: an expert outside 0 to {count - 1}")
    if len(mixture.layers) != found.checkpoint.config.num_hidden_layers:
        raise ValueError(
            f"mixture.layers: {len(mixture.layers)} for {found.checkpoint.config.num_hidden_layers} layers"
        )
    for index, names in enumerate(mixture.layers):
        if names is not None and len(names) != count:
            raise ValueError(f"mixture.layers[{index}]: {len(names)} for {count} experts")


def _mixture(found: MixtureMetadata, tensors: Tensors, prefix: np.ndarray) -> Mixture:
    names = found.mixture.layers
    layers = read_layers(tensors, names, len(found.mixture.experts), found.checkpoint.config.hidden_size)
    mlps = {index: "mlp.shared_expert" for index, layer in enumerate(layers) if layer}
    shared = read_transformer(found.checkpoint, tensors, prefix, mlps)
    experts = [OperationExpert(expert.name, expert.operations) for expert in found.mixture.experts]
    return Mixture(shared, layers, experts, np.array(found.mixture.step_experts, dtype=np.int64))


__all__ = ["MixtureMetadata", "mixture_gib", "mixture_metadata", "read_mixture", "write_mixture"]
