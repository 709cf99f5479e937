"""The steps of one function while it is being built: step targets are label numbers until `resolved`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
from typing import Any

from ..format.isa import FOLDING_RULES, Inlined, Site, Slot, Step

# One parallel copy: destination, source, and whether the value is 64 bits wide.
Move = tuple[Slot, Slot, bool]


@dataclass
class Code:
    """steps: `Step.target` and `Step.targets` hold label numbers. labels: label number -> index of the step it marks.

    computed: sites of `mov` steps that stand for a computation (the result of a routine) and so may not be removed.
    folded: sites for which no step answers -> the rule of isa.FOLDING_RULES: there never was a step, or it no longer
        runs each time the WASM instruction does, because a pass removed or bypassed it. `resolved` takes them off all
        steps, so that a site left in the program is reached exactly as often as its instruction.
    """

    steps: list[Step] = field(default_factory=list)
    labels: dict[int, int] = field(default_factory=dict)
    computed: set[Site] = field(default_factory=set)
    folded: dict[Site, str] = field(default_factory=dict)
    inlined: list[Inlined] = field(default_factory=list)
    _next_label: int = 0
    _last_bound: int = -1

    def emit(self, step: Step) -> Step:
        self.steps.append(step)
        return step

    def new_label(self) -> int:
        self._next_label += 1
        return self._next_label - 1

    def bind(self, label: int) -> None:
        """The label marks the step emitted next."""
        self.labels[label] = self._last_bound = len(self.steps)

    def marked_after(self, position: int) -> bool:
        """Whether a label marks a step behind steps[position] (or the end of the code)."""
        return self._last_bound > position

    def emit_moves(self, moves: Iterable[Move], temporary: Callable[[], Slot]) -> None:
        """Emit `mov` steps with the effect of all moves at once. A cycle goes through the slot `temporary()`."""
        pending = [move for move in moves if move[0] != move[1]]
        sources = [source for _, source, _ in pending]
        at = {destination: i for i, (destination, _, _) in enumerate(pending)}
        readers: dict[Slot, set[int]] = {}
        for i, source in enumerate(sources):
            if source in at:
                readers.setdefault(source, set()).add(i)
        free = [i for i, (destination, _, _) in enumerate(pending) if destination not in readers]  # a heap: ascending
        done = [False] * len(pending)
        for first in range(len(pending)):
            while not done[first] or free:
                if not free:
                    # Only cycles are left: save one destination, and let who wants it (one by now) read the copy.
                    saved, copy = pending[first][0], temporary()
                    (reader,) = readers.pop(saved)
                    self.emit(Step("mov", a=saved, dest=copy, wide=pending[reader][2]))
                    sources[reader] = copy
                    free.append(first)
                i = heappop(free)
                destination, _, wide = pending[i]
                self.emit(Step("mov", a=sources[i], dest=destination, wide=wide))
                done[i] = True
                waiting = readers.get(sources[i])
                if waiting is not None:
                    waiting.discard(i)
                    if not waiting:
                        del readers[sources[i]]
                        heappush(free, at[sources[i]])

    def fold(self, site: Site | None, rule: str) -> None:
        """From now on no step answers for this instruction, by this rule."""
        assert rule in FOLDING_RULES, rule
        if site is not None:
            self.folded[site] = rule

    def remove(self, kept: list[bool], rule: str) -> bool:
        """`keep`, and fold what the removed steps stood for; whether any step went."""
        for step, keep in zip(self.steps, kept, strict=True):
            if not keep:
                self.fold(step.site, rule)
        self.keep(kept)
        return not all(kept)

    def keep(self, kept: list[bool]) -> None:
        """Remove the steps i with kept[i] False; a label of a removed step moves to the next one kept."""
        position = list(accumulate(kept, initial=0))
        self.steps = [step for step, keep in zip(self.steps, kept, strict=True) if keep]
        self.labels = {label: position[at] for label, at in self.labels.items()}

    def target_counts(self) -> dict[int, int]:
        """Label number -> number of references from steps."""
        counts: dict[int, int] = {}
        for step in self.steps:
            if step.target is not None or step.targets:
                for label in labels_of(step):
                    counts[label] = counts.get(label, 0) + 1
        return counts

    def resolved(self, start: int) -> list[Step]:
        """The steps of the program, with step indices as targets, when the first one gets the index `start`."""
        result = []
        for step in self.steps:
            changes: dict[str, Any] = {}
            if step.target is not None or step.targets:
                changes["target"] = None if step.target is None else start + self.labels[step.target]
                changes["targets"] = tuple(start + self.labels[label] for label in step.targets)
            if step.site is not None and step.site in self.folded:
                changes["site"] = None
            if step.limits:
                changes["limits"] = ()
            result.append(step.but(**changes) if changes else step)
        return result


def labels_of(step: Step) -> tuple[int, ...]:
    """The labels a step may go to."""
    return step.targets if step.target is None else (step.target, *step.targets)


def falls_through(step: Step) -> bool:
    """Whether the next step in order can run after this one (a call comes back to it)."""
    return step.operation.falls_through
