"""Chains as the engine uses them (see chain_region.py): when there are some, and when others are made."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from .image import ChainCode
from .jit import leave_behind
from .loaded_chains import LoadedChains, Shared
from .samples import Sample, Samples

# This environment variable says which there are: "0" none; "ready" those that were made before; "1" others too, made in the
# background; "now" others too, made while decoding waits; "always", for tests, also while the sequence is short.
SWITCH, DEFAULT, ALWAYS = "WASM2XFORMER_CHAINS", "1", "always"
# "always": tokens that one call decodes until there are chains, and then (what is due is made between two calls), blocks of the
# former, and situations at most.
SHORT, SHIFT, FEW, FAST = 24, 512, 3, 80
# Before that many tokens of all engines of a program in this process, nothing is done for chains: reading those that were made
# before takes as long as decoding these. In a sequence that is shorter than that, nothing is asked about them.
LEAST, EARLY = 1 << 17, 1 << 11
# Tokens, of all these engines, before chains are made, and for each situation that is in them, so that making them does not take
# much longer than what has been decoded has. How often samples have to be in a situation.
FIRST, EACH, OFTEN = 1 << 24, 1 << 17, 8
# The same where they are asked for and samples are short: what is done once in a call is a part of it.
FEW_TIMES = 2
# Chains that decode less than this part of the tokens cost more than they save: `special` takes longer where it is asked for a
# few tokens at a time. They are looked at after so many tokens, again and again.
PAYING, TRIAL = 0.6, 1 << 18
# Tokens that samples have to have, or half of those of the longest sequence of a program so far.
SAMPLED = 1 << 14
# After that many times the tokens, better ones are made than those that were made quickly, as the first ones are, or decode less
# than that part.
AGAIN, MUCH = 4, 0.97
ALL = 2**62


class Wanted(NamedTuple):
    """most: situations that are in chains. often: times that samples have to be in each. quick: whether they are made quickly.
    part: of the positions of samples that they have to be for."""

    most: int
    often: int
    quick: bool
    part: float = PAYING


def chains_always() -> bool:
    """Whether chains are wanted as soon as there can be any."""
    return os.environ.get(SWITCH, DEFAULT) == ALWAYS


class Chains:
    """The chains of one engine, as long as its sequence grows.

    make: for these samples. read: those that were made before. keep: for the next process. shared: with other engines of the
    program. position: tokens of the sequence before the first one that is decoded. before: how many tokens have to be known
    in front of a sample. look: called before `make` is, by who holds the state.
    """

    def __init__(
        self,
        make: Callable[[list[Sample], Wanted], ChainCode | None],
        read: Callable[[], ChainCode | None],
        keep: Callable[[ChainCode], None],
        shared: Shared | None = None,
        position: int = 0,
        before: int = 1,
        look: Callable[[], None] = lambda: None,
    ):
        self.samples = Samples(before)
        self._make, self._read, self._keep, self._look = make, read, keep, look
        switch = os.environ.get(SWITCH, DEFAULT)
        self._on, self._ready = switch != "0", switch == "ready"
        self.always, self._now = chains_always(), switch == "now"
        # What was made for tests that begin at once is nothing that others want.
        self.shared = Shared() if shared is None or self.always else shared
        if self.shared.due is None:
            self.shared.due = 0 if self.always else 2 * LEAST if self._now else FIRST
        self._count = ctypes.c_int64()
        self._wanted = False  # whether somebody wants those that are best for this sequence, however short it is
        self._first = position
        self._told = position, 0  # tokens, and those of them by chains, that `shared` knows of
        self._tried = 0, 0  # the same when chains were looked at last
        self._found: LoadedChains | None = None  # those that were shared last
        self._loaded: LoadedChains | None = None  # the same, unless they were put away
        self._clear: tuple[np.ndarray, LoadedChains, bool] | None = None
        # The same, with `special` and a function.
        self._driving: tuple[LoadedChains, np.ndarray, Any, Callable[..., int]] | None = None

    @property
    def most(self) -> int | None:
        """How many tokens one call may decode."""
        return (SHIFT if self.shared.due else SHORT) if self.always else None

    @property
    def decoded(self) -> int:
        """Tokens of this sequence that chains have decoded."""
        return self._count.value

    @property
    def making(self) -> bool:
        return self.shared.making

    @property
    def sampling(self) -> bool:
        """Whether what is decoded next may become a sample. In a short sequence it need not where those that are there decode
        most of what comes since they are: nobody makes others for it."""
        shared = self.shared
        if self._loaded is None or self.always or self._told[0] - self._first >= SAMPLED:
            return True
        return _part((shared.tokens, shared.by_chains), shared.since) < PAYING

    @property
    def there(self) -> bool:
        """Whether there are some in memory."""
        return self._on and self.shared.loaded is not None and not self.always

    def watching(self, position: int) -> bool:
        """Whether chains are worth a thought."""
        if not self._on:
            return False
        return self.always or self._wanted or self._among_many(position) or self.shared.loaded is not None

    def _among_many(self, position: int) -> bool:
        """Whether this sequence is long enough, or all of the program's are."""
        return position >= EARLY or self.shared.tokens >= LEAST

    def until(self, end: int, watching: bool) -> tuple[int, int]:
        """From which position on, before `end`, and from how many tokens of all engines on, to look again whether chains are to
        be used or made, and whether there is need for samples."""
        shared = self.shared
        if not self._on:
            return end, ALL
        if not watching:
            return min(end, EARLY), LEAST
        if self._loaded is not None:
            end = min(end, self._tried[0] + TRIAL)
        due = ALL if shared.due is None or self._ready else shared.due
        return end, min(due, ALL if shared.sought else LEAST, shared.tokens + SAMPLED)

    @property
    def counter(self) -> int:
        """The address of the number of tokens that chains have decoded."""
        return ctypes.addressof(self._count)

    def behind(self, special: Any, position: int, flags: np.ndarray) -> Callable[..., int] | None:
        """A function for decoding with these flags by token id, with the arguments of `special`, if there are chains that can be
        used. Makes new ones where it is time."""
        shared, driving = self.shared, self._driving
        if driving is not None and driving[1] is flags and driving[2] is special and driving[0] is self._loaded is shared.loaded:
            due = shared.due is not None and shared.tokens >= shared.due and not self._ready
            if not (shared.made or due or position >= self._tried[0] + TRIAL or self.always):
                return driving[3]
        loaded = self.usable(position, flags)
        if loaded is None:
            return None
        self._driving = loaded, flags, special, loaded.behind(special, self._count)
        return self._driving[3]

    def usable(self, position: int, flags: np.ndarray) -> LoadedChains | None:
        self.tell(position)
        if self.always or self.shared.tokens >= LEAST:
            self._seek()
        self._load()
        if self._loaded is not None and position >= self._tried[0] + TRIAL and not self.always:
            part, self._tried = _part(self._told, self._tried), self._told
            self._loaded = self._loaded if part >= PAYING else None
        tokens, due = self.shared.tokens, self.shared.due
        if due is not None and tokens >= due and not self._ready and not self.making and self._sampled():
            self._time(tokens)
            self._load()
        return self._loaded if self._loaded is not None and self._passes(flags, self._loaded) else None

    def tell(self, position: int) -> None:
        """What has been decoded since the last time counts for all engines of the program. position: tokens of the sequence."""
        before, self._told = self._told, (position, self.decoded)
        self.shared.tokens += self._told[0] - before[0]
        self.shared.by_chains += self._told[1] - before[1]

        self.shared.sampled = max(self.shared.sampled, self.samples.size)

    def _sampled(self) -> bool:
        """Whether there are samples enough."""
        if self.always:
            return len(self.samples.kept) >= FEW
        return bool(self.samples.kept) and self.samples.size >= min(SAMPLED, self.shared.sampled / 2)

    def _seek(self) -> None:
        """Those that were made before, once in a process."""
        if not self.shared.sought:
            self.shared.sought = True
            self._add(self._read())

    def _load(self) -> None:
        self.shared.load()
        if self._found is not self.shared.loaded:
            self._found = self._loaded = self.shared.loaded
            self._tried = self._told

    def _passes(self, flags: np.ndarray, loaded: LoadedChains) -> bool:
        """Whether none of the tokens of chains has a flag."""
        if self._clear is None or self._clear[0] is not flags or self._clear[1] is not loaded:
            self._clear = flags, loaded, not flags[loaded.tokens].any()
        return self._clear[2]

    def _time(self, tokens: int) -> None:
        """Some are due."""
        shared = self.shared
        shared.due = (AGAIN if not self.always else AGAIN**2) * max(tokens, 1)
        if shared.loaded is not None and not self.always:
            part = _part((tokens, shared.by_chains), shared.since)
            shared.since = tokens, shared.by_chains
            if tokens < AGAIN * FIRST and not self._now:  # of an earlier run
                shared.due = AGAIN * FIRST
                return
            if part > MUCH and not shared.loaded.quick:
                return
        self._look()
        if self.always:
            self._add(self._make(self.samples.kept, Wanted(min(tokens, FAST), 1, quick=True, part=0.0)))
        elif self._now:
            self._finish(self.samples.kept, Wanted(ALL, OFTEN, quick=False))
        else:
            self._begin(Wanted(tokens // EACH, OFTEN, quick=tokens < AGAIN * FIRST))

    def improve(self) -> None:
        """Makes the best ones at once, for the samples that there are, and keeps them, unless those that there are have decoded
        nearly all of this sequence; without samples, takes those that were made before. What is decoded from now on becomes
        samples from the first token on."""
        if not self._on:
            return
        self._wanted = True
        loaded = self.shared.loaded
        best = loaded is not None and not loaded.quick and _part(self._told, (self._first, 0)) > MUCH
        if self.samples.kept and not best:
            self._look()
            often = OFTEN if self.samples.size >= LEAST else min(OFTEN, FEW_TIMES)
            self._finish(self.samples.kept, Wanted(ALL, often, quick=False))
        elif not self.samples.kept:
            self._seek()
        self._load()

    def _finish(self, samples: list[Sample], wanted: Wanted) -> None:
        best = self.shared.best
        code = self._make(samples, wanted)
        if wanted.quick and self.shared.best != best:  # somebody has made better ones meanwhile
            return
        self.shared.best += not wanted.quick and code is not None
        self._add(code)
        if code is not None:
            self._keep(code)

    def _begin(self, wanted: Wanted) -> None:
        """Makes them in a thread that nobody waits for."""
        samples = self.samples.copied()

        def work() -> None:
            with suppress(Exception):  # then there are none
                self._finish(samples, wanted)

        self.shared.thread = thread = threading.Thread(target=work, name="chains", daemon=True)
        thread.start()
        atexit.register(lambda: leave_behind(thread) if thread.is_alive() else None)

    def _add(self, code: ChainCode | None) -> None:
        if code is not None:
            self.shared.made.append(code)
            self.shared.changes += 1


def _part(now: tuple[int, int], before: tuple[int, int]) -> float:
    """How much of the tokens since then chains have decoded. Each: tokens, and those of them by chains."""
    return (now[1] - before[1]) / max(1, now[0] - before[0])
