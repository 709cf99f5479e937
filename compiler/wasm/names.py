"""Names that are told apart."""

from __future__ import annotations

from collections.abc import Callable


class UniqueNames:
    """Gives each name once: the first as it is, later ones with a suffix.

    suffix: of a number, 2 and up. In all, linear in the number of names.
    """

    def __init__(self, suffix: Callable[[int], str]):
        self._suffix = suffix
        self._used: set[str] = set()
        self._next: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        unique, number = name, self._next.get(name, 2)
        while unique in self._used:
            unique = name + self._suffix(number)
            number += 1
        self._next[name] = number
        self._used.add(unique)
        return unique
