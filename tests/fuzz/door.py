"""What a fuzz target is."""

from __future__ import annotations

import random
from typing import Protocol

ACCEPTED, REFUSED = "accepted", "refused"


class Door(Protocol):
    """One way into the package.

    make(rng): an input. run(data): what comes of it, ACCEPTED or REFUSED; raises anything when it is not what should come of
    it. Inputs are made in one process, and run in another.
    """

    def make(self, rng: random.Random) -> bytes: ...

    def run(self, data: bytes) -> str: ...


def one_line(error: Exception) -> None:
    """A refusal is one line that says something."""
    text = str(error)
    if not text.strip() or "\n" in text:
        raise AssertionError(f"{type(error).__name__} says {text!r}")
