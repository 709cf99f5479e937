"""The state that generated code starts with, as plain data: what a cache keeps and an engine instantiates."""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import sys
import weakref
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .index import PAGE_HEADER, PAGE_KEYS, PAGE_RAW, pages
from .interface import BUDGET, ROW

if TYPE_CHECKING:
    from .layout import StateLayout

# Python is linked with the C library; on Windows that has a name. ctypes.util.find_library would start a process.
_libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
_libc.free.argtypes = [ctypes.c_void_p]
# Pages of a keyed store at which `StateMemory.entries` looks: a program's constants have the lowest keys.
FIRST_PAGES = 2
# No budget for pages of keys.
UNLIMITED = 2**62
_CALLOC = ctypes.cast(_libc.calloc, ctypes.c_void_p).value or 0


@dataclass
class Image:
    """size: 8-byte fields of the state. fields: indices of "status", "next" and "n". arrays: (field index, constant data).
    keyed: per keyed store the indices of its fields, directory and page bits, its entry size and number of pages, and whether
    the latest wins. soft: per soft store its field and entry size. floors: tokens that may stand at the
    first position only. exact_for: the longest sequence for which lookups are exact in the dense model, as
    the head exact_by has it. last: the longest one at all.
    sums: (field, granularity) of running sums, integers in units of 2^granularity or doubles (None). added: of each, which
    table by token it adds up below `decodable` (see `table_name`), "" where it is none of whole numbers. registers: (field of
    the position, field of its penalty) of registers whose penalties are not negative. `general` must read `settled`
    positions, and all registers must have a penalty of 0, before `special` may take over, for token ids below
    `decodable`. empty: index of the page of zeros. depth: how many tokens back `special` looks.
    """

    size: int
    fields: dict[str, int]
    arrays: list[tuple[int, np.ndarray]]
    keyed: list[dict[str, int]]
    soft: list[dict[str, int]]
    registers: list[tuple[int, int]]
    settled: int
    decodable: int
    empty: int = 0
    floors: list[int] = field(default_factory=list)
    exact_for: int = 0
    last: int = 0
    sums: list[tuple[int, int | None]] = field(default_factory=list)
    exact_by: str = ""
    depth: int = 0
    added: list[str] = field(default_factory=list)

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
class ChainCode:
    """Object code with the function `drive` (see chain_region.py). tokens: int32, ids that it decodes without a look at their
    flags. quick: whether it was made quickly."""

    code: bytes
    tokens: np.ndarray
    quick: bool = False


class PackedText:
    """A text as it stands in the cache, which most processes do not read. len: its characters, of ASCII. str: the text."""

    def __init__(self, packed: bytes):
        self._size, self._packed = int.from_bytes(packed[:8], "little"), packed[8:]

    @staticmethod
    def pack(text: str) -> bytes:
        return len(text).to_bytes(8, "little") + zlib.compress(text.encode(), 1)

    def __len__(self) -> int:
        return self._size

    def __str__(self) -> str:
        return zlib.decompress(self._packed).decode()


@dataclass
class CompiledModel:
    """Object code with the functions of loop.generate, and the state it begins with.

    text: of code that was made quickly, the LLVM IR, from which it is made once more when it turns out to run for long. name: in
    the cache; "" where it was not asked. brief: as in `compile.compile_model`.
    """

    code: bytes
    image: Image
    text: str | PackedText = ""
    name: str = ""
    brief: bool = False


def image(layout: StateLayout, settled: int, decodable: int, depth: int) -> Image:
    """The image of a finished layout."""
    at, kinds = layout.fields, layout.graph.stores
    keyed = []
    for s, entry in layout.entries.items():
        if kinds[s].kind == "keyed":
            places = {"fields": at["keyed", s], "directory": at["directory", s], "present": at["present", s]}
            kind = {"latest": int(kinds[s].latest), "pages": pages(layout.limits[s])}
            keyed.append(places | {"stride": entry.size} | kind)
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
    floors = sorted(layout.graph.floors)
    return Image(
        layout.size, fields, arrays, keyed, soft, registers, settled, decodable, at.get(("empty",), 0), floors,
        layout.graph.exact_for, layout.graph.last, layout.running_sums(), layout.graph.exact_by, depth, _added(layout, decodable),
    )  # fmt: skip


