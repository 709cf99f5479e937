"""The rows of a program: what each step's operation says (`rows`), and what depends on the program: slots, jumps, traps."""

from __future__ import annotations

from ..format.isa import TRAPS, Program, Slot, Step
from .addresses import MemoryMap, SlotMap
from .digits import BYTE_DIGITS, SLOT_DIGIT
from .jumps import Jumps, Tables
from .rows import Row

_LOW_PARTS = tuple((f"offset.{i}", 256**i) for i in range(1, BYTE_DIGITS))


def absolute_slot(name: str, address: int) -> Row:
    """The fields of an operand or destination by its address."""
    return {name: address, f"{name}.high": address // SLOT_DIGIT}


class Encoder:
    """Completes rows. ids: first token id of each class."""

    def __init__(
        self, program: Program, slots: SlotMap, memory: MemoryMap, jumps: Jumps, tables: Tables, ids: dict[str, int]
    ):
        self.program, self.slots, self.memory, self.ids = program, slots, memory, ids
        self.jumps, self.tables = jumps, tables
        self.frames = {frame: k for k, frame in enumerate(jumps.far_frames)}
        # Of a far jump whose distance is not known beforehand: the id of X is this plus distance / B, rounded.
        self.first = ids["X"] + jumps.base / 2 - 0.5 + 0.5 / jumps.base

    def complete(self, rows: list[Row]) -> None:
        """rows: with the fields of their operations."""
        steps, row_of = self.program.steps, self.program.row_of
        for index, step in enumerate(steps):
            row = rows[row_of[index]]
            if index + 1 < len(steps) and steps[index + 1].joined:
                self._guard(row, index, step)
                continue
            self._operands(rows, row_of[index], step)
            self._next(row, index, step)
            offset = row.get("offset", 0)
            if offset:
                row |= {name: offset % size for name, size in _LOW_PARTS}

    def _trap(self, kind: str) -> int:
        return self.ids["T"] + list(TRAPS).index(kind)

    def _place(self, row: Row, name: str, slot: Slot | None) -> None:
        """The fields of an operand: its address, and whether the frame base is added. No operand: address 0, constant 0."""
        if slot is None:
            return
        if slot.kind == "frame":
            row[f"{name}.frame"] = 1
            address = self.slots.frame_base + slot.index  # type: ignore[operator]
        else:
            address = self.slots.addresses[slot]
        row[name] = address
        row[f"{name}.high"] = address // SLOT_DIGIT

    def _guard(self, row: Row, index: int, branch: Step) -> None:
        """A branch whose row does what stands behind it where it is not taken."""
        assert branch.target is not None
        self._place(row, "e", branch.a)
        self._place(row, "f", branch.b)
        row["guard.taken"] = self._way(row, index, branch.target)

    def _operands(self, rows: list[Row], number: int, step: Step) -> None:
        row = rows[number]
        for name, slot in (("a", step.a), ("b", step.b), ("c", step.c), ("d", step.d)):
            self._place(row, name, slot)
        if step.operation.space in ("hidden", "table"):
            row["offset"] += self.memory.hidden
        memory = self.program.memory_of(step) if step.operation.space == "linear" else None
        if memory is not None and memory.base:
            row["base"] = memory.base
            row["offset"] += memory.base
        if (memory is not None and memory.wide) or (step.operation.space == "table" and step.wide):
            row["check_high"] = 1
        if number + 1 < len(rows):  # a value is committed by the token at which the next row is fetched
            after = rows[number + 1]
            if step.dest is None:
                after["discard"] = 1
            else:
                self._place(after, "dest", step.dest)
        if row.get("check_memory"):
            row["trap"] = self._trap("memory_out_of_bounds")
        if row.get("check_index"):
            row["trap"] = self._trap("table_out_of_bounds")

    def _next(self, row: Row, index: int, step: Step) -> None:
        """The field "next" (the id of the next token, or its base), or "taken", and what goes with it."""
        op = step.op
        if op in ("stdout", "stderr"):
            row["next"] = self.ids["O" if op == "stdout" else "E"]
        elif op == "halt":
            row["next"] = self.ids["H"]
        elif op == "trap":
            row["next"] = self._trap(step.trap)
        elif step.operation.calls:
            self._call(row, index, step)
        elif op == "return_call":
            assert step.callee is not None
            self._jump(row, index, self.program.functions[step.callee].entry)
        elif step.operation.tail:
            self._tail_call_indirect(row, index)
        elif op == "return":
            self._return(row, index)
        elif op == "br_table":
            self._br_table(row, index, step)
        elif step.target is not None:
            self._jump(row, index, step.target)

    def _single(self, index: int) -> int:
        return self.ids["J"] + self.jumps.first[index]

    def _distance(self, index: int, target: int) -> int:
        """In rows."""
        return self.program.row_of[target] - self.program.row_of[index]

    def _way(self, row: Row, index: int, target: int) -> int:
        """The id of a jump's first token."""
        return self._single(index) if index in self.jumps.first else self._spelt(row, self._distance(index, target), "Y")

    def _jump(self, row: Row, index: int, target: int) -> None:
        first = self._way(row, index, target)
        if self.program.steps[index].operation.branches:
            row["taken"] = first - self.ids["N"]
        else:
            row["next"] = first

    def _spelt(self, row: Row, distance: int, low: str) -> int:
        """The id of X, for a distance that is known beforehand."""
        first = self.ids["X"] + self.jumps.base // 2 + distance // self.jumps.base
        row["far.second"] = self.ids[low] + distance - first
        return first

    def _looked_up(self, row: Row, low: str) -> None:
        row |= {"next": self.first, "far.second": self.ids[low] - self.first}

    def _call(self, row: Row, index: int, step: Step) -> None:
        jumps = self.jumps
        row["frame"] = step.imm
        if jumps.far_returns:
            row |= {"frame.number": self.frames[step.imm]}
        if step.operation.indirect:
            self._choices(row, index)
        if index in jumps.first:
            row["next"] = self._single(index) - row.get("first", 0)
            return
        row["far.caller"] = jumps.sites.number(index)
        row["far.third"] = self.ids["F"] + self.frames[step.imm]
        if step.op == "call":
            assert step.callee is not None
            row["next"] = self._spelt(row, self._distance(index, self.program.functions[step.callee].entry), "Z")
            row["far.third"] -= row["next"]
        else:
            self._looked_up(row, "Z")
            row |= {"far.third": row["far.third"] - self.first, "far.indirect": 1}
            self._table(row, index)

    def _choices(self, row: Row, index: int) -> None:
        """The references, from the first one on, to functions of the type that is called."""
        choices = self.jumps.sites.choices(index)
        first = choices[0][0] if choices else 0
        row |= {"first": first, "end": first + len(choices)}
        if self.program.steps[index].op in ("call_ref", "return_call_ref"):
            row["null.trap"] = self._trap("null_access") - self._trap("null_reference")

    def _tail_call_indirect(self, row: Row, index: int) -> None:
        self._choices(row, index)
        if index in self.jumps.first:
            row["next"] = self._single(index) - row["first"]
            return
        self._looked_up(row, "Y")
        row["far.indirect"] = 1
        self._table(row, index)

    def _return(self, row: Row, index: int) -> None:
        if index in self.jumps.first:
            row["next"] = self._single(index)
            return
        del row["return"]
        self._looked_up(row, "Z")
        row |= {"far.return": 1, "far.third": self.ids["F"] + len(self.frames) - self.first}

    def _br_table(self, row: Row, index: int, step: Step) -> None:
        if index in self.jumps.first:
            row |= {"next": self._single(index), "cases": len(step.targets) - 1}
            return
        del row["br_table"]
        self._looked_up(row, "Y")
        self._table(row, index)

    def _table(self, row: Row, index: int) -> None:
        """Fields of a step that looks up where it goes. The bytes come out of memory like those of a load."""
        tables = self.tables
        first, cases = tables.entries[index]
        row |= {"far.table": 1, "offset": self.memory.tables + first, "cases": cases - 1}
        row |= {f"load{bits}": 1 for bits in (8, 16, 32) if bits <= 8 * tables.width}


__all__ = ["Encoder"]
