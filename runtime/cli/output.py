"""What a program wrote, and what is in its memory."""

from __future__ import annotations

import sys


def write_output(stream: str, data: bytes) -> None:
    """The program's own bytes, unchanged."""
    if data:
        file = sys.stdout if stream == "stdout" else sys.stderr
        file.flush()
        file.buffer.write(data)
        file.buffer.flush()


def dump(data: bytes, address: int) -> str:
    """Sixteen bytes a line: address, hexadecimal, characters."""
    lines = []
    for i in range(0, len(data), 16):
        part = data[i : i + 16]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        lines.append(f"{address + i:08x}  {part.hex(' '):<47}  {shown}")
    return "\n".join(lines)
