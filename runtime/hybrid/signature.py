"""Typed signatures of experts: what an argument of the canonical form becomes in a program, and where its result is."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .canonical import Value, decimal
from .errors import ExpertError

SCALARS = ("i32", "i64", "f32", "f64")
ARRAYS = {"u8[]": "B", "i32[]": "i", "i64[]": "q", "f32[]": "f", "f64[]": "d"}
ARGUMENTS = (*SCALARS, "integer", "string", *ARRAYS)
RESULTS = (*SCALARS, "text", "string", "hex", *ARRAYS)
EXACT = 2**53  # integers up to here are f64 numbers


@dataclass(frozen=True)
class Argument:
    """type: a WebAssembly type; "integer": decimal digits of any length; "string": UTF-8; "i32[]" and the like: little-endian.

    at: where the bytes of one that is no scalar go: an address, or the name of an export that is given their number and returns
    the address. passed: what the function is given for it, "pointer" and "length" (bytes of a string, elements of an array).
    most: how many there may be."""

    name: str
    type: str
    at: int | str = "allocate"
    passed: tuple[str, ...] = ("pointer", "length")
    most: int | None = None

    @property
    def in_memory(self) -> bool:
        return self.type not in SCALARS

    def fits(self, value: Value) -> bool:
        """Whether a value of the canonical form is one of this type."""
        if self.type == "string":
            return isinstance(value, str)
        if self.type in ARRAYS:
            return isinstance(value, tuple) and all(_fits(self.type[:-2], v) for v in value)
        return _fits(self.type, value)

    def data(self, value: Value) -> bytes:
        """The bytes of a value that fits and lies in memory. Raises ExpertError."""
        if isinstance(value, tuple):
            data = struct.pack(f"<{len(value)}{ARRAYS[self.type]}", *value)
        else:
            assert isinstance(value, (int, str))
            data = value.encode() if isinstance(value, str) else decimal(value).encode()
        if self.most is not None and self.count(data) > self.most:
            raise ExpertError(f"{self.name}: {self.count(data):,} elements or bytes; at most {self.most:,} are taken")
        return data

    def count(self, data: bytes) -> int:
        return len(data) // struct.calcsize(f"<{ARRAYS[self.type]}") if self.type in ARRAYS else len(data)


@dataclass(frozen=True)
class Result:
    """type: a WebAssembly type (the function's value); "text": what it writes to standard output; "string", "hex" or an array:
    bytes in memory. at: their address, "returned" (the function's value), or the argument whose place it is. length: how many
    (bytes, elements), "returned", or the argument whose number it is."""

    type: str
    at: int | str = "returned"
    length: int | str = "returned"

    @property
    def in_memory(self) -> bool:
        return self.type not in SCALARS and self.type != "text"


def _fits(type_: str, value: object) -> bool:
    if type_ in ("f32", "f64"):
        return isinstance(value, float) or (isinstance(value, int) and abs(value) <= (EXACT if type_ == "f64" else 1 << 24))
    if not isinstance(value, int):
        return False
    bits = {"u8": 8, "i32": 32, "i64": 64}.get(type_)
    return bits is None or (0 <= value < 256 if bits == 8 else -(1 << bits - 1) <= value < 1 << bits - 1)


def signature(name: str, arguments: Sequence[Argument], result: Result) -> str:
    """As the messages and the list of experts show it: add(a: integer, b: integer) -> text."""
    return f"{name}({', '.join(f'{a.name}: {a.type}' for a in arguments)}) -> {result.type}"
