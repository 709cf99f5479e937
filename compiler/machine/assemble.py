"""From the step program to numbers: what the machine is that can execute it, and the program as that machine takes it.

Order of the vocabulary: first what the model may emit (their ids are the line of the unembedding's parabola), then what
only a prompt holds:

    D{p}.{v} S{p}.{v} Q0.{v} Q1.{v} N H T.{kind} O.{v} E.{v} J.{j} X.{v} Y.{v} Z.{v} F.{k} W.{v}
    | BOS I.{k} P{s}.{k} C.{k} G.{s} B.{v}
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from ..format.isa import SELDOM_TRAPS, Program
from ..format.limits import PAGES_TOGETHER
from ..format.tokens import CLASSES, TokenClass, head_of
from .addresses import memory_map, slot_map
from .architecture import Architecture
from .encode import Encoder, absolute_slot
from .jumps import SINGLE_JUMPS, Jumps, jumps_of, tables_of
from .rows import Row, fields, guard_fields
from .sections import OWN_TOKENS, TOKENS_LIMIT, RowTable, sections
from .whole_values import whole_values


@dataclass(frozen=True)
class ProgramImage:
    """A program as tokens say it: what the prompt's prefix holds, and what the jump tokens do.

    rows: the fields that are fetched, of a step or of a branch and the step behind it. leading: rows before these: the first one
    touches nothing, there execution stands before the first entry; the others name the slots of constants, if these are spelled.
    constants: (address, initial value) of
    constants, globals and hidden registers. segments: (memory address, bytes). inputs: address of each named area that a
    prompt may fill. entries: (name, first row); "" is the start function. jumps: see `jumps`.
    """

    rows: list[Row]
    leading: list[Row]
    constants: list[tuple[int, int]]
    segments: list[tuple[int, bytes]]
    inputs: dict[str, int]
    entries: list[tuple[str, int]]
    jumps: Jumps

    @property
    def all_rows(self) -> list[Row]:
        """In the order in which the prefix has them."""
        return [*self.leading, *self.rows]

    @cached_property
    def table(self) -> RowTable:
        """The same as arrays; they are not to change any more."""
        return RowTable(self.all_rows)


@dataclass(frozen=True)
class Assembly:
    """architecture: what the machine is; `machine.machine` makes its circuits. image: the program; `tokens.fill` says it."""

    architecture: Architecture
    image: ProgramImage


# Of the room that a vocabulary has for rows, where these take several sections, the part for whole values.
WHOLE_PART = 0.125
# Digits of the quotients and roots in scratch, by the field of the rows that make them.
QUOTIENT_PLACES = {"divide": 4, "divide64": 8, "f32_divide": 4, "f32_root": 4, "f64_divide": 8, "f64_root": 8}
_WIDE = (
    "move_high", "select_high", "carry", "divide64", "wide_bytes", "fill_high", "load64", "store64", "signed_high", "check_high",
    "guard.wide",
)  # fmt: skip


def assemble(
    program: Program, single_jumps: int = SINGLE_JUMPS, tokens_limit: int = TOKENS_LIMIT, own_tokens: int = OWN_TOKENS,
    whole: tuple[range, ...] | None = None,
) -> Assembly:  # fmt: skip
    """The smallest machine for a program. single_jumps: how many jumps may have a token of their own, see `jumps`.
    tokens_limit: what the vocabulary is to stay below; own_tokens: how many constants and segments may have tokens of their own;
    see `sections`. whole: the values that have tokens; chosen if not given, see `whole_values`.

    Raises CompileError when the program does not fit the machine's ranges.
    """
    jumps = jumps_of(program, single_jumps)
    tables = tables_of(program, jumps)
    slots, memory = slot_map(program), memory_map(program, tables.bytes)
    rows = _rows(program)
    places = _places(program, rows, slots.constants)
    spelled = len(slots.constants) + len(memory.segments) > own_tokens
    leading: list[Row] = [{}, *(absolute_slot("dest", address) for address, _ in slots.constants if spelled)]
    architecture = Architecture(
        sections=(),
        places=places,
        rows=len(rows) + len(leading),
        leading=len(leading),
        spelled=spelled,
        slots=slots.end,
        frame_limit=slots.frame_limit,
        whole_memory=program.memory_maximum > PAGES_TOGETHER,
        lowest_address=memory.lowest,
        longest_segment=memory.longest,
        whole=(),
        tokens=_tokens(program, rows, places, jumps),
        base=jumps.base,
        table_width=tables.width,
        table_bytes=len(tables.bytes),
    )
    Encoder(program, slots, memory, jumps, tables, architecture.ids).complete(rows)
    leading[0] |= {"next": architecture.ids["H"]}
    image = ProgramImage(rows, leading, slots.constants, memory.segments, memory.inputs, _entries(program), jumps)
    said = architecture.emitted + 1 + 256 + len(image.entries) + len(memory.inputs)
    said += 512 if spelled else len(slots.constants) + len(memory.segments)
    room, different = tokens_limit - 1 - said, image.table.different
    if whole is None:
        whole = whole_values(program, room - different if different <= room else int(WHOLE_PART * room))
    count = sum(map(len, whole))
    chosen = sections(image.table, room - count)
    return Assembly(replace(architecture, sections=chosen, whole=whole, tokens=architecture.tokens | {"W": count}), image)


def _rows(program: Program) -> list[Row]:
    """With the fields of their operations."""
    rows: list[Row] = []
    for index, step in enumerate(program.steps):
        if step.joined:
            rows[-1] = guard_fields(program.steps[index - 1]) | fields(step)
        else:
            rows.append(fields(step))
    return rows


def _used(rows: list[Row]) -> frozenset[str]:
    return frozenset(name for row in rows for name, value in row.items() if value)


def _places(program: Program, rows: list[Row], constants: list[tuple[int, int]]) -> int:
    wide = not _used(rows).isdisjoint(_WIDE) or any(value >= 2**32 for _, value in constants)
    return 8 if wide or any(step.operation.type == "i64" for step in program.steps) else 4


def _entries(program: Program) -> list[tuple[str, int]]:
    row = program.row_of
    start = [("", row[program.start.entry])] if program.start else []
    exported = [(name, row[entry.entry]) for name, entry in program.entries.items()]
    return exported + start + [(entry.name, row[entry.entry]) for entry in program.host.values()]


def _tokens(program: Program, rows: list[Row], places: int, jumps: Jumps) -> dict[str, int]:
    """How many tokens of each class the model may emit; none of those that the program has no use for."""
    used, ops = _used(rows), {step.op for step in program.steps}
    absent = {name for name, flag in (("Q0", "mul"), ("Q1", "mul_high")) if flag not in used}
    absent |= {c.name for c in CLASSES if c.whole}  # chosen at the end: their ids are the last ones
    absent |= {name for name, op in (("O", "stdout"), ("E", "stderr")) if op not in ops}
    counts = Counter(head_of(name) for name, _, _ in jumps.tokens)
    seldom = {step.trap for step in program.steps} | {"null_access" for op in ops if op in ("call_ref", "return_call_ref")}
    absent_traps = next((k for k, name in enumerate(reversed(SELDOM_TRAPS)) if name in seldom), len(SELDOM_TRAPS))
    made = {
        c.name: 0 if c.name in absent else counts[c.name] if c.moves else _count(c, places)
        for c in CLASSES
        if c.emitted
    }
    quotient_places = max((places for field, places in QUOTIENT_PLACES.items() if field in used), default=0)
    return made | {"S": 256 * quotient_places, "T": made["T"] - absent_traps}


def _count(c: TokenClass, digits: int) -> int:
    """Tokens of a class whose number does not depend on the program's jumps. digits: places of a value."""
    places = digits if c.name == "D" else max(1, c.places)
    return places * (len(c.names) or c.numbers or 1)


__all__ = ["Assembly", "ProgramImage", "assemble"]
