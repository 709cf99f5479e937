"""The walk through one function."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Any

from ....compiler.format.isa import HIGH_RECORDS, Inlined, Program, Site, Slot, Step
from ....compiler.format.operations import RETURN, SUMS
from ....compiler.format.types import is_wide
from ....compiler.link.linked import LinkedModule
from ....compiler.wasm.split_body import HIGH, INNER
from .events import Events
from .instructions import COMPUTES, Instructions
from .rules import rule_of
from .state import AbstractState, JoinPoint, joined
from .steps import Steps
from .values import Values

# Instructions that a step may compute on the way to the value that it answers for.
_SUMMED = frozenset(f"{t}.{first}" for t in ("i32", "i64") for first, _ in SUMS)


def _key(site: Site) -> tuple[int, bool]:
    """The instruction, and whether its high half is meant."""
    return site.instruction, site.record in HIGH_RECORDS.values()


class Mistranslation(ValueError):
    """A step does not do what the instructions want. index: of the step. wanted, found: in words."""

    def __init__(self, index: int, wanted: str, found: str):
        super().__init__(f"step {index}: {wanted} expected, {found} found")
        self.index, self.wanted, self.found = index, wanted, found


@dataclass
class FunctionCheck:
    """Checks one function of a program when it is made. Raises Mistranslation.

    rules: instruction that no step answers for -> the rule by which it may be left out. inlined: the functions whose steps stand
    in the place of calls, each checked as if it stood alone; not looked at if not whole. copied: of such a copy, the program that
    it is in. replaced: the calls in whose place other steps stand.
    """

    program: Program
    linked: LinkedModule
    index: int
    rules: dict[int, str] = field(default_factory=dict)
    inlined: list[FunctionCheck] = field(default_factory=list)
    whole: bool = True
    copied: Program | None = None
    replaced: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        function = self.program.functions[self.index]
        self.parts = {part.start: part for part in self.program.inlined_in(function)}
        self.origin = self.linked.origin.get(self.index)
        self.values = Values()
        self.steps = Steps(self.program, function, self.values)
        others = {at for part in self.parts.values() for at in range(part.start, part.end)}
        own = [self.program.steps[at] for at in range(function.entry, function.end) if at not in others]
        self.at_of = self._numbers()
        sites = () if self.origin is None else (s.site for s in own if s.site is not None)
        answered = {self.at_of[key]: s for s in sites if (key := _key(s)) in self.at_of}
        self.instructions = Instructions(self.linked, self.index, answered, self.values)
        self.events = Events(self)
        self.nodes: dict[tuple[int, int], JoinPoint] = {}
        self.unsited: dict[int, int] = {}  # values computed by a step without a site -> that step
        self.unsited_calls: dict[Site, int] = {}  # calls for which a step without a site stands -> that step
        self._visited: set[tuple[int, int, bool]] = set()
        self._waiting: set[tuple[int, int]] = set()
        self._check_ways()
        self._walk()
        self._check_calls()
        self._check_skipped()
        self.inlined = [alone(self.program, self.linked, part) for part in self.parts.values() if self.whole]

    def _numbers(self) -> dict[tuple[int, bool], int]:
        """(instruction of the source, whether its high half is meant) -> instruction of the linked module."""
        places = self.linked.places.get(self.index)
        if places is None:
            return {(at, False): at for at in range(len(self.linked.module.functions[self.index].body))}
        return {(p.instruction, p.part == HIGH): at for at, p in enumerate(places) if p.part != INNER}

    def _walk(self) -> None:
        """In sweeps, each in the order of the steps: what leads back to an earlier step is for the next sweep. So most of
        the paths into a point have come before it is passed, and all paths back into a loop before it is passed again."""
        self._todo: list[tuple[int, int, int, int, AbstractState | None]] = []
        self._sweep, self._here, count = 0, -1, 0
        start = self._entered()
        if self.steps.first in self.steps.labels:
            self._meet(0, self.steps.first, start)
        else:
            self._push(count, self.steps.first, 0, start)
        while self._todo:
            self._sweep, self._here, _, at, state = heappop(self._todo)
            index = self._here
            if state is None:
                self._waiting.discard((at, index))
                state = self.nodes[at, index].state.copy()
            for there, target, known in self._follow(at, index, state):
                if target in self.steps.labels:
                    self._meet(there, target, known)
                else:
                    count += 1
                    self._push(count, target, there, known)

    def _push(self, order: int, index: int, at: int, state: AbstractState | None) -> None:
        """state: None for what is known at the label. order: among what goes on at the same step."""
        heappush(self._todo, (self._sweep + (index <= self._here), index, order, at, state))

    def _entered(self) -> AbstractState:
        """Parameters stand in the first slots of the frame, other locals are 0; globals are the same on both sides."""
        values, type_ = self.values, self.instructions.function.type
        parameters = [values.given("entry", i, is_wide(t)) for i, t in enumerate(type_.params)]
        state = AbstractState(parameters + [values.const(0)] * len(self.instructions.function.locals))
        state.slots |= dict(enumerate(parameters))
        self.shared = sorted(
            self.instructions.state_slots() | self.steps.state_slots(), key=lambda s: (s.kind, str(s.index))
        )
        self.forget(state, "entry")
        return state

    def forget(self, state: AbstractState, origin: object, keeps_globals: bool = False) -> None:
        """Globals (unless they are kept) and registers may be anything now, the same on both sides."""
        for slot in self.shared:
            if keeps_globals and slot.kind == "global":
                continue
            if slot.kind == "global":
                wide = is_wide(self.linked.module.globals[int(slot.index)].type.type)
            else:
                wide = self.instructions.points.is_wide(slot)
            state.module[slot] = state.slots[slot] = self.values.given(origin, slot, wide)  # type: ignore[arg-type]

    def _follow(self, at: int, index: int, state: AbstractState) -> list[tuple[int, int, AbstractState]]:
        """From a point of both sides over the next event or up to a label; where the walk goes on."""
        first = True
        while True:
            if index in self.steps.endless:
                self._circle(at, index, state)
                return []
            if index in self.steps.labels and not first:
                self._meet(at, index, state)
                return []
            first = False
            step = self.program.steps[index]
            if index in self.parts:
                return self._event(at, index, state, Step("call", callee=self.parts[index].callee, imm=self.parts[index].imm))
            if step.op == "jump":
                at = self.answers(at, state, index, step, None)
                index = self._inside(index, step.target)
                continue
            value = self.steps.computed(state, index, step)
            if value is None:
                return self._event(at, index, state, step)
            at = self.answers(at, state, index, step, value)
            self.steps.write(state, step, value)
            index = self._inside(index, index + 1)

    def _meet(self, at: int, index: int, state: AbstractState) -> None:
        """Joins what is known at a label with what was known there before; the walk goes on there if that is news."""
        node = (at, index)
        if node in self.nodes:
            if self.nodes[node].covers(state):
                return
            try:
                both = joined(self.values, node, self.nodes[node].state, state)
            except ValueError as error:
                raise Mistranslation(index, "the same on every path to here", str(error)) from None
            if both is None:
                return
            state = both
        self.nodes[node] = JoinPoint(self.values, node, state)
        if node not in self._waiting:
            self._waiting.add(node)
            self._push(-1 - at, index, at, None)

    def _inside(self, index: int, target: int | None) -> int:
        if target is None or not self.steps.first <= target < self.steps.end:
            raise Mistranslation(index, "a target within the function", f"step {target}")
        return target

    def _event(self, at: int, index: int, state: AbstractState, step: Step) -> list[tuple[int, int, AbstractState]]:
        at = self._next_event(at, state)
        origin = (at, index, state.stage is None)
        if origin in self._visited:
            self._grow_old(state, origin)
        self._visited.add(origin)
        out = []
        for fork in self.events.match(at, index, state, step, origin):
            following = self.parts[index].end if index in self.parts else fork.index
            out.append((fork.at, self._inside(index, following), fork.state))
        return out

    def _check_ways(self) -> None:
        """What is inlined is entered at its beginning, and left at its end."""
        for at in range(self.steps.first, self.steps.end):
            here = next((p for p in self.parts.values() if p.start <= at < p.end), None)
            step = self.program.steps[at]
            for target in step.targets if step.target is None else (step.target,):
                there = next((p for p in self.parts.values() if p.start <= target < p.end), None)
                inside = here is not None and here.start <= target <= here.end
                if not (inside or (here is None and (there is None or target == there.start))):
                    raise Mistranslation(at, "a way into or out of an inlined function at its ends", f"one to step {target}")

    def _next_event(self, at: int, state: AbstractState) -> int:
        """Passes instructions up to the next event, or to one that was passed already."""
        seen = set()
        while not self.instructions.is_event(at) and at not in seen and not state.pending:
            seen.add(at)
            at = self.instructions.step(state, at)
        return at

    def _circle(self, at: int, index: int, state: AbstractState) -> None:
        """An endless loop in which nothing happens has to be one of the instructions too."""
        seen = set()
        while not self.instructions.is_event(at) and at not in seen:
            seen.add(at)
            at = self.instructions.step(state, at)
        if at not in seen:
            raise Mistranslation(index, "a step that does something", "jumps in a circle")

    def _grow_old(self, state: AbstractState, origin: object) -> None:
        """What this event gave when it was here before is not what it will give now."""
        old = ("old", origin)
        values, names = self.values, dict[int, int]()
        todo = [value for _, value in state.places()]
        while todo:
            value = todo[-1]
            key, made_by = values.keys[value], values.made_by[value]
            if value in names or (origin not in made_by and old not in made_by):
                todo.pop()
            elif key[0] == "given":
                names[value] = values.given(old, value, values.wide[value])
            else:  # what is computed of it keeps its form
                operands: tuple[int, ...] = key[1:]  # type: ignore[assignment]
                unknown = [o for o in operands if o not in names and {origin, old} & values.made_by[o]]
                if unknown:
                    todo += unknown
                else:
                    names[value] = values.term(str(key[0]), *(names.get(o, o) for o in operands))
        if names:
            state.rename(names)

    # Sites

    def answers(self, at: int, state: AbstractState, index: int, step: Step, value: int | None) -> int:
        """A step that moves or computes: if it has a site, that is the next instruction to be answered for.

        Returns where the instructions' side is then.
        """
        if step.site is None:
            if value is None or step.op == "mov":
                return at
            self.unsited.setdefault(value, index)
            return at if self.origin is not None else self._passed(at, state, value)
        at = self._next_event(at, state)
        if not state.pending:
            raise Mistranslation(index, "no instruction to answer for", self.show(step.site))
        (answered, wanted), state.pending = state.pending[0], state.pending[1:]
        self.check_site(index, step, answered, self.events.record_of_value(answered))
        if wanted != value:
            raise Mistranslation(index, f"the value of {self.show(step.site)}", "another value")
        if value is not None:
            self.events.folded.update(self.values.within(value))  # an eqz of a comparison is the opposite one
        computes = self.instructions.instrs[answered].name in COMPUTES
        if value is not None and computes != (step.op != "mov"):
            found = f"{step.op}, which {'moves' if computes else 'computes'}"
            raise Mistranslation(index, f"a step for {self.show(step.site)}", found)
        return at

    def _passed(self, at: int, state: AbstractState, value: int) -> int:
        """In a routine no site says where the instructions are: behind the one that gave this value, if one did."""
        ahead, there = state.copy(), at
        seen = set()
        while not self.instructions.is_event(there) and there not in seen:
            seen.add(there)
            here, there = there, self.instructions.step(ahead, there)
            if self.instructions.unanswered.get(here) == value and self.instructions.instrs[here].name in COMPUTES:
                state.locals, state.stack, state.module = ahead.locals, ahead.stack, ahead.module
                return there
        return at

    def check_site(self, index: int, step: Step, at: int, record: str = "") -> None:
        """The step has to answer for this instruction. record: the kind, if it is not the instruction's only one."""
        inlined = index in self.parts
        if self.origin is not None and (inlined or (step.op == "call" and step.site is None)):
            site = self.linked.site(self.index, at, record or self.events.record(at))
            if site is not None:
                self.rules[site.instruction] = "inlined"
                if inlined and self.parts[index].site != site:
                    claimed = self.show(self.parts[index].site)
                    raise Mistranslation(index, f"the callee of {self.show(site)}", f"that of {claimed}")
                if inlined:
                    self.replaced.add(site.instruction)
                else:
                    self.unsited_calls[site] = index
            return
        if self.origin is None:
            if step.site is not None:
                raise Mistranslation(index, "a step of a routine", f"one that answers for {self.show(step.site)}")
            return
        wanted = None if at < 0 else self.linked.site(self.index, at, record or self.events.record(at))
        if step.site == wanted:
            return
        if wanted is None or step.site is None or _key(step.site) != _key(wanted) or step.site.function != self.origin:
            expected = "nothing" if wanted is None else self.show(wanted)
            found = "no site" if step.site is None else self.show(step.site)
            raise Mistranslation(index, f"a step that answers for {expected}", found)
        raise Mistranslation(index, f"a record of kind {wanted.record}", step.site.record)

    def show(self, site: Site) -> str:
        function = self.linked.module.functions[self.index]
        at = self.at_of.get(_key(site))
        if site.function != self.origin or at is None:
            return f"instruction {site.instruction} of function {site.function}"
        return f"{function.name} {function.body[at].name} ({site.instruction})"

    def _check_calls(self) -> None:
        """No call says that it was there if one of the same instruction cannot, in whose place the function's steps stand: that
        is seen in the function itself, where this is a copy of it."""
        replaced = self.replaced
        if self.unsited_calls and self.copied is not None:
            try:
                replaced = FunctionCheck(self.copied, self.linked, self.index, whole=False).replaced
            except Mistranslation:  # it is told where the function stands
                replaced = set()
        for site, index in self.unsited_calls.items():
            if site.instruction not in replaced:
                raise Mistranslation(index, f"a step that answers for {self.show(site)}", "no site")

    def _check_skipped(self) -> None:
        """What has no step must be left out by a rule, and not be computed by a step that does not say so."""
        if self.origin is None:
            return
        # What is computed only on the way to an instruction's value has no step that says so; some other's may be the same.
        unanswered = {at: (v, self.linked.site(self.index, at, "value")) for at, v in self.instructions.unanswered.items()}
        inner = {v for at, (v, s) in unanswered.items() if s is None and rule_of(self.instructions.instrs[at]) != "copy"}
        for at, (value, site) in unanswered.items():
            if site is None:
                continue
            instr, number = self.instructions.instrs[at], site.instruction
            self.rules[number] = rule = rule_of(instr)
            where = self.show(site)
            if instr.name in ("throw", "throw_ref") or (self.program.opt_level == 0 and rule != "jump"):
                raise Mistranslation(self.steps.first, f"a step that answers for {where}", "none")
            if value is not None and rule in ("comparison", "offset", "dead"):
                if value in self.unsited and value not in inner:
                    raise Mistranslation(self.unsited[value], f"a step that answers for {where}", "no site")
                if value not in self.events.folded:
                    self.rules[number] = "sum" if value in self.steps.inner and instr.name in _SUMMED else "dead"


