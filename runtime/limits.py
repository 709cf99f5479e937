"""How long a call may take."""

from __future__ import annotations

import math
import operator
import time
from dataclasses import dataclass

from .errors import ArgumentError, Unfinished


@dataclass(frozen=True)
class CallLimits:
    """max_tokens: tokens that a call may decode. timeout: seconds of wall-clock time. None: as many as it takes.

    Raises ArgumentError for what is no such number.
    """

    max_tokens: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None:
            try:
                tokens = operator.index(self.max_tokens)
            except TypeError:
                raise ArgumentError(f"max_tokens: {self.max_tokens!r} is no integer") from None
            if tokens < 1:
                raise ArgumentError(f"max_tokens: at least 1, not {tokens}")
            object.__setattr__(self, "max_tokens", tokens)
        if self.timeout is not None and not (isinstance(self.timeout, (int, float)) and 0 < self.timeout < math.inf):
            raise ArgumentError(f"timeout: {self.timeout!r} is no number of seconds above 0")

    def until(self) -> float:
        """When a call that begins now has to be done, in seconds of `time.monotonic`."""
        return math.inf if self.timeout is None else time.monotonic() + self.timeout

    def next(self, chunk: int, count: int) -> int:
        """How many of the next `chunk` tokens may be decoded when there are `count`."""
        return chunk if self.max_tokens is None else min(chunk, self.max_tokens - count)

    def check(self, name: str, count: int, until: float) -> None:
        """Raises Unfinished when a call that is not over has used up what it has."""
        if self.max_tokens is not None and count >= self.max_tokens:
            raise Unfinished(f"{name}: not finished after {count:,} tokens")
        if time.monotonic() >= until:
            raise Unfinished(f"{name}: not finished after {self.timeout:g} seconds ({count:,} tokens)")


NO_LIMITS = CallLimits()
