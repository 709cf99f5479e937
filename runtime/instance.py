"""A running program: a growing token sequence, and the calls that continue it.

The runtime writes prompts and reads tokens. What a program computes, it computes in the weights.
"""

from __future__ import annotations

import math
import operator
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..compiler.format.checkpoint import Model
from ..compiler.format.isa import IS, Entry
from ..compiler.format.tokens import TokenTable
from ..compiler.format.types import is_asked
from . import allocators, host
from .arrays import join
from .bit_patterns import Reference, show, values_of
from .engine import Engine
from .engines import new_engine
from .errors import ArgumentError, Trap, Unfinished
from .exclusive import Exclusive
from .folders import Folders, changes, contents
from .limits import NO_LIMITS, CallLimits
from .prompts import Prompts
from .results import STDERR, STDOUT, Results, Run, output_bytes
from .sparse_values import SparseValues
from .world import World, plain_bytes

# Tokens decoded between two looks at the progress and at the output: few at first, then as many as take this long.
FIRST_CHUNK, LAST_CHUNK = 1 << 3, 1 << 19
CHUNK_SECONDS = 0.1
MORE = 32  # so many times the tokens where they took less than that part of the time
# A call begins with as many as the one before it came to, up to so many.
CALL_CHUNK = 1 << 14
STREAMS = (STDOUT, "stdout"), (STDERR, "stderr")
PROMPT_CHUNK = 1 << 16  # tokens of a prompt read at a time


