"""What is added to an instrumented module: the records, and the names and indices under which the host finds things."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....compiler.format.limits import HEAP_BYTES
from ....compiler.wasm.module import FuncType

# site: index into the list of sites. value: bits of the value, for a reference 0 (null) or 1, or what isa.Site says.
# address: of a store, the effective address; of a bulk operation, where the range starts (the value is its length); of
# memory.grow and table.grow, by how much they were to grow.
RECORD = np.dtype([("site", "<u4"), ("address", "<u4"), ("value", "<u8")])
LOG_PAGES = 16
LOG_BYTES = LOG_PAGES * 65536
# Behind the log, what has been written into an object.
KEPT_PAGES, MOST_KEPT_PAGES = 1, 1 + HEAP_BYTES // 65536

# Names of what is exported for the host.
PREFIX = "w2x:"
MODULE_NAME = PREFIX + "program"
LOG_MEMORY, HOST_TABLE, LOG_POINTER = PREFIX + "log", PREFIX + "host", PREFIX + "pointer"
FRAMES, STOPPED, INDIRECT = PREFIX + "frames", PREFIX + "stopped", PREFIX + "indirect"
MEMORY, TABLE, ENTRY, REFERENCE = PREFIX + "memory:", PREFIX + "table:", PREFIX + "entry:", PREFIX + "reference:"
GLOBAL, BITS = PREFIX + "global:", PREFIX + "bits:"
ACCEPTS = PREFIX + "accepts:"
START = PREFIX + "start"
OBJECTS_TABLE = PREFIX + "objects"
FLUSH_SLOT, BULK_SLOT = 0, 1
FLUSH_TYPE, BULK_TYPE = FuncType(), FuncType(("i32", "i32", "i32"))
MEMORY_SPACE = -1  # first argument of the bulk function: less the index of a memory; a table is its index
NOT_COMPILED = "not compiled"  # what stops a function that was left out


@dataclass(frozen=True)
class Added:
    """Indices of what is added to the module, see `instrument`."""

    memory: int
    table: int
    objects: int
    pointer: int
    frames: int
    stopped: int
    indirect: int
    log: int
    room: int
    flush_type: int
    bulk_type: int
