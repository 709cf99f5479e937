"""What a program sees of the world outside, as one value: both sides of a comparison are given the same."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .errors import ArgumentError

RANDOM_BYTES = 256  # that an invocation can get by WASI's random_get


@dataclass(frozen=True)
class World:
    """stdin: bytes on standard input. argv: arguments, the program's name first. env: environment variables.

    random: RANDOM_BYTES bytes that every invocation gets (None: new ones each time). clock: seconds since 1970 that the
    program is told (None: the time at which the invocation begins). Raises ArgumentError for what a prompt cannot hold.
    """

    stdin: bytes = b""
    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    random: bytes | None = None
    clock: float | None = None

    def __post_init__(self) -> None:
        if self.random is not None and len(self.random) != RANDOM_BYTES:
            raise ArgumentError(f"random: {len(self.random)} bytes; an invocation has {RANDOM_BYTES}")
        if self.clock is not None and not 0 <= self.clock < 2**32 - 1:
            raise ArgumentError(f"clock: {self.clock} is no time from 0 to 2^32 seconds")

    def fixed(self) -> World:
        """The same with nothing left to chance: what is None is decided now."""
        random = os.urandom(RANDOM_BYTES) if self.random is None else self.random
        return replace(self, random=random, clock=time.time() if self.clock is None else self.clock)
