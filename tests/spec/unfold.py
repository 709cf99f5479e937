"""The older form of exceptions in folded text, `(try (do ...) (catch $e ...))`, which the assembler reads only unfolded."""

from __future__ import annotations

import re

from .sexpr import Node

_FOLDED = re.compile(r"\(\s*try\b(?!_)")


def unfolded(node: Node) -> str:
    """The node's text; a `try` in it, which has to stand where an instruction of a sequence may, as `try ... end`."""
    return _text(node) if _FOLDED.search(node.text) else node.text


def _text(node: Node) -> str:
    if node.items is None:
        return node.text
    if node.head != "try":
        return f"({' '.join(map(_text, node.items))})"
    parts, closed = [], False
    for item in node.items:
        inner = " ".join(map(_text, (item.items or ())[1:]))
        if item.head == "do":
            parts.append(inner)
        elif item.head in ("catch", "catch_all", "delegate"):
            parts.append(f"{item.head} {inner}")
            closed = item.head == "delegate"
        else:
            parts.append(_text(item))
    return " ".join(parts if closed else [*parts, "end"])
