"""From tokens back to executed steps: which step, which value, which way. Digits are moved, nothing is computed.

What each token does is said by compiler/format/tokens.py. The instruction pointer of a step is the entry's first step plus
the deltas of all tokens before it. Everything is done on arrays, in blocks of
tokens, so that traces of 10^8 tokens take seconds.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.format.checkpoint import Model
from ..compiler.format.isa import Program, Slot, Step
from ..compiler.format.printable import printable
from ..compiler.format.tokens import Kind, TokenTable
from ..compiler.wasm.module import Module
from .sparse_values import SparseValues

BLOCK = 1 << 18  # tokens decoded at a time


def table_of(model: Model) -> TokenTable:
    """The tokens of a compiled program."""
    return TokenTable.build(model.transformer.vocabulary, model.jumps, model.entries)


@dataclass(frozen=True)
class Fault:
    """Why the tokens are no trace from here on. token: position in `Trace.tokens`."""

    token: int
    message: str


@dataclass(frozen=True)
class Trace:
    """The executed steps of one invocation; arrays have one element per executed step, in order.

    tokens: the invocation's tokens, prompt included. entry: position of its entry token.
    step: int32, index in the step program. end: int64, position of the last token. length: int32, number of tokens. kind: uint8,
    `Kind` of the last token. A branch that is not taken and shares its row with the step behind it has no tokens: its length is
    0, its end the position before that step's first token, its kind NEXT.
    value: uint64, the digits' value, an output byte, the index of a trap kind.
    frame: int32, the frame base that the step ran with, from 0 at the entry.
    address: float64 or None, of a store the address of its byte at place 0, NaN where its bytes were not adjacent.
    outcome: "halt", a key of isa.TRAPS, or "unfinished" when the tokens end before the invocation does.
    fault: where decoding stopped because a token cannot stand there.
    """

    table: TokenTable
    tokens: np.ndarray
    entry: int
    step: np.ndarray
    end: np.ndarray
    length: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    frame: np.ndarray
    address: np.ndarray | None
    outcome: str
    fault: Fault | None

    def __len__(self) -> int:
        return len(self.step)

    @property
    def stdout(self) -> bytes:
        return self.value[self.kind == Kind.STDOUT].astype(np.uint8).tobytes()

    @property
    def stderr(self) -> bytes:
        return self.value[self.kind == Kind.STDERR].astype(np.uint8).tobytes()

    def results(self, program: Program) -> list[int]:
        """What the `result` steps emitted, as unsigned integers."""
        emits = np.array([step.operation.effect == "result" for step in program.steps], dtype=bool)
        return self.value[emits[self.step] & (self.kind == Kind.DIGIT)].tolist()

    def names(self, start: int, stop: int) -> list[str]:
        """Names of the tokens at these positions."""
        return [self.table.names[t] for t in self.tokens[max(start, 0) : max(stop, 0)]]

    def view(self, number: int, program: Program, source: Module | Mapping[int, str]) -> TraceStep:
        """The executed step of this number (0-based), for people. source: see `location`."""
        end = int(self.end[number])
        index = int(self.step[number])
        kind = Kind(int(self.kind[number]))
        following = int(self.step[number + 1]) if number + 1 < len(self) else None
        return TraceStep(
            number=number,
            index=index,
            step=program.steps[index],
            where=location(program, source, index),
            kind=kind,
            value=int(self.value[number]),
            trap=self.table.traps[int(self.value[number])] if kind == Kind.TRAP else "",
            following=following,
            position=end,
            tokens=self.names(end + 1 - int(self.length[number]), end + 1),
        )


def decode(
    tokens: np.ndarray, table: TokenTable, program: Program, keys: np.ndarray | SparseValues | None = None, block: int = BLOCK
) -> Trace:
    """The trace of one invocation: int [T] token ids, the prompt (input bytes, entry token, arguments) included.

    keys: float64 [T], the model's memory key at each position. A store's digit is decided at the position before it, and
    the key there is the address that it is written to. Raises ValueError when there is no entry token.
    """
    tokens = np.asarray(tokens)
    entries = np.flatnonzero(table.kind[tokens] == Kind.ENTRY)
    if not len(entries):
        raise ValueError("no entry token: these are not the tokens of an invocation")
    entry = int(entries[0])
    blocks = _Blocks(table, program, int(table.ip_delta[tokens[entry]]), keys, len(tokens))
    position = entry + 1
    while position < len(tokens) and blocks.open:
        taken = blocks.read(tokens, position, min(position + block, len(tokens)))
        if not taken:  # the next step is longer than the block, or there is none
            if position + block >= len(tokens):
                break
            block *= 2
        position += taken
    if blocks.outcome != "unfinished" and position < len(tokens):
        blocks.fault = Fault(position, "a token behind the end of the invocation")
    step, end, length, kind, value, frame, address = (column[: blocks.count] for column in blocks.columns)
    return Trace(
        table, tokens, entry, step, end, length, kind, value, frame,
        None if keys is None else address, blocks.outcome, blocks.fault,
    )  # fmt: skip


_COLUMN_TYPES = (np.int32, np.int64, np.int32, np.uint8, np.uint64, np.int32, np.float64)


class _Blocks:
    """Decodes block after block; instruction pointer and frame base are carried along."""

    def __init__(self, table: TokenTable, program: Program, ip: int, keys: np.ndarray | SparseValues | None, room: int):
        self.table, self.ip, self.frame, self.keys = table, ip, 0, keys
        self.firsts = np.array([*program.step_at, len(program.steps)])
        self.shared = np.diff(self.firsts) == 2 if len(program.step_at) < len(program.steps) else None
        room = room if self.shared is None else 2 * room
        # 0: no digit, or a whole value; p + 1: digit at place p. Behind digit p > 0 comes digit p - 1.
        self.digit = np.where(table.kind == Kind.DIGIT, table.place + 1, 0).astype(np.int8)
        self.has_far_jumps = bool(table.behind.any())
        # What is never written never becomes memory: a trace of 10^7 tokens is too long to be there twice.
        self.columns = [np.empty(room, t) for t in _COLUMN_TYPES]
        self.count = 0
        self.outcome = "unfinished"
        self.fault: Fault | None = None

    @property
    def open(self) -> bool:
        return self.outcome == "unfinished" and self.fault is None

    def read(self, tokens: np.ndarray, start: int, stop: int) -> int:
        """Reads the complete steps in tokens[start:stop]; returns how many tokens they are, 0 if there are none."""
        table, ids = self.table, tokens[start:stop]
        faults = []
        digit = self.digit[ids]
        broken = np.flatnonzero((digit[:-1] > 1) & (digit[1:] != digit[:-1] - 1))
        if len(broken):
            faults.append(Fault(start + int(broken[0]) + 1, "a digit of the next lower place must stand here"))
        if self.has_far_jumps:
            before = np.concatenate([[0], table.leads[ids[:-1]]])  # what is read begins with a step
            broken = np.flatnonzero(table.behind[ids] != before)
            if len(broken):
                faults.append(Fault(start + int(broken[0]), "the tokens of a far jump are incomplete"))
        kind = table.kind[ids]
        foreign = np.flatnonzero((kind == Kind.NONE) | (kind == Kind.ENTRY))
        if len(foreign):
            faults.append(Fault(start + int(foreign[0]), "a token of the prompt among the model's own"))
        starts, ends = table.steps(ids)
        stops = np.flatnonzero(table.stops[ids[ends]])
        if len(stops):
            starts, ends = starts[: stops[0] + 1], ends[: stops[0] + 1]
        last = ids[ends]
        ips = self.ip + _running(table.ip_delta[ids], starts, ends)
        outside = np.flatnonzero((ips[:-1] < 0) | (ips[:-1] >= len(self.firsts) - 1))
        if len(outside):
            at = start + int(starts[outside[0]])
            faults.append(Fault(at, f"the instruction pointer {int(ips[outside[0]])} is outside the program"))
        # Faults behind the end of the invocation are not of this invocation.
        faults = [f for f in faults if not len(stops) or f.token <= start + int(ends[-1])]
        if faults:
            self.fault = min(faults, key=lambda f: f.token)
            keep = int(np.searchsorted(start + ends, self.fault.token))
            ends, starts, last, ips = ends[:keep], starts[:keep], last[:keep], ips[: keep + 1]
        if not len(ends):
            return 0
        frames = self.frame + _running(table.frame_delta[ids], starts, ends)
        used = ids[: ends[-1] + 1]
        value = table.values(used, starts)
        found = [self.firsts[ips[:-1]], start + ends, ends - starts + 1, table.kind[last], value, frames[:-1]]
        if self.keys is not None:
            base = self.keys[start - 1 : start - 1 + len(used)] - table.place[used]
            low, high = np.minimum.reduceat(base, starts), np.maximum.reduceat(base, starts)
            found.append(np.where(low == high, low, np.nan))
        if self.shared is not None:
            found = _with_branches(found, self.shared[ips[:-1]] & (table.kind[last] != Kind.JUMP))
        count = len(found[0])
        for column, row in zip(self.columns, found, strict=False):
            column[self.count : self.count + count] = row
        self.count += count
        self.ip, self.frame = int(ips[-1]), int(frames[-1])
        if not faults and table.stops[last[-1]]:
            trapped = table.kind[last[-1]] == Kind.TRAP
            self.outcome = table.traps[table.value[last[-1]]] if trapped else "halt"
        return len(used)


def _with_branches(columns: list[np.ndarray], behind: np.ndarray) -> list[np.ndarray]:
    """Steps of rows with two of them where the branch, which the row has first, was not taken (bool [n]): it has no tokens, and
    stands before the other one. columns: as in `Trace`."""
    step, end, length, kind, *others = (np.repeat(column, 1 + behind) for column in columns)
    second = np.flatnonzero(behind) + np.arange(1, 1 + np.count_nonzero(behind))
    step[second] += 1
    end[second - 1] -= length[second - 1]
    length[second - 1], kind[second - 1], others[0][second - 1] = 0, Kind.NEXT, 0
    if len(others) > 2:
        others[2][second - 1] = np.nan
    return [step, end, length, kind, *others]


def _running(deltas: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Sums of the deltas of all steps before each step, and of all: int64 [steps + 1]."""
    if not len(ends):
        return np.zeros(1, np.int64)
    return np.concatenate([[0], np.cumsum(np.add.reduceat(deltas[: ends[-1] + 1], starts))])


