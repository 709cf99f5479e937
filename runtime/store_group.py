"""What a store keeps: its instances, those that share a program, and what has been called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ..compiler.format.errors import CompileError
from ..compiler.format.isa import TRAPS, Program
from ..compiler.format.types import ValType, general, is_reference
from ..compiler.link.compose import Composition
from ..compiler.link.parts import Part
from ..compiler.wasm.module import FuncType
from ..compiler.wasm.source import Source
from .bit_patterns import FOREIGN, Reference, show
from .errors import ArgumentError, Trap
from .instance import Instance
from .results import Run

# Traps that come where the model's room ends, which may be elsewhere in another program.
_LIMITS = tuple(TRAPS[kind] for kind in ("stack_exhausted", "heap_exhausted", "exceptions_exhausted"))
NOTHING: Mapping[str, Any] = {}


class Machine(Protocol):
    """What runs a program of a store."""

    def invoke(self, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Run:
        """Calls an exported function. A trap is no error: the run says so."""

    def read_global(self, name: str) -> Any:
        """The value of an exported global."""


class InstanceMachine:
    """An instance of `Instance`."""

    def __init__(self, instance: Instance):
        self._instance = instance
        self.read_global = instance.read_global

    def invoke(self, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Run:
        try:
            return self._instance.invoke(name, *args, **options)
        except Trap as trap:
            return trap.run


@dataclass(eq=False)
class Member:
    """An instance of a store. number: in the order of instantiation, from 1 on. imports: by module name. lazily: see `Part`."""

    number: int
    source: Source
    imports: Mapping[str, Member]
    lazily: bool = False

    @cached_property
    def functions(self) -> dict[str, FuncType]:
        """Those that it exports."""
        module = self.source.module
        return {e.name: module.functions[e.index].type for e in module.exports if e.kind == "func"}

    @cached_property
    def globals(self) -> dict[str, ValType]:
        module = self.source.module
        return {e.name: module.globals[e.index].type.type for e in module.exports if e.kind == "global"}

    def part(self, places: Mapping[Member, int], present: bool = True, alone: bool = False) -> Part:
        """For a composition. places: of all that it imports from. alone: names stay as they are."""
        imports = {name: places[provider] for name, provider in self.imports.items()}
        return Part(self.source.module, imports, "" if alone else str(self.number), present, self.lazily)


def with_imported(members: Iterable[Member]) -> list[Member]:
    """These and all that they import from, directly or not, in order."""
    found: set[Member] = set()
    todo = list(members)
    while todo:
        member = todo.pop()
        if member not in found:
            found.add(member)
            todo += member.imports.values()
    return sorted(found, key=lambda m: m.number)


@dataclass
class Event:
    """A call that was made. order: its number among all of the store's. what: for messages. types: of its results. ask: makes it,
    on the machine of a group, which has one. run: what came of it, without tokens. objects: of each result the store's number of
    the object that it is, or None."""

    order: int
    member: Member
    what: str
    types: Sequence[ValType]
    ask: Callable[[Group, Mapping[str, Any]], Run]
    run: Run | None = None
    objects: list[int | None] = field(default_factory=list)

    def keep(self, run: Run) -> None:
        nothing = np.empty(0, np.int32)
        self.run = replace(run, prompt=nothing, tokens=nothing, probed=None)

    def check(self, again: Run) -> None:
        """Raises CompileError where it ended otherwise than it did before."""
        assert self.run is not None
        if _outcome(self.run, self.types) != _outcome(again, self.types):
            raise CompileError(
                f"instance {self.member.number}, {self.what}: {_told(self.run)}, but together with the instance that is to share "
                f"its state, where they share the room for it too, {_told(again)}; let them share it before it is called"
            )


def _outcome(run: Run, types: Sequence[ValType]) -> tuple[Any, ...]:
    """A call that ends where the model's room ends has to have come equally far."""
    values = [
        (v is None if general(t) == "exnref" else v) if is_reference(t) else bits
        for t, v, bits in zip(types, run.values, run.bits)
    ]
    steps = run.steps if run.trap in _LIMITS else 0
    return run.trap, run.exit_code, run.stdout, run.stderr, values, steps


def _told(run: Run) -> str:
    if run.trap is not None:
        return f"it trapped ({run.trap}) after {run.steps:,} steps"
    return f"it gave {', '.join(map(str, run.values)) or 'nothing'}" if run.exit_code is None else f"exit code {run.exit_code}"


@dataclass(eq=False)
class Group:
    """Instances in one program. members: in order of instantiation; present: those whose state it has, of the others there are
    copies of what cannot change. program: of the composition, which `source` has. changes: calls can leave something behind.
    events: those that have, in order. machine: made when something
    is to run. numbers: the program's number of each object that the host has been given, by the store's; names:
    the other way round."""

    members: list[Member]
    present: list[Member]
    composition: Composition
    source: Source
    program: Program
    changes: bool
    events: list[Event] = field(default_factory=list)
    machine: Machine | None = None
    numbers: dict[int, int] = field(default_factory=dict)
    names: dict[int, int] = field(default_factory=dict)

    def part(self, member: Member) -> Part:
        return self.composition.parts[self.members.index(member)]

    def call(self, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Run:
        """Of an exported function of the program, on the machine that there is."""
        assert self.machine is not None
        return self.machine.invoke(name, args, options)

    def arguments(self, member: Member, types: Sequence[ValType], args: Sequence[Any]) -> list[Any]:
        """As the program knows them: objects by its own numbers, functions by their indices in it. Raises ArgumentError."""
        functions = self.indices("func", member)
        found = list(args)
        for k, (type_, value) in enumerate(zip(types, args)):
            if isinstance(value, Reference) and value.kind == "object":
                if value.number not in self.numbers:
                    raise ArgumentError(
                        f"argument {k + 1} is {value}: no call of instances that share state with this one has returned that"
                    )
                found[k] = Reference("object", self.numbers[value.number])
            elif general(type_) == "funcref" and isinstance(value, int):
                there = [i for i, number in enumerate(functions) if number in self.program.function_references]
                if value not in there:
                    raise ArgumentError(
                        f"argument {k + 1} = {show(value)} is not the index of a function that has a reference; "
                        f"there are: {', '.join(map(str, there[:20])) or 'none'}{', ...' * (len(there) > 20)}"
                    )
                found[k] = functions[value]
        return found

    def results(self, event: Event, run: Run, new_number: Callable[[], int]) -> Run:
        """As the host knows them: objects by the store's numbers, functions by their indices in the instance's own module.
        new_number: for an object that the host has not been given before."""
        if event.run is not None and len(event.run.values) != len(run.values):
            return run
        functions = self.indices("func", event.member)
        values = list(run.values)
        for k, (type_, value) in enumerate(zip(event.types, run.values)):
            named = None
            if isinstance(value, Reference) and value.kind == "object":
                named = event.objects[k] if event.run is not None else self.names.get(value.number)
                named = new_number() if named is None else named
                self.numbers[named], self.names[value.number] = value.number, named
                values[k] = Reference("object", named)
            elif general(type_) == "funcref" and value is not None:
                values[k] = functions.index(value) if value in functions else FOREIGN
            if event.run is None:
                event.objects.append(named)
        return replace(run, values=values)

    def indices(self, kind: str, member: Member) -> Sequence[int]:
        """In the program's module, of each of the instance's own."""
        return self.composition.indices[kind, self.members.index(member)]
