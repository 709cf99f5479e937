"""What generated code and the engine that calls it agree on."""

# The state's `status`: 0, or why a call ended early. UNEXPECTED: a position is outside of what the analysis assumed;
# EXHAUSTED: calloc failed.
UNEXPECTED, EXHAUSTED = 1, 2
# Bits of the flags of a token id: decoding ends behind it; it must not be processed by the function called.
STOP, FOREIGN = 1, 2
# The longest sequence: longer ones are refused, and integer ranges are computed with it. A position fits 32 bits.
MAX_POSITION = 2**32 - 1
# Keys of a keyed store are integers in [-KEY_LIMIT, KEY_LIMIT).
KEY_LIMIT = 2**27
# Integers in generated code have 64 bits; numbers that are provably below this are integers there.
INTEGER_LIMIT = 2.0**62
