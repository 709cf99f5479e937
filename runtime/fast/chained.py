"""Chains as the engine uses them (see chain_region.py): what has been decoded as a sample for them, and their code in memory."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from .image import ChainCode
from .interface import MAX_DELAY
from .jit import CodeMemory, leave_behind

# Blocks of tokens that are kept as samples, how long each may be, and how many tokens have to be known before one.
BLOCKS, LONGEST, BEFORE = 64, 1 << 12, 16
# This environment variable says which there are: "0" none; "ready" those that were made before; "1" others too, made in the
# background; "now" others too, made while decoding waits; "always", for tests, also while the sequence is short.
SWITCH, DEFAULT, ALWAYS = "WASM2XFORMER_CHAINS", "1", "always"
# "always": tokens that one call decodes until there are chains, and then (what is due is made between two calls), blocks of the
# former, and situations at most.
SHORT, SHIFT, FEW, FAST = 24, 512, 3, 80
# Before that many tokens, nothing is done for chains: reading those that were made before takes as long as decoding these.
LEAST = 1 << 17
# Tokens before chains are made, and for each situation that is in them, so that making them does not take much longer than what
# has been decoded has. How often samples have to be in a situation.
FIRST, EACH, OFTEN = 1 << 24, 1 << 17, 8
# Chains that decode less than this part of the tokens cost more than they save: `special` takes longer where it is asked for a
# few tokens at a time. They are looked at after so many tokens, again and again.
PAYING, TRIAL = 0.6, 1 << 18
# After that many times the tokens, better ones are made than those that were made quickly, as the first ones are, or decode less
# than that part.
AGAIN, MUCH = 4, 0.97
ALL = 2**62

_DRIVE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, ctypes.c_int64, *[ctypes.c_void_p] * 3)


# The row at which the last of some tokens was read, these tokens, and those that followed.
Sample = tuple[int, Sequence[int], np.ndarray]


class Wanted(NamedTuple):
    """most: situations that are in chains. often: times that samples have to be in each. quick: whether they are made quickly.
    part: of the positions of samples that they have to be for."""

    most: int
    often: int
    quick: bool
    part: float = PAYING


class Samples:
    """Blocks of a sequence, evenly spread over it."""

    def __init__(self) -> None:
        self.kept: list[Sample] = []
        # One array of its own: small ones that stay, between large ones that go, make these cost more.
        self._room, self._free = np.empty((0, LONGEST), dtype=np.int32), list(range(BLOCKS))
        self._places: list[int] = []
        self._stride, self._seen = 1, 0
        self._before: list[int] = []

    def add(self, row: int, tokens: np.ndarray) -> None:
        """A block that was decoded behind the one before it, whose last token was read at that row."""
        if self._seen % self._stride == 0 and len(tokens):
            if len(self._before) < BEFORE:
                self._before += tokens[-MAX_DELAY - 1 :].tolist()
                return
            self._keep(row, tokens[:LONGEST])
        self._seen += 1
        self._before = tokens[-MAX_DELAY - 1 :].tolist() if self._seen % self._stride == 0 else []

    def first(self, count: int) -> int:
        """Of so many tokens that are decoded next, how many at first, so that there may be a sample of the rest."""
        missing = BEFORE - len(self._before)
        return min(count, missing) if missing > 0 and self._seen % self._stride == 0 else count

    def _keep(self, row: int, tokens: np.ndarray) -> None:
        if len(self._room) < BLOCKS:
            self._room = np.empty((BLOCKS, LONGEST), dtype=np.int32)
        place = self._free.pop()
        block = self._room[place, : len(tokens)]
        block[:] = tokens
        self.kept.append((row, self._before[-MAX_DELAY - 1 :], block))
        self._places.append(place)
        if len(self.kept) == BLOCKS:
            self._free += self._places[1::2]
            del self.kept[1::2], self._places[1::2]
            self._stride *= 2

    def copied(self) -> list[Sample]:
        """For another thread: blocks are written again when there are others."""
        return [(row, before, tokens.copy()) for row, before, tokens in self.kept]

    def interrupt(self) -> None:
        """What follows was not decoded behind what was added last."""
        self._before = []


class LoadedChains:
    """Object code in memory; called as `special` is, whose address `special` has. tokens: ids that they decode without a look at
    their flags."""

    def __init__(self, code: ChainCode):
        self.tokens, self.quick = code.tokens, code.quick
        self._memory = CodeMemory(code.code)
        self._drive = _DRIVE(self._memory.function("drive"))
        self._count = ctypes.c_int64.from_address(self._memory.variable("chained"))

    @property
    def decoded(self) -> int:
        """Tokens that chains have decoded so far: the others were left to `special`."""
        return self._count.value

    def behind(self, special: Any) -> Callable[..., int]:
        """A function with the arguments of `special`, for decoding."""
        address = ctypes.cast(special, ctypes.c_void_p).value
        return lambda state, tokens, count, out, flags, probe: self._drive(state, out, count, flags, probe, address)


def chains_always() -> bool:
    """Whether chains are wanted as soon as there can be any."""
    return os.environ.get(SWITCH, DEFAULT) == ALWAYS


class Chains:
    """The chains of one engine, as long as its sequence grows.

    make: for these samples. read: those that were made before. keep: for the next engine.
    """

    def __init__(
        self,
        make: Callable[[list[Sample], Wanted], ChainCode | None],
        read: Callable[[], ChainCode | None],
        keep: Callable[[ChainCode], None],
    ):
        self.samples = Samples()
        self._make, self._read, self._keep = make, read, keep
        switch = os.environ.get(SWITCH, DEFAULT)
        self._on, self._ready = switch != "0", switch == "ready"
        self.always, self._now = chains_always(), switch == "now"
        self._sought = self.always
        self._due = 0 if self.always else 2 * LEAST if self._now else FIRST
        self._before = self._tried = 0, 0  # tokens, and those of them by chains, when some were due last, and looked at
        self._thread: threading.Thread | None = None
        self._made: list[ChainCode] = []
        self._loaded: LoadedChains | None = None

    @property
    def most(self) -> int | None:
        """How many tokens one call may decode."""
        return (SHIFT if self._due else SHORT) if self.always else None

    @property
    def decoded(self) -> int:
        """Tokens, by those that are loaded."""
        return self._loaded.decoded if self._loaded is not None else 0

    @property
    def making(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def watching(self, position: int) -> bool:
        """Whether the sequence is so long that chains are worth a thought."""
        return self._on and (self.always or position >= LEAST)

    def usable(self, position: int, flags: np.ndarray) -> LoadedChains | None:
        """Chains for decoding with these flags by token id, if there are any. Makes new ones where it is time."""
        if not self._sought:
            self._sought = True
            self._add(self._read())
        if self._made:
            self._loaded = LoadedChains(self._made.pop())
            self._before = self._tried = position, 0
        elif self._loaded is not None and position >= self._tried[0] + TRIAL and not self.always:
            part, self._tried = self._part(position, self._tried), (position, self._loaded.decoded)
            self._loaded = self._loaded if part >= PAYING else None
        if position >= self._due and not self._ready and not self.making and len(self.samples.kept) >= self._needed():
            self._time(position)
        loaded = self._loaded
        return loaded if loaded is not None and not flags[loaded.tokens].any() else None

    def _needed(self) -> int:
        return FEW if self.always else 1

    def _time(self, position: int) -> None:
        """Some are due."""
        self._due = (AGAIN if not self.always else AGAIN**2) * max(position, 1)
        if self._loaded is not None and not self.always:
            part, self._before = self._part(position, self._before), (position, self._loaded.decoded)
            if position < AGAIN * FIRST and not self._now:  # of an earlier run
                self._due = AGAIN * FIRST
                return
            if part > MUCH and not self._loaded.quick:
                return
        if self.always:
            self._add(self._make(self.samples.kept, Wanted(min(position, FAST), 1, quick=True, part=0.0)))
        elif self._now:
            self.make()
        else:
            self._begin(Wanted(position // EACH, OFTEN, quick=position < AGAIN * FIRST))

    def _part(self, position: int, before: tuple[int, int]) -> float:
        """How much of the tokens since then chains have decoded."""
        since, by_chains = before
        return (self.decoded - by_chains) / max(1, position - since)

    def make(self) -> None:
        """Makes the best ones at once, for the samples that there are, and keeps them."""
        if self._on and self.samples.kept:
            self._finish(self.samples.kept, Wanted(ALL, OFTEN, quick=False))

    def _finish(self, samples: list[Sample], wanted: Wanted) -> None:
        code = self._make(samples, wanted)
        self._add(code)
        if code is not None:
            self._keep(code)

    def _begin(self, wanted: Wanted) -> None:
        """Makes them in a thread that nobody waits for."""
        samples = self.samples.copied()

        def work() -> None:
            with suppress(Exception):  # then there are none
                self._finish(samples, wanted)

        self._thread = thread = threading.Thread(target=work, name="chains", daemon=True)
        thread.start()
        atexit.register(lambda: leave_behind(thread) if thread.is_alive() else None)

    def _add(self, code: ChainCode | None) -> None:
        if code is not None:
            self._made.append(code)
