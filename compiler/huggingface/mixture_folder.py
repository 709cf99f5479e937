"""The folder of a mixture: what `Qwen2MoeForCausalLM` loads. The files of `folder`; wasm2xformer.json says what the experts are:

    {"mixture": {"experts": [{"name": ..., "operations": [...]}, ...], "step_experts": [of each step of the program its expert],
                 "layers": [null, or the names of each expert's neurons], "slots": [of each layer the names of its slots]},
     "prefix": token ids}
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..format.checkpoint import Model
from ..format.errors import CompileError
from ..format.mixture import Mixture
from ..format.output_folder import replace_folder
from ..format.tensors import write_tensors
from .card import card
from .config import generation_config, stock_problem
from .folder import CONFIG, FILES, MAX_GIB, NAMES, WEIGHTS, _json, _write
from .mixture import mixture_config, mixture_state
from .tensors import byte_count
from .tokenizer import tokenizer, tokenizer_config


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
    shared = replace(model, transformer=m.shared)
    replace_folder(path, FILES, lambda folder: _fill(shared, m, Path(folder), Path(path).absolute().name))


def _fill(shared: Model, m: Mixture, folder: Path, name: str) -> None:
    write_tensors(folder / WEIGHTS, mixture_state(m), "format", "pt")
    texts = {
        CONFIG: mixture_config(m),
        "generation_config.json": generation_config(m.shared),
        "tokenizer.json": tokenizer(shared),
        "tokenizer_config.json": tokenizer_config(shared),
        NAMES: _names(m),
    }
    for file, value in texts.items():
        _write(folder / file, _json(value))
    _write(folder / "README.md", card(shared, name))


def _names(m: Mixture) -> dict[str, Any]:
    return {
        "mixture": {
            "experts": [asdict(expert) for expert in m.experts],
            "step_experts": m.steps.tolist(),
            "layers": [y and y.neuron_names for y in m.layers],
            "slots": [y.slot_names for y in m.shared.layers],
        },
        "prefix": m.shared.prefix.tolist(),
    }


__all__ = ["mixture_gib", "write_mixture"]