@dataclass(frozen=True)
class Location:
    """Where a step comes from. function: name; instruction, offset: "" and None for a step that answers for none."""

    function: str
    instruction: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        text = printable(self.function)
        if self.offset is not None and self.offset >= 0:
            text += f"+0x{self.offset:x}"
        return f"{text} {printable(self.instruction)}" if self.instruction else text

    @classmethod
    def of_instruction(cls, module: Module, function: int, instruction: int) -> Location:
        """By its indices in the module."""
        f = module.functions[function]
        return cls(f.name or f"func[{function}]", f.body[instruction].name, f.body[instruction].offset)


def location(program: Program, source: Module | Mapping[int, str], index: int) -> Location:
    """Of the step with this index in the program: the WASM instruction that it stands for, or its function or entry.

    source: the module that was compiled, or, where there is only the checkpoint, its texts (see Model.texts).
    """
    found = _by_text(source, index) if isinstance(source, Mapping) else _by_site(program, source, index)
    if found is not None:
        return found
    functions = sorted(program.functions.values(), key=lambda f: f.entry)
    at = bisect_right([f.entry for f in functions], index) - 1
    if at >= 0 and index < functions[at].end:
        return Location(functions[at].name)
    entries = [e for e in (*program.entries.values(), program.start, *program.host.values()) if e is not None]
    before = [e for e in entries if e.entry <= index]
    return Location(f"entry of {max(before, key=lambda e: e.entry).name or 'the start function'}" if before else "")


