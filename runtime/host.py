"""What the host's reads and writes of exported memory are made of: loads and stores of four bytes, and of single ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..compiler.format.limits import HOST_WORDS

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
