"""From the step program to tokens: vocabulary, jump tokens, slot addresses, and the prompt's prefix.

Order of the vocabulary: first what the model may emit (their ids are the line of the unembedding's parabola), then what
only a prompt holds:

    D{p}.{v} S{p}.{v} Q0.{v} Q1.{v} N H T.{kind} O.{v} E.{v} J.{j} | BOS I.{k} C.{k} P.{i} G.{s} B.{v}
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from ..format.errors import CompileError
from ..format.isa import TRAPS, Program, Slot, Step
from ..format.limits import FRAME_LIMIT, FRAME_SIZE_LIMIT, MEMORY_LIMIT, PAGE
from ..format.tokens import CLASSES, TokenClass
from ..wasm.module import FuncType
from .call_graph import frame_limit
from .rows import Row, fields


@dataclass(frozen=True)
class Jump:
    """A jump token: the instruction pointer moves by `delta`, the frame by `frame`.

    caller: for calls, the number under which the callee's return finds this call; None for other jumps.
    """

    delta: int
    frame: int = 0
    caller: int | None = None


@dataclass
class Assembly:
    """Everything numeric about a program.

    rows: per step, the fields it fetches; one more for before the first entry.
    addresses: absolute slots (constants, globals, hidden registers). constants: (address, initial value) of those.
    frame_base: first address of the frames. places: digits of the widest value, 4 or 8.
    segments: (memory address, bytes), hidden ones at negative addresses.
    ids: first token id of each class, e.g. ids["D"].
    """

    program: Program
    places: int = 4
    rows: list[Row] = field(default_factory=list)
    jumps: list[Jump] = field(default_factory=list)
    addresses: dict[Slot, int] = field(default_factory=dict)
    constants: list[tuple[int, int]] = field(default_factory=list)
    frame_base: int = 0
    frame_limit: int = FRAME_LIMIT
    segments: list[tuple[int, bytes]] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)  # name -> memory address
    entries: list[tuple[str, int]] = field(default_factory=list)  # (name, first step); "" is the start function
    ids: dict[str, int] = field(default_factory=dict)
    emitted: int = 0  # ids below this may be emitted
    lowest_address: int = 0
    highest_address: int = 0

    def uses(self, *names: str) -> bool:
        """Whether any row sets any of these fields."""
        return any(row.get(name) for row in self.rows for name in names)


_WIDE = ("move_high", "select_high", "carry", "wide_bytes", "fill_high", "load64", "store64", "signed_high")


def assemble(program: Program) -> Assembly:
    """Raises CompileError when the program does not fit the machine's ranges."""
    out = Assembly(program)
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
    jumps = _Jumps(out)
    for index, step in enumerate(program.steps):
        _operands(out, index, step)
        jumps.encode(index, step)
    # One row behind the program, where execution stands before the first entry: it touches nothing.
    out.rows.append({"next": out.ids["H"]})
    out.emitted = out.ids["J"] + len(out.jumps)
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
    out.lowest_address = bottom - 256  # 256 bytes of scratch below: where the byte tokens of the prefix land
    if 16 - out.lowest_address > MEMORY_LIMIT:
        raise CompileError(
            f"tables, passive segments and input need {program.hidden_bytes:,} bytes, at most {MEMORY_LIMIT:,} have exact keys"
        )
    grows = any(step.dest == Slot("hidden", "memory_bytes") for step in program.steps)
    out.highest_address = (program.memory_maximum if grows else program.memory_pages) * PAGE


def _emitted_ids(out: Assembly) -> None:
    """First ids of the classes that the model emits; those that the program has no use for are empty."""
    ops = {step.op for step in out.program.steps}
    unused = {"S": "divide", "Q0": "mul", "Q1": "mul_high"}
    absent = {name for name, flag in unused.items() if not out.uses(flag)}
    absent |= {name for name, op in (("O", "stdout"), ("E", "stderr")) if op not in ops}
    next_id = 0
    for c in CLASSES:
        if c.emitted:
            out.ids[c.name] = next_id
            next_id += 0 if c.name in absent else _count(c, out.places)


