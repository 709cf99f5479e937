"""The steps' side of the walk: up to the next event or label, everything moves values or computes pure ones."""

from __future__ import annotations

from ....compiler.format.isa import Program, Slot, Step, StepFunction
from ....compiler.format.operations import SUMS
from .state import AbstractState
from .values import PURE, Values

# Two operations in one step, by what it does.
SUMS_OF = {f"{first}_{second}": (first, second) for first, second in SUMS}


class Steps:
    """The steps of one function of a program."""

    def __init__(self, program: Program, function: StepFunction, values: Values):
        self.program, self.values = program, values
        self.first, self.end = function.entry, function.end
        self.labels: set[int] = set()
        self.inner: set[int] = set()  # values that steps compute on the way to others
        inlined = {at for part in program.inlined_in(function) for at in range(part.start, part.end)}
        for at in range(self.first, self.end):
            if at in inlined:  # nobody walks through it here, and nothing leads out of it but to its end
                continue
            step = program.steps[at]
            self.labels.update(step.targets if step.target is None else (step.target, *step.targets))
        self.endless = self._endless()

    def _endless(self) -> set[int]:
        """Steps from which nothing but moves and computations follows, for ever."""
        leads: dict[int, bool] = {}  # to something else
        for start in range(self.first, self.end):
            path, at = [], start
            while at not in leads and self.first <= at < self.end:
                step = self.program.steps[at]
                leads[at] = False
                path.append(at)
                if step.op == "jump" and step.target is not None:
                    at = step.target
                elif step.op in PURE or step.op == "mov":
                    at += 1
                else:
                    leads[at] = True
                    break
            reached = leads.get(at, True)
            leads |= dict.fromkeys(path, reached)
        return {at for at, somewhere in leads.items() if not somewhere}

    def state_slots(self) -> set[Slot]:
        """The globals and registers that the steps name."""
        steps = self.program.steps[self.first : self.end]
        slots = {slot for step in steps for slot in (step.a, step.b, step.dest) if slot is not None}
        return {slot for slot in slots if slot.kind in ("global", "hidden")}

    def read(self, state: AbstractState, slot: Slot | None, at: int, name: str) -> int:
        """The value of an operand; one that nothing is known of has a name that nothing else has."""
        if slot is None:
            return self.values.given(("nothing", at), name, True)
        if slot.kind == "const":
            return self.values.const(int(slot.index))
        key = int(slot.index) if slot.kind == "frame" else slot
        if key not in state.slots:
            return self.values.given(("unknown", at), name, True)
        return state.slots[key]

    def write(self, state: AbstractState, step: Step, value: int) -> None:
        if step.dest is not None:
            state.slots[int(step.dest.index) if step.dest.kind == "frame" else step.dest] = value

    def computed(self, state: AbstractState, at: int, step: Step) -> int | None:
        """The value of a step that moves or computes a pure one; None for an event or a jump."""
        if step.op not in PURE and step.op != "mov":
            return None
        a = self.read(state, step.a, at, "a")
        if step.op == "mov":
            return a if step.wide else self.values.low(a)
        if step.operation.does in SUMS_OF:
            return self._sum(state, at, step, a)
        operands = [a]
        if "b" in step.operation.operands:
            operands.append(self.read(state, step.b, at, "b"))
        if step.op == "select":
            operands.append(self.read(state, step.c, at, "c"))
        value = self.values.term(step.op, *operands)
        return self.values.low(value) if step.op == "select" and not step.wide else value

    def _sum(self, state: AbstractState, at: int, step: Step, a: int) -> int:
        """Two operations in one: the value of the first is the first operand of the second, or what it subtracts."""
        first, second = SUMS_OF[step.operation.does]
        kind = step.operation.type
        inner = self.values.term(f"{kind}.{first}", a, self.read(state, step.b, at, "b"))
        other = self.read(state, step.d, at, "d")
        self.inner.add(inner)
        if second == "rsub":
            return self.values.term(f"{kind}.sub", other, inner)
        return self.values.term(f"{kind}.{second}", inner, other)
