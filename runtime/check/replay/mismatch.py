"""What a replay can find."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mismatch:
    """position: of the token whose greedy successor differs. expected: the trace's next token, actual: the model's."""

    position: int
    expected: int
    actual: int
