"""A memory of up to 4 GiB of which only the pages that something has been written to take room."""

from __future__ import annotations

import numpy as np

PAGE = 65536
# Bytes of wasmtime's memory that are looked at together.
_CHUNK = 1 << 20


class SparseMemory:
    """Bytes by address, which may be negative; 0 where nothing has been written."""

    def __init__(self) -> None:
        self._pages: dict[int, np.ndarray] = {}
        self._pointers, self._first = np.empty(0, np.int64), 0  # see `pointers`

    def write(self, addresses: np.ndarray, values: np.ndarray) -> None:
        """int64 [n], uint8 [n], in order: of two bytes at one address the later one stays."""
        order = np.argsort(addresses // PAGE, kind="stable")
        pages, first = np.unique(addresses[order] // PAGE, return_index=True)
        for page, at in zip(pages.tolist(), np.split(order, first[1:])):
            self._page(page)[addresses[at] % PAGE] = values[at]

    def _page(self, page: int) -> np.ndarray:
        if page not in self._pages:
            self._pages[page] = np.zeros(PAGE, np.uint8)
            if 0 <= page - self._first < len(self._pointers):
                self._pointers[page - self._first] = self._pages[page].ctypes.data
        return self._pages[page]

    def pointers(self, low: int, high: int) -> tuple[np.ndarray, int]:
        """int64 [pages]: where the bytes of the pages from that of address `low` to that of `high` are now, 0 for those that take
        no room yet; and the first page's number. The array is kept up to date, if it is for the same pages in every call."""
        first, count = low // PAGE, high // PAGE + 1 - low // PAGE
        if first != self._first or count != len(self._pointers):
            self._first, self._pointers = first, np.zeros(count, np.int64)
            for page, data in self._pages.items():
                if 0 <= page - first < count:
                    self._pointers[page - first] = data.ctypes.data
        return self._pointers, first

    def make_room(self, first: int, last: int) -> None:
        """For the bytes from one address to another."""
        for page in range(first // PAGE, last // PAGE + 1):
            self._page(page)

    def read(self, address: int, count: int) -> np.ndarray:
        """uint8 [count]."""
        result = np.zeros(count, np.uint8)
        end = address + count
        for page in range(address // PAGE, -(-end // PAGE)):
            if page in self._pages:
                start, stop = max(address, page * PAGE), min(end, (page + 1) * PAGE)
                result[start - address : stop - address] = self._pages[page][start - page * PAGE : stop - page * PAGE]
        return result

    def difference(self, other: np.ndarray, base: int = 0) -> int | None:
        """The first index at which uint8 [n] has another byte than stands at `base` and behind it."""
        for start in range(0, len(other), _CHUNK):
            part = other[start : start + _CHUNK]
            if self._written(base + start, len(part)):
                differs = np.flatnonzero(part != self.read(base + start, len(part)))
            else:
                differs = np.flatnonzero(part) if part.view(_words(part)).any() else np.empty(0, np.int64)
            if len(differs):
                return start + int(differs[0])
        return None

    def _written(self, start: int, count: int) -> bool:
        return any(page in self._pages for page in range(start // PAGE, -(-(start + count) // PAGE)))


def _words(part: np.ndarray) -> type:
    return np.uint64 if len(part) % 8 == 0 and part.ctypes.data % 8 == 0 else np.uint8
