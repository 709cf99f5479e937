"""Checking a program step by step: the model decodes, wasmtime runs the original, the diff compares everything."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.compile import compile_with, link_source
from ...compiler.format.checkpoint import Model
from ...compiler.format.isa import Program
from ...compiler.format.limits import MEMORY_PAGES
from ...compiler.format.operations import DIVISION_STEPS, FLOAT_STEPS
from ...compiler.format.types import is_reference
from ...compiler.link.libraries import made_for
from ...compiler.options import CompileOptions
from ...compiler.stock import in_stock_form
from ...compiler.wasm.encode import encode
from ...compiler.wasm.module import ValType
from ...compiler.wasm.source import Source, load
from .. import host
from ..bit_patterns import Reference
from ..bit_patterns import encode as encode_value
from ..errors import DivergenceError, Trap, Unfinished, needing
from ..exclusive import Exclusive
from ..folders import Contents, Folders, contents, differences
from ..instance import Instance, memory_index
from ..results import Run
from ..trace import Trace, decode, table_of
from ..world import World, plain_bytes
from .diff import Agreement, Comparison, Divergence, ModelState, StateComparison, StateDifference
from .oracle import Bound, FoldedCounts, Oracle, OracleRun, oracle_for
from .translation import TranslationCheck

if TYPE_CHECKING:
    from .replay import Mismatch, Reading
    from .replay.margins import Margins


@dataclass(frozen=True)
class ReplayOptions:
    """How `replay.replay` goes over a finished trace. attention: "hard" or "softmax". device: torch's name of one. margins: also
    measure how far decisions were from a tie (softmax only)."""

    attention: str = "hard"
    device: str = "cpu"
    margins: bool = False


@dataclass
class Report:
    """What one verified invocation showed.

    divergence: the first difference, None when there is none. steps, tokens: executed by the model. compared: records
    of wasmtime that were compared. folded: instructions that ran in wasmtime and have no step of their own, by the rule of
    `translation.RULES` that allows it. run, trace, oracle: both sides, for a closer look. mismatch: where the dense
    matrices would have chosen another token (only with `replay`). margins: the least leads that decisions had (only where
    `ReplayOptions.margins` asks for them).
    """

    divergence: Divergence | None
    run: Run
    oracle: OracleRun
    steps: int
    decoded: Callable[[], Trace] = field(repr=False)
    compared: int = 0
    folded: dict[str, int] = field(default_factory=dict)
    mismatch: Mismatch | None = None
    margins: Margins | None = None

    @property
    def trace(self) -> Trace:
        """Made when it is asked for first."""
        return self.decoded()

    @property
    def tokens(self) -> int:
        return sum(map(len, self.run.pieces))

    @property
    def limit(self) -> str:
        """The limit of wasm2xformer that this call met and wasmtime would not have, "" for none. Up to there, or with it,
        nothing differs."""
        return self.divergence.limit if self.divergence else self.oracle.limit

    @property
    def ok(self) -> bool:
        """Everything was compared, and nothing differs."""
        return self.divergence is None and self.mismatch is None and not self.limit


class Verifier:
    """A compiled program and its original side by side; state persists on both sides from one `invoke` to the next.

    Parameters as for `compile` and `Instance`. model: use this one instead of compiling (it must come from `source`).
    world: all that a program sees of its host as one value, instead of stdin ... clock. keep_records: reports
    have wasmtime's records also of calls that agree (`Report.oracle.records`), 16 bytes each.
    Raises CompileError. A start function is run, within max_tokens and timeout, and compared at once (`started`), also
    when it traps. Threads, callbacks and calls that are given up: as for `Instance`.
    """

    def __init__(
        self,
        source: str | bytes | Path | Source,
        *,
        opt_level: int = 1,
        engine: str = "fast",
        exports: Sequence[str] | None = None,
        libraries: Mapping[str, str | bytes] | None = None,
        max_memory_pages: int | None = None,
        unknown_imports_trap: bool = False,
        float_routines: bool | None = None,
        division_routines: bool | None = None,
        stdin: bytes = b"",
        argv: Sequence[str] = (),
        env: dict[str, str] | None = None,
        random: bytes | None = None,
        clock: float | None = None,
        folders: Folders | None = None,
        model: Model | None = None,
        world: World | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,
        device: str | None = None,
        keep_records: bool = False,
    ):
        self._keep = keep_records
        self.source = source if isinstance(source, Source) else load(source)
        options = CompileOptions(
            opt_level, exports, libraries or {}, max_memory_pages, unknown_imports_trap, float_routines, division_routines
        )
        if model is None:
            model = compile_with(self.source, options)
            model = in_stock_form(model) if engine == "hf" else model
        self.model, self.program = model, model.program
        self._table = table_of(model)
        self._exclusive = Exclusive("verifier")
        # Both sides have to be told the same, and the copies that wasmtime works on are not the folders themselves.
        world = (world or World(stdin, argv, env or {}, random, clock, folders or {})).fixed()
        self._folders = world.folders
        given = {name: load(text) for name, text in (libraries or {}).items()}
        modules = {name: library.module for name, library in given.items()}
        made = made_for(self.source.module, modules, unknown_imports_trap)
        self._translation = TranslationCheck(
            self.program, link_source(self.source, options_of(self.program, options)), self.source.module
        )
        probe = "memory.key" if "memory.key" in model.transformer.probes else None
        self._instance: Instance | None = None
        try:
            self._instance = Instance(
                model, engine, world=world, probe=probe, max_tokens=max_tokens, timeout=timeout, device=device,
                sparse=True,
            )
            started = self._instance.started
        except Trap as trap:
            started = trap.run
        except Unfinished as error:
            raise self._given_up(error, error.tokens) from None
        self._oracle, recorded = oracle_for(
            self.source.wasm,
            self.program,
            libraries=[
                *((name, library.wasm) for name, library in given.items()),
                *((library.name, encode(library.module)) for library in made),
            ],
            world=world,
            start_steps=started.steps if started else 0,
            # A checkpoint whose memory grows less far than any has to was compiled with such a limit.
            # Several memories share the room there is: that is no limit of one of them.
            max_memory_pages=max_memory_pages or _limit_of(self.program),
        )
        self._folded = FoldedCounts(recorded, self._translation.rules)
        self._comparison = Comparison(self.program, self.source.module, self._oracle.sites, self._oracle.references)
        self._sequence = [model.transformer.prefix]
        self._reading: Reading | None = None
        linked, instance, steps = self._translation.linked, self._instance, self._comparison.steps
        keys = instance.prefix_probed if instance is not None and probe else None
        self._state = ModelState(self.program, linked, self._table, steps, model.transformer.prefix, keys)
        self._states = StateComparison(self.program, linked, self._oracle, keys is not None)
        self.started: Report | None = None
        if started and self._oracle.start:
            agreement = self._agreement(started, keep=True)
            agreement.take(self._oracle.start.records)
            self.started = self._compare(started, self._oracle.start, agreement)

    def invoke(
        self, name: str, args: Sequence[Any] = (), *, max_tokens: int | None = None, timeout: float | None = None,
        progress: Callable[[int], None] | None = None, replay: bool | ReplayOptions = False,
    ) -> Report:  # fmt: skip
        """Runs one call on both sides and compares. Raises ArgumentError; a trap on both sides is no error, but when the
        start function trapped there is nothing to call, and Trap is raised. Unfinished, when the call is given up, names the
        first fault of the steps of the functions that ran, if they have one.

        max_tokens, timeout: as for `Instance.invoke`, of the decoding alone. replay: also check every decoded token
        against the dense matrices (see `replay.replay`), with hard attention where nothing else is said. Raises ReplayError.
        """
        how = ReplayOptions() if replay is True else replay or None
        with self._exclusive.call(name):
            return self._invoke(name, args, how, max_tokens=max_tokens, timeout=timeout, progress=progress)

    def _invoke(self, name: str, args: Sequence[Any], replay: ReplayOptions | None, **options: Any) -> Report:
        instance, run = self._running(), None
        try:
            try:
                run = instance.invoke(name, *args, **options)
            except Trap as trap:
                run = trap.run
            finally:
                self._answered(name, args, instance.asked)
            types = self.program.entries[name].params
            bound = Bound(self._comparison.answered, partial(getattr, run, "steps"))
            values = [bits_of(t, a) for t, a in zip(types, args)]
            agreement = self._agreement(run)
            report = self._compare(run, self._oracle.invoke(name, values, bound, agreement), agreement)
            self._oracle.know(run.values)
        except Unfinished as error:
            tokens = error.tokens if run is None else (run.prompt, *run.pieces)
            raise self._given_up(error, tokens) from None
        if replay:
            self._replay(report, replay, options["progress"])
        return report

    def _answered(self, name: str, args: Sequence[Any], asked: Sequence[tuple[int, Run]]) -> None:
        """What the model said of references that the host passes, see `Instance.invoke`. Raises DivergenceError."""
        for k, run in asked:
            self._follow(run)
            type_ = self.program.entries[name].params[k]
            mine, theirs = bool(run.values[0]), self._oracle.accepts(name, k, bits_of(type_, args[k]))
            if mine != theirs:
                words = ["is" if is_one else "is not" for is_one in (mine, theirs)]
                raise DivergenceError(
                    f"{name}: argument {k + 1}, {args[k]}, {words[0]} a {type_} for the model, and {words[1]} one for wasmtime"
                )

    def _replay(self, report: Report, how: ReplayOptions, progress: Callable[[int], None] | None) -> None:
        from .replay import Reading, replay
        from .replay.margins import Margins

        self._reading = self._reading or Reading(self.model.transformer)
        model, sequence = self.model.transformer, np.concatenate(self._sequence)
        report.margins = Margins(model.certificate) if how.margins else None
        with needing("replay with real softmax", "torch"):
            report.mismatch = replay(
                model, sequence, len(sequence) - report.tokens - 1, progress,
                attention=how.attention, device=how.device, margins=report.margins, reading=self._reading,
            )  # fmt: skip

    def _given_up(self, error: Unfinished, tokens: Sequence[np.ndarray]) -> Unfinished:
        """The same, behind the fault of the steps if the functions that ran have one: it may be why there was no end."""
        try:
            fault = self._translation.first(self._passed(tokens))
        except Unfinished:  # a clock of the command's that goes on
            return Unfinished(f"{error}; whether its steps have a fault was not found out")
        return Unfinished(f"DIFFERENT from wasmtime: {fault}; given up besides: {error}") if fault else error

    def _passed(self, tokens: Sequence[np.ndarray]) -> np.ndarray:
        """The steps that these blocks of tokens lead to."""
        step_at = np.array(self.program.step_at)
        steps, at = [np.empty(0, np.int64)], 0
        for block in tokens:
            passed = at + np.cumsum(self._table.ip_delta[block], dtype=np.int64)
            rows = np.unique(passed)
            steps.append(step_at[rows[(rows >= 0) & (rows < len(step_at))]])
            at = int(passed[-1]) if len(passed) else at
        return np.concatenate(steps)

    def write_memory(self, address: int, data: bytes) -> None:
        """As `Instance.write_memory`, on both sides. Raises Trap, ArgumentError."""
        address, data = memory_index("address", address), plain_bytes("write_memory", data)
        with self._exclusive.call("write_memory"):
            for op, values in host.writes(address, data):
                self._access(op, *values)
            self._oracle.write_memory(address, data)

    def read_memory(self, address: int, length: int) -> tuple[bytes, bytes]:
        """Bytes of the memory that the program exports, or else imports of a library: what the model has there, and what
        wasmtime has. Raises Trap, ArgumentError."""
        address, length = memory_index("address", address), memory_index("length", length)
        with self._exclusive.call("read_memory"):
            values = [self._access(op, at).values[0] for op, at in host.reads(address, length)]
            return host.joined(length, values), self._oracle.read_memory(address, length)

    def read_global(self, name: str) -> Any:
        """The value that an exported global has in the model; after each call it was compared. Raises Trap, ArgumentError."""
        with self._exclusive.call("read_global"):
            return host.read_global(self.program, name, lambda access: self._access(access).values[0])

    @property
    def oracle(self) -> Oracle:
        """wasmtime's side, to be looked at between two calls."""
        return self._oracle

    def _running(self) -> Instance:
        """Raises Trap when there is no instance, because the start function trapped."""
        if self._instance is None:
            assert self.started is not None
            raise Trap(str(self.started.run.trap), self.started.run)
        return self._instance

    def _access(self, op: str, *values: int) -> Run:
        run = self._running().access(op, *values)
        self._follow(run)
        return run

    def _follow(self, run: Run) -> None:
        """What the host asked between two calls."""
        tokens = np.concatenate([run.prompt, *run.pieces], dtype=np.int32)
        self._sequence.append(tokens)
        self._state.follow(decode(tokens, self._table, self.program, run.probed), run.probed)

    def _agreement(self, run: Run, keep: bool = False) -> Agreement:
        agreement = self._comparison.agreement(run, self._state, keep or self._keep)
        self._sequence.append(agreement.tokens)
        return agreement

    def _compare(self, run: Run, oracle: OracleRun, agreement: Agreement) -> Report:
        keys, run.probed = run.probed, None
        tokens = agreement.tokens  # all that a report keeps of it
        decoded = cache(lambda: decode(tokens.astype(np.int32), self._table, self.program, keys))
        agreed = self._comparison.agrees(agreement, oracle, decoded)
        if agreed:
            self._state.end(agreement.values(), decoded)
        else:
            self._state.follow(decoded(), keys)
        fault = self._translation.first(agreement.visited if agreed else decoded().step)
        divergence = None
        if not agreed or fault is not None or self._left_behind() is not None:  # which of all differences is the first one?
            divergence = self._comparison.first(
                decoded(), oracle, fault=fault, after=self._left_behind, compared=agreement.dropped
            )  # fmt: skip
        counts = agreement.counts + np.bincount(oracle.records["site"], minlength=len(agreement.counts))
        folded = self._folded.of(counts)
        compared = int(counts[self._comparison.answered].sum())
        steps = agreement.steps if agreed else len(decoded())
        return Report(divergence, run, oracle, steps, decoded, compared, dict(folded))

    def _folder_difference(self) -> StateDifference | None:
        """Of what the tokens say that is in the program's folders, and what is in wasmtime's copies."""
        hidden, base = self.program.hidden_bytes, self.program.inputs["files"][0]
        mine = contents(lambda at, n: self._state.memory.read(at - hidden, n).tobytes(), base, self._folders)
        theirs = self._oracle.folders()
        for name in self._folders:
            for path in differences(theirs[name], mine[name]):
                shown = [_shown_file(tree[name], path) for tree in (theirs, mine)]
                return StateDifference(f"{name}/{path} after the call", *shown)
        return None

    def _left_behind(self) -> StateDifference | None:
        """What differs between the states that the two sides are in now."""
        links = self._translation.links
        if self._folders and (difference := self._folder_difference()):
            return difference
        return self._states.first(self._state, links.used("global"), links.used("table"), links.source)


