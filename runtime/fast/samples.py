"""Samples of what an engine has decoded: what chains are made for (see chains.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Tokens of one block at most, where there is little room; of all together; and blocks.
LONGEST, ROOM, BLOCKS = 1 << 14, 1 << 19, 1 << 10

# The row at which the last of some tokens was read, these tokens, and those that followed.
Sample = tuple[int, Sequence[int], np.ndarray]


class Samples:
    """Blocks of a sequence, evenly spread over it: all of each as long as there is room, then LONGEST of its first tokens.

    before: how many tokens have to be known in front of a block. kept: the blocks, in their order. size: tokens in them.
    """

    def __init__(self, before: int):
        self.before, self.kept, self.size = before, list[Sample](), 0
        # One array for all: small ones that stay, between large ones that go, make these cost more.
        self._room = np.empty(0, dtype=np.int32)
        self._stride, self._seen, self._longest = 1, 0, ROOM
        self._last: list[int] = []

    @property
    def due(self) -> bool:
        """Whether the block that comes next is one to keep."""
        return self._seen % self._stride == 0

    def add(self, row: int, tokens: np.ndarray) -> None:
        """A block that was decoded behind the one before it, whose last token was read at that row."""
        if not len(tokens):
            return
        if self.due and len(self._last) < self.before:
            self._last += tokens[-self.before :].tolist()
            return
        if self.due:
            self._keep(row, tokens)
        self._seen += 1
        self._last = tokens[-self.before :].tolist() if self.due else []

    def first(self, count: int) -> int:
        """Of so many tokens that are decoded next, how many at first, so that there may be a sample of the rest."""
        missing = self.before - len(self._last)
        return min(count, missing) if missing > 0 and self.due else count

    def call(self, row: int, tokens: np.ndarray, before: int, known: int) -> None:
        """What was decoded behind a prompt. before: how many tokens stand in front of `known` that may be a sample, the last one
        read at that row; 0 where none was due."""
        if before == 0:
            self.add(row, tokens)
        elif known > 0:
            self.add(row, tokens[:before])
            self.add(row, tokens[before : before + known])
        if before + known < len(tokens):
            self.interrupt()

    def _keep(self, row: int, tokens: np.ndarray) -> None:
        if not len(self._room):
            self._room = np.empty(ROOM, dtype=np.int32)
        if self.size + len(tokens) > ROOM:
            self._cut()
        self._put(row, self._last[-self.before :], tokens)
        if self.size + LONGEST > ROOM:
            self._cut()
        if self.size + LONGEST > ROOM or len(self.kept) >= BLOCKS:
            self._move_up(self.kept[::2])
            self._stride *= 2

    def _cut(self) -> None:
        if self._longest > LONGEST:
            self._longest = LONGEST
            self._move_up(self.kept)

    def _put(self, row: int, before: Sequence[int], tokens: np.ndarray) -> None:
        tokens = tokens[: self._longest]
        block = self._room[self.size : self.size + len(tokens)]
        block[:] = tokens
        self.kept.append((row, before, block))
        self.size += len(tokens)

    def _move_up(self, kept: Sequence[Sample]) -> None:
        """These stay, and stand in the room one behind the other."""
        self.kept, self.size = [], 0
        for sample in kept:
            self._put(*sample)

    def copied(self) -> list[Sample]:
        """For another thread: blocks are written again when there are others."""
        return [(row, before, tokens.copy()) for row, before, tokens in self.kept]

    def interrupt(self) -> None:
        """What follows was not decoded behind what was added last."""
        self._last = []
