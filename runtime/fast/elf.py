"""Object code in memory, where that needs no LLVM: ELF for x86-64 whose symbols are its own.

The library that makes object code takes longer to import than code out of the cache takes to run a short program. What it makes
for a model calls nothing: to put it into memory is to lay out its sections and to write addresses into them. `ObjectMemory` does
that for the relocations below, and refuses all else, which is then LLVM's to load (`jit.code_engine`).

The code comes from the compiler in this process, or from the cache, which is sealed. All that is looked for in it is what is not
known here.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Mapping

import numpy as np

_SECTION = np.dtype("u4,u4,u8,u8,u8,u8,u4,u4,u8,u8")
_SECTION.names = ("name", "type", "flags", "address", "offset", "size", "link", "info", "align", "entry")
_SYMBOL = np.dtype("u4,u1,u1,u2,u8,u8")
_SYMBOL.names = ("name", "info", "other", "section", "value", "size")
_RELOCATION = np.dtype("u8,u4,u4,i8")
_RELOCATION.names = ("offset", "type", "symbol", "addend")
# Of the header: a 64-bit little-endian object file for x86-64.
_MAGIC, _KIND = b"\x7fELF\x02\x01\x01", b"\x01\x00\x3e\x00"
# Types of sections: symbols, relocations, zeros; tables for unwinding, which nobody does here. Flags: written, in memory.
_SYMBOLS, _RELOCATIONS, _ZEROS, _UNWIND = 2, 4, 8, 0x70000001
_WRITTEN, _ALLOCATED = 1, 2
# Relocations: an address in 64 bits; the distance to one in 64 or 32 bits (of a call, too).
_ABSOLUTE, _RELATIVE, _NEAR = 1, 24, (2, 4)
_RESERVED = 0xFF00  # sections from here on, and section 0, are none of the file
_READ_AND_EXECUTE = 5


class Unknown(Exception):
    """Something in an object file, or this platform, that is not known here."""


def known_platform() -> bool:
    """Whether object code of this machine is put into memory here."""
    return sys.platform == "linux" and os.uname().machine == "x86_64"


class ObjectMemory:
    """Object code in memory, as long as this lives. addresses: of its global symbols."""

    def __init__(self, code: bytes):
        if not known_platform():
            raise Unknown("another platform")
        file = _File(code)
        self._memory = mmap.mmap(-1, max(file.size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        file.write(np.frombuffer(self._memory, np.uint8), base)
        _execute(base, file.writable)
        self.addresses: Mapping[str, int] = {name: base + place for name, place in file.symbols.items()}


def _execute(address: int, size: int) -> None:
    """From now on, these whole pages may be executed and no longer be written."""
    library = ctypes.CDLL(None)
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if library.mprotect(address, size, _READ_AND_EXECUTE):
        raise Unknown("memory that may not be executed")


class _File:
    """size: bytes that it takes in memory; from `writable`, a number of whole pages, on they stay writable. symbols: offsets of
    global symbols there. Raises Unknown."""

    def __init__(self, code: bytes):
        if code[: len(_MAGIC)] != _MAGIC or code[16:20] != _KIND:
            raise Unknown("no object file for this processor")
        self._code = code
        start, count = int.from_bytes(code[40:48], "little"), int.from_bytes(code[60:62], "little")
        self._sections = np.frombuffer(code, _SECTION, count, start)
        self._places: dict[int, int] = {}  # offset in memory by number of the section
        end = self._lay_out(0, written=False)
        self.writable = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
        self.size = self._lay_out(self.writable, written=True)
        tables = np.flatnonzero(self._sections["type"] == _SYMBOLS)
        if len(tables) != 1:
            raise Unknown("no symbols")
        self._symbols = self._table(self._sections[tables[0]], _SYMBOL)
        self.symbols = self._named(int(self._sections[tables[0]]["link"]))

    def _lay_out(self, end: int, written: bool) -> int:
        """Sections of one kind, from there on; where they end."""
        for number, section in enumerate(self._sections):
            flags = int(section["flags"])
            if flags & _ALLOCATED and section["type"] != _UNWIND and bool(flags & _WRITTEN) == written:
                align = max(1, int(section["align"]))
                self._places[number] = -(-end // align) * align
                end = self._places[number] + int(section["size"])
        return end

    def _table(self, section: np.void, dtype: np.dtype) -> np.ndarray:
        return np.frombuffer(self._code, dtype, int(section["size"]) // dtype.itemsize, int(section["offset"]))

    def _named(self, strings: int) -> dict[str, int]:
        start = int(self._sections[strings]["offset"])
        found = {}
        for symbol in self._symbols:
            if symbol["info"] >> 4 and int(symbol["section"]) in self._places:
                at = start + int(symbol["name"])
                name = self._code[at : self._code.index(0, at)].decode()
                found[name] = self._places[int(symbol["section"])] + int(symbol["value"])
        return found

    def write(self, memory: np.ndarray, base: int) -> None:
        """The sections, as they are at the address `base`. memory: uint8 [size], zeros."""
        for number, place in self._places.items():
            section = self._sections[number]
            if section["type"] != _ZEROS:
                offset, size = int(section["offset"]), int(section["size"])
                memory[place : place + size] = np.frombuffer(self._code, np.uint8, size, offset)
        for section in self._sections[self._sections["type"] == _RELOCATIONS]:
            if int(section["info"]) in self._places:
                self._relocate(memory, base, self._places[int(section["info"])], self._table(section, _RELOCATION))

    def _relocate(self, memory: np.ndarray, base: int, place: int, relocations: np.ndarray) -> None:
        symbols = self._symbols[relocations["symbol"]]
        sections = symbols["section"].astype(np.int64)
        if not set(sections.tolist()) <= self._places.keys():
            raise Unknown("a symbol of others")
        places = np.zeros(len(self._sections), np.int64)
        places[list(self._places)] = list(self._places.values())
        at = place + relocations["offset"].astype(np.int64)
        to = places[sections] + symbols["value"].astype(np.int64) + relocations["addend"]
        types = relocations["type"]
        near = (types == _NEAR[0]) | (types == _NEAR[1])
        if not (near | (types == _ABSOLUTE) | (types == _RELATIVE)).all():
            raise Unknown("a relocation")
        if near.any() and np.abs((to - at)[near]).max() >= 2**31:
            raise Unknown("a distance of more than 31 bits")
        values = np.where(types == _ABSOLUTE, base + to, to - at)
        for which, size in ((~near, 8), (near, 4)):
            memory[at[which, None] + np.arange(size)] = values[which].view(np.uint8).reshape(-1, 8)[:, :size]
