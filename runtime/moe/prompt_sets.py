"""Texts to be read, by category: generated ones, and those of a file."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence

from ...compiler.format.files import words
from ..errors import ArgumentError

_NOUNS = "river house garden letter window market forest bridge stone winter music paper ship island teacher engine".split()
_VERBS = "reads finds builds carries watches paints follows opens keeps mends".split()
_ADJECTIVES = "old quiet green heavy small bright early open cold narrow".split()
_NAMES = "a b c x y z total count size left right".split()


def _number(chosen: random.Random) -> int:
    return chosen.randrange(10 ** chosen.choice([1, 2, 3]))


def _sequence(chosen: random.Random) -> str:
    first, step = chosen.randrange(50), chosen.randrange(1, 12)
    return ", ".join(str(first + k * step) for k in range(5)) + ","


def _arithmetic(chosen: random.Random) -> str:
    return f"{_number(chosen)} {chosen.choice('+-*')} {_number(chosen)} ="


def _code(chosen: random.Random) -> str:
    name, other = chosen.sample(_NAMES, 2)
    return chosen.choice([
        f"for {name} in range({_number(chosen)}):\n    print({name})", f"if {name} > {_number(chosen)}:\n    {other} = {name}",
        f"while {name} != {other}:\n    {name} = {name} + 1", f"let {name} = {_number(chosen)}; return {name};",
    ])  # fmt: skip


def _function(chosen: random.Random) -> str:
    noun, (a, b) = chosen.choice(_NOUNS), chosen.sample(_NAMES, 2)
    return f"def {noun}({a}, {b}):\n    return {a} {chosen.choice('+-*')} {b}"


def _phrase(chosen: random.Random) -> str:
    return f"the {chosen.choice(_ADJECTIVES)} {chosen.choice(_NOUNS)} {chosen.choice(_VERBS)} the {chosen.choice(_NOUNS)}"


def _data(chosen: random.Random) -> str:
    a, b = chosen.sample(_NOUNS, 2)
    return f'{{"{a}": {_number(chosen)}, "{b}": [{_number(chosen)}, {_number(chosen)}]}}'


CATEGORIES: dict[str, Callable[[random.Random], str]] = {
    "numbers": lambda c: " ".join(str(_number(c)) for _ in range(4)),
    "sequences": _sequence,
    "arithmetic": _arithmetic,
    "variables": lambda c: " ".join(c.choice(_NAMES) for _ in range(4)),
    "assignments": lambda c: f"{c.choice(_NAMES)} = {_number(c)}",
    "word pairs": lambda c: f"{c.choice(_ADJECTIVES)} {c.choice(_NOUNS)}",
    "phrases": _phrase,
    "code": _code,
    "functions": _function,
    "mixed": lambda c: f"{c.choice(_NOUNS)} {_number(c)} has {c.choice(_NAMES)} = {_number(c)}",
    "comparisons": lambda c: f"{_number(c)} {c.choice(['<', '>', '==', '<='])} {_number(c)}",
    "data": _data,
}


def built_in(count: int, seed: int = 0, categories: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(category, text), `count` of each of these categories, of all by default. Raises ArgumentError for one that is not
    there."""
    for name in categories:
        if name not in CATEGORIES:
            raise ArgumentError(f"no category {name!r}; there are: {', '.join(CATEGORIES)}")
    return [
        (name, CATEGORIES[name](chosen))
        for name in categories or CATEGORIES
        for chosen in [random.Random(f"{seed} {name}")]
        for _ in range(count)
    ]


def read_prompts(path: str) -> list[tuple[str, str]]:
    """Of a file with a prompt on each line; what stands before a tab is its category, "all" where there is none. Raises
    ArgumentError."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeError) as error:
        raise ArgumentError(f"{path}: {words(error)}") from None
    found = []
    for line in filter(str.strip, lines):
        category, tab, text = line.partition("\t")
        found.append((category.strip(), text) if tab else ("all", line))
    if not found:
        raise ArgumentError(f"{os.path.basename(path)}: there is no prompt in it; one a line is expected")
    return found
