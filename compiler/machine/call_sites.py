"""Which steps call which function, numbered so that a return finds its way back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..format.isa import Program
from ..wasm.module import FuncType


class CallSites:
    """Call steps, numbered for each function: the caller numbers that its returns look up. owner: the function of each step.

    A function that takes another's place (a tail call) returns to where the other would, so functions that tail calls
    connect are numbered as one, and so are those that calls of one type enter while they are of several. An indirect call has
    one number, whichever function it enters: where one function of its type is so connected, all that have a reference are.
    """

    def __init__(self, program: Program):
        self.program = program
        self._indirect: dict[FuncType, list[int]] = defaultdict(list)  # call sites by type
        self._direct: dict[int, list[int]] = defaultdict(list)  # call sites by callee
        for index, step in enumerate(program.steps):
            if step.operation.calls and step.type is not None:
                self._indirect[step.type].append(index)
            elif step.operation.calls:
                assert step.callee is not None
                self._direct[step.callee].append(index)
        self._referenced = set(program.references.values())
        self._named = {type_.name: type_ for type_ in self._indirect if type_.name}
        self._choices: dict[FuncType, list[tuple[int, int]]] = {}
        groups = (*self._indirect.values(), *self._direct.values())
        self._number = {site: k for sites in groups for k, site in enumerate(sites)}
        self.owner = [-1] * len(program.steps)
        for f in program.functions.values():
            self.owner[f.entry : f.end] = [f.index] * (f.end - f.entry)
        self._connected = self._connections()
        self._connected_number = {
            site: k for members in self._connected.values() for k, site in enumerate(members)
        }  # fmt: skip

    def choices(self, site: int) -> list[tuple[int, int]]:
        """(reference, function) that an indirect call may enter, ascending."""
        type_ = self.program.steps[site].type
        assert type_ is not None
        return self._entered(type_)

    def _entered(self, type_: FuncType) -> list[tuple[int, int]]:
        """(reference, function) of those of the type, and of the types below it."""
        if type_ not in self._choices:
            functions = self.program.functions
            found = [(r, f) for r, f in sorted(self.program.references.items()) if type_.takes(functions[f].type)]
            self._choices[type_] = found
        return self._choices[type_]

    def of(self, function: int) -> list[int]:
        """Call sites from which it may have been entered, in the order of their caller numbers: indirect ones come first."""
        if function in self._connected:
            return self._connected[function]
        return [*self._indirect_callers(function), *self._direct[function]]

    def count(self, function: int) -> int:
        return len(self.of(function))

    def number(self, site: int) -> int:
        """The caller number of a call site."""
        if site in self._connected_number:
            return self._connected_number[site]
        callee = self.program.steps[site].callee
        return self._number[site] + (0 if callee is None else len(self._indirect_callers(callee)))

    def _indirect_callers(self, function: int) -> list[int]:
        if function not in self._referenced:
            return []
        return [site for type_ in self._callable_as(self.program.functions[function].type) for site in self._indirect[type_]]

    def _callable_as(self, type_: FuncType) -> list[FuncType]:
        """The type, and those above it of which there are calls."""
        return [type_, *(self._named[name] for name in type_.above if name in self._named)]

    def _connections(self) -> dict[int, list[int]]:
        """The call sites of each function that tail calls connect with others."""
        parent: dict[int, int] = {}

        def root(function: int) -> int:
            parent.setdefault(function, function)
            while parent[function] != function:
                parent[function] = parent[parent[function]]
                function = parent[function]
            return function

        def connect(function: int, others: Iterable[int]) -> None:
            for other in others:
                if other != function:
                    parent[root(other)] = root(function)

        for index, step in enumerate(self.program.steps):
            if step.operation.tail:
                entered = [step.callee] if step.callee is not None else [f for _, f in self.choices(index)]
                connect(self.owner[index], entered)
        for type_ in self._indirect:
            referenced = [f for _, f in self._entered(type_)]
            first = next((f for f in referenced if f in parent), None)
            if any(self.program.functions[f].type != type_ for f in referenced):
                first = referenced[0]  # of several types: one numbering for all
            if first is not None:
                connect(first, referenced)
        members: dict[int, list[int]] = defaultdict(list)
        for function in sorted(parent):
            members[root(function)].append(function)
        return {function: sites for group in members.values() for sites in [self._sites(group)] for function in group}

    def _sites(self, functions: list[int]) -> list[int]:
        own = dict.fromkeys(self.program.functions[f].type for f in functions if f in self._referenced)
        types = dict.fromkeys(above for type_ in own for above in self._callable_as(type_))
        sites = [site for type_ in types for site in self._indirect.get(type_, ())]
        return sites + [site for f in functions for site in self._direct.get(f, ())]


__all__ = ["CallSites"]
