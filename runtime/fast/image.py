"""The state that generated code starts with, as plain data: what a cache keeps and an engine instantiates."""

from __future__ import annotations

import ctypes
import json
import sys
import weakref
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from .index import PAGES, page_size

if TYPE_CHECKING:
    from .layout import Layout

# Python is linked with the C library; on Windows that has a name. ctypes.util.find_library would start a process.
_libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
_libc.free.argtypes = [ctypes.c_void_p]
_CALLOC = ctypes.cast(_libc.calloc, ctypes.c_void_p).value or 0


@dataclass
class Image:
    """size: 8-byte fields of the state. fields: indices of "status", "next" and "n". arrays: (field index, constant data).
    keyed: per keyed store the indices of its fields, directory and page bits, its entry size, and whether the latest wins.
    soft: per soft store
    its field and entry size. registers: (field of the position, field of its penalty) of registers whose penalties are
    not negative. `general` must read `settled` positions, and all registers must have a penalty of 0, before `special`
    may take over, for token ids below `decodable`.
    """

    size: int
    fields: dict[str, int]
    arrays: list[tuple[int, np.ndarray]]
    keyed: list[dict[str, int]]
    soft: list[dict[str, int]]
    registers: list[tuple[int, int]]
    settled: int
    decodable: int

    def to_bytes(self) -> bytes:
        head = {k: v for k, v in asdict(self).items() if k != "arrays"}
        head["arrays"] = [(at, data.nbytes) for at, data in self.arrays]
        text = json.dumps(head).encode()
        return b"".join([len(text).to_bytes(8, "little"), text, *(data.tobytes() for _, data in self.arrays)])

    @staticmethod
    def from_bytes(data: bytes) -> Image:
        start = 8 + int.from_bytes(data[:8], "little")
        head = json.loads(data[8:start])
        arrays = []
        for at, size in head.pop("arrays"):
            arrays.append((at, np.frombuffer(data, dtype=np.uint8, count=size, offset=start)))
            start += size
        return Image(arrays=arrays, **head)


@dataclass
class Program:
    """Object code with the functions `general` and `special` (see loop.generate), and the state it begins with."""

    code: bytes
    image: Image


def image(layout: Layout, settled: int, decodable: int) -> Image:
    """The image of a finished layout."""
    at, kinds = layout.fields, layout.graph.stores
    keyed = []
    for s, entry in layout.entries.items():
        if kinds[s].kind == "keyed":
            places = {"fields": at["keyed", s], "directory": at["directory", s], "present": at["present", s]}
            keyed.append(places | {"stride": entry.size, "latest": int(kinds[s].latest)})
    soft = [
        {"field": at["soft", s], "size": entry.size} for s, entry in layout.entries.items() if kinds[s].kind == "soft"
    ]
    registers = [
        (at["register", s], at["least", s])
        for s in layout.entries
        if kinds[s].kind == "register" and layout.graph.bounds(kinds[s].penalty).low >= 0
    ]
    fields = {name: at[name,] for name in ("status", "next", "n")}
    arrays = [(at[name], values.reshape(-1).view(np.uint8)) for name, values in layout.arrays.items()]
    return Image(layout.size, fields, arrays, keyed, soft, registers, settled, decodable)


class State:
    """An image in memory. Owns what generated code allocates."""

    def __init__(self, image: Image):
        self._image = image
        buffer = np.zeros(image.size + 8, dtype=np.uint64)
        skip = -(buffer.ctypes.data // 8) % 8  # constant arrays begin at cache lines
        self.words = buffer[skip : skip + image.size]
        raw = self.words.view(np.uint8)
        for at, data in image.arrays:
            raw[8 * at : 8 * at + len(data)] = data
        self._empty: list[np.ndarray] = []
        self._records: dict[int, np.ndarray] = {}
        for store in image.keyed:
            empty = np.zeros(page_size(store["stride"]), dtype=np.uint8)
            self._empty.append(empty)
            base = self.words.ctypes.data
            directory, present = base + 8 * store["directory"], base + 8 * store["present"]
            self.words[store["directory"] : store["directory"] + PAGES] = empty.ctypes.data
            values = (directory, present, empty.ctypes.data, store["stride"], _CALLOC, 0, store["latest"])
            self.words[store["fields"] : store["fields"] + len(values)] = values
        directories = [(s["directory"], e.ctypes.data) for s, e in zip(image.keyed, self._empty)]
        finalizer = weakref.finalize(self, _free, self.words, directories)
        finalizer.atexit = False

    @property
    def address(self) -> int:
        return self.words.ctypes.data

    def field(self, name: str) -> int:
        return int(self.words[self._image.fields[name]])

    def registers_filled(self) -> bool:
        """Whether every register has a position with penalty 0. From then on it always has."""
        return all(self.words[stamp] != 0 and self.words[least] == 0 for stamp, least in self._image.registers)

    def reserve(self, positions: int) -> None:
        """Room for that many positions in the stores that keep them all."""
        for store in self._image.soft:
            needed = positions * store["size"]
            old = self._records.get(store["field"], np.zeros(0, dtype=np.uint8))
            if needed > len(old):
                grown = np.zeros(max(needed, 2 * len(old)), dtype=np.uint8)
                grown[: len(old)] = old
                self._records[store["field"]] = grown
                self.words[store["field"]] = grown.ctypes.data


def _free(words: np.ndarray, directories: list[tuple[int, int]]) -> None:
    for at, empty in directories:
        directory = words[at : at + PAGES]
        for page in directory[directory != empty].tolist():
            _libc.free(page)
