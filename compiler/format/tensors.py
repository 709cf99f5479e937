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
from .sparse import MAX_ELEMENTS, SparseRows

# The library reads no header beyond this many bytes.
HEADER_LIMIT = 100_000_000
# By their names there, the types in which values of a sparse matrix may be stored: the first that holds all of them exactly.
VALUES: dict[str, type[np.generic]] = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "F32": np.float32, "F64": np.float64}
# ... and numbers of columns and entries.
INDICES: dict[str, type[np.generic]] = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64}


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], key: str, metadata: str) -> None:
    """Writes the file. The same content gives the same bytes: the library sorts the tensors, and leaves only the order of
    several entries of metadata to chance, so there is one. Raises OSError."""
    arrays = {name: np.ascontiguousarray(t, dtype=t.dtype.newbyteorder("<")) for name, t in tensors.items()}
    replace_file(
        path,
        lambda name: _in_errors_of_the_system(save_file, arrays, name, {key: metadata}),
        lambda: save(arrays, {key: metadata}),
    )


def sparse_parts(name: str, matrix: SparseRows) -> dict[str, np.ndarray]:
    """The tensors that a sparse matrix is stored as, in the smallest types."""
    return {
        f"{name}.at": _smallest(matrix.at, INDICES),
        f"{name}.columns": _smallest(matrix.columns, INDICES),
        f"{name}.values": _smallest(matrix.values, VALUES),
    }


def _smallest(values: np.ndarray, types: Mapping[str, type[np.generic]]) -> np.ndarray:
    with np.errstate(all="ignore"):
        made = [values.astype(t) for t in types.values()]
    return next((m for m in made if np.array_equal(m, values)), made[-1])


def _in_errors_of_the_system(write: Any, *arguments: Any) -> None:
    """The library tells them as text."""
    try:
        write(*arguments)
    except SafetensorError as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from None


def _finite(values: np.ndarray) -> bool:
    """Whether all of them are. A sum that is finite says so in one pass; one that is not may have grown too large."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


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
        if tensor.dtype.kind == "f" and not _finite(tensor):
            raise ValueError(f"{name} holds values that are not finite")
        return tensor

    def take_sparse(self, name: str, shape: tuple[int, int]) -> SparseRows:
        """A sparse matrix of its own: rows that are whole and in order, ascending columns below shape[1], finite values. It takes
        up to 8 times the bytes that it has in the file. Raises ValueError."""
        if shape[0] * shape[1] > MAX_ELEMENTS:
            raise ValueError(f"{name} has {shape[0]:,} rows of {shape[1]:,}, together more than {MAX_ELEMENTS:,}")
        at = self._take_one_of(f"{name}.at", INDICES, shape[0] + 1)
        count = int(at[-1])
        if at[0] or (at[1:] < at[:-1]).any():
            raise ValueError(f"{name}.at: rows that do not follow each other")
        columns = self._take_one_of(f"{name}.columns", INDICES, count)
        if count and columns.max() >= shape[1]:
            raise ValueError(f"{name}.columns: a column outside 0 to {shape[1] - 1}")
        values = self._take_one_of(f"{name}.values", VALUES, count)
        matrix = SparseRows(shape, at.astype(np.int64), columns.astype(np.int32), values.astype(np.float64))
        if not matrix.in_order():
            raise ValueError(f"{name}.columns: a row whose columns do not ascend")
        return matrix

    def _take_one_of(self, name: str, types: Mapping[str, Any], count: int) -> np.ndarray:
        dtype = self._slice(name).get_dtype()
        return self.take(name, (count,), dtype if dtype in types else "/".join(types))

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
