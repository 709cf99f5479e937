"""What the tokens of one invocation say: results, output, how it ended. Digits are moved, nothing is computed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from ..compiler.format.checkpoint import Model
from ..compiler.format.isa import TRAPS, Entry, Program
from ..compiler.format.tokens import WHOLE, Kind, TokenTable
from .bit_patterns import decode, fits, integers_of, values_of
from .errors import DecodingError
from .later import Later
from .missing import TAIL, missing_import
from .prompts import FEW_ENTRIES
from .sparse_values import SparseValues

# As plain numbers: numpy takes microseconds to compare with others.
DIGIT, TRAP, STDOUT, STDERR = (int(kind) for kind in (Kind.DIGIT, Kind.TRAP, Kind.STDOUT, Kind.STDERR))
TRAILING = 8  # digits of a slot, at most
FEW = 16  # tokens that Python looks at one by one, before numpy would have begun
BLOCK = 1 << 15  # tokens of a finished trace looked at together: what is made of them stays in a cache of the processor
Total = Callable[[np.ndarray, np.ndarray], int]
Ids = Sequence[int] | np.ndarray


class TokenParts:
    """Arrays of tokens, to be made one of int32."""

    def __init__(self, parts: Sequence[np.ndarray]):
        self.parts = parts

    def move(self, to: np.ndarray) -> None:
        """Puts all of them there, [n] unsigned or int32, and is that array from now on. Each goes when it is there."""
        left, self.parts, at = list(reversed(self.parts)), [to], 0
        while left:
            part = left.pop()
            to[at : at + len(part)] = part
            at += len(part)

    def __call__(self) -> np.ndarray:
        parts = self.parts
        return parts[0].astype(np.int32, copy=False) if len(parts) == 1 else np.concatenate(parts, dtype=np.int32)


@dataclass
class Run:
    """What one invocation did.

    values: results, i32 and i64 signed, v128 unsigned, floats as floats, references as None or int, as for `invoke` (a function
    of a library that has no index in the module: bit_patterns.FOREIGN). prompt: int32 [p], the tokens that
    the runtime supplied; tokens: int32 [n], those that the model decoded. steps: steps executed. stdout, stderr: output
    bytes. trap: wasmtime's words, or None. missing_import: says so where the program called an import that nobody provides,
    which traps. exit_code: of proc_exit, or None. bits: the results as they stand in their
    slots, unsigned; a Python float does not keep every NaN of an f32, these do. prompt, tokens and steps may be given as
    functions that return them: who only wants the results of a run does not wait for them.
    """

    values: list[Any]
    prompt: Later[np.ndarray] = Later()  # noqa: RUF009 (a descriptor)
    tokens: Later[np.ndarray] = Later()  # noqa: RUF009 (a descriptor)
    steps: Later[int] = Later()  # noqa: RUF009 (a descriptor)
    stdout: bytes = b""
    stderr: bytes = b""
    trap: str | None = None
    missing_import: str = ""
    exit_code: int | None = None
    probed: np.ndarray | SparseValues | None = field(default=None, repr=False)
    bits: list[int] = field(default_factory=list)

    @classmethod
    def returning(
        cls, values: list[Any], bits: list[int], prompt: Callable[[], np.ndarray], tokens: Callable[[], np.ndarray],
        steps: Callable[[], int],
    ) -> Run:  # fmt: skip
        """One that did nothing but return, as short calls do; in half of the time that the fields take one by one."""
        run = cls.__new__(cls)
        run.__dict__ = {
            "values": values, "prompt": prompt, "tokens": tokens, "steps": steps, "stdout": b"", "stderr": b"", "trap": None,
            "missing_import": "", "exit_code": None, "probed": None, "bits": bits,
        }  # fmt: skip
        return run

    @property
    def returned(self) -> bool:
        """It neither trapped nor called proc_exit."""
        return self.trap is None and self.exit_code is None

    @property
    def pieces(self) -> Sequence[np.ndarray]:
        """`tokens` in as many arrays as they were decoded in, unsigned or int32, which nobody may write to: there without
        another array as long as a long trace."""
        kept = self.__dict__["tokens"]
        return kept.parts if isinstance(kept, TokenParts) else [self.tokens]

    def move(self, to: np.ndarray) -> None:
        """Has `tokens` stand there, [n] unsigned or int32, and nowhere else."""
        kept = self.__dict__["tokens"]
        if not isinstance(kept, TokenParts):
            kept = self.__dict__["tokens"] = TokenParts([self.tokens])
        kept.move(to)


class Results:
    """What the tokens of a model's invocations say. total: of table[token] over tokens, from who has it fast."""

    def __init__(self, model: Model, table: TokenTable, total: Total | None = None):
        self._model, self._table, self._total = model, table, total or _count
        self._streams = [kind in table.kinds for kind in (STDOUT, STDERR)]
        self._slots: dict[int, tuple[int, int]] = {}  # by entry: slots of its results, and the step at which it halts
        self._short: dict[int, tuple[int, int]] = {}  # by entry: the row at which it halts, and the bits of its one result, or 0
        self._halt, self._zero = _ids(table)
        for entry in islice(model.program.entries.values(), FEW_ENTRIES):
            self._short_of(entry)

    def short(self, entry: Entry, name: str, prompt: Ids, tokens: np.ndarray, moved: int) -> Run:
        """The same as `run`, of one part; sooner where a function with at most one result, i32 or i64, has returned it."""
        row, bits = self._short.get(entry.entry) or self._short_of(entry)
        if moved != row or tokens.item(-1) != self._halt:
            return self.run(entry, name, prompt, [tokens], moved)
        found: list[int] = []
        if bits:
            last = tokens[-TRAILING - 2 : -1].tolist()
            value, digits = self._last_value(last)
            before = len(last) - digits
            whole = self._table.ends.item(last[before - 1]) if before else len(last) == len(tokens) - 1
            if not digits or not whole or value >> bits:
                return self.run(entry, name, prompt, [tokens], moved)
            found = [value]
        values = [value - (1 << bits) if value >> bits - 1 else value for value in found]
        kept = TokenParts([tokens])
        steps = partial(_steps, self._model, self._table, prompt, kept)
        return Run.returning(values, found, partial(np.array, prompt, np.int32), kept, steps)

    def _last_value(self, tokens: list[int]) -> tuple[int, int]:
        """The number that tokens end with, and how many digits it has."""
        value = place = 0
        for token in reversed(tokens):
            digit = token - self._zero - 256 * place
            if not 0 <= digit < 256:
                break
            value |= digit << 8 * place
            place += 1
        return value, place

    def _short_of(self, entry: Entry) -> tuple[int, int]:
        """No row at all where there is more to be looked at."""
        bits = {(): 0, ("i32",): 32, ("i64",): 64}.get(tuple(entry.results))
        rows, halt = self._model.program.step_at, _halt_of(self._model.program, entry)
        plain = bits is not None and True not in self._streams and self._halt >= 0
        found = self._short[entry.entry] = (bisect_left(rows, halt) if plain else -1), bits or 0
        return found

    def run(
        self, entry: Entry, name: str, prompt: Ids, parts: Sequence[np.ndarray], moved: int | None = None
    ) -> Run:
        """The invocation with this prompt, [p], that decoded these tokens, [n] in parts; the last one stops it. name: for
        messages. moved: how far all of them move the instruction pointer, where that is known. Raises DecodingError where they
        hold no results."""
        table, last = self._table, parts[-1].item(-1)
        kept = TokenParts(parts)
        run = Run([], partial(np.array, prompt, np.int32), kept, partial(_steps, self._model, table, prompt, kept))
        if True in self._streams:
            run.stdout, run.stderr = (
                b"".join([output_bytes(table, part, kind) for part in parts]) if there else b""
                for kind, there in zip((STDOUT, STDERR), self._streams)
            )
        if moved is None:
            moved = _count(table.ip_delta, np.asarray(prompt)) + _counts(table.ip_delta, parts, self._total)
        if table.kind.item(last) == TRAP:
            run.trap = TRAPS[table.traps[table.value[last]]]
            run.missing_import = missing_import(self._model, table, moved, np.concatenate([run.prompt, _last(parts, TAIL)]))
            return run
        slots, halt = self._slots.get(entry.entry) or self._slots_of(entry)
        results = _trailing_values(table, _last(parts, TRAILING * slots + 2), slots)
        # proc_exit emits the code and halts on the spot; a return halts behind the entry's own result steps.
        rows = self._model.program.step_at
        if 0 <= moved < len(rows) and rows[moved] == halt:
            plain = integers_of(entry.results, results) if len(results) == len(entry.results) else None
            if plain is not None:
                run.bits, run.values = results, plain
            else:
                run.bits = values_of(entry.results, results[:slots])
                run.values = _values(self._model.program, name, entry, run.bits)
        elif results:
            run.exit_code = results[-1]
        if len(run.values) < len(entry.results) and run.exit_code is None:
            raise DecodingError(f"{name}: the model halted without its results; compile the program again")
        return run

    def _slots_of(self, entry: Entry) -> tuple[int, int]:
        slots = max(1, len(entry.results) + entry.results.count("v128"))
        found = self._slots[entry.entry] = slots, _halt_of(self._model.program, entry)
        return found


