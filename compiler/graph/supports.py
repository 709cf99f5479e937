"""At which operations a neuron is needed, worked out from the graph: where it can add anything, and where anybody reads that.

A set of operations is an integer, bit k for operation k. Two fixed points, both from below:

    can(v)     v may be other than 0 there. A field of the row: at the operations whose rows set it; what is embedded, or read
               from other positions: everywhere; else where one of its neurons runs.
    need(v)    somebody may read v there: everywhere where a head reads it as key or value, or the logits do.

A neuron relu(gate) * up runs where its gate can be positive and up other than 0. It is needed where it runs and one of its
outputs is needed. If one neuron of a variable is needed somewhere, the variable is, and so all of its neurons: so what is left
out at an operation is left out whole, and a slot holds no half of a sum that an erasing neuron would not take away.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

from .expr import Expr, Variable
from .graph import Lookup, Neuron
from .pieces import Circuit


class Supports:
    """fields: variables of the row, with the operations whose rows set them. everywhere: all operations."""

    def __init__(self, circuit: Circuit, fields: Mapping[Variable, int], everywhere: int):
        self.circuit, self.everywhere = circuit, everywhere
        self.neurons = [neuron for cell in circuit.cells for neuron in cell]
        self._can: dict[Variable, int] = dict.fromkeys(circuit.embedded, everywhere)
        self._cut = {*circuit.home, *circuit.home.values()}
        for head in circuit.heads:
            self._can |= {variable: fields.get(variable, everywhere) for _, variable in head.outputs}
        self._fixed = set(self._can)
        self._grow(self._forward)
        self._need: dict[Variable, int] = {}
        for form in (circuit.index, circuit.norm, *self._read_elsewhere()):
            self._need |= dict.fromkeys(form.terms, everywhere)
        self._need |= dict.fromkeys(self._cut, everywhere)
        self._grow(self._backward)

    def needed(self, neuron: Neuron) -> int:
        """The operations at which a neuron has to run."""
        if self._cuts(neuron):
            return self.everywhere
        return self.runs(neuron) & reduce(or_, (self._need.get(v, 0) for _, v in neuron.outputs), 0)

    def asked(self, head: Lookup) -> int:
        """The operations at which what the head brings is needed."""
        return reduce(or_, (self._need.get(v, 0) for _, v in head.outputs), 0)

    def runs(self, neuron: Neuron) -> int:
        """The operations at which it may add something other than 0."""
        gate, up = neuron.gate, neuron.up
        where = self.everywhere if gate.constant > 0 else self._union(self._raising(gate))
        return where if up.constant else where & self._union(up.terms)

    def _cuts(self, neuron: Neuron) -> bool:
        """It cuts a variable (`pieces._cut`): C comes and goes everywhere, what is cut is 0 where the variable is."""
        return not neuron.gate.terms and any(v in self._cut for _, v in neuron.outputs)

    def _raising(self, gate: Expr) -> list[Variable]:
        """Terms that may make it positive."""
        ranges = self.circuit.ranges
        return [v for v, w in gate.terms.items() if w > 0 or v not in ranges or ranges[v].low < 0]

    def _union(self, variables) -> int:
        return reduce(or_, (self.everywhere if v is self.circuit.one else self._can.get(v, 0) for v in variables), 0)

    def _read_elsewhere(self) -> list[Expr]:
        heads = self.circuit.heads
        return [form for head in heads for form in (*head.key, *(value for value, _ in head.outputs))]

    def _grow(self, once) -> None:
        while once():
            pass

    def _forward(self) -> bool:
        grown = False
        for neuron in self.neurons:
            runs = 0 if self._cuts(neuron) and not neuron.up.terms else self.runs(neuron)
            for _, v in neuron.outputs:
                if v not in self._fixed and runs & ~self._can.get(v, 0):
                    self._can[v], grown = self._can.get(v, 0) | runs, True
        return grown

    def _backward(self) -> bool:
        """What heads ask with is needed where their outputs are; what a neuron reads where it is needed; and see the module."""
        grown = False

        def want(variables, where: int) -> None:
            nonlocal grown
            for v in variables:
                if where & ~self._need.get(v, 0):
                    self._need[v], grown = self._need.get(v, 0) | where, True

        for head in self.circuit.heads:
            where = self.asked(head)
            for form in head.query:
                want(form.terms, where)
        for neuron in reversed(self.neurons):
            where = self.needed(neuron)
            want((*neuron.gate.terms, *neuron.up.terms), where)
            want((v for _, v in neuron.outputs), where)
        return grown


__all__ = ["Supports"]