def _by_site(program: Program, module: Module, index: int) -> Location | None:
    site = program.steps[index].site
    return None if site is None else Location.of_instruction(module, site.function, site.instruction)


def _by_text(texts: Mapping[int, str], index: int) -> Location | None:
    text = re.fullmatch(r"(.*?) 0x([0-9a-f]+) (.*)", texts.get(index, ""), re.DOTALL)
    return None if text is None else Location(text[1], text[3], int(text[2], 16))


@dataclass(frozen=True)
class TraceStep:
    """One executed step. number: in the trace. index: in the program. following: index of the step executed next."""

    number: int
    index: int
    step: Step
    where: Location
    kind: Kind
    value: int
    trap: str
    following: int | None
    position: int
    tokens: list[str]

    @property
    def result(self) -> str:
        """What it did, in words."""
        match self.kind:
            case Kind.DIGIT:
                return show_value(self.value, self.step.wide)
            case Kind.STDOUT | Kind.STDERR:
                return f"byte {self.value} {bytes([self.value])!r}"
            case Kind.TRAP:
                return f"trap {self.trap}"
            case Kind.JUMP:
                return "jump" if self.following is None else f"to step {self.following}"
            case Kind.HALT:
                return "halt"
            case _:
                return "not taken"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a machine-readable trace."""
        return {
            "number": self.number,
            "step": self.index,
            "op": self.step.op,
            "function": self.where.function,
            "instruction": self.where.instruction,
            "offset": self.where.offset,
            "operands": [show_slot(s) for s in (self.step.a, self.step.b, self.step.c, self.step.d) if s],
            "destination": show_slot(self.step.dest) if self.step.dest else None,
            "kind": self.kind.name.lower(),
            "value": self.trap or self.value,
            "position": self.position,
            "tokens": self.tokens,
        }

    def __str__(self) -> str:
        operands = ", ".join(show_slot(s) for s in (self.step.a, self.step.b, self.step.c, self.step.d) if s)
        action = f"{self.step.op} {operands}".strip()
        if self.step.dest:
            action = f"{show_slot(self.step.dest)} = {action}"
        return f"{self.number:>8}  step {self.index:<6} {self.where!s:<32} {action:<40} {self.result:<28} " + " ".join(
            self.tokens
        )


def show_slot(slot: Slot) -> str:
    """E.g. "frame[2]", "global[0]", "5", "memory_bytes"."""
    if slot.kind == "const":
        return str(slot.index)
    return str(slot.index) if slot.kind == "hidden" else f"{slot.kind}[{slot.index}]"


def show_value(value: int, wide: bool = False) -> str:
    """Signed, and in hexadecimal where that says more."""
    bits = 64 if wide or value >= 2**32 else 32
    signed = value - 2**bits if value >= 2 ** (bits - 1) else value
    return str(signed) if 0 <= signed < 10 else f"{signed} (0x{value:x})"
