"""The oracle: wasmtime runs the original program, instrumented so that every step leaves a record to compare with."""

from .count import count_instructions
from .instrument import RECORD
from .plan import frame_deltas_of, oracle_for, sites_of
from .run import NULL, UNKNOWN, Oracle, OracleRun
from .wasi import NOTHING

__all__ = [
    "NOTHING",
    "NULL",
    "RECORD",
    "UNKNOWN",
    "Oracle",
    "OracleRun",
    "count_instructions",
    "frame_deltas_of",
    "oracle_for",
    "sites_of",
]
