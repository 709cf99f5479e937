"""Comparisons as values of the compiler: what can be fused with a branch, or inverted."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.isa import Slot

_INVERSE = {"eq": "ne", "lt_s": "ge_s", "lt_u": "ge_u", "gt_s": "le_s", "gt_u": "le_u"}
_INVERSE |= {inverse: name for name, inverse in _INVERSE.items()}

COMPARISONS = frozenset(f"{t}.{name}" for t in ("i32", "i64") for name in _INVERSE)


def inverse(comparison: str) -> str:
    """The comparison that holds exactly when the given one does not: inverse("i32.lt_s") == "i32.ge_s"."""
    prefix, _, name = comparison.rpartition(".")
    return f"{prefix}.{_INVERSE[name]}"


@dataclass(frozen=True)
class Condition:
    """`a comparison b`, not computed yet."""

    comparison: str
    a: Slot
    b: Slot

    def inverted(self) -> Condition:
        return Condition(inverse(self.comparison), self.a, self.b)
