"""What stays the same from one short call to the next (see `FastEngine.respond`)."""

from __future__ import annotations

from ctypes import addressof
from typing import Any

import numpy as np

from .loaded_chains import Shared
from .whole_call import WholeCall


class Ready:
    """stop, table: the caller's. call: what generated code is given, at `address`. sampling: whether what is decoded may become a
    sample for chains. kept: what `call` has addresses of.

    All is looked at again from a sequence of `until` tokens on; and when `shared` has `tokens` or `changes` is another number
    there. These three: chains.
    """

    def __init__(
        self, stop: np.ndarray, table: np.ndarray, call: WholeCall, until: int, chains: tuple[Shared, int, int], sampling: bool,
        kept: Any,
    ):  # fmt: skip
        self.stop, self.table, self.call, self.address = stop, table, call, addressof(call)
        self.until, (self.shared, self.changes, self.tokens) = until, chains
        self.sampling, self._kept = sampling, kept
