"""Object code in memory, where that needs no LLVM: ELF for x86-64 that calls nothing but the C library.

The library that makes object code takes longer to import than code out of the cache takes to run a short program; and where it
loads code itself, it may put constants out of reach of the instructions that read them, and end the process. To put code into
memory is to lay out its sections and to write addresses into them; loops that it was asked to make may be calls of `memset`
(LLVM decides that). `ObjectMemory` does that for the relocations below, and refuses all else.

The code comes from the compiler in this process, or from the cache, which is sealed. All that is looked for in it is what is not
known here.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator, Mapping

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
# Relocations: an address in 64 bits; the distance to one in 64 or 32 bits; that of a call.
_ABSOLUTE, _RELATIVE, _NEAR, _CALL = 1, 24, 2, 4
# A function of others may be anywhere: a call of it goes to a jump to the address that stands behind this instruction.
_JUMP, _STUB = b"\xff\x25\0\0\0\0", 16
_RESERVED = 0xFF00  # sections from here on, and section 0, are none of the file
_READ_AND_EXECUTE = 5


class Unknown(NotImplementedError):
    """Something in an object file, or this platform, that is not known here."""

    def __init__(self, what: str):
        super().__init__(f"generated code cannot be put into memory: {what}; try the torch engine")


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
        raise Unknown("this system does not execute memory that was written")


class _File:
    """size: bytes that it takes in memory; from `writable`, a number of whole pages, on they stay writable. symbols: offsets of
    global symbols there. Raises Unknown."""

    def __init__(self, code: bytes):
        if code[: len(_MAGIC)] != _MAGIC or code[16:20] != _KIND:
            raise Unknown("no object file for this processor")
        self._code = code
        start, count = int.from_bytes(code[40:48], "little"), int.from_bytes(code[60:62], "little")
        self._sections = np.frombuffer(code, _SECTION, count, start)
        tables = np.flatnonzero(self._sections["type"] == _SYMBOLS)
        if len(tables) != 1:
            raise Unknown("no symbols")
        self._symbols = self._table(self._sections[tables[0]], _SYMBOL)
        self._strings = int(self._sections[int(self._sections[tables[0]]["link"])]["offset"])
        self._places: dict[int, int] = {}  # offset in memory by number of the section
        end = -(-self._lay_out(0, written=False) // _STUB) * _STUB
        called: set[int] = set()
        for _, found in self._relocations():
            called.update(found["symbol"][found["type"] == _CALL].tolist())
        # By number of a symbol of others that is called: the offset of the jump to it.
        self._stubs = {k: end + _STUB * i for i, k in enumerate(k for k in sorted(called) if not self._symbols[k]["section"])}
        end += _STUB * len(self._stubs)
        self.writable = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
        self.size = self._lay_out(self.writable, written=True)
        self.symbols = {
            self._name(symbol): self._places[int(symbol["section"])] + int(symbol["value"])
            for symbol in self._symbols
            if symbol["info"] >> 4 and int(symbol["section"]) in self._places
        }

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

    def _name(self, symbol: np.void) -> str:
        at = self._strings + int(symbol["name"])
        return self._code[at : self._code.index(0, at)].decode()

    def _relocations(self) -> Iterator[tuple[int, np.ndarray]]:
        """(offset in memory, relocations) of each section."""
        for section in self._sections[self._sections["type"] == _RELOCATIONS]:
            if int(section["info"]) in self._places:
                yield self._places[int(section["info"])], self._table(section, _RELOCATION)

    def write(self, memory: np.ndarray, base: int) -> None:
        """The sections, as they are at the address `base`. memory: uint8 [size], zeros."""
        for number, place in self._places.items():
            section = self._sections[number]
            if section["type"] != _ZEROS:
                offset, size = int(section["offset"]), int(section["size"])
                memory[place : place + size] = np.frombuffer(self._code, np.uint8, size, offset)
        for number, place in self._stubs.items():
            jump = _JUMP + _address(self._name(self._symbols[number])).to_bytes(8, "little")
            memory[place : place + len(jump)] = np.frombuffer(jump, np.uint8)
        for place, relocations in self._relocations():
            self._relocate(memory, base, place, relocations)

    def _relocate(self, memory: np.ndarray, base: int, place: int, relocations: np.ndarray) -> None:
        types, numbers = relocations["type"], relocations["symbol"].astype(np.int64)
        symbols = self._symbols[numbers]
        sections = symbols["section"].astype(np.int64)
        called = (types == _CALL) & (sections == 0)
        if not set(sections[~called].tolist()) <= self._places.keys():
            raise Unknown("data of others")
        places = np.zeros(len(self._sections), np.int64)
        places[list(self._places)] = list(self._places.values())
        origins = places[sections] + symbols["value"].astype(np.int64)
        origins[called] = [self._stubs[k] for k in numbers[called].tolist()]
        at = place + relocations["offset"].astype(np.int64)
        to = origins + relocations["addend"]
        near = (types == _NEAR) | (types == _CALL)
        if not (near | (types == _ABSOLUTE) | (types == _RELATIVE)).all():
            raise Unknown("a relocation")
        if near.any() and np.abs((to - at)[near]).max() >= 2**31:
            raise Unknown("a distance of more than 31 bits")
        values = np.where(types == _ABSOLUTE, base + to, to - at)
        for which, size in ((~near, 8), (near, 4)):
            memory[at[which, None] + np.arange(size)] = values[which].view(np.uint8).reshape(-1, 8)[:, :size]


def _address(name: str) -> int:
    """Of a function of the C library, or of another that the process has."""
    try:
        return ctypes.cast(ctypes.CDLL(None)[name], ctypes.c_void_p).value or 0
    except AttributeError:
        raise Unknown(f"it calls {name!r}, which nobody has") from None
