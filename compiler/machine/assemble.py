"""From the step program to tokens: vocabulary, jump tokens, slot addresses, and the prompt's prefix.

Order of the vocabulary: first what the model may emit (their ids are the line of the unembedding's parabola), then what
only a prompt holds:

    D{p}.{v} S{p}.{v} Q0.{v} Q1.{v} N H T.{kind} O.{v} E.{v} J.{j} X.{v} Y.{v} Z.{v} F.{k} | BOS I.{k} C.{k} P.{i} G.{s} B.{v}
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..format.errors import CompileError
from ..format.isa import TRAPS, Program, Slot, Step
from ..format.limits import FRAME_LIMIT, FRAME_SIZE_LIMIT, MEMORY_LIMIT, PAGE
from ..format.tokens import CLASSES, TokenClass, head_of
from .call_graph import frame_limit
from .jumps import SINGLE_JUMPS, Jumps, Tables, jumps_of, tables_of
from .rows import Row, fields


@dataclass
class Assembly:
    """Everything numeric about a program.

    rows: per step, the fields it fetches; one more for before the first entry.
    addresses: absolute slots (constants, globals, hidden registers). constants: (address, initial value) of those.
    frame_base: first address of the frames. places: digits of the widest value, 4 or 8.
    segments: (memory address, bytes), hidden ones at negative addresses; the tables of far jumps lie below the program's.
    ids: first token id of each class, e.g. ids["D"].
    """

    program: Program
    jumps: Jumps
    tables: Tables = field(default_factory=Tables)
    places: int = 4
    rows: list[Row] = field(default_factory=list)
    addresses: dict[Slot, int] = field(default_factory=dict)
    constants: list[tuple[int, int]] = field(default_factory=list)
    frame_base: int = 0
    frame_limit: int = FRAME_LIMIT
    segments: list[tuple[int, bytes]] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)  # name -> memory address
    entries: list[tuple[str, int]] = field(default_factory=list)  # (name, first step); "" is the start function
    ids: dict[str, int] = field(default_factory=dict)
    emitted: int = 0  # ids below this may be emitted
    tables_address: int = 0
    lowest_address: int = 0
    highest_address: int = 0

    def uses(self, *names: str) -> bool:
        """Whether any row sets any of these fields."""
        return any(row.get(name) for row in self.rows for name in names)


_WIDE = ("move_high", "select_high", "carry", "wide_bytes", "fill_high", "load64", "store64", "signed_high")


def assemble(program: Program, single_jumps: int = SINGLE_JUMPS) -> Assembly:
    """single_jumps: how many jumps may have a token of their own, see `jumps`.

    Raises CompileError when the program does not fit the machine's ranges.
    """
    out = Assembly(program, jumps_of(program, single_jumps))
    out.tables = tables_of(program, out.jumps)
    _check_frames(program)
    _slots(out)
    _memory(out)
    out.rows = [fields(step) for step in program.steps]
    wide_constants = any(value >= 2**32 for _, value in out.constants)
    out.places = 8 if out.uses(*_WIDE) or wide_constants or any(s.operation.type == "i64" for s in program.steps) else 4
    out.entries = [(name, entry.entry) for name, entry in program.entries.items()]
    if program.start:
        out.entries.append(("", program.start.entry))
    out.entries += [(entry.name, entry.entry) for entry in program.host.values()]
    _emitted_ids(out)
    coder = _JumpFields(out)
    for index, step in enumerate(program.steps):
        _operands(out, index, step)
        coder.encode(index, step)
    # One row behind the program, where execution stands before the first entry: it touches nothing.
    out.rows.append({"next": out.ids["H"]})
    return out


def _check_frames(program: Program) -> None:
    for function in program.functions.values():
        if function.frame_size > FRAME_SIZE_LIMIT:
            raise CompileError(
                f"function {function.name}: {function.frame_size} locals and stack entries, at most {FRAME_SIZE_LIMIT}"
            )


def _slots(out: Assembly) -> None:
    program = out.program
    zero = Slot("const", 0)
    values: dict[Slot, int] = {zero: 0}
    for step in program.steps:
        for slot in (step.a, step.b, step.c, step.dest):
            if slot is not None and slot.kind != "frame":
                values.setdefault(slot, int(slot.index) if slot.kind == "const" else 0)
    values |= program.initial
    out.addresses = {slot: address for address, slot in enumerate(values)}
    out.constants = [(out.addresses[slot], value) for slot, value in values.items()]
    out.frame_base = len(values)
    out.frame_limit = frame_limit(program)


def _memory(out: Assembly) -> None:
    program = out.program
    bottom = -program.hidden_bytes
    out.segments = [(s.address + (bottom if s.hidden else 0), s.bytes) for s in program.segments]
    out.inputs = {name: bottom + offset for name, (offset, _) in program.inputs.items()}
    out.tables_address = bottom - len(out.tables.bytes)
    if out.tables.bytes:
        out.segments.append((out.tables_address, out.tables.bytes))
    out.lowest_address = (
        out.tables_address - 256
    )  # 256 bytes of scratch below: where the byte tokens of the prefix land
    if 16 - out.lowest_address > MEMORY_LIMIT:
        raise CompileError(
            f"tables, passive segments and input need {-out.tables_address:,} bytes, at most {MEMORY_LIMIT:,} have exact keys"
        )
    grows = any(step.dest == Slot("hidden", "memory_bytes") for step in program.steps)
    out.highest_address = (program.memory_maximum if grows else program.memory_pages) * PAGE


def _emitted_ids(out: Assembly) -> None:
    """First ids of the classes that the model emits; those that the program has no use for are empty."""
    ops = {step.op for step in out.program.steps}
    unused = {"S": "divide", "Q0": "mul", "Q1": "mul_high"}
    absent = {name for name, flag in unused.items() if not out.uses(flag)}
    absent |= {name for name, op in (("O", "stdout"), ("E", "stderr")) if op not in ops}
    jumps = Counter(head_of(name) for name, _, _ in out.jumps.tokens)
    next_id = 0
    for c in CLASSES:
        if c.emitted:
            out.ids[c.name] = next_id
            next_id += 0 if c.name in absent else jumps[c.name] if c.numbers is None else _count(c, out.places)
    out.emitted = next_id


def _count(c: TokenClass, digits: int) -> int:
    """Tokens of a class that the model emits, whose number does not depend on the program. digits: places of a value."""
    places = digits if c.name == "D" else max(1, c.places)
    return places * (len(c.names) or c.numbers or 1)


def _trap_id(out: Assembly, kind: str) -> int:
    return out.ids["T"] + list(TRAPS).index(kind)


def _place(out: Assembly, row: Row, name: str, slot: Slot | None) -> None:
    """Sets the fields of an operand: its address, and whether the frame base is added. No operand: address 0, constant 0."""
    if slot is None:
        return
    if slot.kind == "frame":
        row[name] = out.frame_base + int(slot.index)
        row[f"{name}.frame"] = 1
    else:
        row[name] = out.addresses[slot]


def _operands(out: Assembly, index: int, step: Step) -> None:
    row = out.rows[index]
    for name, slot in (("a", step.a), ("b", step.b), ("c", step.c)):
        _place(out, row, name, slot)
    if step.operation.space in ("hidden", "table"):
        row["offset"] -= out.program.hidden_bytes
    if index + 1 < len(out.rows):  # a value is committed by the token at which the next row is fetched
        after = out.rows[index + 1]
        if step.dest is None:
            after["discard"] = 1
        else:
            _place(out, after, "dest", step.dest)
    if row.get("check_memory"):
        row["trap"] = _trap_id(out, "memory_out_of_bounds")
    if row.get("check_index"):
        row["trap"] = _trap_id(out, "table_out_of_bounds")


class _JumpFields:
    """Sets the fields of rows that jump: "next" (the id of the next token, or its base) and what goes with it."""

    def __init__(self, out: Assembly):
        self.out, self.jumps = out, out.jumps
        self.frames = {frame: k for k, frame in enumerate(self.jumps.far_frames)}
        # Of a far jump whose distance is not known beforehand: the id of X is this plus distance / B, rounded.
        self.first = out.ids["X"] + self.jumps.base / 2 - 0.5 + 0.5 / self.jumps.base

    def encode(self, index: int, step: Step) -> None:
        out, row, op = self.out, self.out.rows[index], step.op
        if op in ("stdout", "stderr"):
            row["next"] = out.ids["O" if op == "stdout" else "E"]
        elif op == "halt":
            row["next"] = out.ids["H"]
        elif op == "trap":
            row["next"] = _trap_id(out, step.trap)
        elif op in ("call", "call_indirect"):
            self._call(row, index, step)
        elif op == "return":
            self._return(row, index)
        elif op == "br_table":
            self._br_table(row, index, step)
        elif step.target is not None:
            self._jump(row, index, step.target)

    def _single(self, index: int) -> int:
        return self.out.ids["J"] + self.jumps.first[index]

    def _jump(self, row: Row, index: int, target: int) -> None:
        first = self._single(index) if index in self.jumps.first else self._spelt(row, target - index, "Y")
        if self.out.program.steps[index].operation.branches:
            row["taken"] = first - self.out.ids["N"]
        else:
            row["next"] = first

    def _spelt(self, row: Row, distance: int, low: str) -> int:
        """The id of X, for a distance that is known beforehand."""
        first = self.out.ids["X"] + self.jumps.base // 2 + distance // self.jumps.base
        row["far.second"] = self.out.ids[low] + distance - first
        return first

    def _looked_up(self, row: Row, index: int, low: str) -> None:
        row |= {"next": self.first, "far.second": self.out.ids[low] - self.first, "here": index}

    def _call(self, row: Row, index: int, step: Step) -> None:
        jumps = self.jumps
        row["frame"] = step.imm
        if jumps.far_returns:
            row |= {"behind": index + 1, "frame.number": self.frames[step.imm]}
        if step.op == "call_indirect":
            choices = jumps.sites.choices(index)
            first = choices[0][0] if choices else 0
            row |= {"first": first, "end": first + len(choices)}
        if index in jumps.first:
            row["next"] = self._single(index) - row.get("first", 0)
            return
        row["far.caller"] = jumps.sites.number(index)
        row["far.third"] = self.out.ids["F"] + self.frames[step.imm]
        if step.op == "call":
            assert step.callee is not None
            row["next"] = self._spelt(row, self.out.program.functions[step.callee].entry - index, "Z")
            row["far.third"] -= row["next"]
        else:
            self._looked_up(row, index, "Z")
            row |= {"far.third": row["far.third"] - self.first, "far.indirect": 1}
            self._table(row, index)

    def _return(self, row: Row, index: int) -> None:
        if index in self.jumps.first:
            row["next"] = self._single(index)
            return
        del row["return"]
        self._looked_up(row, index, "Z")
        row |= {"far.return": 1, "far.third": self.out.ids["F"] + len(self.frames) - self.first}

    def _br_table(self, row: Row, index: int, step: Step) -> None:
        if index in self.jumps.first:
            row |= {"next": self._single(index), "cases": len(step.targets) - 1}
            return
        del row["br_table"]
        self._looked_up(row, index, "Y")
        self._table(row, index)

    def _table(self, row: Row, index: int) -> None:
        """Fields of a step that looks up where it goes. The bytes come out of memory like those of a load."""
        tables = self.out.tables
        first, cases = tables.entries[index]
        row |= {"far.table": 1, "offset": self.out.tables_address + first, "cases": cases - 1}
        row |= {f"load{bits}": 1 for bits in (8, 16, 32) if bits <= 8 * tables.width}


__all__ = ["Assembly", "assemble"]
