"""What a compilation will take, from the number of steps: as it was for programs that were measured, on one x86-64 core."""

from __future__ import annotations

# Steps, MiB of the checkpoint, seconds, MiB of memory.
_MEASURED = (
    (11, 0.7, 0.1, 53), (46, 2.4, 0.1, 56), (209, 5.4, 0.2, 65), (3_976, 17.4, 0.9, 107), (9_812, 20.3, 1.8, 148),
    (116_114, 38.9, 6.0, 464), (992_383, 151.3, 56, 3_673),
)  # fmt: skip


def estimate(steps: int) -> dict[str, int]:
    """checkpoint_mib, seconds, memory_mib: between two measured programs, and beyond the largest in proportion to the rest."""
    after = next((k for k, row in enumerate(_MEASURED) if row[0] >= steps), len(_MEASURED) - 1)
    low, high = _MEASURED[max(after - 1, 0)], _MEASURED[max(after, 1)]
    share = max(0.0, (steps - low[0]) / (high[0] - low[0]))
    values = [a + share * (b - a) for a, b in zip(low[1:], high[1:], strict=True)]
    return dict(zip(("checkpoint_mib", "seconds", "memory_mib"), (max(1, round(v)) for v in values), strict=True))
