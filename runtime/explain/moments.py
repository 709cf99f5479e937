"""What slots, memory and calls were before each step of a trace: for the debugger in the terminal. Tokens are moved, nothing is
computed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from ...compiler.format.checkpoint import Model
from ...compiler.format.isa import Program, Slot, SlotKind
from ...compiler.format.tokens import Kind
from ..results import Run
from ..sparse_values import SparseValues
from ..trace import Trace, TraceStep, decode, show_slot, table_of


@dataclass(frozen=True)
class Held:
    """What a slot or a byte holds: its value, and the number of the step that wrote it (-1: it was there before)."""

    value: int
    step: int


@dataclass
class _History:
    steps: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)

    def before(self, number: int) -> Held | None:
        at = bisect_left(self.steps, number) - 1
        return Held(self.values[at], self.steps[at]) if at >= 0 else None


class Moments:
    """The steps of one call, and the state before each.

    keys: float64 [T], the model's memory key at each position of the call (probe "memory.key"); None: memory is not shown.
    before: bytes by address that were written to memory before this call.
    """

    def __init__(
        self,
        model: Model,
        run: Run,
        keys: np.ndarray | SparseValues | None = None,
        before: Mapping[int, int] = MappingProxyType({}),
    ):
        self.model, self.program = model, model.program
        tokens = np.concatenate([run.prompt, run.tokens])
        self.trace: Trace = decode(tokens, table_of(model), model.program)
        self.keys = None if keys is None else keys[:]
        self._slots: dict[tuple[SlotKind, int | str], _History] = {}
        self._bytes = {address: _History([-1], [byte]) for address, byte in before.items()}
        self.callers = self._read(model.program)

    def __len__(self) -> int:
        return len(self.trace)

    def _read(self, program: Program) -> list[int]:
        """Collects the writes; returns for each step the number of the step that called its function (-1: the entry)."""
        for slot, value in program.initial.items():
            if slot.kind != "frame":
                self._slots[slot.kind, slot.index] = _History([-1], [value])
        callers, caller = [], -1
        trace, steps = self.trace, program.steps
        for number, index in enumerate(trace.step.tolist()):
            step = steps[index]
            callers.append(caller)
            if step.dest is not None and trace.kind[number] == Kind.DIGIT:
                self._wrote(
                    self._slots, self._name(step.dest, int(trace.frame[number])), number, int(trace.value[number])
                )
            if step.operation.effect == "store" and self.keys is not None:
                self._stored(number)
            if step.operation.calls and number + 1 < len(trace) and trace.frame[number + 1] > trace.frame[number]:
                caller = number
            elif step.op == "return" and caller >= 0:
                caller = callers[caller]
        return callers

    def _stored(self, number: int) -> None:
        assert self.keys is not None
        end, length = int(self.trace.end[number]), int(self.trace.length[number])
        for position in range(end + 1 - length, end + 1):
            token = self.trace.tokens[position]
            if self.trace.table.kind[token] == Kind.DIGIT:
                self._wrote(self._bytes, int(self.keys[position - 1]), number, int(self.trace.table.value[token]))

    @staticmethod
    def _wrote(histories: dict, name: object, number: int, value: int) -> None:
        history = histories.setdefault(name, _History())
        history.steps.append(number)
        history.values.append(value)

    @staticmethod
    def _name(slot: Slot, frame: int) -> tuple[SlotKind, int | str]:
        return (slot.kind, frame + int(slot.index)) if slot.kind == "frame" else (slot.kind, slot.index)

    def view(self, number: int) -> TraceStep:
        return self.trace.view(number, self.program, self.model.texts)

    def slot(self, slot: Slot, number: int) -> Held | None:
        """What a slot holds before a step."""
        history = self._slots.get(self._name(slot, int(self.trace.frame[number])))
        return history.before(number) if history else None

    def byte(self, address: int, number: int) -> Held | None:
        """A byte that was written, before a step."""
        history = self._bytes.get(address)
        return history.before(number) if history else None

    def written(self) -> list[int]:
        """Addresses of memory that this call stores to, or that were written before it."""
        return sorted(address for address in self._bytes if address >= 0)

    def memory(self) -> dict[int, int]:
        """The bytes that are written when the call has ended, by address."""
        return {address: history.values[-1] for address, history in self._bytes.items()}

    def slots(self, number: int) -> list[tuple[str, Held]]:
        """Name and content of the frame's slots, globals and registers that hold anything before a step."""
        index = int(self.trace.step[number])
        f = next((f for f in self.program.functions.values() if f.entry <= index < f.end), None)
        step = self.program.steps[index]
        size = (
            f.frame_size
            if f
            else 1 + max((int(s.index) for s in (step.a, step.dest) if s and s.kind == "frame"), default=1)
        )
        frame = [Slot("frame", i) for i in range(size)]
        others = [Slot(kind, name) for kind, name in self._slots if kind not in ("frame", "const")]
        found = ((show_slot(slot), self.slot(slot, number)) for slot in [*frame, *others])
        return [(name, held) for name, held in found if held is not None]

    def calls(self, number: int) -> list[int]:
        """Numbers of the steps that called, the innermost last."""
        stack: list[int] = []
        at = self.callers[number]
        while at >= 0:
            stack.insert(0, at)
            at = self.callers[at]
        return stack

    def find(
        self,
        number: int,
        direction: int,
        breakpoints: Collection[int],
        writes: Collection[int] = (),
        trap: bool = False,
    ) -> int:
        """The next step, from one on in a direction, that is one of the program's `breakpoints`, stores to one of the addresses
        `writes`, or (trap) traps; the last one in that direction where there is none."""
        candidates = [int(n) for n in np.flatnonzero(np.isin(self.trace.step, list(breakpoints)))]
        candidates += [n for address in writes for n in self._bytes.get(address, _History()).steps if n >= 0]
        candidates += [int(n) for n in np.flatnonzero(self.trace.kind == Kind.TRAP)] if trap else []
        if direction > 0:
            return min((n for n in candidates if n > number), default=len(self) - 1)
        return max((n for n in candidates if n < number), default=0)


__all__ = ["Held", "Moments"]