def alone(program: Program, linked: LinkedModule, part: Inlined) -> FunctionCheck:
    """The check of what is inlined as a function of its own: in the frame that it begins with, and returning at its end. Raises
    Mistranslation."""
    steps = [_alone(step, part, at) for at, step in enumerate(program.steps[part.start : part.end], part.start)]
    function = program.functions[part.callee]
    itself = replace(function, entry=0, end=len(steps) + 1)
    functions = {**program.functions, part.callee: itself}
    made = replace(program, steps=(*steps, Step("return")), functions=functions, inlined=())
    try:
        return FunctionCheck(made, linked, part.callee, copied=program)
    except Mistranslation as error:
        raise Mistranslation(part.start + error.index, error.wanted, error.found) from None


def _alone(step: Step, part: Inlined, at: int) -> Step:
    changes: dict[str, Any] = {}
    for name in ("a", "b", "c", "d", "dest"):
        slot = getattr(step, name)
        if slot is not None and slot.kind == "frame":
            if int(slot.index) < part.imm:
                raise Mistranslation(at, f"a slot of the frame from {part.imm} on", f"slot {slot.index}")
            changes[name] = Slot("frame", int(slot.index) - part.imm)
    if step.operation.calls:
        changes["imm"] = step.imm - part.imm
    if step.operation.control == RETURN or step.operation.tail:
        raise Mistranslation(at, "a step of an inlined function, which goes to its end", step.op)
    if step.target is not None:
        changes["target"] = step.target - part.start
    if step.targets:
        changes["targets"] = tuple(target - part.start for target in step.targets)
    return step.but(**changes)
