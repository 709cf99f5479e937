"""Copies between frame slots disappear where source and destination can be the same slot.

What a slot holds between the steps that write it and the steps that read that is a *web*: the unit that may move to
another slot. Two webs interfere when one is written while the other is still needed. A copy whose webs do not
interfere is removed by giving both one slot (Chaitin's coalescing; the number of slots is no concern here).

Webs that the frame layout ties to a slot stay in it: parameters, arguments and results of calls, results of the
function. A web that is needed after a call stands below the callee's frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ..format.isa import Slot
from ..lower.code import Code, falls_through, labels_of
from .copies import is_copy
from .liveness import Effects, frame_bit, live_after

# Definitions are numbered; a set of definitions is a bit mask. A larger function than this is left as it is.
_STEP_LIMIT = 20_000


def coalesce(code: Code, effects: Effects, parameters: int) -> bool:
    """Merge webs and remove the copies between them, in the frame of a function with so many parameters.

    Returns whether any copy went.
    """
    if len(code.steps) > _STEP_LIMIT:
        return False
    webs = _Webs(code, effects, parameters)
    depth = _loop_depths(code)
    copies = [
        i
        for i, step in enumerate(code.steps)
        if is_copy(code, step) and (i, "a") in webs.operands and (i, "dest") in webs.operands
    ]
    for i in sorted(copies, key=lambda i: -depth[i]):
        webs.merge(webs.operands[i, "a"], webs.operands[i, "dest"])
    for i in range(len(code.steps)):
        renamed = {
            name: Slot("frame", webs.slot_of(webs.operands[i, name]))
            for name in ("a", "b", "c", "dest")
            if (i, name) in webs.operands
        }
        if renamed:
            code.steps[i] = replace(code.steps[i], **renamed)  # type: ignore[arg-type]
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

    conflicts: representatives of the webs that it interferes with; may name webs merged since.
    """

    slot: int
    fixed: bool = False
    below: int = 2**62
    conflicts: set[int] = field(default_factory=set)


