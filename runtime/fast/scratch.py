"""Arrays with their addresses: asking numpy for one takes as long as chains take for some hundred tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Tokens in one array, written in place. From 4 MiB on numpy asks for large pages, which the system may take long to make.
PART = 1 << 19
# Arrays that are kept for the next call, of any engine of this process.
SPARE = 2


class Flags(NamedTuple):
    """array: uint8 by token id. address: of that."""

    array: np.ndarray
    address: int

    @classmethod
    def of(cls, array: np.ndarray) -> Flags:
        return cls(array, array.ctypes.data)


class Scratch:
    """Where generated code writes tokens, and reads those that are given: int32 [PART], the first `used` of which are taken."""

    def __init__(self) -> None:
        self.array, self.used = np.empty(PART, dtype=np.int32), 0
        self.address = self.array.ctypes.data

    @property
    def last(self) -> int:
        """The last token; there is one."""
        return self.array.item(self.used - 1)

    def taken(self, dtype: np.typing.DTypeLike) -> np.ndarray:
        """A copy of the tokens in it, and nobody may use this one any more. Memory that is asked for anew takes longer than the
        copy: so the less the better."""
        tokens = self.array[: self.used].astype(dtype)
        leave(self)
        return tokens


_spare: list[Scratch] = []  # their memory is there already, and pages of it need not be asked for


def scratch() -> Scratch:
    """An empty one, for one thread."""
    try:
        return _spare.pop()
    except IndexError:
        return Scratch()


def leave(room: Scratch) -> None:
    """Nobody needs what is in it."""
    room.used = 0
    if len(_spare) < SPARE:
        _spare.append(room)
