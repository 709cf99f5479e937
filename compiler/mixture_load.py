"""A folder with experts as a model that every engine decodes: its experts joined, where that is shown to be the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .format.checkpoint import CheckpointError, Model, checkpoint_errors
from .format.errors import CompileError
from .format.mixture import Mixture
from .format.printable import printable
from .huggingface.mixture import mixture_state
from .huggingface.mixture_folder import mixture_metadata, read_mixture
from .mixture_form import mixture_form

_WHAT_TO_DO = (
    "of the steps in the folder, so its experts are not known to be one transformer; `wasm2xformer moe` and transformers take it "
    "as it is, for use here compile the program again"
)


def load_joined(path: str | os.PathLike[str]) -> Model:
    """The mixture of the folder as `Model.mixture`, and as transformer the same with its experts joined.

    An expert that is not chosen adds nothing to a mixture; joined, its neurons are always there. That they have no effect then
    follows from the circuits that the compiler made (docs/machine.md), so the folder has to be what it makes of the
    step program that is in it: every tensor and every name, bit for bit. Raises CheckpointError where it is not, and as `load`.
    """
    path = Path(path)
    shared, m = read_mixture(path)
    with checkpoint_errors(path):
        if different := next(_differences(shared, m), ""):
            raise CheckpointError(printable(f"{path}: {different} is not as the compiler makes it {_WHAT_TO_DO}"))
        return replace(shared, transformer=m.joined(), mixture=m)


def _differences(shared: Model, m: Mixture) -> Iterator[str]:
    try:
        expected = mixture_form(shared)
    except (CompileError, ValueError, LookupError, ArithmeticError, AssertionError) as error:  # a stranger's steps
        raise ValueError(f"no mixture can be made of its steps: {str(error) or type(error).__name__}") from None
    wanted = mixture_state(expected)
    for name, tensor in mixture_state(m).items():
        if name not in wanted or not np.array_equal(tensor, wanted.pop(name)):
            yield name
    yield from wanted
    if mixture_metadata(shared, m) != mixture_metadata(shared, expected):
        yield "wasm2xformer.json"


__all__ = ["load_joined"]
