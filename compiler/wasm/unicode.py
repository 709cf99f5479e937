"""WAT with characters that wasmtime's parser refuses although they are valid: those that change the direction of text.

In comments they mean nothing and become blanks; in strings they become escapes, `\\e2\\80\\ae`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# What the parser calls "likely-confusing".
REFUSED = re.compile("[\u202a-\u202e\u2066-\u2069\u206c]")
_CODE = re.compile(r'"(?:[^"\\]|\\.)*"?|;;[^\n]*|\(;|[^";(]+|.', re.DOTALL)
_COMMENT = re.compile(r"\(;|;\)|[^(;]+|.", re.DOTALL)
_MESSAGE = re.compile(r"(.*)\n(\s*-->.*?):(\d+):(\d+)\n(\s*\|)\n(\s*\d+ \|) ?(.*)\n\s*\|\s*\^", re.DOTALL)


def escaped(text: str) -> str:
    """The same module without such characters; every line keeps its number."""
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    depth = place = 0  # depth: of block comments, which nest
    while match := (_COMMENT if depth else _CODE).match(text, place):
        piece, place = match[0], match.end()
        depth += (piece == "(;") - (piece == ";)" and depth > 0)
        if depth or piece.startswith(";;"):
            yield REFUSED.sub(" ", piece)
        elif piece.startswith('"'):
            yield REFUSED.sub(lambda m: _escape(m[0]), piece)
        else:
            yield piece


def _escape(character: str) -> str:
    return "".join(f"\\{byte:02x}" for byte in character.encode())


def located(message: str, text: str) -> str:
    """The parser's message about `escaped(text)`, with line and column as they are in `text`."""
    match = _MESSAGE.fullmatch(message.rstrip())
    if match is None:
        return message
    what, arrow, line, column, bar, number, _ = match.groups()
    shown = text.split("\n")[int(line) - 1]
    at = _column(escaped(text).split("\n")[int(line) - 1], shown, int(column))
    visible = REFUSED.sub("", shown)
    under = at - len(REFUSED.findall(shown[: at - 1]))
    return f"{what}\n{arrow}:{line}:{at}\n{bar}\n{number} {visible}\n{bar}{' ' * under}^"


def _column(changed: str, original: str, column: int) -> int:
    """The column (from 1) in the original line: behind each escape the changed one is longer."""
    at, place = 0, 0
    while place < column - 1 and at < len(original):
        character = original[at]
        same = place < len(changed) and changed[place] == character
        place += 1 if same or changed[place : place + 1] == " " else len(_escape(character))
        at += 1
    return at + 1