def _ids(table: TokenTable) -> tuple[int, int]:
    """Of the token that halts, -1 where several do, or where digits do not stand one behind the other; and of the first digit."""
    halts = np.flatnonzero(table.kind == Kind.HALT)
    digits = np.flatnonzero((table.kind == Kind.DIGIT) & (table.place != WHOLE))  # no result is a whole value
    first = int(digits[0]) if len(digits) else 0
    number = table.place[digits].astype(np.int64) * 256 + table.value[digits]
    known = len(halts) == 1 and np.array_equal(digits - first, number)
    return int(halts[0]) if known else -1, first


def _values(program: Program, name: str, entry: Entry, patterns: Sequence[int]) -> list[Any]:
    """The results that these bit patterns are. Raises DecodingError."""
    for type_, bits in zip(entry.results, patterns):
        if not fits(type_, bits):
            raise DecodingError(f"{name}: a result, {bits}, has more digits than {type_}; compile the program again")
    return [decode(t, bits, program.function_references) for t, bits in zip(entry.results, patterns)]


def _halt_of(program: Program, entry: Entry) -> int:
    """The step at which a call of this entry ends when it returns."""
    at = entry.entry
    while program.steps[at].op != "halt":
        at += 1
    return at


def output_bytes(table: TokenTable, tokens: np.ndarray, kind: int) -> bytes:
    """What these tokens write to a stream. kind: STDOUT or STDERR."""
    if kind not in table.kinds:
        return b""
    if len(tokens) <= BLOCK:
        return table.value[tokens[table.kind.take(tokens) == kind]].astype(np.uint8).tobytes()
    blocks = (tokens[i : i + BLOCK] for i in range(0, len(tokens), BLOCK))
    return b"".join(output_bytes(table, block, kind) for block in blocks)


