"""What the host's reads and writes of exported memory are made of: loads and stores of four bytes, and of single ones; and its
reads of exported globals, of which a vector is two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..compiler.format.isa import Program
from ..compiler.format.limits import HOST_WORDS
from ..compiler.format.types import HIGH_HALF, HIGH_NAME, LOW_HALF, ValType
from .errors import ArgumentError

WIDTH = 4
# Bytes of hidden memory that are read at a time.
LINE = WIDTH * HOST_WORDS


def writes(address: int, data: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """(operation, (address, value)) of each store."""
    whole = len(data) - len(data) % WIDTH
    for i in range(0, whole, WIDTH):
        yield "i32.store", (address + i, int.from_bytes(data[i : i + WIDTH], "little"))
    for i in range(whole, len(data)):
        yield "i32.store8", (address + i, data[i])


def reads(address: int, length: int) -> Iterator[tuple[str, int]]:
    """(operation, address) of each load."""
    whole = length - length % WIDTH
    yield from (("i32.load", address + i) for i in range(0, whole, WIDTH))
    yield from (("i32.load8_u", address + i) for i in range(whole, length))


def joined(length: int, values: Iterable[int]) -> bytes:
    """The bytes that these loads found."""
    whole = length // WIDTH
    return b"".join((value % 2**32).to_bytes(WIDTH if k < whole else 1, "little") for k, value in enumerate(values))


def string(read: Callable[[int, int], bytes], address: int) -> bytes:
    """Bytes up to the first zero, which is left out. read: gives so many bytes at an address."""
    found = b""
    while b"\0" not in found:
        found += read(address + len(found), 16)
    return found[: found.index(b"\0")]


def global_types(program: Program) -> dict[str, ValType]:
    """The exported globals."""
    types = {name: type_ for name, (_, type_) in program.exported_globals.items()}
    return {name: "v128" if type_ == LOW_HALF else type_ for name, type_ in types.items() if type_ != HIGH_HALF}


def read_global(program: Program, name: str, read: Callable[[str], Any]) -> Any:
    """The value of an exported global. read: gives what the access of this name does. Raises ArgumentError."""
    types = global_types(program)
    if name not in types:
        raise ArgumentError(f"no exported global {name!r}; there are: {', '.join(sorted(types)) or 'none'}")
    value = read(f"global {name}")
    return value | read(f"global {name}{HIGH_NAME}") << 64 if types[name] == "v128" else value
