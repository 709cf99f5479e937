"""Reading the binary format's integers, names and vectors. Source: WebAssembly Core Specification 2.0, section 5.2."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..format.errors import CompileError, Reason

T = TypeVar("T")


class Reader:
    """A cursor over `data[position:end]`; every read raises CompileError past the end."""

    def __init__(self, data: bytes, position: int = 0, end: int | None = None):
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def error(self, message: str) -> CompileError:
        return CompileError([Reason(f"malformed WASM: {message}", offset=self.position)])

    def take(self, count: int) -> bytes:
        start = self.position
        if start + count > self.end:
            raise self.error("unexpected end")
        self.position = start + count
        return self.data[start : self.position]

    def byte(self) -> int:
        position = self.position
        if position >= self.end:
            raise self.error("unexpected end")
        self.position = position + 1
        return self.data[position]

    def unsigned(self, bits: int = 32) -> int:
        """Unsigned LEB128 of at most `bits` bits."""
        position = self.position
        if position < self.end and self.data[position] < 0x80:  # most are one byte
            self.position = position + 1
            return self.data[position]
        value = 0
        for shift in range(0, bits, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> bits:
                    break
                return value
        raise self.error(f"integer does not fit in {bits} bits")

    def signed(self, bits: int) -> int:
        """Signed LEB128 of at most `bits` bits."""
        value = 0
        for shift in range(0, bits, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                value -= (byte & 0x40) << (shift + 1)
                if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                    break
                return value
        raise self.error(f"integer does not fit in {bits} bits")

    def name(self) -> str:
        try:
            return self.take(self.unsigned()).decode()
        except UnicodeDecodeError:
            raise self.error("a name is not UTF-8") from None

    def vector(self, item: Callable[[], T]) -> list[T]:
        return [item() for _ in range(self.unsigned())]

    def part(self) -> Reader:
        """A reader of the next `size` bytes, which are skipped here."""
        size = self.unsigned()
        start = self.position
        self.take(size)
        return Reader(self.data, start, self.position)
