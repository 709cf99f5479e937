"""Matrices and arrays as the page reads them: the numbers that are not 0, in base64, exact."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from ...compiler.format.sparse import SparseRows

# Names of types that JavaScript's typed arrays have, by numpy's; the first one that holds the numbers is taken.
_INTEGERS = (("u1", np.uint8), ("i2", np.int16), ("u2", np.uint16), ("i4", np.int32), ("u4", np.uint32))


def packed(values: np.ndarray) -> dict[str, str]:
    """An array as {"type", "data"}: little-endian bytes in base64, in the smallest type that holds every number as it is.

    Floats that are all small integers become integers; -0.0, infinities and NaN stay float64.
    """
    values = np.asarray(values)
    name, kind = "f8", values
    if not len(values):
        name, kind = "u1", values.astype(np.uint8)
    elif values.dtype.kind != "f" or _whole(values):
        low, high = values.min(), values.max()
        for candidate, type_ in _INTEGERS:
            limits = np.iinfo(type_)
            if limits.min <= low and high <= limits.max:
                name, kind = candidate, values.astype(type_)
                break
        else:
            kind = values.astype(np.float64)
            if not np.array_equal(kind.astype(values.dtype), values):
                raise ValueError("integers of more than 53 bits")
    data = kind.astype(kind.dtype.newbyteorder("<")).tobytes()
    return {"type": name, "data": base64.b64encode(data).decode()}


def _whole(values: np.ndarray) -> bool:
    return bool(np.all(np.isfinite(values)) and np.all(np.floor(values) == values) and not _negative_zero(values))


def _negative_zero(values: np.ndarray) -> bool:
    return bool(np.any((values == 0) & np.signbit(values)))


def sparse(matrix: np.ndarray | SparseRows) -> dict[str, Any]:
    """A matrix [R, C] by rows: counts [R] of the numbers that are not 0, their columns, and the numbers."""
    matrix = matrix if isinstance(matrix, SparseRows) else SparseRows.of(matrix)
    return {
        "shape": list(matrix.shape),
        "counts": packed(np.diff(matrix.at)),
        "columns": packed(matrix.columns),
        "values": packed(matrix.values),
    }


__all__ = ["packed", "sparse"]
