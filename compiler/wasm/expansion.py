"""The form in which it is written what an instruction of SIMD is on the two halves of its vectors.

A half is an i64. An expansion is written in expressions, (operation operand ...), over instructions on i64 and i32 and the
instructions on halves (`simd.HALF_INSTRUCTIONS`). In them stand

    al ah  bl bh  cl ch   the halves of the first, second and third vector      n   the operand that is no vector
    p                     the address of an access; an access "+8" is eight bytes further on
    $x                    a value computed before                               5   i64.const, 5:i32 i32.const

In a half-wise expression a, b, c are the halves in question, and `shared_` begins the name of what both use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Tree = str | tuple


@dataclass(frozen=True)
class Expansion:
    """low, high: the halves of the result; high is None where the result is no vector, and SAME where both halves are one value.

    first: (name, expression) of what both halves use; low_first, high_first: of what one half uses.
    backwards: the high half comes first.
    """

    low: Tree
    high: Tree | None = None
    first: tuple[tuple[str, Tree], ...] = ()
    low_first: tuple[tuple[str, Tree], ...] = ()
    high_first: tuple[tuple[str, Tree], ...] = ()
    backwards: bool = False


SAME = "="
_TOKEN = re.compile(r"[()]|[^\s()]+")
ALL = 2**64 - 1


def parse(text: str) -> Tree:
    """An expression as nested tuples."""
    stack: list[list] = [[]]
    for token in _TOKEN.findall(text):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = tuple(stack.pop())
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    (tree,) = stack[0]
    return tree


def _renamed(text: str, half: str) -> str:
    return re.sub(r"(?<![\w$.])([abc])(?![\w.:])", rf"\1{half}", re.sub(r"\$(\w+)", rf"$\1{half}", text))


def whole(low: str, high: str | None = None, backwards: bool = False, **first: str) -> Expansion:
    """Of expressions for both halves, or for what is no vector. first: what both use."""
    lets = tuple((f"${name}", parse(text)) for name, text in first.items())
    return Expansion(parse(low), high if high in (None, SAME) else parse(high), lets, backwards=backwards)  # type: ignore[arg-type]


def halfwise(text: str, shared: tuple[tuple[str, str], ...] = (), **own: str) -> Expansion:
    """The same on both halves. own: what each half computes before; shared: what is computed once, for both."""
    parts = []
    for half in "lh":
        lets = tuple((f"${name}{half}", parse(_renamed(value, half))) for name, value in own.items())
        parts.append((parse(_renamed(text, half)), lets))
    first = tuple((name, parse(value)) for name, value in shared)
    return Expansion(parts[0][0], parts[1][0], first, parts[0][1], parts[1][1])
