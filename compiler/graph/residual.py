"""Which variable stands in which slot of the residual stream, from when to when, and which neurons clear slots for the next one.

A slot is free once its variable has been read for the last time and an erasing neuron has run: relu(1) * x, subtracted.
That takes away what float32 reads, so variables with noise keep their slots, and probes, which may have more bits.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass

from ..format.transformer import HEAD_DIM
from .expr import Variable
from .pieces import Circuit
from .schedule import Schedule


@dataclass
class Residual:
    """of: slot of each variable. erased: variables whose slots the MLP of a layer clears. first: when each is written first."""

    of: dict[Variable, int]
    width: int
    erased: dict[int, list[Variable]]
    first: dict[Variable, int]

    def names(self, layer: int) -> list[str]:
        """Of what each slot holds at the end of a layer, the newest one written by then; -1: of the embedding."""
        names, newest = [""] * self.width, [-2] * self.width
        for variable, slot in self.of.items():
            time = self.first.get(variable, -1)
            if newest[slot] < time <= 2 * layer + 1:
                newest[slot], names[slot] = time, variable.name
        return names


def residual(circuit: Circuit, plan: Schedule, tokens: int) -> Residual:
    """With so many neurons a layer more than the plan has, for erasing, that there are the fewest weights; `plan` gets them.

    tokens: of the vocabulary.
    """
    first, last = _lives(circuit, plan)
    best: tuple[float, int, Residual] | None = None
    for neurons in range(plan.neurons, 3 * plan.neurons + 16):
        made = _assign(circuit, plan, neurons, first, last)
        cost = made.width * (2.0 * tokens + plan.layers * (4 * HEAD_DIM * plan.heads + 3 * neurons))
        if best is None or cost < best[0]:
            best = cost, neurons, made
    assert best is not None
    plan.neurons = best[1]
    return best[2]


def _assign(
    circuit: Circuit, plan: Schedule, neurons: int, first: dict[Variable, int], last: dict[Variable, int]
) -> Residual:
    """Greedy, in the order of the first writes: a slot that can be cleared before, else a new one."""
    spare = dict.fromkeys(range(plan.layers), neurons)
    for task, time in plan.times.items():
        if time % 2 and not task.experts:
            spare[time // 2] -= task.size
    root = _roots(circuit)
    noisy = {root(v) for v, known in circuit.ranges.items() if known.lowest is None}
    kept_to_the_end = noisy | set(circuit.probes.values())
    of: dict[Variable, int] = {circuit.one: 0}
    width = 1
    erased: dict[int, list[Variable]] = defaultdict(list)
    dead: list[tuple[int, int, Variable]] = []  # (the first layer whose MLP may clear it, slot, variable)
    owners = [v for v in first if root(v) is v and v is not circuit.one]
    for v in sorted(owners, key=lambda v: (first[v], last[v])):
        deadline = (first[v] - 1) // 2 if first[v] >= 0 else -1  # the last layer whose MLP may clear the slot
        slot = None
        kept = []
        while dead and slot is None and dead[0][0] <= deadline:
            layer, candidate, old = heapq.heappop(dead)
            at = next((k for k in range(layer, deadline + 1) if spare[k]), None)
            if at is None:
                kept.append((layer, candidate, old))
                continue
            spare[at] -= 1
            erased[at].append(old)
            slot = candidate
        for entry in kept:
            heapq.heappush(dead, entry)
        if slot is None:
            slot, width = width, width + 1
        of[v] = slot
        if v not in kept_to_the_end and last[v] < 2 * plan.layers:
            heapq.heappush(dead, (last[v] // 2, slot, v))
    for v in first:
        of[v] = of[root(v)]
    width += -width % plan.heads  # as transformers asks for
    return Residual(of, width, erased, first)


def _roots(circuit: Circuit):
    def root(v: Variable) -> Variable:
        while v in circuit.home:
            v = circuit.home[v]
        return v

    return root


def _lives(circuit: Circuit, plan: Schedule) -> tuple[dict[Variable, int], dict[Variable, int]]:
    """First write and last read or write of each slot's variable; those that share a slot are one life."""
    root = _roots(circuit)
    first: dict[Variable, int] = dict.fromkeys(circuit.embedded, -1)
    last: dict[Variable, int] = {circuit.one: 2 * plan.layers}
    for task, time in plan.times.items():
        for v in task.writes:
            first[v] = min(first.get(v, time), time)
        for v in task.reads:
            last[root(v)] = max(last.get(root(v), -1), time)
        for v in task.writes:  # what an MLP writes, a later one erases
            last[root(v)] = max(last.get(root(v), -1), time + time % 2)
    for form in (circuit.index, circuit.norm):
        for v in form.terms:
            last[root(v)] = 2 * plan.layers
    return first, last


__all__ = ["Residual", "residual"]
