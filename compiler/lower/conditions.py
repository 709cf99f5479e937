"""Comparisons as values of the compiler: what can be fused with a branch, or inverted."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.isa import Slot
from ..format.operations import OPERATIONS, inverse

COMPARISONS = frozenset(o.name for o in OPERATIONS.values() if o.comparison and not o.branches)


@dataclass(frozen=True)
class Condition:
    """`a comparison b`, not computed yet."""

    comparison: str
    a: Slot
    b: Slot

    def inverted(self) -> Condition:
        return Condition(inverse(self.comparison), self.a, self.b)
