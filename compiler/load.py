"""A checkpoint of either kind, from where it lies."""

from __future__ import annotations

import os

from .format import checkpoint
from .format.checkpoint import Model
from .huggingface.folder import load_folder


def load(path: str | os.PathLike[str]) -> Model:
    """Reads a checkpoint: one file, or a folder for Hugging Face. Raises CheckpointError for anything that is neither, of this
    version, whole and consistent."""
    path = os.fspath(path)
    return load_folder(path) if os.path.isdir(path) else checkpoint.load(path)
