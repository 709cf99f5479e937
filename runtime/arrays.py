"""Long arrays that come in parts."""

from __future__ import annotations

import numpy as np


def join(parts: list[np.ndarray], dtype: np.typing.DTypeLike = np.float64) -> np.ndarray:
    """The parts, one behind the other. Empties the list as it goes, so that both are never in memory as a whole.

    dtype: of the result when there are no parts.
    """
    if len(parts) == 1:
        return parts.pop()
    out = np.empty(sum(map(len, parts)), parts[0].dtype if parts else dtype)
    stop = len(out)
    while parts:
        part = parts.pop()
        out[stop - len(part) : stop] = part
        stop -= len(part)
    return out
