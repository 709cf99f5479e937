"""S-expressions of .wast text, with the place of each in it: what `script` makes commands of."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|;;[^\n]*)|(?P<comment>\(;)|(?P<open>\()|(?P<close>\))"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*")|(?P<atom>(?:[^\s()";]|"(?:[^"\\]|\\.)*"|;(?!;))+)""",
    re.DOTALL,
)
_COMMENT = re.compile(r"\(;|;\)")
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F_]+)\}|([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {"t": "\t", "n": "\n", "r": "\r"}


class SyntaxFault(Exception):
    """The text is no sequence of S-expressions; the message says where."""


@dataclass(frozen=True)
class Node:
    """An atom, a string (quotes included), or a list: `items`, None for the others. start, end: its place in `source`."""

    source: str
    start: int
    end: int
    items: tuple[Node, ...] | None = None

    @property
    def text(self) -> str:
        return self.source[self.start : self.end]

    @property
    def is_string(self) -> bool:
        return self.items is None and self.source[self.start] == '"'

    @property
    def head(self) -> str:
        """The first atom of a list, "" of anything else."""
        return self.items[0].text if self.items and self.items[0].items is None else ""

    @property
    def bytes(self) -> bytes:
        """What a string stands for."""
        out, text, at = [], self.text[1:-1], 0
        for match in _ESCAPE.finditer(text):
            out += [text[at : match.start()].encode(), _escaped(match)]
            at = match.end()
        return b"".join([*out, text[at:].encode()])


def _escaped(match: re.Match[str]) -> bytes:
    point, byte, letter = match.groups()
    if point:
        return chr(int(point.replace("_", ""), 16)).encode()
    return bytes([int(byte, 16)]) if byte else _LETTERS.get(letter, letter).encode()


def parse(source: str) -> list[Node]:
    """The expressions of a text, without annotations, `(@name ...)`. Raises SyntaxFault."""
    opened: list[tuple[int, list[Node]]] = [(0, [])]
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise SyntaxFault(f"line {line_of(source, at)}: no token begins with {source[at : at + 10]!r}")
        at = match.end()
        match match.lastgroup:
            case "comment":
                at = _behind_comment(source, match.start())
            case "open":
                opened.append((match.start(), []))
            case "close":
                if len(opened) == 1:
                    raise SyntaxFault(f"line {line_of(source, at)}: a parenthesis is closed that was not opened")
                start, items = opened.pop()
                node = Node(source, start, at, tuple(items))
                if not node.head.startswith("@"):
                    opened[-1][1].append(node)
            case "string" | "atom":
                opened[-1][1].append(Node(source, match.start(), at))
    if len(opened) > 1:
        raise SyntaxFault(f"line {line_of(source, opened[-1][0])}: a parenthesis is not closed")
    return opened[0][1]


def _behind_comment(source: str, at: int) -> int:
    """Block comments nest."""
    depth = 0
    while match := _COMMENT.search(source, at):
        depth += 1 if match[0] == "(;" else -1
        at = match.end()
        if depth == 0:
            return at
    raise SyntaxFault("a block comment is not closed")


def line_of(source: str, at: int) -> int:
    """From 1."""
    return source.count("\n", 0, at) + 1


class Lines:
    """Line numbers of many places in one text."""

    def __init__(self, source: str):
        self._starts = [0, *(match.end() for match in re.finditer("\n", source))]

    def of(self, node: Node) -> int:
        return bisect_right(self._starts, node.start)
