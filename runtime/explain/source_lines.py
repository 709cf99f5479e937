"""Which line of the source an instruction comes from: the line table of DWARF 4 and 5 in a module's custom sections.

Source: DWARF Debugging Information Format, version 5, section 6.2; DWARF for WebAssembly: addresses are offsets in the code
section.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ...compiler.format.errors import CompileError
from ...compiler.wasm.reader import Reader

_MAGIC_AND_VERSION = 8
_CODE, _CUSTOM = 10, 0
LONGEST = 512  # bytes of a path


@dataclass(frozen=True)
class SourceLines:
    """starts: ascending offsets in the module; places: (file, line) from there on, None where none is known."""

    starts: list[int] = field(default_factory=list)
    places: list[tuple[str, int] | None] = field(default_factory=list)

    def at(self, offset: int) -> tuple[str, int] | None:
        """Of the instruction at a byte offset in the module."""
        found = bisect_right(self.starts, offset) - 1
        return self.places[found] if found >= 0 else None


def source_lines(wasm: bytes) -> SourceLines:
    """Empty where the module has no line table, or one that cannot be read."""
    try:
        code, sections = _sections(wasm)
        table = sections.get(".debug_line", b"")
        rows = sorted(_rows(table, sections), key=lambda row: row[0])
    except (CompileError, ValueError, IndexError, ZeroDivisionError):
        return SourceLines()
    return SourceLines([code + address for address, _ in rows], [place for _, place in rows])


def _sections(wasm: bytes) -> tuple[int, dict[str, bytes]]:
    """Where the code section's content begins, and the custom sections."""
    reader, code, custom = Reader(wasm, _MAGIC_AND_VERSION), 0, {}
    while reader.position < reader.end:
        kind, content = reader.byte(), reader.part()
        if kind == _CODE:
            code = content.position
        elif kind == _CUSTOM:
            name = content.name()
            custom[name] = wasm[content.position : content.end]
    return code, custom


Place = tuple[str, int] | None


def _rows(table: bytes, sections: dict[str, bytes]) -> Iterator[tuple[int, Place]]:
    position = 0
    while position + 4 <= len(table):
        end = position + 4 + int.from_bytes(table[position : position + 4], "little")
        unit = Reader(table, position + 4, min(end, len(table)))
        yield from _unit(unit, sections)
        position = end


def _fixed(reader: Reader, size: int) -> int:
    return int.from_bytes(reader.take(size), "little")


def _text(reader: Reader) -> str:
    """A path. Entries may name one text again and again, so a long one is an error."""
    end = reader.data.index(0, reader.position, reader.position + LONGEST)
    text = reader.take(end - reader.position)
    reader.take(1)
    return text.decode(errors="replace")


def _unit(reader: Reader, sections: dict[str, bytes]) -> Iterator[tuple[int, Place]]:
    """One compilation unit: its header, then its program."""
    version = _fixed(reader, 2)
    if version not in (4, 5):
        return
    if version == 5:
        reader.take(2)  # sizes of addresses and selectors
    length = _fixed(reader, 4)
    start = reader.position + length
    least, _, _, base, line_range, opcodes = reader.take(6)
    base -= 256 if base > 127 else 0
    operands = list(reader.take(opcodes - 1))
    files = _files_5(reader, sections) if version == 5 else _files_4(reader)
    reader.position = start
    yield from _Program(reader, files, least, base, line_range, operands, 0 if version == 5 else 1).rows()


def _files_4(reader: Reader) -> list[str]:
    while _text(reader):
        pass  # folders
    files = []
    while name := _text(reader):
        files.append(name)
        for _ in range(3):
            reader.unsigned()
    return files


def _files_5(reader: Reader, sections: dict[str, bytes]) -> list[str]:
    _entries(reader, sections)  # folders
    return _entries(reader, sections)


_PATH = 1  # DW_LNCT_path
_STRINGS = {0x1F: ".debug_line_str", 0x0E: ".debug_str"}
_SIZES = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}


def _entries(reader: Reader, sections: dict[str, bytes]) -> list[str]:
    forms = [(reader.unsigned(), reader.unsigned()) for _ in range(reader.byte())]
    count = reader.unsigned()
    if count > reader.end - reader.position:  # each takes a byte at least
        raise reader.error("more entries than bytes")
    paths = []
    for _ in range(count):
        path = ""
        for content, form in forms:
            if form == 0x08:
                value = _text(reader)
            elif form in _STRINGS:
                value = _text(Reader(sections.get(_STRINGS[form], b""), _fixed(reader, 4)))
            elif form == 0x0F:
                value = str(reader.unsigned())
            elif form in _SIZES:
                value = str(_fixed(reader, _SIZES[form]))
            else:
                raise reader.error("unknown form")
            path = value if content == _PATH else path
        paths.append(path)
    return paths


class _Program:
    """The line program: a small machine whose registers are an address, a file and a line."""

    def __init__(
        self, reader: Reader, files: list[str], least: int, base: int, line_range: int, operands: list[int], first: int
    ):
        self.reader, self.files, self.first = reader, [PurePosixPath(f).name for f in files], first
        self.least, self.base, self.range, self.operands = least, base, line_range, operands
        self.start()

    def start(self) -> None:
        self.address, self.file, self.line = 0, 1, 1

    def place(self) -> Place:
        index = self.file - self.first
        return (self.files[index], self.line) if self.line and 0 <= index < len(self.files) else None

    def rows(self) -> Iterator[tuple[int, Place]]:
        special = len(self.operands) + 1
        while self.reader.position < self.reader.end:
            opcode = self.reader.byte()
            if opcode >= special:
                self.address += (opcode - special) // self.range * self.least
                self.line += self.base + (opcode - special) % self.range
                yield self.address, self.place()
            elif opcode == 0:
                yield from self.extended()
            elif opcode == 1:
                yield self.address, self.place()
            else:
                self.standard(opcode, special)

    def standard(self, opcode: int, special: int) -> None:
        match opcode:
            case 2:
                self.address += self.reader.unsigned(64) * self.least
            case 3:
                self.line += self.reader.signed(64)
            case 4:
                self.file = self.reader.unsigned()
            case 8:
                self.address += (255 - special) // self.range * self.least
            case 9:
                self.address += _fixed(self.reader, 2)
            case _:
                for _ in range(self.operands[opcode - 1]):
                    self.reader.unsigned(64)

    def extended(self) -> Iterator[tuple[int, Place]]:
        size = self.reader.unsigned()
        end = self.reader.position + size
        opcode = self.reader.byte()
        if opcode == 1:  # the end of a sequence
            yield self.address, None
            self.start()
        elif opcode == 2:
            self.address = _fixed(self.reader, size - 1)
        self.reader.position = end


__all__ = ["SourceLines", "source_lines"]
