"""A matrix most of whose entries are 0, by rows (CSR): what the embedding and the unembedding are.

Row i has the entries at[i] .. at[i + 1] - 1, in ascending columns. `scipy.sparse.csr_array((values, columns, at), shape)` is the
same matrix; of all that scipy has, what is needed here is below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Elements that a matrix may have, zeros included: it takes 8 bytes for each where it is needed dense.
MAX_ELEMENTS = 2**28


@dataclass(frozen=True, eq=False)
class SparseRows:
    """shape: (R, C). at: int64 [R + 1], where each row begins. columns: int32 [N]. values: float64 [N]. None of them changes."""

    shape: tuple[int, int]
    at: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @staticmethod
    def of(dense: np.ndarray) -> SparseRows:
        """The entries of a matrix that are not 0."""
        rows, columns = np.nonzero(dense)
        return SparseRows.of_entries((dense.shape[0], dense.shape[1]), rows, columns, dense[rows, columns])

    @staticmethod
    def of_entries(shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> SparseRows:
        """values[k] at rows[k], columns[k], in any order; what stands at one place is added up, and zeros are left out."""
        order = np.lexsort((columns, rows))
        places = (np.asarray(rows, np.int64) * shape[1] + columns)[order]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        sums = np.add.reduceat(np.asarray(values, np.float64)[order], starts) if len(starts) else np.zeros(0)
        places, sums = places[starts][sums != 0], sums[sums != 0]
        at = np.searchsorted(places, np.arange(shape[0] + 1) * shape[1])
        return SparseRows(shape, at, (places % max(shape[1], 1)).astype(np.int32), sums)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        return self.at.nbytes + self.columns.nbytes + self.values.nbytes

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.at, self.columns, self.values

    def dense(self, columns: np.ndarray | None = None) -> np.ndarray:
        """float64 [R, C]; or [R, len(columns)], some of its columns (ascending, each once)."""
        if columns is None:
            result = np.zeros(self.shape)
            result[self._rows, self.columns] = self.values
            return result
        place = np.full(self.shape[1], -1)
        place[columns] = np.arange(len(columns))
        entries = np.flatnonzero(place[self.columns] >= 0)
        result = np.zeros((self.shape[0], len(columns)))
        result[self._rows[entries], place[self.columns[entries]]] = self.values[entries]
        return result

    def row(self, index: int) -> np.ndarray:
        """float64 [C]."""
        return self.rows(np.array([index]))[0]

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """float64 [len(indices), C], dense."""
        indices = np.asarray(indices, np.int64)
        counts = self.at[indices + 1] - self.at[indices]
        entries = np.arange(counts.sum()) + np.repeat(self.at[indices] - (np.cumsum(counts) - counts), counts)
        result = np.zeros((len(indices), self.shape[1]))
        result[np.repeat(np.arange(len(indices)), counts), self.columns[entries]] = self.values[entries]
        return result

    def column(self, index: int) -> np.ndarray:
        """float64 [R]."""
        first, last = np.searchsorted(self.columns[self._by_column], (index, index + 1))
        entries = self._by_column[first:last]
        result = np.zeros(self.shape[0])
        result[self._rows[entries]] = self.values[entries]
        return result

    def in_order(self) -> bool:
        """Whether the columns of each row ascend."""
        return bool((np.diff(self.columns) > 0)[np.diff(self._rows) == 0].all())

    def used_columns(self) -> np.ndarray:
        """Those with an entry, ascending."""
        return np.unique(self.columns)

    def changed(self, row: int, column: int, value: float) -> SparseRows:
        """Another matrix, with `value` at this place."""
        others = (self._rows != row) | (self.columns != column)
        entries = zip((self._rows, self.columns, self.values), (row, column, value), strict=True)
        rows, columns, values = (np.append(all_[others], one) for all_, one in entries)
        return SparseRows.of_entries(self.shape, rows, columns, values)

    @cached_property
    def _rows(self) -> np.ndarray:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.at))

    @cached_property
    def _by_column(self) -> np.ndarray:
        """The entries, column by column."""
        return np.argsort(self.columns, kind="stable")
