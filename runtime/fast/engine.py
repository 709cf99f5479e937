"""The engine: generated code, its state in memory, and what happens when an assumption does not hold."""

from __future__ import annotations

import os
from contextlib import suppress
from time import perf_counter

import numpy as np

from ...compiler.format.certificate import uniform_tokens
from ...compiler.format.errors import EnvelopeError, past_certificate
from ...compiler.format.transformer import Transformer
from .cache import keep, keep_chains, kept_chains, load_or_compile
from .certified import require
from .chained import Chains, Sample, Wanted, chains_always
from .image import UNLIMITED, ChainCode, CompiledModel, Image, StateMemory
from .interface import EXHAUSTED, FOREIGN, PREFIX_BYTES, ROW, STOP, UNEXPECTED, Refused, Room, size
from .jit import Loaded, compile_object
from .loaded_chains import shared

# Tokens that one call of generated code reads or decodes: few at first, then as many as take about that many seconds. Nothing
# interrupts a call.
FIRST_CHUNK, LAST_CHUNK, CHUNK_SECONDS, MORE = 1 << 8, 1 << 16, 0.1, 16
# Code that was made quickly is made once more after so many tokens for each byte of its text: by then, what it has lost is about
# a quarter of what that takes.
PATIENCE = 16
# While chains are made in another thread, calls are longer: after each, this one may wait 5 ms for the interpreter.
BUSY_CHUNK = 1 << 20
# Tokens in one array, written in place. From 4 MiB on numpy asks for large pages, which the system may take long to make.
PART = 1 << 19
# So many tokens behind the prefix are kept, so that they can be read again when an assumption turns out wrong.
HISTORY = 1 << 17
# A sequence with fewer tokens behind the prefix is done with code that is made in a fifth of the time, and takes 20 ms longer for
# them, with circuits for floats 70. This environment variable, "whole", is for who wants the other code at once: tests, for one.
SOON, SWITCH, WHOLE = 1 << 15, "WASM2XFORMER_CODE", "whole"
_NOTHING = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.uint8)


class Unfollowed(NotImplementedError):
    """A lookup stopped being what it was taken for, and the checkpoint cannot be read otherwise, or not that far back.

    tokens: what was read and decoded behind the prefix, in parts, where it is known. probed: how many values of the probe nobody
    has taken.
    """

    def __init__(self, tokens: list[np.ndarray] | None, probed: int = 0):
        what = "a lookup or the size of a number of this checkpoint"
        super().__init__(f"the fast engine cannot follow {what}; try the torch engine")
        self.tokens, self.probed = tokens, probed


def _fixed(array: np.ndarray) -> bool:
    """Nobody writes to it: it is read-only, and no view of one that may be written to."""
    return isinstance(array, np.ndarray) and array.base is None and not array.flags.writeable


class _Unexpected(Exception):
    """Generated code came upon something that the analysis had ruled out."""


