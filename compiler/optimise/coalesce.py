"""Copies between frame slots disappear where source and destination can be the same slot.

What a slot holds between the steps that write it and the steps that read that is a *web*: the unit that may move to
another slot. Two webs interfere when one is written while the other is still needed. A copy whose webs do not
interfere is removed by giving both one slot (Chaitin's coalescing; the number of slots is no concern here).

Webs that the frame layout ties to a slot stay in it: parameters, arguments and results of calls, results of the
function. A web that is needed after a call stands below the callee's frame.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    copies = [i for i, step in enumerate(code.steps) if is_copy(code, step) and frame_bit(step.a) and frame_bit(step.dest)]
    if not copies:
        return False
    try:
        webs = _Webs(code, effects, parameters)
    except _TooMuch:
        return False
    depth = loop_depths(code)
    for i in sorted(copies, key=lambda i: -depth[i]):
        if webs.work < 0:
            break
        webs.merge(webs.operands[i, "a"], webs.operands[i, "dest"])
    renamed: dict[int, dict[str, Slot]] = {}
    for (i, name), definition in webs.operands.items():
        slot = webs.slot_of(definition)
        if slot != getattr(code.steps[i], name).index:
            renamed.setdefault(i, {})[name] = Slot("frame", slot)
    for i, slots in renamed.items():
        code.steps[i] = code.steps[i].but(**slots)
    kept = [not (is_copy(code, step) and step.a == step.dest) for step in code.steps]
    return code.remove(kept, "coalesced copy")


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def loop_depths(code: Code) -> list[int]:
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


@dataclass(slots=True)
class _Web:
    """slot: where it is now. fixed: it may not move. below: its slot must be less than this (calls it survives).

    conflicts: the webs that it interferes with. near: the same by the slot where they are now; None as long as nobody has asked.
    """

    slot: int
    fixed: bool
    below: int = 2**62
    conflicts: set[int] = field(default_factory=set)
    near: dict[int, set[int]] | None = None


class _Webs:
    """operands: (step index, "a" | "b" | "c" | "d" | "dest") -> a definition of the web that stands there. webs: by one
    definition of each, which `find` finds."""

    def __init__(self, code: Code, effects: Effects, parameters: int):
        self.code = code
        self.effects = effects
        self.operands: dict[tuple[int, str], int] = {}
        self.parent: list[int] = []
        self.slots: list[int] = []  # of definitions, as the others here
        self.fixed: list[bool] = []
        self.defined: list[dict[int, int]] = []  # for each step: slots that get a value from it -> definition
        self.calls = [step.operation.calls for step in code.steps]
        self.work = _WORK + _WORK_PER_STEP * len(code.steps)
        # What a parameter or a call's result is written to is not for us to choose.
        at_entry = {slot: self._new(slot, True) for slot in range(parameters)}
        for i, step in enumerate(code.steps):
            defined = {slot: self._new(slot, step.dest is None) for slot in self._written(i)}
            if defined and step.dest is not None:
                self.operands[i, "dest"] = defined[int(step.dest.index)]
            self.defined.append(defined)
        self.after = live_after(code, effects)
        self.runs = straight_runs(code)
        live = [self._live_before(run.start) for run in self.runs]
        self._prepare(sum(mask.bit_count() for mask in live))
        asked = (i for i in range(len(code.steps)) if self.defined[i] or self.calls[i])
        self._prepare(sum(self.after[i].bit_count() for i in asked))
        self.at_start = self._at_starts(at_entry, live)
        self._link()
        roots = [self.find(definition) for definition in range(len(self.parent))]
        self.webs = {root: _Web(self.slots[root], self.fixed[root]) for root in set(roots)}
        self._interfere(roots)

    def _spend(self, units: int) -> None:
        self.work -= units

    def _prepare(self, units: int) -> None:
        """Raises _TooMuch when the webs alone are more work than the function's size allows."""
        self._spend(units)
        if self.work < 0:
            raise _TooMuch

    # --- webs as a union of definitions ---

    def _new(self, slot: int, fixed: bool) -> int:
        self.parent.append(len(self.parent))
        self.slots.append(slot)
        self.fixed.append(fixed)
        return len(self.parent) - 1

    def _all_new(self, slots: list[int]) -> dict[int, int]:
        """By slot."""
        first, last = len(self.parent), len(self.parent) + len(slots)
        self.parent += range(first, last)
        self.slots += slots
        self.fixed += [False] * len(slots)
        return dict(zip(slots, range(first, last), strict=True))

    def find(self, definition: int) -> int:
        parent = self.parent
        while parent[definition] != definition:
            parent[definition] = parent[parent[definition]]
            definition = parent[definition]
        return definition

    def slot_of(self, definition: int) -> int:
        return self.webs[self.find(definition)].slot

    def _union(self, a: int, b: int) -> None:
        """Before there are webs: all of them are one."""
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[b] = a
            self.fixed[a] |= self.fixed[b]

    # --- which web is where ---

    def _written(self, i: int) -> list[int]:
        """Slots that get a value from step i."""
        step = self.code.steps[i]
        if self.calls[i]:
            return [step.imm + k for k in range(len(self.effects.callee_type(step).results))]
        return [int(step.dest.index)] if step.dest is not None and step.dest.kind == "frame" else []

    def _at_starts(self, at_entry: dict[int, int], live: list[int]) -> list[dict[int, int]]:
        """For each run what stands in the slots that are needed there (live): one definition of its own for each slot, which
        is one web with what every run before it leaves in the slot."""
        starts = [self._all_new(list(_bits(mask))) for mask in live]
        for slot, definition in starts[0].items() if starts else ():
            self._union(at_entry[slot], definition)
        successors = successors_of(self.code, self.runs)
        for run, start, following in zip(self.runs, starts, successors, strict=True):
            leaving = dict(start)
            for i in run:
                leaving.update(self.defined[i])
            for other in following:
                self._prepare(len(starts[other]))
                for slot, definition in starts[other].items():
                    if leaving[slot] != definition:
                        self._union(leaving[slot], definition)
        return starts

    def _live_before(self, i: int) -> int:
        step = self.code.steps[i]
        return self.effects.reads(step) | self.after[i] & ~self.effects.writes(step)

    def _link(self) -> None:
        """Which definition each step reads; what the frame's layout ties to a slot is fixed there."""
        for run, start in zip(self.runs, self.at_start, strict=True):
            current = dict(start)
            for i in run:
                step = self.code.steps[i]
                for name, slot in (("a", step.a), ("b", step.b), ("c", step.c), ("d", step.d)):
                    if slot is not None and slot.kind == "frame":
                        self.operands[i, name] = current[slot.index]  # type: ignore[index]
                if self.calls[i] or step.operation.tail or step.op == "return":
                    explicit = frame_bit(step.a)
                    for slot_index in _bits(self.effects.reads(step) & ~explicit):
                        self.fixed[self.find(current[slot_index])] = True
                current.update(self.defined[i])

    def _interfere(self, roots: list[int]) -> None:
        """A web that is written interferes with all that are needed behind that, but with the one that is copied to it. roots: by
        definition."""
        slots_of: dict[int, list[int]] = {}  # a mask's
        for run, start in zip(self.runs, self.at_start, strict=True):
            current = {slot: roots[definition] for slot, definition in start.items()}
            for i in run:
                defined, step = self.defined[i], self.code.steps[i]
                for slot, definition in defined.items():
                    current[slot] = roots[definition]
                if not defined and not self.calls[i]:
                    continue
                after = self.after[i]
                slots = slots_of.get(after)
                if slots is None:
                    slots = slots_of[after] = list(_bits(after))
                live = {current[slot] for slot in slots}
                if step.op == "mov" and (i, "a") in self.operands:
                    live.discard(roots[self.operands[i, "a"]])
                for definition in defined.values():
                    self.webs[roots[definition]].conflicts |= live
                if self.calls[i]:
                    for slot in slots:
                        if slot not in defined:
                            web = self.webs[current[slot]]
                            web.below = min(web.below, step.imm)
        for number, web in self.webs.items():
            web.conflicts.discard(number)
        for number, conflicts in [(number, list(web.conflicts)) for number, web in self.webs.items()]:
            for other in conflicts:
                self.webs[other].conflicts.add(number)

    def _near(self, number: int) -> dict[int, set[int]]:
        """The conflicts of a web by the slot where they are now."""
        web = self.webs[number]
        if web.near is None:
            web.near = {}
            for other in web.conflicts:
                web.near.setdefault(self.webs[other].slot, set()).add(other)
        return web.near

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
        inside = self._near(a).get(slot, nobody) | self._near(b).get(slot, nobody)
        if any(self.webs[number].fixed for number in inside):
            return False
        for number in sorted(inside):
            web = self.webs[number]
            taken = {slot, *moves.values()}
            near = self._near(number)
            free = next((s for s in range(min(web.below, self.effects.frame_size)) if s not in near and s not in taken), None)
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
            self._come(other, number, slot)
        web.slot = slot

    def _leave(self, number: int, other: int) -> None:
        """The web `other` is not near `number` in its slot any more."""
        near, slot = self.webs[number].near, self.webs[other].slot
        if near is None:
            return
        near[slot].discard(other)
        if not near[slot]:
            del near[slot]

    def _come(self, number: int, other: int, slot: int) -> None:
        """The web `other` is near `number` in this slot now."""
        near = self.webs[number].near
        if near is not None:
            near.setdefault(slot, set()).add(other)

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
            self._come(other, a, web.slot)
            web.conflicts.add(other)
            self._come(a, other, self.webs[other].slot)
        gone.conflicts, gone.near = set(), None
        self.parent[b] = a
        web.fixed |= gone.fixed
        web.below = min(web.below, gone.below)
        return a
