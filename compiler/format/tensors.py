"""A safetensors file: named tensors and one string of metadata, written by the library, read within the file's bounds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save, save_file

from .output_file import replace_file

# The library reads no header beyond this many bytes.
HEADER_LIMIT = 100_000_000


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], key: str, metadata: str) -> None:
    """Writes the file. The same content gives the same bytes: the library sorts the tensors, and leaves only the order of
    several entries of metadata to chance, so there is one. Raises OSError."""
    arrays = {name: np.ascontiguousarray(t, dtype=t.dtype.newbyteorder("<")) for name, t in tensors.items()}
    replace_file(
        path,
        lambda name: _in_errors_of_the_system(save_file, arrays, name, {key: metadata}),
        lambda: save(arrays, {key: metadata}),
    )


def _in_errors_of_the_system(write: Any, *arguments: Any) -> None:
    """The library tells them as text."""
    try:
        write(*arguments)
    except SafetensorError as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from None


@dataclass
class Tensors:
    """An open file. metadata: its entries. Tensors that nobody has taken are left over."""

    file: Any
    metadata: dict[str, str]
    left: set[str] = field(default_factory=set)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._slice(name).get_shape())

    def take(self, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """A copy of its own: what has been checked does not change any more when the file does. Raises ValueError."""
        found = self._slice(name)
        if found.get_dtype() != dtype or tuple(found.get_shape()) != shape:
            raise ValueError(f"{name} is {found.get_dtype()}{found.get_shape()}, expected {dtype}{list(shape)}")
        self.left.discard(name)
        tensor = self.file.get_tensor(name)
        # NaN comes through both; an infinity is one of them.
        if dtype == "F64" and tensor.size and not (np.isfinite(tensor.min()) and np.isfinite(tensor.max())):
            raise ValueError(f"{name} holds values that are not finite")
        return tensor

    def _slice(self, name: str) -> Any:
        if name not in self.left:
            raise ValueError(f"there is no tensor {name}")
        return self.file.get_slice(name)


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[Tensors]:
    """The header is checked by the library: sizes and offsets of all tensors cover the file exactly, without gaps or overlaps.
    Raises SafetensorError, OSError."""
    with safe_open(path, framework="numpy") as file:
        yield Tensors(file, file.metadata() or {}, set(file.keys()))
