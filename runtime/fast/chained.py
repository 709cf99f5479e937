"""Chains as the engine uses them (see chain_region.py): what has been decoded as a sample for them, and their code in memory."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .image import ChainCode
from .interface import MAX_DELAY
from .jit import code_engine, leave_behind

# Blocks of tokens that are kept as samples, and how long each may be.
BLOCKS, LONGEST = 16, 1 << 14
# There are none unless this environment variable is 1.
SWITCH = "WASM2XFORMER_CHAINS"

_DRIVE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, ctypes.c_int64, *[ctypes.c_void_p] * 3)


# The row at which the last of some tokens was read, these tokens, and those that followed.
Sample = tuple[int, Sequence[int], np.ndarray]


class Samples:
    """Blocks of a sequence, evenly spread over it."""

    def __init__(self) -> None:
        self.kept: list[Sample] = []
        self._stride, self._seen = 1, 0
        self._before: list[int] = []

    def add(self, row: int, tokens: np.ndarray) -> None:
        """A block that was decoded behind the one before it, whose last token was read at that row."""
        if len(self._before) == MAX_DELAY + 1 and len(tokens):
            if self._seen % self._stride == 0:
                self.kept.append((row, self._before, tokens[:LONGEST].copy()))
            self._seen += 1
            if len(self.kept) == BLOCKS:
                del self.kept[1::2]
                self._stride *= 2
        self._before = (self._before + tokens[-MAX_DELAY - 1 :].tolist())[-MAX_DELAY - 1 :]

    def interrupt(self) -> None:
        """What follows was not decoded behind what was added last."""
        self._before = []


class LoadedChains:
    """Object code in memory; called as `special` is, whose address `special` has."""

    def __init__(self, code: ChainCode):
        self.tokens = code.tokens
        self._engine = code_engine(code.code)
        self._drive = _DRIVE(self._engine.get_function_address("drive"))

    def behind(self, special: Any) -> Callable[..., int]:
        """A function with the arguments of `special`, for decoding."""
        address = ctypes.cast(special, ctypes.c_void_p).value
        return lambda state, tokens, count, out, flags, probe: self._drive(state, out, count, flags, probe, address)


class Chains:
    """The chains of one engine: `begin` makes them in the background, `make` at once. code: those that were made before."""

    def __init__(self, code: ChainCode | None, make: Callable[[list[Sample]], ChainCode | None]):
        self.samples = Samples()
        self._make, self._tried = make, False
        self._loaded: LoadedChains | None = None
        self.on = os.environ.get(SWITCH) == "1"
        self._made: list[ChainCode] = [code] if code is not None and self.on else []

    def usable(self, flags: np.ndarray) -> LoadedChains | None:
        """Chains for decoding with these flags by token id, if there are any."""
        if self._made:
            self._loaded = LoadedChains(self._made.pop())
            self._tried = True
        loaded = self._loaded
        return loaded if loaded is not None and not flags[loaded.tokens].any() else None

    @property
    def missing(self) -> bool:
        """Whether it makes sense to make them."""
        return self.on and not (self._tried or self._made) and bool(self.samples.kept)

    def begin(self) -> None:
        """Makes them in a thread that nobody waits for."""
        self._tried = True
        samples = list(self.samples.kept)

        def work() -> None:
            with suppress(Exception):  # then there are none
                self._add(self._make(samples))

        thread = threading.Thread(target=work, name="chains", daemon=True)
        thread.start()
        atexit.register(lambda: leave_behind(thread) if thread.is_alive() else None)

    def make(self) -> None:
        self._tried = True
        self._add(self._make(list(self.samples.kept)))

    def _add(self, code: ChainCode | None) -> None:
        if code is not None:
            self._made.append(code)