def _shown_file(tree: Contents, path: str) -> str:
    if path not in tree:
        return "not there"
    data = tree[path]
    return "a folder" if data is None else f"{len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def _limit_of(program: Program) -> int | None:
    pages = program.memory_maximum
    return pages if 0 < pages < MEMORY_PAGES and not program.memories else None


def options_of(program: Program, options: CompileOptions) -> CompileOptions:
    """With which `program` would be compiled again: what it says itself, and for the rest these."""
    pages = program.memory_maximum
    limit = pages if 1 <= pages <= MEMORY_PAGES and not program.memories else options.max_memory_pages
    level = program.opt_level if program.opt_level in (0, 1) else options.opt_level
    # A routine may be there without a step that calls it, for an instruction that is reached and never runs; and such an
    # instruction may have had a step, which is not there any more.
    ops = {step.op for step in program.steps}
    routines = {function.name for function in program.functions.values()}
    return replace(
        options,
        opt_level=level,
        exports=[*program.entries],
        max_memory_pages=limit,
        float_routines=FLOAT_STEPS.isdisjoint(ops) and not FLOAT_STEPS.isdisjoint(routines),
        division_routines=DIVISION_STEPS.isdisjoint(ops) and not DIVISION_STEPS.isdisjoint(routines),
    )


def verify(
    source: str | bytes | Path | Source, name: str, args: Sequence[Any] = (), *,
    progress: Callable[[int], None] | None = None, max_tokens: int | None = None, timeout: float | None = None,
    replay: bool | ReplayOptions = False, **options: Any,
) -> Report:  # fmt: skip
    """Compiles `source`, calls `name` and checks every step against wasmtime. options: as for `Verifier`.

    When the start function already diverges, or does not return, its report is returned.
    """
    verifier = Verifier(source, max_tokens=max_tokens, timeout=timeout, **options)
    if verifier.started is not None and not (verifier.started.ok and verifier.started.run.returned):
        return verifier.started
    return verifier.invoke(name, args, progress=progress, max_tokens=max_tokens, timeout=timeout, replay=replay)


def bits_of(type_: ValType, value: Any) -> int | Reference | None:
    """Numbers as bit patterns, references as they are."""
    if is_reference(type_):
        return value if value is None or isinstance(value, Reference) else operator.index(value)
    return encode_value("", 0, type_, value)
