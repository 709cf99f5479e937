"""Copies between frame slots disappear where source and destination can be the same slot.

What a slot holds between the steps that write it and the steps that read that is a *web*: the unit that may move to
another slot. Two webs interfere when one is written while the other is still needed. A copy whose webs do not
interfere is removed by giving both one slot (Chaitin's coalescing; the number of slots is no concern here).

Webs that the frame layout ties to a slot stay in it: parameters, arguments and results of calls, results of the
function. A web that is needed after a call stands below the callee's frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..format.isa import Slot
from ..lower.code import Code, labels_of
from .copies import is_copy
from .liveness import Effects, frame_bit, live_after, straight_runs, successors_of

# Work, in units of about a microsecond: what a function may take for its size. A function that needs more (hundreds of
# values that live through thousands of branches) keeps the copies that are left then: exact, and longer by them.
_WORK, _WORK_PER_STEP = 1_000_000, 100


class _TooMuch(Exception):
    """The webs of a function are more than its size allows for."""


def coalesce(code: Code, effects: Effects, parameters: int) -> bool:
    """Merge webs and remove the copies between them, in the frame of a function with so many parameters.

    Returns whether any copy went.
    """
    try:
        webs = _Webs(code, effects, parameters)
    except _TooMuch:
        return False
    depth = _loop_depths(code)
    copies = [
        i
        for i, step in enumerate(code.steps)
        if is_copy(code, step) and (i, "a") in webs.operands and (i, "dest") in webs.operands
    ]
    for i in sorted(copies, key=lambda i: -depth[i]):
        if webs.work < 0:
            break
        webs.merge(webs.operands[i, "a"], webs.operands[i, "dest"])
    for i in range(len(code.steps)):
        renamed = {
            name: Slot("frame", webs.slot_of(webs.operands[i, name]))
            for name in ("a", "b", "c", "dest")
            if (i, name) in webs.operands
        }
        if renamed:
            code.steps[i] = code.steps[i].but(**renamed)  # type: ignore[arg-type]
    kept = [not (is_copy(code, step) and step.a == step.dest) for step in code.steps]
    return code.remove(kept, "coalesced copy")


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _loop_depths(code: Code) -> list[int]:
    """By step: in how many loops it is, taking each backward branch for a loop."""
    change = [0] * (len(code.steps) + 1)
    for i, step in enumerate(code.steps):
        for label in labels_of(step):
            if code.labels[label] <= i:
                change[code.labels[label]] += 1
                change[i + 1] -= 1
    depths, depth = [], 0
    for delta in change[:-1]:
        depth += delta
        depths.append(depth)
    return depths


@dataclass
class _Web:
    """slot: where it is now. fixed: it may not move. below: its slot must be less than this (calls it survives).

    conflicts: the webs that it interferes with. near: the same by the slot where they are now.
    """

    slot: int
    fixed: bool = False
    below: int = 2**62
    conflicts: set[int] = field(default_factory=set)
    near: dict[int, set[int]] = field(default_factory=dict)


class _Webs:
    """operands: (step index, "a" | "b" | "c" | "dest") -> a definition of the web that stands there."""

    def __init__(self, code: Code, effects: Effects, parameters: int):
        self.code = code
        self.effects = effects
        self.operands: dict[tuple[int, str], int] = {}
        self.parent: list[int] = []
        self.webs: list[_Web] = []
        self.definitions: dict[tuple[int, int], int] = {}  # (step index or -1 at entry, slot) -> definition
        self.work = _WORK + _WORK_PER_STEP * len(code.steps)
        for slot in range(parameters):
            self._define(-1, slot)
        for i, step in enumerate(code.steps):
            for slot in self._written(i):
                self._define(i, slot)
            if step.dest is not None and step.dest.kind == "frame":
                self.operands[i, "dest"] = self.definitions[i, int(step.dest.index)]
        self.after = live_after(code, effects)
        self.runs = straight_runs(code)
        self._prepare(sum(self._live_before(run.start).bit_count() for run in self.runs))
        self._prepare(sum(live.bit_count() for i, live in enumerate(self.after) if self._written(i) or self._calls(i)))
        self.at_start = self._at_starts()
        self._walk(self._link)
        self._walk(self._interfere)
        self._index()

    def _spend(self, units: int) -> None:
        self.work -= units

    def _prepare(self, units: int) -> None:
        """Raises _TooMuch when the webs alone are more work than the function's size allows."""
        self._spend(units)
        if self.work < 0:
            raise _TooMuch

    # --- webs as a union of definitions ---

    def _define(self, at: int, slot: int) -> None:
        # What a parameter or a call's result is written to is not for us to choose.
        fixed = at < 0 or self.code.steps[at].dest is None
        self.definitions[at, slot] = self._new(slot, fixed)

    def _new(self, slot: int, fixed: bool) -> int:
        self.parent.append(len(self.parent))
        self.webs.append(_Web(slot, fixed))
        return self.parent[-1]

    def find(self, definition: int) -> int:
        while self.parent[definition] != definition:
            self.parent[definition] = self.parent[self.parent[definition]]
            definition = self.parent[definition]
        return definition

    def slot_of(self, definition: int) -> int:
        return self.webs[self.find(definition)].slot

    def _union(self, a: int, b: int) -> int:
        """Before interference is known: all of them are one web."""
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[b] = a
            web, other = self.webs[a], self.webs[b]
            web.fixed |= other.fixed
            web.below = min(web.below, other.below)
        return a

    # --- which web is where ---

    def _calls(self, i: int) -> bool:
        return self.code.steps[i].operation.calls

    def _written(self, i: int) -> list[int]:
        """Slots that get a value from step i."""
        step = self.code.steps[i]
        if step.operation.calls:
            return [step.imm + k for k in range(len(self.effects.callee_type(step).results))]
        return list(_bits(frame_bit(step.dest)))

    def _at_starts(self) -> list[dict[int, int]]:
        """For each run what stands in the slots that are needed there: one definition of its own for each slot, which
        is one web with what every run before it leaves in the slot."""
        starts = [{slot: self._new(slot, False) for slot in _bits(self._live_before(run.start))} for run in self.runs]
        for slot, definition in starts[0].items() if starts else ():
            self._union(self.definitions[-1, slot], definition)
        successors = successors_of(self.code, self.runs)
        for run, start, following in zip(self.runs, starts, successors, strict=True):
            leaving = dict(start)
            for i in run:
                for slot in self._written(i):
                    leaving[slot] = self.definitions[i, slot]
            for other in following:
                self._prepare(len(starts[other]))
                for slot, definition in starts[other].items():
                    self._union(leaving[slot], definition)
        return starts

    def _walk(self, visit: Callable[[int, dict[int, int]], None]) -> None:
        """Call visit(step index, {slot: definition} before the step) for all steps, and apply the step's writes."""
        for run, start in zip(self.runs, self.at_start, strict=True):
            current = dict(start)
            for i in run:
                visit(i, current)
                for slot in self._written(i):
                    current[slot] = self.definitions[i, slot]

    def _live_before(self, i: int) -> int:
        step = self.code.steps[i]
        return self.effects.reads(step) | self.after[i] & ~self.effects.writes(step)

    def _link(self, i: int, current: dict[int, int]) -> None:
        step = self.code.steps[i]
        for name, slot in (("a", step.a), ("b", step.b), ("c", step.c)):
            if slot is not None and slot.kind == "frame":
                self.operands[i, name] = current[int(slot.index)]
        if step.operation.calls or step.operation.tail or step.op == "return":
            explicit = frame_bit(step.a)
            for slot_index in _bits(self.effects.reads(step) & ~explicit):
                self.webs[self.find(current[slot_index])].fixed = True

    def _interfere(self, i: int, current: dict[int, int]) -> None:
        step = self.code.steps[i]
        written = {slot: self.find(self.definitions[i, slot]) for slot in self._written(i)}
        if not written and not self._calls(i):
            return
        copied = self.find(self.operands[i, "a"]) if step.op == "mov" and (i, "a") in self.operands else None
        for slot in _bits(self.after[i]):
            web = written[slot] if slot in written else self.find(current[slot])
            for writing in written.values():
                if web != writing and web != copied:
                    self.webs[web].conflicts.add(writing)
                    self.webs[writing].conflicts.add(web)
            if self._calls(i) and slot not in written:
                self.webs[web].below = min(self.webs[web].below, step.imm)

    def _index(self) -> None:
        for web in self.webs:
            for other in web.conflicts:
                web.near.setdefault(self.webs[other].slot, set()).add(other)

    # --- merging ---

    def merge(self, a: int, b: int) -> None:
        """Make one web of two, if there is a slot in which that is possible."""
        a, b = self.find(a), self.find(b)
        if a == b or b in self.webs[a].conflicts:
            return
        web_a, web_b = self.webs[a], self.webs[b]
        below = min(web_a.below, web_b.below)
        for slot in self._candidates(web_a, web_b, below):
            self._spend(1)
            if slot < below and self._vacate(slot, a, b):
                self._move(self._merged(a, b), slot)
                return

    def _candidates(self, web_a: _Web, web_b: _Web, below: int) -> Iterator[int]:
        """Slots for the two together: first those where they are."""
        if web_a.fixed or web_b.fixed:
            slots = {web.slot for web in (web_a, web_b) if web.fixed}
            if len(slots) == 1:
                yield from slots
            return
        own = sorted({web_a.slot, web_b.slot})
        yield from own
        yield from (slot for slot in range(min(below, self.effects.frame_size)) if slot not in own)

    def _vacate(self, slot: int, a: int, b: int) -> bool:
        """Move what conflicts with a or b out of the slot; False, and nothing moved, if that is impossible."""
        moves: dict[int, int] = {}
        nobody: set[int] = set()
        inside = self.webs[a].near.get(slot, nobody) | self.webs[b].near.get(slot, nobody)
        if any(self.webs[number].fixed for number in inside):
            return False
        for number in sorted(inside):
            web = self.webs[number]
            taken = {slot, *moves.values()}
            free = next(
                (s for s in range(min(web.below, self.effects.frame_size)) if s not in web.near and s not in taken),
                None,
            )
            self._spend(free or self.effects.frame_size)
            if free is None:
                return False
            moves[number] = free
        for number, free in moves.items():
            self._move(number, free)
        return True

    def _move(self, number: int, slot: int) -> None:
        web = self.webs[number]
        if slot == web.slot:
            return
        self._spend(len(web.conflicts))
        for other in web.conflicts:
            self._leave(other, number)
            self.webs[other].near.setdefault(slot, set()).add(number)
        web.slot = slot

    def _leave(self, number: int, other: int) -> None:
        """The web `other` is not near `number` in its slot any more."""
        near, slot = self.webs[number].near, self.webs[other].slot
        near[slot].discard(other)
        if not near[slot]:
            del near[slot]

    def _merged(self, a: int, b: int) -> int:
        """One web with the conflicts of both: the one with more takes over those of the other."""
        if len(self.webs[a].conflicts) < len(self.webs[b].conflicts):
            a, b = b, a
        web, gone = self.webs[a], self.webs[b]
        self._spend(len(gone.conflicts))
        for other in gone.conflicts:
            self._leave(other, b)
            self.webs[other].conflicts.discard(b)
            self.webs[other].conflicts.add(a)
            self.webs[other].near.setdefault(web.slot, set()).add(a)
            web.conflicts.add(other)
            web.near.setdefault(self.webs[other].slot, set()).add(other)
        gone.conflicts, gone.near = set(), {}
        return self._union(a, b)
