"""What generated code and the engine that calls it agree on, and the limits of both."""

from __future__ import annotations

import numpy as np

from ...compiler.format.checkpoint import CheckpointError
from ...compiler.format.transformer import Transformer

# The state's `status`: 0, or why a call ended early. UNEXPECTED: a position is outside of what the analysis assumed;
# EXHAUSTED: no memory was left for a page of keys.
UNEXPECTED, EXHAUSTED = 1, 2
# The state's first fields: status, the next token, positions read, the probe's value, bytes that pages of keys may still take,
# the row by which the last position was split.
STATUS, NEXT, POSITIONS, PROBE, BUDGET, ROW = range(6)
# Bits of the flags of a token id: decoding ends behind it; it must not be processed by the function called.
STOP, FOREIGN = 1, 2
# The longest sequence: longer ones are refused, and integer ranges are computed with it. A position fits 32 bits.
MAX_POSITION = 2**32 - 1
# Keys of a keyed store are integers in [-KEY_LIMIT, KEY_LIMIT).
KEY_LIMIT = 2**27
# Those of an exact store, where no nearest key is searched, in [-EXACT_LIMIT, EXACT_LIMIT).
EXACT_LIMIT = 2**32
# Integers in generated code have 64 bits; numbers that are provably below this are integers there.
INTEGER_LIMIT = 2.0**62
# Those that are provably below this have 128 bits.
WIDE_LIMIT = 2.0**126
# Integers below this are doubles without rounding.
EXACT = 2.0**53
# Numbers that may be larger are refused: a sum of 2^32 of them is still a double.
LARGEST = 2.0**900
# Stores by key: each takes half a MiB of addresses, and memory only for what is written.
MAX_KEYED = 1024
# Those of them with wider keys: 16 MiB of addresses each.
MAX_WIDE = 16
# Positions back that a head may look without a search. More are found by their number, like any key.
MAX_DELAY = 64


# What may come of a checkpoint with B bytes of tensors, as a + B * b: instructions of generated code, bytes of constant tables
# in the state, bytes of tables by token or row during the analysis, and bytes of keys that the prefix may leave.
INSTRUCTIONS: tuple[int, float] = (2**16, 1 / 256)
TABLE_BYTES: tuple[int, float] = (2**24, 8)
ANALYSIS_BYTES = (2**26, 32)
PREFIX_BYTES = (2**26, 64)


class Refused(CheckpointError):
    """The fast engine does not run this checkpoint; the message says why and what to do."""

    def __init__(self, why: str):
        self.why = why
        super().__init__(
            f"the fast engine refuses this checkpoint: {why}; the torch engine (--engine torch) has no such limit"
        )


class Room:
    """How much of something may still be made: `take` refuses what would be more. allowed: one of the pairs above."""

    def __init__(self, what: str, allowed: tuple[int, float], size: int):
        self.what, self.most = what, int(allowed[0] + allowed[1] * size)
        self.taken = 0

    def take(self, count: int) -> None:
        self.taken += count
        if self.taken > self.most:
            raise Refused(
                f"it would take more than {self.most:,} {self.what}, which is the most for a file of its size"
            )


def tensors(model: Transformer) -> list[np.ndarray]:
    """All weights; of sparse matrices, their parts."""
    result = [*model.embed.parts, model.positions, *model.unembed.parts]
    for layer in model.layers:
        result += [layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down]
    return result


def size(model: Transformer) -> int:
    """Bytes of all weights and of the prefix, as they are in memory."""
    return model.prefix.nbytes + sum(tensor.nbytes for tensor in tensors(model))
