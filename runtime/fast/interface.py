"""What generated code and the engine that calls it agree on, and the limits of both."""

from ...compiler.format.checkpoint import CheckpointError

# The state's `status`: 0, or why a call ended early. UNEXPECTED: a position is outside of what the analysis assumed;
# EXHAUSTED: no memory was left for a page of keys.
UNEXPECTED, EXHAUSTED = 1, 2
# Bits of the flags of a token id: decoding ends behind it; it must not be processed by the function called.
STOP, FOREIGN = 1, 2
# The longest sequence: longer ones are refused, and integer ranges are computed with it. A position fits 32 bits.
MAX_POSITION = 2**32 - 1
# Keys of a keyed store are integers in [-KEY_LIMIT, KEY_LIMIT).
KEY_LIMIT = 2**27
# Integers in generated code have 64 bits; numbers that are provably below this are integers there.
INTEGER_LIMIT = 2.0**62
# Integers below this are doubles without rounding.
EXACT = 2.0**53
# Numbers that may be larger are refused: a sum of 2^32 of them is still a double.
LARGEST = 2.0**900
# Positions back that a head may look without a search. More are found by their number, like any key.
MAX_DELAY = 64


class Refused(CheckpointError):
    """The fast engine does not run this checkpoint; the message says why and what to do."""

    def __init__(self, why: str):
        super().__init__(
            f"the fast engine refuses this checkpoint: {why}; the torch engine (--engine torch) has no such limit"
        )
