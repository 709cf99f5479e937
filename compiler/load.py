"""A checkpoint of either kind, from where it lies."""

from __future__ import annotations

import os

from .format import checkpoint
from .format.checkpoint import Model, Proofs


def load(path: str | os.PathLike[str], proofs: Proofs | None = None) -> Model:
    """Reads a checkpoint: one file, or a folder for Hugging Face. Raises CheckpointError for anything that is neither, of this
    version, whole and consistent; and for a folder with experts that this compiler did not make of the steps in it
    (`mixture_load`). proofs: of one-file checkpoints that were found consistent."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        return checkpoint.load(path, proofs)
    from .huggingface.folder import has_experts, load_folder  # here, because what runs one file needs none of it

    if has_experts(path):
        from .mixture_load import load_joined

        return load_joined(path)
    return load_folder(path)