class _Webs:
    """operands: (step index, "a" | "b" | "c" | "dest") -> a definition of the web that stands there."""

    def __init__(self, code: Code, effects: Effects, parameters: int):
        self.code = code
        self.effects = effects
        self.operands: dict[tuple[int, str], int] = {}
        self.parent: list[int] = []
        self.webs: list[_Web] = []
        self.definitions: dict[tuple[int, int], int] = {}  # (step index or -1 at entry, slot) -> definition
        self.by_slot: dict[int, int] = {}  # slot -> mask of its definitions
        for slot in range(parameters):
            self._define(-1, slot)
        for i, step in enumerate(code.steps):
            for slot in self._written(i):
                self._define(i, slot)
            if step.dest is not None and step.dest.kind == "frame":
                self.operands[i, "dest"] = self.definitions[i, int(step.dest.index)]
        self.after = live_after(code, effects)
        blocks = self._blocks()
        self.layout = list(zip(blocks, self._reaching(blocks), strict=True))
        self._walk(self._link)
        self._walk(self._interfere)

    # --- webs as a union of definitions ---

    def _define(self, at: int, slot: int) -> None:
        number = len(self.parent)
        self.definitions[at, slot] = number
        self.by_slot[slot] = self.by_slot.get(slot, 0) | 1 << number
        self.parent.append(number)
        # What a parameter or a call's result is written to is not for us to choose.
        fixed = at < 0 or self.code.steps[at].dest is None
        self.webs.append(_Web(slot, fixed))

    def find(self, definition: int) -> int:
        while self.parent[definition] != definition:
            self.parent[definition] = self.parent[self.parent[definition]]
            definition = self.parent[definition]
        return definition

    def slot_of(self, definition: int) -> int:
        return self.webs[self.find(definition)].slot

    def _union(self, a: int, b: int) -> int:
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[b] = a
            web, other = self.webs[a], self.webs[b]
            web.fixed |= other.fixed
            web.below = min(web.below, other.below)
            web.conflicts |= other.conflicts
            for conflict in other.conflicts:
                self.webs[self.find(conflict)].conflicts.add(a)
        return a

    # --- which web is where ---

    def _written(self, i: int) -> list[int]:
        """Slots that get a value from step i."""
        step = self.code.steps[i]
        if step.operation.calls:
            return [step.imm + k for k in range(len(self.effects.callee_type(step).results))]
        return list(_bits(frame_bit(step.dest)))

    def _killed(self, i: int) -> int:
        """Mask of the definitions that do not survive step i."""
        step = self.code.steps[i]
        mask = 0
        if step.operation.calls:
            for slot, definitions in self.by_slot.items():
                if slot >= step.imm:
                    mask |= definitions
        else:
            for slot in self._written(i):
                mask |= self.by_slot[slot]
        return mask

    def _blocks(self) -> list[range]:
        """The straight runs of steps."""
        steps = self.code.steps
        starts = {0} | {self.code.labels[label] for label in self.code.target_counts()}
        starts |= {i + 1 for i, step in enumerate(steps) if labels_of(step) or not falls_through(step)}
        bounds = [*sorted(start for start in starts if start < len(steps)), len(steps)]
        return [range(a, b) for a, b in pairwise(bounds)]

    def _reaching(self, blocks: list[range]) -> list[int]:
        """For each block the definitions that may reach its beginning."""
        index = {block.start: k for k, block in enumerate(blocks)}
        generated, killed = [], []
        for block in blocks:
            gen = kill = 0
            for i in block:
                gone = self._killed(i)
                new = sum(1 << self.definitions[i, slot] for slot in self._written(i))
                gen, kill = gen & ~gone | new, kill | gone
            generated.append(gen)
            killed.append(kill)
        reaching = [0] * len(blocks)
        reaching[0] = sum(1 << d for (at, _), d in self.definitions.items() if at < 0)
        pending = list(range(len(blocks)))[::-1]
        while pending:
            k = pending.pop()
            leaving = reaching[k] & ~killed[k] | generated[k]
            last = self.code.steps[blocks[k].stop - 1]
            successors = [index[self.code.labels[label]] for label in labels_of(last)]
            if falls_through(last):
                successors.append(k + 1)
            for successor in successors:
                if leaving & ~reaching[successor]:
                    reaching[successor] |= leaving
                    pending.append(successor)
        return reaching

    def _walk(self, visit: Callable[[int, dict[int, int]], None]) -> None:
        """Call visit(step index, {slot: definition} before the step) for all steps, and apply the step's writes."""
        for block, reaching in self.layout:
            current = {}
            for slot in _bits(self._live_before(block.start)):
                found = [*_bits(reaching & self.by_slot.get(slot, 0))]
                # All that reach a place where the slot is needed are one web.
                for definition in found[1:]:
                    self._union(found[0], definition)
                current[slot] = found[0]
            for i in block:
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
        if (step.operation.calls or step.op == "return"):
            explicit = frame_bit(step.a)
            for slot_index in _bits(self.effects.reads(step) & ~explicit):
                self.webs[self.find(current[slot_index])].fixed = True

    def _interfere(self, i: int, current: dict[int, int]) -> None:
        step = self.code.steps[i]
        written = {slot: self.find(self.definitions[i, slot]) for slot in self._written(i)}
        copied = self.find(self.operands[i, "a"]) if step.op == "mov" and (i, "a") in self.operands else None
        for slot in _bits(self.after[i]):
            web = written[slot] if slot in written else self.find(current[slot])
            for writing in written.values():
                if web != writing and web != copied:
                    self.webs[web].conflicts.add(writing)
                    self.webs[writing].conflicts.add(web)
            if step.operation.calls and slot not in written:
                self.webs[web].below = min(self.webs[web].below, step.imm)

    # --- merging ---

    def _conflicts(self, web: int) -> set[int]:
        return {self.find(other) for other in self.webs[web].conflicts} - {web}

    def merge(self, a: int, b: int) -> None:
        """Make one web of two, if there is a slot in which that is possible."""
        a, b = self.find(a), self.find(b)
        conflicts_a, conflicts_b = self._conflicts(a), self._conflicts(b)
        if a == b or b in conflicts_a or a in conflicts_b:
            return
        web_a, web_b = self.webs[a], self.webs[b]
        below = min(web_a.below, web_b.below)
        if web_a.fixed or web_b.fixed:
            candidates = {web.slot for web in (web_a, web_b) if web.fixed}
            if len(candidates) > 1:
                return
        else:
            candidates = {web_a.slot, web_b.slot, *range(min(below, self.effects.frame_size))}
        for slot in sorted(candidates, key=lambda slot: (slot not in (web_a.slot, web_b.slot), slot)):
            if slot < below and self._vacate(slot, conflicts_a | conflicts_b):
                merged = self._union(a, b)
                self.webs[merged].slot = slot
                return

    def _vacate(self, slot: int, webs: set[int]) -> bool:
        """Move those of the webs that are in the slot to others; False, and nothing moved, if that is impossible."""
        moves: dict[int, int] = {}
        for number in webs:
            web = self.webs[number]
            if web.slot != slot:
                continue
            taken = {self.webs[other].slot for other in self._conflicts(number)} | {slot, *moves.values()}
            free = next((s for s in range(min(web.below, self.effects.frame_size)) if s not in taken), None)
            if web.fixed or free is None:
                return False
            moves[number] = free
        for number, free in moves.items():
            self.webs[number].slot = free
        return True
