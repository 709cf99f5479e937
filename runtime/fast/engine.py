"""The engine: generated code, its state in memory, and what happens when an assumption does not hold."""

from __future__ import annotations

import os
import weakref
from array import array
from collections.abc import Callable
from contextlib import suppress
from ctypes import c_void_p, cast
from time import perf_counter

import numpy as np

from ...compiler.format.certificate import uniform_tokens
from ...compiler.format.errors import EnvelopeError, past_certificate
from ...compiler.format.transformer import Transformer
from .cache import keep, keep_chains, kept_chains, load_or_compile
from .certified import require
from .chained import Chains, Wanted, chains_always
from .image import UNLIMITED, ChainCode, CompiledModel, Image, StateMemory, table_name
from .interface import EXHAUSTED, FOREIGN, PREFIX_BYTES, STOP, UNEXPECTED, Refused, Room, size
from .jit import Loaded, compile_object
from .loaded_chains import shared
from .ready import Ready
from .samples import Sample
from .scratch import PART, Flags, Scratch, leave, scratch
from .whole_call import FAILED, LOOK, WholeCall

# Tokens that one call of generated code reads or decodes: few at first, then as many as take about that many seconds. Nothing
# interrupts a call.
FIRST_CHUNK, LAST_CHUNK, CHUNK_SECONDS, MORE = 1 << 8, PART, 0.1, 16
# The same of those whose first ones may become a sample, so that samples come from all of a long call; and of those with a probe:
# 8 bytes for each, in memory that is there already.
SHORT_CHUNK = 1 << 16
# Code that was made quickly is made once more after so many tokens for each byte of its text: by then, what it has lost is about
# a quarter of what that takes.
PATIENCE = 16
# While chains are made in another thread, calls are longer: after each, this one may wait 5 ms for the interpreter.
BUSY_CHUNK = 1 << 20
# Fewer tokens are looked at one by one: numpy takes longer to begin than Python does for them.
FEW = 16
# So many tokens behind the prefix are kept, so that they can be read again when an assumption turns out wrong.
HISTORY = 1 << 17
# A sequence with fewer tokens behind the prefix is done with code that is made in a fifth of the time, and takes 20 ms longer for
# them, with circuits for floats 70. This environment variable, "whole", is for who wants the other code at once: tests, for one.
SOON, SWITCH, WHOLE = 1 << 15, "WASM2XFORMER_CODE", "whole"


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
        self._vocabulary = len(model.embed)
        # Of the tokens that are kept: their memory takes as long to get as they take to be decoded.
        self._narrow = np.uint16 if self._vocabulary <= 2**16 else np.int32
        self._stops = Flags.of(np.zeros(self._vocabulary, dtype=np.uint8))
        self._asked: np.ndarray | None = None  # what they were made from, where nobody can have changed it since
        self._flagged: tuple[Flags, Image, Flags] | None = None
        # The table that `total` was asked for last, its address, and its name, see `image.table_name`.
        self._summed: tuple[np.ndarray, int, str] | None = None
        # What has been decoded since the last prompt, and by how much running sums have grown meanwhile; by `special` and chains,
        # which decode no tokens but those below `Image.decodable`, and not where it has been read again by other code.
        self._grown: list[tuple[weakref.ref[np.ndarray], list[int]]] = []
        self._specially = True
        self._probe = probe
        self._prepared: Ready | None = None
        self._prepared_for: tuple[np.ndarray, np.ndarray] | None = None
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
        self._prepared = None
        self.position, self._settled, self._running = 0, False, False
        self._generally = False  # whether `special` is not to be used
        self._filled = False  # whether all registers are, as far as is known
        self._sure = False  # whether `_chunk` is of decoding where there are chains
        self._history, self.probed, self._summed = None, [], None
        self._grown.clear()
        room = Room("", PREFIX_BYTES, size(self.model))
        self._state.budget = room.most
        try:
            self._read(prefix)
            self._state.budget = UNLIMITED
        except MemoryError:
            if self._state.status.value != EXHAUSTED:
                raise
            raise Refused(f"the keys of its prefix take more than {room.most:,} bytes") from None
        except _Unexpected:
            if not trusting:
                raise Unfollowed(None) from None
            self._start(self._distrustful(), trusting=False)
        self._history = []
        self._filled = self._state.registers_filled()

    def _ready(self) -> bool:
        """Whether `special` may go on."""
        self._filled = self._filled or self._state.registers_filled()
        return self._filled and self.position >= self._image.settled

    def _distrustful(self) -> CompiledModel:
        return load_or_compile(self.model, self._probe, trusting=False)

    def _remember(self, tokens: np.ndarray) -> None:
        assert self._history is not None
        self._history.append(tokens.astype(self._narrow))
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

    def _run(self, run: Callable[..., int], reading: bool, count: int, room: Scratch, flags: int | None) -> int:
        """Calls generated code, for `count` tokens at most, which stand in `room` (reading) or are written there. flags: an
        address. Returns how many it has read or decoded."""
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
        at = room.address + 4 * room.used
        done = run(
            self._state.address, at if reading else None, count, at, flags, None if values is None else values.ctypes.data
        )
        seconds = perf_counter() - started
        if count == self._chunk or seconds > CHUNK_SECONDS:
            self._pace(count, seconds)
        self.position += done
        if self._history is not None:
            self._remember(room.array[room.used : room.used + done])
        room.used += done
        if values is not None:
            self.probed.append(values[:done])
        status = self._state.status.value
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
        if self._prepared_for is not None:  # not in the next call
            self._prepared = self._prepare(*self._prepared_for)

    def _optimise(self) -> None:
        if len(self._program.text):
            text, image = str(self._program.text), self._image
            self._program = CompiledModel(compile_object(text), image, name=self._program.name, brief=self._program.brief)
            self._code = Loaded(self._program.code)
            self._prepared = None
            keep(self._program)

    @property
    def trusted(self) -> bool:
        """Whether all that has been assumed has held so far."""
        return self._trusting and not self._generally

    @property
    def pace(self) -> int:
        """So many tokens take no longer than about a tenth of a second, as far as is known; 1 where nothing is. Where there are
        chains, nothing takes longer in a longer sequence."""
        return self._chunk if self._sure else LAST_CHUNK if self._chains.there else 1

    @property
    def by_chains(self) -> int:
        """Tokens that chains have decoded."""
        return self._chains.decoded

    def _no_chains_yet(self, name: str) -> Chains:
        """name: of the program in the cache."""
        model, probe, trusting = self.model, self._probe, self._trusting  # the thread that makes them does not hold the state
        entries: list[dict[int, bytes]] = []
        engine = weakref.ref(self)

        def look() -> None:
            held = engine()
            entries[:] = held._state.entries() if held is not None else []

        def make(samples: list[Sample], wanted: Wanted) -> ChainCode | None:
            from .chains import compile_chains  # not needed, and not loaded, when the cache has them

            found = list(entries)
            entries.clear()
            return compile_chains(model, probe, trusting, samples, wanted, found)

        read, write = lambda: kept_chains(name), lambda chains: keep_chains(name, chains)
        return Chains(make, read, write, shared(name), len(model.prefix), 1 + self._image.depth, look)

    def _check_certificate(self, tokens: int) -> None:
        """A model that claims to be exact up to some length is held to it, and to running sums that, rounded as in the dense
        model, are off by less than 1/4."""
        allowed = min(self._envelope, uniform_tokens(self._state.largest_sum))
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
        self._grown.clear()
        tokens = self._checked(tokens)
        if self._briefly and self.behind + len(tokens) > SOON:
            self._complete()
        if self._trusting and self._image.floors:
            among = tokens.tolist() if len(tokens) < FEW else tokens
            if any(floor in among for floor in self._image.floors):
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
        if len(given) < FEW:
            numbers = given.tolist()
            inside = not numbers or (min(numbers) >= 0 and max(numbers) < self._vocabulary)
        else:
            inside = bool(given.min() >= 0 and given.max() < self._vocabulary)
        if not inside:
            raise ValueError("token id outside the vocabulary")
        return np.ascontiguousarray(given, dtype=np.int32)

    def _read(self, tokens: np.ndarray) -> None:
        self._chains.samples.interrupt()
        done, room = 0, scratch()
        while done < len(tokens):
            part = tokens[done : done + min(self._chunk, PART)]
            room.array[: len(part)], room.used = part, 0
            done += self._run(self._code.read, True, len(part), room, None)
        leave(room)

    def total(self, table: np.ndarray, tokens: np.ndarray) -> int:
        """The sum of table[token] over the tokens: int64 [V], integers [n]. In a quarter of numpy's time; of what has been
        decoded just now, in no time, if it is what one of the running sums has grown by."""
        table = np.ascontiguousarray(table, dtype=np.int64)
        if self._summed is None or self._summed[0] is not table:
            self._summed = table, table.ctypes.data, table_name(table[: self._image.decodable])
        if self._summed[2] in self._image.added:
            for decoded, grown in self._grown:
                if decoded() is tokens:
                    return grown[self._image.added.index(self._summed[2])]
        tokens = np.ascontiguousarray(tokens, dtype=np.int32)
        found = self._code.total(tokens.ctypes.data, len(tokens), self._summed[1], len(table))
        if found == -(2**63):
            raise ValueError("token id outside the table")
        return found

    def decode(self, stop: np.ndarray, limit: int) -> np.ndarray:
        """Emits tokens until one with stop[token], at most `limit`; unsigned or int32 [m]."""
        if stop is not self._asked:
            self._look(stop)
        stops = self._stops
        parts: list[np.ndarray] = []
        state, sums, self._specially = self._state, self._state.sums(), True
        total, ended = 0, False
        while total < limit and not ended:
            room = scratch()
            ended = self._fill(stops, min(limit - total, PART), room)
            total += room.used
            parts.append(room.taken(self._narrow))
        tokens = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=self._narrow), *parts])
        if state is self._state and self._specially and total > FEW:
            self._grown.append((weakref.ref(tokens), [after - before for after, before in zip(state.sums(), sums)]))
        return tokens

    def respond(self, prompt: array[int], stop: np.ndarray, limit: int, table: np.ndarray) -> tuple[np.ndarray, int | None]:
        """`append` and `decode` in one, for short calls: reads a prompt, [k] ids as C ints that nobody changes any more, and
        emits tokens until one with stop[token], at most `limit` and perhaps fewer. Returns the tokens, unsigned or int32 [m],
        which nobody may write to, and the sum of table[token] (int64 [V]) over them and the prompt, None where the last one is
        not to stop at, or the sum is not known."""
        ready, position, count = self._prepared, self.position, len(prompt)
        if (
            ready is None or ready.stop is not stop or ready.table is not table or position >= ready.until
            or ready.changes != ready.shared.changes or ready.shared.tokens >= ready.tokens
        ):  # fmt: skip
            ready = self._prepared = self._prepare(stop, table)
        most = 0
        if ready is not None and count:
            longest = SHORT_CHUNK if ready.sampling or self._probe else PART
            most = min(limit, longest, self._chunk, ready.until - position - count)
        if ready is None or most <= 0 or self._running:
            return self._in_turns(prompt, stop, limit), None
        self._grown.clear()
        room, call = scratch(), ready.call
        call.prompt, call.count, call.out, call.limit = prompt.buffer_info()[0], count, room.address, most
        if self._envelope:
            call.end = position + count + most
        if ready.sampling:
            call.before = self._chains.samples.before if self._chains.samples.due else 0
        values = None
        if self._probe:
            values = np.empty(count + most)
            call.probe = values.ctypes.data
        self._running = True
        started = perf_counter()
        done = self._code.respond(ready.address)
        seconds = perf_counter() - started
        if done == LOOK:
            self._running = False
            leave(room)
            return self._in_turns(prompt, stop, limit), None
        read = count
        if done == FAILED:
            read, done = call.read, call.done
        if done == self._chunk or seconds > CHUNK_SECONDS:
            self._pace(most, seconds)
        room.used = done
        tokens = room.taken(self._narrow)
        self.position, self._settled = position + read + done, True
        if self._history is not None:
            self._history += np.frombuffer(prompt, dtype=np.int32, count=read), tokens
            if self.behind > HISTORY:
                self._history = None
        if values is not None:
            self.probed.append(values[: read + done].copy())
        self._running = False
        status = self._state.status.value
        if status:
            if status == EXHAUSTED:
                raise MemoryError("no memory left for the key index")
            self._distrust()
            return np.concatenate([tokens, self._in_turns(prompt[read:], stop, limit - done)], dtype=np.int32), None
        self._chains.tell(self.position)
        self._chains.samples.interrupt()
        if ready.sampling:
            open_ = done - call.ended  # chains do not go on behind a token to stop at
            self._chains.samples.call(call.row, tokens[:open_], call.before, min(call.known, open_ - call.before))
            if ready.shared.tokens >= ready.tokens:  # the next sequence has no samples when it begins
                self._prepared = self._prepare(stop, table)
        return tokens, call.sum if call.ended else None

    def _in_turns(self, prompt: array[int], stop: np.ndarray, limit: int) -> np.ndarray:
        """As `append` and `decode` do it."""
        self.append(np.array(prompt, dtype=np.int32))
        return self.decode(stop, limit)

    def _prepare(self, stop: np.ndarray, table: np.ndarray) -> Ready | None:
        """What `respond` goes by from now on, None where it cannot."""
        self._prepared_for = stop, table
        chains, image, position = self._chains, self._image, self.position
        changes = chains.shared.changes  # before anybody looks at them
        if self._generally or chains.always or image.soft or table.dtype != np.int64 or table.shape != (self._vocabulary,):
            return None
        self._settled = self._settled or self._ready()
        if stop is not self._asked:
            self._look(stop)
        if not self._settled or self._asked is not stop or not table.flags.c_contiguous:
            return None
        self._hasten()
        until = min(image.last, self._envelope or image.last)
        if self._briefly:
            until = min(until, SOON + len(self.model.prefix))
        elif len(self._program.text):
            until = min(until, chains.decoded + 1 + PATIENCE * len(self._program.text))
        watching = not self._program.brief and chains.watching(position)
        flags = self._flags(self._stops)
        found = chains.usable(position, flags.array) if watching else None
        marked = np.zeros(self._vocabulary, dtype=np.uint8)
        marked[image.floors if self._trusting else []] = 1
        name = table_name(table[: image.decodable])
        grown = self._state.address + 8 * image.sums[image.added.index(name)][0] if name in image.added else 0
        call = WholeCall(
            state=self._state.address, special=cast(self._code.special, c_void_p).value, stops=self._stops.address,
            flags=flags.address, marked=marked.ctypes.data, size=self._vocabulary, table=table.ctypes.data, grown=grown, probe=0,
            drive=found.address if found else 0, decoded=chains.counter, end=-1,
        )  # fmt: skip
        tokens = UNLIMITED
        if not self._program.brief:
            until, tokens = chains.until(until, watching)
        sampling = watching and chains.sampling
        kept = flags, self._stops, marked, found
        return Ready(stop, table, call, until, (chains.shared, changes, tokens), sampling, kept)

    def _look(self, stop: np.ndarray) -> None:
        """Another `stop` than the last time, or it may be."""
        if np.shape(stop) != (self._vocabulary,):
            raise ValueError("`stop` has one entry per token id")
        if not np.array_equal(self._stops.array != 0, stop):
            self._stops = Flags.of(np.where(np.asarray(stop, dtype=bool), STOP, 0).astype(np.uint8))
        self._asked = stop if _fixed(stop) else None
        if self._chains.there:  # what decoding begins with, too
            self._chains.behind(self._code.special, self.position, self._flags(self._stops).array)

    def _flags(self, stops: Flags) -> Flags:
        """STOP, and FOREIGN where `special` cannot go on."""
        if self._flagged is None or self._flagged[0] is not stops or self._flagged[1] is not self._image:
            flags = stops.array.copy()
            flags[self._image.decodable :] |= FOREIGN
            self._flagged = stops, self._image, Flags.of(flags)
        return self._flagged[2]

    def _fill(self, stops: Flags, most: int, room: Scratch) -> bool:
        """Emits tokens until there are so many in `room`, or the last one is to stop at: whether it is."""
        while room.used < most:
            before = room.used
            try:
                self._decode(stops, most - before, room)
            except _Unexpected:
                self._distrust()
            if room.used > before and stops.array.item(room.last):
                return True
        return False

    def _hasten(self) -> None:
        """Long blocks where there are chains, and better code where this one has been in use for long."""
        chains, size = self._chains, len(self._program.text)
        if not self._sure and chains.there:
            self._sure, self._chunk = True, LAST_CHUNK
        if size and not self._briefly and self.position - chains.decoded > PATIENCE * size:
            self._optimise()

    def _decode(self, stops: Flags, count: int, room: Scratch) -> None:
        """Some tokens, `count` at most."""
        if self._briefly and self.behind >= SOON:
            self._complete()
        chains = self._chains
        self._hasten()
        chunk = min(count, chains.most or self._chunk, SHORT_CHUNK if self._probe else PART)
        if self._briefly:
            chunk = min(chunk, SOON - self.behind)
        flags, state, code = self._flags(stops), self._state, self._code
        if self._generally:
            self._specially = False
            self._run(code.general, False, chunk, room, stops.address)
            return
        self._settled = self._settled or self._ready()
        if not self._settled or flags.array.item(state.next.value) & FOREIGN:
            chains.samples.interrupt()
            self._specially = False
            self._run(code.general, False, 1, room, stops.address)
            return
        if self._program.brief or not chains.watching(self.position):
            self._run(code.special, False, chunk, room, flags.address)
            return
        found, sampling = chains.behind(code.special, self.position, flags.array), chains.sampling
        if sampling:
            chunk = chains.samples.first(min(chunk, SHORT_CHUNK))
        row, before = state.row.value, room.used
        done = self._run(found or code.special, False, chunk, room, flags.address)
        chains.tell(self.position)
        if sampling:
            # Chains cannot go on behind a token that has a flag.
            stopped = done > 0 and flags.array.item(room.last) != 0
            chains.samples.add(row, room.array[before : room.used - stopped])