def _trailing_values(table: TokenTable, tokens: np.ndarray, count: int) -> list[int]:
    """The values emitted right before the halt, at most `count`."""
    kinds, ends = table.kind.item, table.ends.item
    rest = tokens[:-1].tolist()
    values: list[int] = []
    while rest and len(values) < count and kinds(rest[-1]) == DIGIT:  # it ends a step
        value = table.value.item(rest.pop())  # of a digit or a whole value
        while rest and not ends(rest[-1]):
            token = rest.pop()
            if kinds(token) == DIGIT:
                value += table.value.item(token) << 8 * table.place.item(token)
        values.append(value % 2**64)
    return values[::-1]


def _count(table: np.ndarray, tokens: np.ndarray) -> int:
    """Sum of table[token] over the tokens, without an array as long as a long trace."""
    if len(tokens) <= FEW:
        return sum(map(table.item, tokens.tolist()))
    if len(tokens) <= BLOCK:
        return int(np.add.reduce(table.take(tokens), dtype=np.int64))
    return sum(_count(table, tokens[i : i + BLOCK]) for i in range(0, len(tokens), BLOCK))


def _counts(table: np.ndarray, parts: Sequence[np.ndarray], total: Total) -> int:
    return sum([_count(table, part) if len(part) <= FEW else total(table, part) for part in parts])


def _steps(model: Model, table: TokenTable, prompt: Ids, kept: TokenParts) -> int:
    """How many steps the tokens behind the prompt are. A branch that is not taken has none of them where the step behind it
    shares its row, which ends with another token than a jump. Needs no array as long as a long trace."""
    parts = kept.parts
    steps = _counts(table.ends, parts, _count)
    shared = np.diff([*model.program.step_at, len(model.program.steps)]) == 2  # by row
    if not shared.any():
        return steps
    row = _count(table.ip_delta, np.asarray(prompt))
    for part in parts:
        for block in (part[i : i + BLOCK] for i in range(0, len(part), BLOCK)):
            moved = np.cumsum(table.ip_delta.take(block), dtype=np.int64)
            others = np.flatnonzero((table.ends.take(block) != 0) & (table.kind.take(block) != Kind.JUMP))
            before = row + moved[others] - table.ip_delta.take(block[others])
            steps += int(np.count_nonzero(shared.take(before, mode="clip")))
            row += int(moved[-1])
    return steps


def _last(parts: Sequence[np.ndarray], count: int) -> np.ndarray:
    """The last tokens, at least so many where there are."""
    found: list[np.ndarray] = []
    for part in reversed(parts):
        found.insert(0, part[-count:])
        count -= len(found[0])
        if count <= 0:
            break
    return found[0] if len(found) == 1 else np.concatenate(found)