def _count(c: TokenClass, digits: int) -> int:
    """Tokens of a class that the model emits. digits: places of a value. Jumps are the last class, counted as they are made."""
    if c.numbers is None:
        return 0
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


class _Jumps:
    """Numbers the jump tokens. A return's tokens are consecutive by caller, an indirect call's by callee, a br_table's
    by case, so that the index of the next token is a base plus a small number in the residual stream."""

    def __init__(self, out: Assembly):
        self.out = out
        self.shared: dict[Jump, int] = {}
        program = out.program
        self.by_type: dict[FuncType, list[tuple[int, int]]] = defaultdict(list)  # (reference, function), ascending
        for reference, function in sorted(program.references.items()):
            self.by_type[program.functions[function].type].append((reference, function))
        self.indirect: dict[FuncType, list[int]] = defaultdict(list)  # call sites by type
        self.direct: dict[int, list[int]] = defaultdict(list)  # call sites by callee
        for index, step in enumerate(program.steps):
            if step.op == "call":
                assert step.callee is not None
                self.direct[step.callee].append(index)
            elif step.op == "call_indirect":
                assert step.type is not None
                self.indirect[step.type].append(index)
        self.referenced = set(program.references.values())
        # Caller numbers: indirect call sites of a type come first, then the direct ones of each function.
        self.number = {
            site: k for sites in (*self.indirect.values(), *self.direct.values()) for k, site in enumerate(sites)
        }
        self.owner = [0] * len(program.steps)
        for f in program.functions.values():
            for i in range(f.entry, f.end):
                self.owner[i] = f.index

    def _callers(self, function: int) -> list[int]:
        """Call sites that may call it, in the order of their caller numbers."""
        return [*self._indirect_callers(function), *self.direct[function]]

    def _indirect_callers(self, function: int) -> list[int]:
        return self.indirect[self.out.program.functions[function].type] if function in self.referenced else []

    def _one(self, jump: Jump) -> int:
        if jump not in self.shared:
            self.shared[jump] = self._block([jump])
        return self.shared[jump]

    def _block(self, jumps: list[Jump]) -> int:
        first = self.out.ids["J"] + len(self.out.jumps)
        self.out.jumps += jumps
        return first

    def encode(self, index: int, step: Step) -> None:
        """Sets the fields "next" (the id of the next token, or its base) and what goes with it."""
        out, row, op = self.out, self.out.rows[index], step.op
        functions = out.program.functions
        if op == "jump":
            assert step.target is not None
            row["next"] = self._one(Jump(step.target - index))
        elif step.operation.branches:
            assert step.target is not None
            row["taken"] = self._one(Jump(step.target - index)) - out.ids["N"]
        elif op == "br_table":
            row["next"] = self._block([Jump(t - index) for t in step.targets])
            row["cases"] = len(step.targets) - 1
        elif op == "call":
            assert step.callee is not None
            before = len(self._indirect_callers(step.callee))
            caller = before + self.number[index]
            row |= {"next": self._one(Jump(functions[step.callee].entry - index, step.imm, caller)), "frame": step.imm}
        elif op == "call_indirect":
            assert step.type is not None
            choices = self.by_type[step.type]
            caller = self.number[index]
            first = choices[0][0] if choices else 0
            base = self._block([Jump(functions[f].entry - index, step.imm, caller) for _, f in choices])
            row |= {"next": base - first, "frame": step.imm, "first": first, "end": first + len(choices)}
        elif op == "return":
            sites = self._callers(self.owner[index])
            steps = out.program.steps
            row["next"] = self._block([Jump(site + 1 - index, -steps[site].imm) for site in sites])
        elif op in ("stdout", "stderr"):
            row["next"] = out.ids["O" if op == "stdout" else "E"]
        elif op == "halt":
            row["next"] = out.ids["H"]
        elif op == "trap":
            row["next"] = _trap_id(out, step.trap)


__all__ = ["Assembly", "Jump", "assemble"]
