"""When each unit of the stock form runs: layers with equally many heads and neurons, as few of them as the longest path allows.

Times: the attention of layer l is 2l, its MLP 2l + 1; what the embedding writes is complete at -1. Among the units that
could run, those with the longest way to the logits come first (list scheduling), with as few heads and neurons a layer as
that takes.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from ..format.transformer import HEAD_DIM
from .expr import Expr, Variable
from .graph import Lookup, Neuron
from .pieces import Circuit

# Layers beyond the longest path, of which the cheapest number is taken.
SLACK = 2


@dataclass(eq=False)
class Task:
    """Units that run at one time: a head (with at most HEAD_DIM outputs), or neurons. size: how many of them.

    experts: numbers of those that the neurons belong to, in a mixture; (): what is no expert's. router: what chooses them reads.
    """

    head: Lookup | None
    neurons: list[Neuron]
    experts: tuple[int, ...] = ()
    router: tuple[Variable, ...] = ()

    @property
    def size(self) -> int:
        return 1 if self.head else len(self.neurons)

    @property
    def reads(self) -> list[Variable]:
        if self.head:
            forms = [*self.head.query, *self.head.key, *(value for value, _ in self.head.outputs)]
        else:
            forms = [form for neuron in self.neurons for form in (neuron.gate, neuron.up)]
        return list(dict.fromkeys([*(v for form in forms for v in form.terms), *self.router]))

    @property
    def writes(self) -> list[Variable]:
        if self.head:
            return [v for _, v in self.head.outputs]
        return list(dict.fromkeys(v for neuron in self.neurons for _, v in neuron.outputs))


@dataclass
class Schedule:
    """times: of every task. heads, neurons: of each layer. own: neurons of each expert of a layer."""

    times: dict[Task, int]
    layers: int
    heads: int
    neurons: int
    own: int = 0


class _Plan:
    """The tasks, and what waits for what."""

    def __init__(self, circuit: Circuit, experts: Sequence[tuple[int, ...]] = (), router: tuple[Variable, ...] = ()):
        """experts: of each cell of the circuit; router: what those wait for besides; see `Task`."""
        owners = experts or [()] * len(circuit.cells)
        cells = zip(circuit.cells, owners, strict=True)
        self.tasks = [Task(None, cell, owner, router if owner else ()) for cell, owner in cells]
        earliest = self._earliest(circuit)
        for lookup in circuit.heads:
            outputs = sorted(lookup.outputs, key=lambda o: max((earliest.get(v, -1) for v in o[0].terms), default=-1))
            for i in range(0, len(outputs), HEAD_DIM):
                part = outputs[i : i + HEAD_DIM]
                head = Lookup(lookup.name, lookup.kind, lookup.query, lookup.key, lookup.bound, part)
                self.tasks.append(Task(head, []))
        self.writers: dict[Variable, int] = defaultdict(int)
        self.readers: dict[Variable, list[Task]] = defaultdict(list)
        for task in self.tasks:
            for v in task.writes:
                self.writers[v] += 1
            for v in task.reads:
                self.readers[v].append(task)
        self.height: dict[Task, int] = {}
        for task in reversed(self._order()):
            after = [self.height[r] for v in task.writes for r in self.readers[v]]
            self.height[task] = max((_before(h, task) for h in after), default=1 if task.head is None else 2)

    def _earliest(self, circuit: Circuit) -> dict[Variable, int]:
        """Roughly: how many units in a row come before a variable, to put into one head what is there at the same time."""
        made: dict[Variable, int] = {}
        units: list[tuple[list[Expr], list[Variable]]] = []
        for cell in circuit.cells:
            for n in cell:
                units.append(([n.gate, n.up], [v for _, v in n.outputs]))
        for y in circuit.heads:
            units += [([*y.query, *y.key, value], [v]) for value, v in y.outputs]
        changed = True
        while changed:
            changed = False
            for forms, outputs in units:
                at = 1 + max((made.get(v, 0) for form in forms for v in form.terms), default=0)
                for v in outputs:
                    if made.get(v, 0) < at:
                        made[v], changed = at, True
        return made

    def _order(self) -> list[Task]:
        """Every task behind those that it waits for."""
        missing, waiting = dict(self.writers), {t: sum(1 for v in t.reads if self.writers[v]) for t in self.tasks}
        order = [t for t in self.tasks if not waiting[t]]
        for task in order:
            for v in task.writes:
                missing[v] -= 1
                if not missing[v]:
                    for reader in self.readers[v]:
                        waiting[reader] -= 1
                        if not waiting[reader]:
                            order.append(reader)
        if len(order) < len(self.tasks):
            stuck = next(t for t in self.tasks if waiting[t])
            raise ValueError(f"{stuck.writes[0]} is computed from itself: a circuit cannot have cycles")
        return order

    def run(self, heads: int, neurons: int, limit: int, own: int = 0) -> dict[Task, int] | None:
        """Times with so many a layer, `own` neurons of each expert besides; None if it takes more than `limit` layers."""
        missing, waiting = dict(self.writers), {t: sum(1 for v in t.reads if self.writers[v]) for t in self.tasks}
        times: dict[Task, int] = {}
        queues: tuple[list, list] = ([], [])  # heads, neurons that may run: (-height, number, task)
        number = {task: i for i, task in enumerate(self.tasks)}
        experts = sorted({e for task in self.tasks for e in task.experts})

        def ready(task: Task) -> None:
            heapq.heappush(queues[task.head is None], (-self.height[task], number[task], task))

        for task in self.tasks:
            if not waiting[task]:
                ready(task)
        for time in range(2 * limit):
            queue, room = queues[time % 2], {-1: neurons if time % 2 else heads} | dict.fromkeys(experts, own)
            done, put_off = [], []
            while queue and any(room.values()):
                entry = heapq.heappop(queue)
                where = entry[2].experts or (-1,)
                if all(entry[2].size <= room[e] for e in where):
                    for e in where:
                        room[e] -= entry[2].size
                    done.append(entry[2])
                else:
                    put_off.append(entry)
            for entry in put_off:
                heapq.heappush(queue, entry)
            for task in done:
                times[task] = time
                for v in task.writes:
                    missing[v] -= 1
                    if not missing[v]:
                        for reader in self.readers[v]:
                            waiting[reader] -= 1
                            if not waiting[reader]:
                                ready(reader)
            if len(times) == len(self.tasks):
                return times
        return None


def _before(height: int, task: Task) -> int:
    """How long before the end a task runs when one of this height follows: times alternate, attention at even ones."""
    own = 1 if task.head is None else 0  # parity of a neuron's time counted from the end: 1, 3, ...; of a head: 2, 4, ...
    height += 1
    return height if height % 2 == own else height + 1


def schedule(circuit: Circuit) -> Schedule:
    """The numbers of layers, heads and neurons with the fewest weights, no more than SLACK layers beyond the longest path."""
    plan = _Plan(circuit)
    longest = ceil(max(plan.height.values(), default=0) / 2)
    total_heads = sum(1 for t in plan.tasks if t.head)
    total_neurons = sum(t.size for t in plan.tasks if not t.head)
    best: tuple[float, Schedule] | None = None
    for layers in range(longest, longest + SLACK + 1):
        heads = max(1, ceil(total_heads / layers))
        while plan.run(heads, total_neurons, layers) is None:
            heads += 1
        low, high = max(1, ceil(total_neurons / layers)) - 1, total_neurons
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if plan.run(heads, middle, layers) is not None else (middle, high)
        times = plan.run(heads, high, layers)
        assert times is not None
        made = Schedule(_late_constants(plan, times, high), layers, heads, high)
        cost = float(layers * (4 * HEAD_DIM * heads + 3 * high))
        if best is None or cost < 0.9 * best[0]:
            best = cost, made
    assert best is not None
    return best[1]


def _late_constants(plan: _Plan, times: dict[Task, int], neurons: int) -> dict[Task, int]:
    """Neurons that read nothing need not be early: they run as late as there is room."""
    used: dict[int, int] = defaultdict(int)
    for task, time in times.items():
        if task.head is None and not task.experts:
            used[time] += task.size
    for task in plan.tasks:
        if task.reads or task.head or task.experts:
            continue
        end = min((times[r] for v in task.writes for r in plan.readers[v]), default=times[task])
        for time in range(end - 1, times[task], -1):
            if time % 2 and used[time] + task.size <= neurons:
                used[times[task]] -= task.size
                used[time] += task.size
                times[task] = time
                break
    return times


__all__ = ["Schedule", "Task", "schedule"]
