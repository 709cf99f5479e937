"""Two runs that differ in an argument: what activation patching and attribution compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.format.checkpoint import Model
from ..errors import ArgumentError
from ..instance import Instance


@dataclass(frozen=True)
class Contrast:
    """clean, corrupted: int64 [T], the tokens of two invocations up to the first decoded token that differs, without the prefix.
    answers: that token of the one and of the other."""

    clean: np.ndarray
    corrupted: np.ndarray
    answers: tuple[int, int]


def contrast(model: Model, function: str, clean: Sequence[Any], corrupted: Sequence[Any]) -> Contrast:
    """Raises ArgumentError where prompts have not the same length, or all decoded tokens are the same; what `invoke` raises."""
    runs = [Instance(model).invoke(function, *arguments) for arguments in (clean, corrupted)]
    names = f"{function}{tuple(clean)} and {function}{tuple(corrupted)}"
    if len(runs[0].prompt) != len(runs[1].prompt):
        raise ArgumentError(
            f"{names}: prompts of {len(runs[0].prompt)} and {len(runs[1].prompt)} tokens; choose arguments alike"
        )
    count = min(len(run.tokens) for run in runs)
    unlike = np.flatnonzero(runs[0].tokens[:count] != runs[1].tokens[:count])
    if not len(unlike):
        raise ArgumentError(f"{names} decode the same tokens; choose arguments with other results")
    at = int(unlike[0])
    one, other = (np.concatenate([run.prompt, run.tokens[:at]]).astype(np.int64) for run in runs)
    return Contrast(one, other, (int(runs[0].tokens[at]), int(runs[1].tokens[at])))


__all__ = ["Contrast", "contrast"]
