"""Text from outside, such as a name from a file, as characters that a terminal shows and does not obey."""

from __future__ import annotations


def printable(text: str, lines: bool = False) -> str:
    r"""Whatever would move a terminal's cursor, change its colours or reorder its line is written as an escape, \\x1b or
    \\u202e, and so are bytes that are no text. lines: line ends and tabs stay."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as Python has those
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
