"""The time that a program is told: it goes on whenever the program asks, and while it waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import wasmtime

from ...world import World

_SECOND = 10**9
_NAMES = ("clock_seconds", "clock_nanoseconds")
_END = 2**32 * _SECOND - 1
ASKING = 10**6  # nanoseconds that pass when a program asks for the time


@dataclass
class Clock:
    """now: nanoseconds since 1970, of the realtime and of the monotonic clock. registers: globals that say the same to
    libraries (see `linking`), "clock_seconds" and "clock_nanoseconds"."""

    world: World
    now: int = 0
    registers: dict[str, wasmtime.Global] = field(default_factory=dict)

    def reset(self, store: Any) -> None:
        """Back to the time at which an invocation begins."""
        self._set(store, round((self.world.clock or 0.0) * _SECOND))

    def wait(self, store: Any, nanoseconds: int) -> None:
        self._set(store, min(self.read(store) + nanoseconds, _END))

    def read(self, store: Any) -> int:
        """`now`, which libraries may have changed."""
        if self.registers:
            seconds, nanoseconds = (self.registers[name].value(store) % 2**32 for name in _NAMES if name in self.registers)
            self.now = seconds * _SECOND + nanoseconds
        return self.now

    def _set(self, store: Any, now: int) -> None:
        self.now = now
        for name, value in zip(_NAMES, divmod(now, _SECOND), strict=True):
            if name in self.registers:
                self.registers[name].set_value(store, value - (value >> 31 << 32))


CLOCK_REGISTERS = frozenset(_NAMES)