class Instance:
    """One instance of a compiled program. Memory, globals and tables persist from one `invoke` to the next.

    engine: "fast", "torch", for a model in the stock form (of a folder) also "hf"; or "auto": "fast", but "torch" for a
    model that "fast" refuses, and from where it cannot follow one any more (a warning says so).
    device: of torch, for "torch" and "hf".
    stdin, args (argv, the program's name first) and env are what WASI programs see; they are part of every invocation's
    prompt, as are random (256 bytes, by default new ones each time) and clock (seconds since 1970, by default the time at which
    the invocation begins). folders: see `World`; they are told once, `read_folders` tells what became of them. probe: name of
    a probe of the model to record along (see Transformer.probes); sparse: `Run.probed` is a `SparseValues`. world: all that a
    program sees of its host as one value, instead of stdin ... clock.
    The start function, if there is one, runs now, within max_tokens and timeout (see `invoke`): `started` is its run.
    Raises Trap when it traps: there is no instance then, as in wasmtime. Raises ArgumentError, Unfinished.

    Threads may share an instance: its calls wait for each other. A callback may not call the instance that calls it:
    InstanceError. When a call was given up (Unfinished, KeyboardInterrupt, an exception in a callback), the tokens end in
    the middle of it, and every further call raises InstanceError. A trap is an ordinary end.
    """

    def __init__(
        self,
        model: Model,
        engine: str = "fast",
        *,
        stdin: bytes = b"",
        args: Sequence[str] = (),
        env: dict[str, str] | None = None,
        random: bytes | None = None,
        clock: float | None = None,
        folders: Folders | None = None,
        probe: str | None = None,
        world: World | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,
        device: str | None = None,
        sparse: bool = False,
    ):
        limits = CallLimits(max_tokens, timeout)
        if not isinstance(model, Model):
            raise ArgumentError(f"the model is {show(model)}, not a Model: load(path) and compile(source) give one")
        if device is not None and engine == "fast":
            raise ArgumentError("a device is for the engines torch and hf, not fast")
        self.model = model
        self._exclusive = Exclusive("instance")
        vocabulary = model.transformer.vocabulary
        chosen = {key: value for key, value in (("probe", probe), ("device", device)) if value is not None}
        self._engine: Engine = new_engine(engine, model.transformer, model.mixture, **chosen)
        self._probe, self._sparse = probe, sparse
        self._probed = SparseValues()
        if probe:
            self.prefix_probed = join(self._engine.probed)
        self._chunk = FIRST_CHUNK
        self._tokens = TokenTable.build(vocabulary, model.jumps, model.entries)
        # So that it has looked at these before the first call.
        self._engine.decode(self._tokens.stops, 0)
        self.world = World(stdin, args, env or {}, random, clock, folders or {}) if world is None else world
        self._prompts = Prompts(model, self.world)
        self._results = Results(model, self._tokens, getattr(self._engine, "total", None))
        self._respond = getattr(self._engine, "respond", None)
        if self._respond is not None:
            self._respond(array("i"), self._tokens.stops, 0, self._tokens.ip_delta)
        self.asked: list[tuple[int, Run]] = []  # of the latest call: the number of an argument, and whether it is of its type
        start = model.program.start
        self.started = self._run(start, "start function", [], limits) if start else None
        if self.started and self.started.trap is not None:
            raise Trap(self.started.missing_import or self.started.trap, self.started)

    @property
    def broken(self) -> bool:
        """A call was given up: there will be no other."""
        return self._exclusive.broken

    @property
    def position(self) -> int:
        """Tokens in the sequence so far. May be asked for at any time, also during a call."""
        return self._engine.position

    def invoke(
        self,
        name: str,
        *args: Any,
        max_tokens: int | None = None,
        timeout: float | None = None,
        progress: Callable[[int], None] | None = None,
        output: Callable[[str, bytes], None] | None = None,
    ) -> Run:
        """Calls an exported function and decodes until it halts.

        args: one per parameter: ints (signed or unsigned) for i32 and i64, floats for f32 and f64 (rounded to f32; an
        int is a bit pattern); for an externref None or an int from 0 to 2^30 - 2, for a funcref None or the index of one
        of the module's functions that has a reference; for an anyref, eqref, externref or a type of structs or arrays also an
        object that a call of this instance has returned; numpy's numbers too. Where it takes a certain type, the program is asked
        first whether the reference is of it: ArgumentError if not. max_tokens, timeout: give up after so
        many tokens, after so many seconds (looked at about every tenth of a second). progress: called with the tokens
        decoded so far. output: called with "stdout" or "stderr" and the bytes that the program wrote since the last call.
        Raises Trap, ArgumentError, Unfinished, InstanceError.
        """
        self.asked = []
        if self._respond is not None and max_tokens is timeout is progress is output is None:
            plain = self._prompts.plain(name, args)
            if plain is not None:
                with self._exclusive.lock(name), self._exclusive.entered(name):
                    run = self._short(plain[1], plain[0], name)
                    if run.trap is not None:
                        raise Trap(run.missing_import or run.trap, run)
                    return run
        limits = CallLimits(max_tokens, timeout) if max_tokens is not None or timeout is not None else NO_LIMITS
        entry, values = self._prompts.values(name, args)
        with self._exclusive.lock(name), self._exclusive.entered(name):
            self._ask(entry, args, values)
            run = self._run(entry, name, values, limits, progress, output)
            self._prompts.given(run.values)
            if run.trap is not None:
                raise Trap(run.missing_import or run.trap, run)
        return run

    def _ask(self, entry: Entry, args: Sequence[Any], values: list[int]) -> None:
        """Whether references that are passed are of the parameters' types. values: by slots. Raises ArgumentError."""
        if not any(map(is_asked, entry.params)):
            return
        for k, (type_, arg, bits) in enumerate(zip(entry.params, args, values_of(entry.params, values), strict=True)):
            if is_asked(type_) and arg is not None:
                run = self._run(self.model.program.host[f"{IS}{type_}"], f"{IS}{type_}", [bits])
                self.asked.append((k, run))
                if run.values[0] == 0:
                    what = arg if isinstance(arg, Reference) else f"function {show(arg)}"
                    raise ArgumentError(f"{entry.name}: argument {k + 1} is {what}, which is no {type_}")

    def write_memory(self, address: int, data: bytes) -> None:
        """Puts bytes into the memory that the program exports, e.g. the input of a function that takes a pointer.

        They go in as tokens: one short invocation for four bytes. Raises Trap where there is no memory (what lies
        before is written), ArgumentError if the program exports none, InstanceError.
        """
        writes = host.writes(memory_index("address", address), plain_bytes("write_memory", data))
        with self._exclusive.call("write_memory"):
            for op, values in writes:
                self._access(op, *values)

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of the memory that the program exports, by invocations too. Raises as `write_memory` does."""
        address, length = memory_index("address", address), memory_index("length", length)
        with self._exclusive.call("read_memory"):
            values = (self._access(op, at).values[0] for op, at in host.reads(address, length))
            return host.joined(length, values)

    def alloc(self, data: bytes | int, allocator: str | None = None) -> int:
        """Has the module allocate memory, by the function of that name or a known one (`allocators`), and puts bytes there; for
        an int, so many bytes of unknown contents. The address. Raises Trap, ArgumentError, InstanceError."""
        return allocators.allocate(_Exports(self), data if isinstance(data, int) else plain_bytes("alloc", data), allocator)

    def read_global(self, name: str) -> Any:
        """The value of an exported global, by an invocation. Raises ArgumentError for a name that is none, InstanceError."""
        program = self.model.program
        with self._exclusive.call(name):
            value = host.read_global(program, name, lambda access: self._run(program.host[access], name, []).values[0])
            self._prompts.given([value])
            return value

    def read_string(self, address: int) -> bytes:
        """Bytes of exported memory up to the first zero, which is left out. Raises as `read_memory` does."""
        return host.string(self.read_memory, address)

    def read_folders(self) -> dict[str, dict[str, bytes | None]]:
        """What is in the folders now, as they are given; by invocations too. Raises InstanceError."""
        given = self.world.folders
        if not given:
            return {}
        base = self.model.program.inputs["files"][0]
        if not self._prompts.folders_told:
            return {name: dict(contents) for name, contents in given.items()}
        with self._exclusive.call("read_folders"):
            lines: dict[int, bytes] = {}

            def read(address: int, length: int) -> bytes:
                first, last = address // host.LINE, (address + length - 1) // host.LINE
                for line in range(first, last + 1):
                    if line not in lines:
                        run = self._access("hidden.load32", line * host.LINE)
                        lines[line] = host.joined(host.LINE, run.values)
                start = address - first * host.LINE
                return b"".join(lines[line] for line in range(first, last + 1))[start : start + length]

            if not changes(read, base):
                return {name: dict(contents) for name, contents in given.items()}
            return contents(read, base, given)

    def access(self, op: str, *values: int) -> Run:
        """One load or store of the host, see `host`. Raises Trap, ArgumentError, InstanceError."""
        with self._exclusive.call(op):
            return self._access(op, *values)

    def _access(self, op: str, *values: int) -> Run:
        if op not in self.model.program.host:
            raise ArgumentError("the program does not export a memory that it uses")
        if not all(0 <= value < 2**32 for value in values):
            raise ArgumentError(f"memory: {values[0]} is no address from 0 to 2^32 - 1")
        run = self._run(self.model.program.host[op], op, list(values))
        if run.trap is not None:
            raise Trap(run.trap, run)
        return run

    def _run(
        self,
        entry: Entry,
        name: str,
        values: list[int],
        limits: CallLimits = NO_LIMITS,
        progress: Callable[[int], None] | None = None,
        output: Callable[[str, bytes], None] | None = None,
    ) -> Run:
        if self._respond is not None and limits is NO_LIMITS and output is None and progress is None:
            short = self._prompts.short(entry, values)
            if short is not None:
                return self._short(short, entry, name)
        until = limits.until()
        prompt = self._prompts.tokens(entry, values)
        parts: list[np.ndarray] = []
        try:
            for i in range(0, len(prompt), PROMPT_CHUNK):
                self._engine.append(prompt[i : i + PROMPT_CHUNK])
                if self._sparse:
                    self._thin_out()
                if limits is not NO_LIMITS:
                    limits.check(name, 0, until)
            self._decode(parts, name, limits, until, progress, output)
        except Unfinished as error:
            error.tokens = (prompt, *parts)
            raise
        run = self._results.run(entry, name, prompt, parts)
        return self._with_probe(run) if self._probe else run

    def _short(self, prompt: array[int], entry: Entry, name: str) -> Run:
        """A call that nobody looks into, most of which is done in one call of the engine."""
        assert self._respond is not None
        table = self._tokens
        tokens, moved = self._respond(prompt, table.stops, LAST_CHUNK, table.ip_delta)
        if self._sparse:
            self._thin_out()
        if moved is not None:
            run = self._results.short(entry, name, prompt, tokens, moved)
        else:
            parts = [tokens]
            if not len(tokens) or not table.stops.item(tokens.item(-1)):
                self._chunk = max(self._chunk, len(tokens))
                self._decode(parts, name, NO_LIMITS, math.inf, None, None)
            run = self._results.run(entry, name, prompt, parts)
        return self._with_probe(run) if self._probe else run

    def _with_probe(self, run: Run) -> Run:
        run.probed = self._take_probed()
        return run

    def _decode(
        self,
        parts: list[np.ndarray],
        name: str,
        limits: CallLimits,
        until: float,
        progress: Callable[[int], None] | None,
        output: Callable[[str, bytes], None] | None,
    ) -> None:
        """Adds to `parts` what the model decodes up to the end of the call. Raises Unfinished."""
        count, chunk = sum(map(len, parts)), max(min(self._chunk, CALL_CHUNK), getattr(self._engine, "pace", 1))
        while True:
            began = time.perf_counter()
            part = self._engine.decode(self._tokens.stops, limits.next(chunk, count))
            if self._sparse:
                self._thin_out()
            seconds = time.perf_counter() - began
            if seconds < CHUNK_SECONDS:
                chunk = min((MORE if seconds < CHUNK_SECONDS / MORE else 2) * chunk, LAST_CHUNK)
            else:
                chunk = max(chunk // 2, 1)
            parts.append(part)
            count += len(part)
            for kind, stream in STREAMS if output else ():
                if output and (written := output_bytes(self._tokens, part, kind)):
                    output(stream, written)
            if progress:
                progress(count)
            if len(part) and self._tokens.stops[part[-1]]:
                self._chunk = chunk
                break
            limits.check(name, count, until)

    def _thin_out(self) -> None:
        """Of what the probe has told since, keeps what is not 0."""
        for part in self._engine.probed:
            self._probed.append(part)
        self._engine.probed.clear()

    def _take_probed(self) -> np.ndarray | SparseValues:
        if not self._sparse:
            return join(self._engine.probed)
        taken, self._probed = self._probed, SparseValues()
        return taken


def memory_index(what: str, value: Any) -> int:
    """An address or a length. Raises ArgumentError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"memory: the {what} is {show(value)}, not an integer") from None
    if number < 0:
        raise ArgumentError(f"memory: the {what} is {show(number)}, below 0")
    return number


class _Exports:
    """An instance as `allocators` asks for one."""

    def __init__(self, instance: Instance):
        self.exports: allocators.Types = {name: (e.params, e.results) for name, e in instance.model.program.entries.items()}
        self.write_memory = instance.write_memory
        self._instance = instance

    def invoke(self, name: str, values: Sequence[Any]) -> Run:
        return self._instance.invoke(name, *values)
