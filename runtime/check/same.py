"""Whether a checkpoint is what compiling its source gives: everything in it, by name, tensors included."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...compiler.compile import compile_with
from ...compiler.format.checkpoint import Model
from ...compiler.format.errors import CompileError
from ...compiler.huggingface.folder import write_folder
from ...compiler.huggingface.mixture_folder import write_mixture
from ...compiler.load import load
from ...compiler.mixture_form import mixture_form
from ...compiler.options import CompileOptions
from ...compiler.stock import in_stock_form
from ...compiler.wasm.source import Source


def difference_from_source(model: Model, source: Source, options: CompileOptions) -> str:
    """The first part that is not as compiling `source` again makes it, as one line; "" when there is none.

    Compiling is deterministic, so nothing may differ. What is compiled goes through a file, as `model` has.
    """
    try:
        compiled = compile_with(source, options)
        if model.transformer.float32_reads and model.mixture is None:
            compiled = in_stock_form(compiled)
    except (CompileError, ValueError) as error:
        return f"the program cannot be compiled for it ({str(error).splitlines()[0]})"
    with tempfile.TemporaryDirectory(prefix="verify") as folder:
        path = Path(folder) / "model"
        if model.mixture is not None:
            write_mixture(compiled, mixture_form(compiled), path, math.inf)
        elif model.transformer.float32_reads:
            write_folder(compiled, path, math.inf)
        else:
            compiled.save(path)
        expected = load(path)
    return next(differences(model, expected), "")


def differences(found: Any, expected: Any, name: str = "") -> Iterator[str]:
    """Names of the parts in which two values differ, e.g. "program.steps[4].imm is 12, not 8"."""
    if isinstance(expected, np.ndarray):
        if not (isinstance(found, np.ndarray) and found.dtype == expected.dtype and np.array_equal(found, expected)):
            yield f"{name} {_where(found, expected)}"
    elif type(found) is not type(expected):
        yield f"{name} is {_short(found)}, not {_short(expected)}"
    elif is_dataclass(expected):
        for field in fields(expected):
            if field.compare:
                there = f"{name}.{field.name}" if name else field.name
                yield from differences(getattr(found, field.name), getattr(expected, field.name), there)
    elif isinstance(expected, Mapping):
        for key in [*expected, *(k for k in found if k not in expected)]:
            if key in found and key in expected:
                yield from differences(found[key], expected[key], f"{name}[{key!r}]")
            else:
                yield f"{name}[{key!r}] is {'missing' if key in expected else 'not of the program'}"
        if list(found) != list(expected):
            yield f"{name} is in another order"
    elif isinstance(expected, Sequence) and not isinstance(expected, (str, bytes)):
        if len(found) != len(expected):
            yield f"{name} has {len(found):,} elements, not {len(expected):,}"
        for i, (mine, other) in enumerate(zip(found, expected, strict=False)):
            if mine is not other:
                yield from differences(mine, other, f"{name}[{i}]")
    elif found != expected:
        yield f"{name} is {_short(found)}, not {_short(expected)}"


def _where(found: Any, expected: np.ndarray) -> str:
    """Of two matrices, the first element that differs."""
    if not isinstance(found, np.ndarray) or found.shape != expected.shape or found.dtype != expected.dtype:
        return "has another shape or type"
    at = tuple(int(i[0]) for i in np.nonzero(found != expected))
    return f"{list(at)} is {found[at]!r}, not {expected[at]!r}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
