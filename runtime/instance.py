"""A running program: a growing token sequence, and the calls that continue it.

The runtime writes prompts and reads tokens. What a program computes, it computes in the weights.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compiler.format.checkpoint import Model
from ..compiler.format.isa import TRAPS, Entry
from ..compiler.format.tokens import Kind, TokenTable
from . import host
from .arrays import join
from .bit_patterns import decode, encode, show
from .engine import Engine
from .errors import ArgumentError, DecodingError, Trap, Unfinished, needing
from .exclusive import Exclusive
from .limits import CallLimits
from .missing import TAIL, missing_import
from .world import World, plain_bytes

ENGINES = ("fast", "torch")
# Tokens decoded between two looks at the progress and at the output: few at first, then as many as take this long.
FIRST_CHUNK, LAST_CHUNK = 1 << 3, 1 << 20
CHUNK_SECONDS = 0.1
PROMPT_CHUNK = 1 << 16  # tokens of a prompt read at a time
BLOCK = 1 << 20  # tokens of a finished trace looked at together


def engine_class(name: str) -> type:
    """The engine of that name. Imported when asked for: torch takes longer to import than most programs take to run."""
    if name == "fast":
        from .fast import FastEngine

        return FastEngine
    if name == "torch":
        with needing("the torch engine", "torch"):
            from .torch_engine import TorchEngine

        return TorchEngine
    raise ValueError(f"no engine {name!r}; there are {', '.join(ENGINES)}")


@dataclass
class Run:
    """What one invocation did.

    values: results, i32 and i64 signed, floats as floats, references as None or an int, as for `invoke` (a function
    of a library that has no index in the module: bit_patterns.FOREIGN). prompt: int32 [p], the tokens that
    the runtime supplied; tokens: int32 [n], those that the model decoded. steps: steps executed. stdout, stderr: output
    bytes. trap: wasmtime's words, or None. missing_import: says so where the program called an import that nobody provides,
    which traps. exit_code: of proc_exit, or None. bits: the results as they stand in their
    slots, unsigned; a Python float does not keep every NaN of an f32, these do.
    """

    values: list[Any]
    prompt: np.ndarray
    tokens: np.ndarray
    steps: int
    stdout: bytes = b""
    stderr: bytes = b""
    trap: str | None = None
    missing_import: str = ""
    exit_code: int | None = None
    probed: np.ndarray | None = field(default=None, repr=False)
    bits: list[int] = field(default_factory=list)

    @property
    def returned(self) -> bool:
        """It neither trapped nor called proc_exit."""
        return self.trap is None and self.exit_code is None


class Instance:
    """One instance of a compiled program. Memory, globals and tables persist from one `invoke` to the next.

    engine: "fast" or "torch". stdin, args (argv, the program's name first) and env are what WASI programs see; they are
    part of every invocation's prompt, as are random (256 bytes, by default new ones each time) and clock (seconds since
    1970, by default the time at which the invocation begins). probe: name of a probe of the model to record along (see
    Transformer.probes). world: all that a program sees of its host as one value, instead of stdin ... clock.
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
        probe: str | None = None,
        world: World | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,
    ):
        limits = CallLimits(max_tokens, timeout)
        if not isinstance(model, Model):
            raise ArgumentError(f"the model is {show(model)}, not a Model: load(path) and compile(source) give one")
        self.model = model
        self._exclusive = Exclusive("instance")
        vocabulary = model.transformer.vocabulary
        self._ids = {name: token for token, name in enumerate(vocabulary)}
        self._engine: Engine = engine_class(engine)(model.transformer, **({"probe": probe} if probe else {}))
        self._probe = probe
        if probe:
            self.prefix_probed = self._take_probed()
        self._tokens = TokenTable.build(vocabulary, model.jumps, model.entries)
        self._entry_numbers = {first: k for k, (_, first) in enumerate(model.entries)}
        self._world = World(stdin, args, env or {}, random, clock) if world is None else world
        self._inputs, self._registers = _inputs(model, self._world)
        start = model.program.start
        self.started = self._run(start, "start function", [], limits) if start else None
        if self.started and self.started.trap is not None:
            raise Trap(self.started.missing_import or self.started.trap, self.started)

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
        int is a bit pattern); for an externref None or an int from 0 to 2^32 - 2, for a funcref None or the index of one
        of the module's functions that has a reference; numpy's numbers too. max_tokens, timeout: give up after so
        many tokens, after so many seconds (looked at about every tenth of a second). progress: called with the tokens
        decoded so far. output: called with "stdout" or "stderr" and the bytes that the program wrote since the last call.
        Raises Trap, ArgumentError, Unfinished, InstanceError.
        """
        limits, entries = CallLimits(max_tokens, timeout), self.model.program.entries
        if not isinstance(name, str) or name not in entries:
            raise ArgumentError(f"no exported function {name!r}; there are: {', '.join(sorted(entries)) or 'none'}")
        entry = entries[name]
        if len(args) != len(entry.params):
            raise ArgumentError(
                f"{name} takes {len(entry.params)} arguments ({', '.join(entry.params)}), got {len(args)}"
            )
        functions = self.model.program.function_references
        values = [encode(name, i, type_, value, functions) for i, (type_, value) in enumerate(zip(entry.params, args))]
        with self._exclusive.call(name):
            run = self._run(entry, name, values, limits, progress, output)
            if run.trap is not None:
                raise Trap(run.missing_import or run.trap, run)
        return run

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
        limits: CallLimits = CallLimits(),  # noqa: B008 (frozen)
        progress: Callable[[int], None] | None = None,
        output: Callable[[str, bytes], None] | None = None,
    ) -> Run:
        until = limits.until()
        prompt = np.array(self._prompt(entry, values), dtype=np.int32)
        parts: list[np.ndarray] = []
        try:
            for i in range(0, len(prompt), PROMPT_CHUNK):
                self._engine.append(prompt[i : i + PROMPT_CHUNK])
                limits.check(name, 0, until)
            self._decode(parts, name, limits, until, progress, output)
        except Unfinished as error:
            error.tokens = (prompt, *parts)
            raise
        return self._result(entry, name, prompt, join(parts))

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
        count, chunk = 0, FIRST_CHUNK
        while True:
            began = time.perf_counter()
            part = self._engine.decode(self._tokens.stops, limits.next(chunk, count))
            if time.perf_counter() - began < CHUNK_SECONDS:
                chunk = min(2 * chunk, LAST_CHUNK)
            else:
                chunk = max(chunk // 2, 1)
            parts.append(part)
            count += len(part)
            for kind, stream in ((Kind.STDOUT, "stdout"), (Kind.STDERR, "stderr")):
                if output and (written := self._bytes(part, kind)):
                    output(stream, written)
            if progress:
                progress(count)
            if len(part) and self._tokens.stops[part[-1]]:
                break
            limits.check(name, count, until)

    def _prompt(self, entry: Entry, values: list[int]) -> list[int]:
        """Input bytes, the entry token, then the digits of hidden registers and arguments."""
        prompt: list[int] = []
        if entry.registers:
            byte = self._ids["B.0"]
            world = self._world.fixed()
            assert world.random is not None and world.clock is not None
            self._registers |= clock_registers(world.clock)
            for area, data in self._inputs.items():
                if area == "random":
                    data = world.random
                prompt.append(self._ids[f"G.{self.model.inputs[area]}"])
                prompt += [byte + v for v in data]
        prompt.append(self._ids[f"I.{self._entry_numbers[entry.entry]}"])
        for value in [*(self._registers[r] for r in entry.registers), *values]:
            prompt += self._digits(value)
        return prompt

    def _digits(self, value: int) -> list[int]:
        top = max(0, (value.bit_length() + 7) // 8 - 1)
        return [self._ids[f"D{p}.{value >> 8 * p & 255}"] for p in range(top, -1, -1)]

    def _result(self, entry: Entry, name: str, prompt: np.ndarray, tokens: np.ndarray) -> Run:
        table, last = self._tokens, tokens[-1]
        stdout, stderr = (self._bytes(tokens, kind) for kind in (Kind.STDOUT, Kind.STDERR))
        run = Run([], prompt, tokens, _count(table.ends, tokens), stdout, stderr)
        if self._probe:
            run.probed = self._take_probed()
        if table.kind[last] == Kind.TRAP:
            run.trap = TRAPS[table.traps[table.value[last]]]
            at = _count(table.ip_delta, prompt) + _count(table.ip_delta, tokens)
            run.missing_import = missing_import(self.model, table, at, np.concatenate([prompt, tokens[-TAIL:]]))
            return run
        results = self._trailing_values(tokens, max(1, len(entry.results)))
        # proc_exit emits the code and halts on the spot; a return halts behind the entry's own result steps.
        halted = _count(table.ip_delta, prompt) + _count(table.ip_delta, tokens)
        ops = [step.op for step in self.model.program.steps]
        if halted == ops.index("halt", entry.entry):
            run.bits = results[: len(entry.results)]
            functions = self.model.program.function_references
            run.values = [decode(t, bits, functions) for t, bits in zip(entry.results, run.bits)]
        elif results:
            run.exit_code = results[-1]
        if len(run.values) < len(entry.results) and run.exit_code is None:
            raise DecodingError(f"{name}: the model halted without its results; compile the program again")
        return run

    def _take_probed(self) -> np.ndarray:
        return join(self._engine.probed)

    def _bytes(self, tokens: np.ndarray, kind: Kind) -> bytes:
        chosen = self._tokens.kind == kind
        blocks = (tokens[i : i + BLOCK] for i in range(0, len(tokens), BLOCK)) if chosen.any() else ()
        return b"".join(self._tokens.value[block[chosen[block]]].astype(np.uint8).tobytes() for block in blocks)

    def _trailing_values(self, tokens: np.ndarray, count: int) -> list[int]:
        """The values emitted right before the halt, at most `count`."""
        table, tail = self._tokens, tokens[-2 - 8 * count : -1]  # one token more than they have digits
        starts, ends = table.steps(tail)
        digits = table.kind[tail[ends]] == Kind.DIGIT
        found = len(ends) if digits.all() else int(np.argmin(digits[::-1]))
        values = table.values(tail[: ends[-1] + 1], starts) if len(ends) else starts
        return values[len(values) - min(found, count) :].tolist()


def _count(table: np.ndarray, tokens: np.ndarray) -> int:
    """Sum of table[token] over the tokens, without an array as long as a long trace."""
    return sum(int(table[tokens[i : i + BLOCK]].sum()) for i in range(0, len(tokens), BLOCK))


def clock_registers(seconds: float) -> dict[str, int]:
    """The hidden registers that tell the program what time it is: seconds since 1970, and nanoseconds."""
    whole, nanoseconds = divmod(round(seconds * 10**9), 10**9)
    return {"clock_seconds": whole, "clock_nanoseconds": nanoseconds}


def _inputs(model: Model, world: World) -> tuple[dict[str, bytes], dict[str, int]]:
    """The bytes of each input area that the program has, and the hidden registers that describe them."""
    argv = [a + b"\0" for a in world.arguments()]
    environ = [e + b"\0" for e in world.environment()]
    data = {"stdin": world.stdin, "args": b"".join(argv), "environ": b"".join(environ), "random": b"", "clock": b""}
    registers = {
        "stdin_length": len(world.stdin), "stdin_position": 0, "args_count": len(argv), "args_bytes": len(data["args"]),
        "environ_count": len(environ), "environ_bytes": len(data["environ"]), "random_position": 0,
    }  # fmt: skip
    areas = model.program.inputs
    for area, (_, capacity) in areas.items():
        if len(data[area]) > capacity:
            raise ArgumentError(f"{area}: {len(data[area]):,} bytes, the program has room for {capacity:,}")
    return {area: data[area] for area in areas}, registers


def memory_index(what: str, value: Any) -> int:
    """An address or a length. Raises ArgumentError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"memory: the {what} is {show(value)}, not an integer") from None
    if number < 0:
        raise ArgumentError(f"memory: the {what} is {show(number)}, below 0")
    return number