def _added(layout: StateLayout, decodable: int) -> list[str]:
    """See `Image.added`."""
    graph, names = layout.graph, []
    for (_, unit), number in zip(layout.running_sums(), layout.live.sums, strict=True):
        source = graph.single_source(graph.sums[number])
        own = unit == 0 and source == graph.token
        names.append(table_name(graph.evaluate(graph.sums[number], graph.token)[:decodable]) if own else "")
    return names


def table_name(table: np.ndarray) -> str:
    """The same for tables of the same integers [V], whatever their type is."""
    return hashlib.blake2b(np.ascontiguousarray(table, dtype=np.int64).tobytes(), digest_size=16).hexdigest()


class StateMemory:
    """An image in memory, at `address`. Owns what generated code allocates."""

    def __init__(self, image: Image):
        self._image = image
        self.words = _zeros(image.size)
        raw = self.words.view(np.uint8)
        for at, data in image.arrays:
            raw[8 * at : 8 * at + len(data)] = data
        self._records: dict[int, np.ndarray] = {}
        self.address = base = self.words.ctypes.data
        # Fields as ctypes has them: an array takes microseconds for what is asked of them before and behind each call.
        numbers = image.fields["status"], image.fields["next"], ROW
        self.status, self.next, self.row = (ctypes.c_uint64.from_address(base + 8 * number) for number in numbers)
        self._sums = [
            (ctypes.c_double.from_address(base + 8 * number), 1.0) if unit is None
            else (ctypes.c_int64.from_address(base + 8 * number), 2.0**unit)
            for number, unit in image.sums
        ]  # fmt: skip
        for store in image.keyed:
            directory, present = base + 8 * store["directory"], base + 8 * store["present"]
            values = (directory, present, base + 8 * image.empty, store["stride"], _CALLOC, 0, store["latest"])
            self.words[store["fields"] : store["fields"] + len(values)] = values
        self.budget = UNLIMITED
        places = [(s["directory"], s["present"], s["pages"]) for s in image.keyed]
        finalizer = weakref.finalize(self, _free, self.words, base + 8 * image.empty, places)
        finalizer.atexit = False

    @property
    def budget(self) -> int:
        """Bytes that pages of keys may still take."""
        return int(self.words[BUDGET])

    @budget.setter
    def budget(self, size: int) -> None:
        self.words[BUDGET] = size

    @property
    def largest_sum(self) -> float:
        """The largest absolute value that a running sum has now, 0 without any."""
        return max([abs(field.value) * unit for field, unit in self._sums], default=0.0)

    def sums(self) -> list[int]:
        """What the running sums are that add up a table by token, in the order of `Image.added`; 0 for the others."""
        return [int(field.value) if name else 0 for (field, _), name in zip(self._sums, self._image.added)]

    def entries(self) -> list[dict[int, bytes]]:
        """Of each keyed store, in order, the first pages that there are: by the key with which one begins, its entries."""
        found = []
        for store in self._image.keyed:
            pages: dict[int, bytes] = {}
            for page in _present(self.words, store["present"], store["pages"])[:FIRST_PAGES].tolist():
                at = self.address + 8 * self._image.empty + int(self.words[store["directory"] + page]) + PAGE_HEADER
                pages[(page - store["pages"] // 2) * PAGE_KEYS] = ctypes.string_at(at % 2**64, PAGE_KEYS * store["stride"])
            found.append(pages)
        return found

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


def _zeros(count: int) -> np.ndarray:
    """uint64 [count] from a multiple of 64 bytes (constant arrays begin at cache lines): memory is taken when it is written.

    Directories are written in few places, and a large page would take 2 MiB for each.
    """
    memory = mmap.mmap(-1, max(8 * count, 1))
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without large pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype=np.uint64, count=count)


def _present(words: np.ndarray, present: int, count: int) -> np.ndarray:
    """The pages of a store that there are, ascending, of so many."""
    bits = words[present : present + count // 64]
    some = np.flatnonzero(bits)  # few of very many
    at = np.flatnonzero(np.unpackbits(bits[some].view(np.uint8), bitorder="little"))
    return 64 * some[at // 64] + at % 64


def _free(words: np.ndarray, empty: int, places: list[tuple[int, int, int]]) -> None:
    for directory, present, count in places:
        for page in _present(words, present, count).tolist():
            address = (empty + int(words[directory + page])) % 2**64
            _libc.free(ctypes.c_uint64.from_address(address + 8 * PAGE_RAW).value)