class FastEngine:
    """Engine (see runtime/engine.py) that compiles a checkpoint to machine code, with hard attention where that is exact.

    model: any Transformer. probe: name of a probe whose values are collected, one array per block read, in `probed`.
    Raises CheckpointError for a certificate that promises more than the tensors keep, EnvelopeError past it or at 2^32 tokens
    (2^24 where positions are counted, not an input), MemoryError, and Unfollowed, a NotImplementedError, where a lookup stops
    being what it was taken for, and the sequence is longer than HISTORY or the checkpoint cannot be read otherwise.
    """

    def __init__(self, model: Transformer, probe: str | None = None):
        self.model = model
        self._envelope = model.envelope
        # The last tokens to stop at, as flags; and these with those of an image, the same.
        self._stops = np.zeros(len(model.embed), dtype=np.uint8)
        self._asked: np.ndarray | None = None  # what they were made from, where nobody can have changed it since
        self._flagged: tuple[np.ndarray, Image, np.ndarray] | None = None
        self._probe = probe
        self._history: list[np.ndarray] | None = None
        self._chunk = FIRST_CHUNK
        self.probed: list[np.ndarray] = []
        brief = probe is None and os.environ.get(SWITCH) != WHOLE and not chains_always()
        self._start(load_or_compile(self.model, probe, True, brief), trusting=True)

    def _start(self, program: CompiledModel, trusting: bool) -> None:
        """From the beginning: compiled code, empty state, the prefix."""
        prefix = self._checked(self.model.prefix)
        self._program, self._briefly = program, program.brief
        self._image, self._trusting = self._program.image, trusting
        if trusting:  # code that trusts nothing takes lookups as softmax that the first analysis knew
            require(self.model, self._image.exact_for, self._image.exact_by)
        self._code = Loaded(self._program.code)
        self._chains = self._no_chains_yet(self._program.name)
        self._state = StateMemory(self._image)
        self.position, self._settled, self._running = 0, False, False
        self._generally = False  # whether `special` is not to be used
        self._history, self.probed = None, []
        room = Room("", PREFIX_BYTES, size(self.model))
        self._state.budget = room.most
        try:
            self._read(prefix)
            self._state.budget = UNLIMITED
        except MemoryError:
            if self._state.field("status") != EXHAUSTED:
                raise
            raise Refused(f"the keys of its prefix take more than {room.most:,} bytes") from None
        except _Unexpected:
            if not trusting:
                raise Unfollowed(None) from None
            self._start(self._distrustful(), trusting=False)
        self._history = []

    def _distrustful(self) -> CompiledModel:
        return load_or_compile(self.model, self._probe, trusting=False)

    def _remember(self, tokens: np.ndarray) -> None:
        if self._history is not None:
            self._history.append(tokens.copy())
            if self.behind > HISTORY:
                self._history = None

    def _distrust(self, entirely: bool = False) -> None:
        """Starts over, and reads what has been read: with `general` alone where `special` may have been what had to give up,
        unless `entirely`, and otherwise with code that assumes nothing."""
        history, known = self._history, sum(map(len, self.probed))
        if history is None or not self._trusting:
            raise Unfollowed(history, known)
        if self._settled and not entirely:  # `special` was in use, so it has not been tried without
            with suppress(_Unexpected):
                self._again(self._program, True, history)
                self.probed = [np.concatenate(self.probed)[-known:]] if known else []
                return
        try:
            self._again(self._distrustful(), False, history)
        except (_Unexpected, Refused):
            raise Unfollowed(history, known) from None
        # What has been taken out of `probed` by now stays out.
        self.probed = [np.concatenate(self.probed)[-known:]] if known else []

    def _again(self, program: CompiledModel, generally: bool, history: list[np.ndarray]) -> None:
        """From the beginning, and all tokens that have been read. generally: without `special`, and with the same trust."""
        self._start(program, generally)
        self._generally = generally and self._trusting
        for tokens in history:
            self._read(tokens)

    @property
    def behind(self) -> int:
        """Tokens behind the prefix."""
        return self.position - len(self.model.prefix)

    def _complete(self) -> None:
        """No longer brief: code for long sequences, in a state of its own, which reads what has been read."""
        history = self._history
        assert history is not None  # SOON is less than HISTORY
        try:
            program = load_or_compile(self.model, self._probe, self._trusting)
        except Refused:  # as it is, it goes on
            self._briefly = False
            return
        self._start(program, self._trusting)
        try:
            for tokens in history:
                self._read(tokens)
        except _Unexpected:
            self._history = history
            self._distrust()

    def _run(self, run, tokens: np.ndarray | None, count: int, out: np.ndarray, flags: np.ndarray) -> int:
        if self._envelope:
            self._check_certificate(self.position + count)
        if self.position + count > self._image.last:
            raise EnvelopeError(f"the fast engine ends at {self._image.last:,} tokens of this checkpoint")
        if self._running:
            raise RuntimeError("this engine was interrupted while it read or decoded tokens: make a new one")
        self._running = True
        self._state.reserve(self.position + count)
        values = np.zeros(count) if self._probe else None
        started = perf_counter()
        done = run(
            self._state.address,
            tokens.ctypes.data if tokens is not None else None,
            count,
            out.ctypes.data,
            flags.ctypes.data,
            values.ctypes.data if values is not None else None,
        )
        self._pace(count, perf_counter() - started)
        self.position += done
        self._remember((out if tokens is None else tokens)[:done])
        if values is not None:
            self.probed.append(values[:done])
        status = self._state.field("status")
        self._running = False
        if status == EXHAUSTED:
            raise MemoryError("no memory left for the key index")
        if status == UNEXPECTED:
            raise _Unexpected
        return done

    def improve(self) -> None:
        """Makes the code as fast as it gets, if it was made quickly, and chains for what has been decoded; its state stays. A
        long sequence comes to that by itself."""
        if self._briefly:
            self._complete()
        self._optimise()
        self._chains.improve()

    def _optimise(self) -> None:
        text, image = self._program.text, self._image
        if text:
            self._program = CompiledModel(compile_object(text), image, name=self._program.name, brief=self._program.brief)
            self._code = Loaded(self._program.code)
            keep(self._program)

    @property
    def trusted(self) -> bool:
        """Whether all that has been assumed has held so far."""
        return self._trusting and not self._generally

    @property
    def by_chains(self) -> int:
        """Tokens that chains have decoded."""
        return self._chains.decoded

    def _no_chains_yet(self, name: str) -> Chains:
        """name: of the program in the cache."""
        model, probe, trusting = self.model, self._probe, self._trusting  # the thread that makes them does not hold the state

        def make(samples: list[Sample], wanted: Wanted) -> ChainCode | None:
            from .chains import compile_chains  # not needed, and not loaded, when the cache has them

            return compile_chains(model, probe, trusting, samples, wanted)

        read, write = lambda: kept_chains(name), lambda chains: keep_chains(name, chains)
        return Chains(make, read, write, shared(name), len(model.prefix))

    def _check_certificate(self, tokens: int) -> None:
        """A model that claims to be exact up to some length is held to it, and to running sums that, rounded as in the dense
        model, are off by less than 1/4."""
        largest = max((abs(self._state.sum(at, unit)) for at, unit in self._image.sums), default=0.0)
        allowed = min(self._envelope, uniform_tokens(largest))
        if tokens > allowed:
            raise past_certificate(tokens, self.model.certificate, allowed)

    def _pace(self, count: int, seconds: float) -> None:
        """How many tokens the next call is for."""
        if seconds > CHUNK_SECONDS:
            self._chunk = max(1, int(count * CHUNK_SECONDS / seconds))
        elif seconds < CHUNK_SECONDS / 2 and count == self._chunk:
            self._chunk = min((MORE if seconds < CHUNK_SECONDS / MORE / 2 else 2) * self._chunk, self._longest)

    @property
    def _longest(self) -> int:
        """Tokens that one call decodes at most."""
        return BUSY_CHUNK if self._chains.making else LAST_CHUNK

    def append(self, tokens: np.ndarray) -> None:
        """Reads a prompt: int [k] token ids."""
        tokens = self._checked(tokens)
        if self._briefly and self.behind + len(tokens) > SOON:
            self._complete()
        if self._trusting and any(np.count_nonzero(tokens == floor) for floor in self._image.floors):
            self._distrust(entirely=True)
        while len(tokens):
            before = self.position
            try:
                self._read(tokens)
                break
            except _Unexpected:
                tokens = tokens[self.position - before :]
                self._distrust()

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        """As int32; generated code reads tables by token id."""
        given = np.asarray(tokens)
        if len(given) and not (given.min() >= 0 and given.max() < len(self.model.embed)):
            raise ValueError("token id outside the vocabulary")
        return np.ascontiguousarray(given, dtype=np.int32)

    def _read(self, tokens: np.ndarray) -> None:
        self._chains.samples.interrupt()
        done = 0
        while done < len(tokens):
            part = tokens[done : done + self._chunk]
            done += self._run(self._code.read, part, len(part), *_NOTHING)

    def total(self, table: np.ndarray, tokens: np.ndarray) -> int:
        """The sum of table[token] over the tokens: int64 [V], int32 [n]. In a quarter of numpy's time."""
        table, tokens = np.ascontiguousarray(table, dtype=np.int64), np.ascontiguousarray(tokens, dtype=np.int32)
        found = self._code.total(tokens.ctypes.data, len(tokens), table.ctypes.data, len(table))
        if found == -(2**63):
            raise ValueError("token id outside the table")
        return found

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray:
        """Emits tokens until one with stop[token], at most `limit`; int32 [m]."""
        if np.shape(stop) != (len(self.model.embed),):
            raise ValueError("`stop` has one entry per token id")
        if stop is not self._asked:
            if not np.array_equal(self._stops != 0, stop):
                self._stops = np.where(np.asarray(stop, dtype=bool), STOP, 0).astype(np.uint8)
            self._asked = stop if _fixed(stop) else None
        stops = self._stops
        parts: list[np.ndarray] = []
        total, ended = 0, False
        while total < limit and not ended:
            out = np.empty(min(limit - total, PART), dtype=np.int32)
            done, ended = self._fill(stops, out)
            parts.append(out[:done] if 2 * done >= len(out) else out[:done].copy())
            total += done
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=np.int32), *parts])

    def _flags(self, stops: np.ndarray) -> np.ndarray:
        """uint8 by token: STOP, and FOREIGN where `special` cannot go on."""
        if self._flagged is None or self._flagged[0] is not stops or self._flagged[1] is not self._image:
            flags = stops.copy()
            flags[self._image.decodable :] |= FOREIGN
            self._flagged = stops, self._image, flags
        return self._flagged[2]

    def _fill(self, stops: np.ndarray, out: np.ndarray) -> tuple[int, bool]:
        """Emits tokens into `out`: how many, and whether the last one is to stop at."""
        done = 0
        while done < len(out):
            before, room = self.position, out[done:]
            try:
                self._decode(stops, min(len(room), self._chains.most or self._chunk), room)
                count = self.position - before
            except _Unexpected:
                count = self.position - before
                self._distrust()
            done += count
            if count and stops[out[done - 1]]:
                return done, True
        return done, False

    def _decode(self, stops: np.ndarray, count: int, out: np.ndarray) -> None:
        if self._briefly and self.behind >= SOON:
            self._complete()
        if self._briefly:
            count = min(count, SOON - self.behind)
        elif self.position - self._chains.decoded > PATIENCE * len(self._program.text):
            self._optimise()
        flags = self._flags(stops)
        if self._generally:
            self._run(self._code.general, None, count, out, stops)
            return
        self._settled = self._settled or (self.position >= self._image.settled and self._state.registers_filled())
        if not self._settled or flags[self._state.field("next")] & FOREIGN:
            self._chains.samples.interrupt()
            self._run(self._code.general, None, 1, out, stops)
            return
        if self._program.brief or not self._chains.watching(self.position):
            self._run(self._code.special, None, count, out, flags)
            return
        count = self._chains.samples.first(count)
        chains, row = self._chains.behind(self._code.special, self.position, flags), int(self._state.words[ROW])
        done = self._run(chains or self._code.special, None, count, out, flags)
        self._chains.tell(self.position)
        stopped = done and flags[out[done - 1]]  # chains cannot go on behind a token that has a flag
        self._chains.samples.add(row, out[: done - 1 if stopped else done])
