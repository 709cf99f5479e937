"""A long array of numbers of which most are 0."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from .arrays import join

# So many that come at once are kept as they are: looking for those that are not 0 takes longer than what few values take.
FEW = 1 << 14


class SparseValues:
    """float64 [n], of which 12 bytes are kept for each that is not 0. Slices of it are plain arrays, to which nobody may write.
    It can be appended to."""

    def __init__(self) -> None:
        self._length = 0
        self._all: np.ndarray | None = None  # instead of what follows
        self._at: list[np.ndarray] = []  # int32
        self._values: list[np.ndarray] = []

    def __len__(self) -> int:
        return self._length

    def append(self, values: np.ndarray) -> None:
        """float64 [k], to which nobody writes any more. Raises OverflowError beyond 2^31 of them."""
        if self._length == 0 and len(values) <= FEW:
            self._all, self._length = values, len(values)
            return
        if self._all is not None:
            first, self._all, self._length = self._all, None, 0
            self._add(first)
        self._add(values)

    def _add(self, values: np.ndarray) -> None:
        if self._length + len(values) > 2**31:
            raise OverflowError("more than 2^31 values")
        at = np.flatnonzero(values != 0)
        if len(at):
            self._at.append((at + self._length).astype(np.int32))
            self._values.append(values[at])
        self._length += len(values)

    def __getitem__(self, part: slice) -> np.ndarray:
        """float64, without a step."""
        start, stop, step = part.indices(self._length)
        if step != 1:
            raise IndexError("a slice has no step here")
        if self._all is not None:
            return self._all[start : max(stop, start)]
        if len(self._at) != 1:
            self._at, self._values = [join(self._at, np.int32)], [join(self._values)]
        first, last = (bisect_left(self._at[0], end) for end in (start, stop))  # numpy would make all of them int64 first
        found = np.zeros(max(stop - start, 0))
        found[self._at[0][first:last] - start] = self._values[0][first:last]
        return found
