"""The oracle: wasmtime runs the original program, instrumented so that every step leaves a record to compare with."""

from .count import count_instructions
from .observed import REFERENCE_BITS, as_record
from .plan import frame_deltas_of, oracle_for
from .record import RECORD
from .run import NULL, STILL_RUNNING, UNKNOWN, Bound, Oracle, OracleRun
from .sites import FoldedCounts, Recorded, records_of
from .wasi import NOTHING

__all__ = [
    "NOTHING",
    "NULL",
    "RECORD",
    "REFERENCE_BITS",
    "STILL_RUNNING",
    "UNKNOWN",
    "Bound",
    "FoldedCounts",
    "Oracle",
    "OracleRun",
    "Recorded",
    "as_record",
    "count_instructions",
    "frame_deltas_of",
    "oracle_for",
    "records_of",
]
