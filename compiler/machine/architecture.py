"""What the machine is, whatever the program in its rows: every number that a circuit, a head or a token class depends on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from .sections import Columns


@dataclass(frozen=True)
class Architecture:
    """The circuits are a function of this alone; a program that fits may be another one.

    sections: how the prefix says the rows, see `sections`; a field that no row has is in none. places: digits of the widest
    value, 4 or 8.
    rows: how many rows there are; leading: those of them before the first step. spelled: constants and data segments have no
    tokens of their own, see `sections`. slots: addresses of constants, globals, registers and frames lie below. frame_limit: a
    frame may begin so many slots above the first one. whole_memory: memory may have 65,536 pages.
    lowest_address: of memory; hidden memory is negative, and the lowest 256 bytes are scratch. longest_segment: bytes that may
    follow one segment token.
    whole: values that have a token of their own, ascending; see `whole_values`.
    tokens: how many tokens of each class may be emitted, in the order of their ids; 0 for a class without use.
    base, table_width, table_bytes: of far jumps, see `jumps`: digits of a distance are below the base, entries of tables
    so many bytes, and all of them together.
    """

    sections: tuple[Columns, ...]
    places: int
    rows: int
    leading: int
    spelled: bool
    slots: int
    frame_limit: int
    whole_memory: bool
    lowest_address: int
    longest_segment: int
    whole: tuple[range, ...]
    tokens: dict[str, int]
    base: int
    table_width: int
    table_bytes: int

    @cached_property
    def ids(self) -> dict[str, int]:
        """First token id of each class, e.g. ids["D"]."""
        return dict(zip(self.tokens, accumulate(self.tokens.values(), initial=0), strict=False))

    @property
    def emitted(self) -> int:
        """Ids below this may be emitted."""
        return sum(self.tokens.values())


__all__ = ["Architecture"]
