"""Instances that import from each other, also when the others have run: one program, whose sequence is decoded again.

The tokens of a sequence belong to one program. When an instance is to share state with others, a program of all of them
takes the place of theirs, and what has been called so far is called again, in order: the model decodes it anew, and every
result has to be what it was. Then the new instance begins to be, by a call too. So no state is ever carried over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..compiler.compile import compile_steps, realise
from ..compiler.format.errors import CompileError, EnvelopeError
from ..compiler.format.types import ValType
from ..compiler.link.compose import compose
from ..compiler.link.part_imports import can_change, shared_with, wrong_imports
from ..compiler.options import CompileOptions
from ..compiler.wasm.encode import encode
from ..compiler.wasm.source import Source, load
from .bit_patterns import show
from .errors import ArgumentError, Trap
from .exclusive import Exclusive
from .instance import Instance
from .results import Run
from .store_group import NOTHING, Event, Group, InstanceMachine, Machine, Member, with_imported
from .store_instance import StoreInstance
from .world import World


class Store:
    """Instances that can import from each other.

    opt_level, max_memory_pages, unknown_imports_trap: see `compile`. engine, device, stdin ... world: see `Instance`; random
    bytes and time are decided when the store is made. Instances that share nothing have a host each, with all of stdin for
    each; those that share state and import from the host share it, too. Where no call can leave anything behind, a new sequence
    begins when one is full.

    Threads may share a store: its calls wait for each other. A call that is given up (Unfinished, KeyboardInterrupt, an exception
    in a callback) has not been made: the next one finds what was there before it.
    """

    def __init__(
        self,
        *,
        opt_level: int = 1,
        engine: str = "fast",
        max_memory_pages: int | None = None,
        unknown_imports_trap: bool = False,
        stdin: bytes = b"",
        args: Sequence[str] = (),
        env: dict[str, str] | None = None,
        random: bytes | None = None,
        clock: float | None = None,
        world: World | None = None,
        device: str | None = None,
    ):
        self._options = CompileOptions(opt_level, None, {}, max_memory_pages, unknown_imports_trap)
        self._engine, self._device = engine, device
        self._world = (World(stdin, args, env or {}, random, clock) if world is None else world).fixed()
        if self._world.folders:
            raise ArgumentError("folders: a store has none; an `Instance` can have some")
        self._exclusive = Exclusive("store")
        self._groups: dict[Member, Group] = {}
        self._members = self._calls = self._objects = 0

    def instantiate(
        self,
        source: str | bytes | Path,
        imports: Mapping[str, StoreInstance] | None = None,
        *,
        max_tokens: int | None = None,
        timeout: float | None = None,
    ) -> StoreInstance:
        """A new instance of a module (see `compile`), which imports from these instances, by module name, and under other names
        from the host. It shares their memories, tables, globals and tags as they are now. max_tokens, timeout: of its
        instantiation, see `Instance.invoke`.

        Raises CompileError for what cannot be compiled and for imports that are not there or do not fit; Trap where instantiation
        traps: there is no instance then, and what it has changed in others stays changed. Raises ArgumentError, Unfinished.
        """
        providers = {name: self._own(name, instance) for name, instance in (imports or {}).items()}
        loaded = load(source)
        with self._calling("instantiate"):
            member = self._instantiate(loaded, providers, {"max_tokens": max_tokens, "timeout": timeout})
        return StoreInstance(self, member)

    def _own(self, name: str, instance: StoreInstance) -> Member:
        if not isinstance(instance, StoreInstance) or instance.store is not self:
            raise ArgumentError(f"imports: {name!r} is {show(instance)}, which is no instance of this store")
        return instance.member

    def _instantiate(self, source: Source, providers: Mapping[str, Member], options: Mapping[str, Any]) -> Member:
        named = {i.module for i in source.module.imports}
        member = Member(self._members + 1, source, {name: m for name, m in providers.items() if name in named})
        present = [*self._sharing(member), member]
        try:
            group = self._composed(present, member)
            lost = False
        except CompileError as error:
            if not error.reasons[0].message.startswith("instantiation traps"):
                raise
            member.lazily = lost = True  # nothing is there yet but to see it trap, its segments are copied one by one
            group = self._composed(present, member)
        self._members += 1
        part, trapped = group.part(member), None
        if part.instantiating:
            try:
                self._do(group, self._event(member, "instantiation", (), _instantiating(member)), options)
            except Trap as trap:
                trapped = trap
        self._instantiated(group, member, trapped)
        if not lost:
            self._groups |= dict.fromkeys(group.present, group)
        if trapped is not None:
            raise trapped
        return member

    # Groups

    def _sharing(self, member: Member) -> list[Member]:
        """Those whose state it shares, and all that share theirs. Who imports from the host has it in common with nobody."""
        members = with_imported([member])
        places = {m: k for k, m in enumerate(members)}
        parts = [m.part(places) for m in members]
        shared = shared_with(parts, places[member]) | {k for k, part in enumerate(parts[:-1]) if part.hosted}
        groups = dict.fromkeys(self._groups[members[place]] for place in sorted(shared))
        return sorted((m for group in groups for m in group.present), key=lambda m: m.number)

    def _composed(self, present: list[Member], new: Member) -> Group:
        """The group of these instances, one of them new; what the others have done has been done again. Raises CompileError."""
        members = with_imported(present)
        places = {m: k for k, m in enumerate(members)}
        alone = len(present) == 1
        parts = [m.part(places, m in present, alone) for m in members]
        old = list(dict.fromkeys(self._groups[m] for m in present if m is not new))
        if reasons := wrong_imports(parts, places[new], lambda kind, place, k: self._size_now(members[place], kind, k)):
            raise CompileError(reasons)
        if len([g for g in old if any(p.hosted for p in g.composition.parts)]) > 1:
            raise CompileError("it shares state with two instances that have a host each: instantiate them with what they share")
        composition, part = compose(parts), parts[-1]
        if len(parts) == 1 and not (part.instantiating or part.sized or part.lazily):
            source = new.source  # nothing is added
        else:
            binary = encode(composition.module)
            source = Source(load(binary).module, binary)
        program, _ = compile_steps(source, self._options)
        events = sorted((e for g in old for e in g.events), key=lambda e: e.order)
        group = Group(members, present, composition, source, program, can_change(source.module), events)
        if events:
            self._run(group)
            self._check_sizes(old, group)
        return group

    def _size_now(self, member: Member, kind: str, index: int) -> int:
        """Of a memory or a table that it has."""
        group = self._groups[member]
        if any(kind in part.grows for part in group.composition.parts):
            return self._size(group, member, kind, index)
        module = member.source.module
        return (module.memories[index] if kind == "memory" else module.tables[index].limits).minimum

    def _size(self, group: Group, member: Member, kind: str, index: int) -> int:
        self._run(group)
        return int(group.call(group.part(member).sizing(kind, index), (), NOTHING).values[0]) % 2**64

    def _check_sizes(self, old: Sequence[Group], new: Group) -> None:
        """Memories and tables have to have grown as they had: where several share the room there is, one may find less."""
        for group in old:
            for member in group.present if group.events else ():
                for kind, index in group.part(member).sized if any(p.grows for p in group.composition.parts) else ():
                    before, now = (self._size(g, member, kind, index) for g in (group, new))
                    if before != now:
                        raise CompileError(
                            f"instance {member.number} has a {kind} of {before:,}, and beside the others' it could grow to "
                            f"{now:,} only: declare how far memories and tables may grow"
                        )

    # Calls

    def _event(self, member: Member, what: str, types: Sequence[ValType], ask: Callable[..., Run]) -> Event:
        self._calls += 1
        return Event(self._calls, member, what, types, ask)

    def _do(self, group: Group, event: Event, options: Mapping[str, Any], keep: bool = True) -> Run:
        """Makes a call, to be made again if the program changes. Raises Trap."""
        self._run(group)
        try:
            asked = event.ask(group, options)
        except EnvelopeError:
            if group.changes:
                raise
            group.machine = None  # nothing is lost with the sequence: another one begins
            self._run(group)
            asked = event.ask(group, options)
        run = group.results(event, asked, self._new_object)
        event.keep(run)
        if keep and group.changes:
            group.events.append(event)
        if run.trap is not None:
            raise Trap(run.missing_import or run.trap, run)
        return run

    def _new_object(self) -> int:
        self._objects += 1
        return self._objects

    def _run(self, group: Group) -> None:
        """Sees to it that the group has a machine, on which all has happened that was to."""
        if group.machine is None:
            group.machine = self._machine(group)
            group.numbers.clear()
            group.names.clear()
            try:
                for event in group.events:
                    event.check(group.results(event, event.ask(group, NOTHING), self._new_object))
            except BaseException:
                group.machine = None
                raise

    def _machine(self, group: Group) -> Machine:
        """For the group's program; nothing has been called."""
        model = realise(group.program, group.source.module)
        return InstanceMachine(Instance(model, self._engine, world=self._world, device=self._device))

    def _instantiated(self, group: Group, member: Member, trapped: Trap | None) -> None:
        """For those that look on. trapped: there is no instance."""

    def _invoked(self, group: Group, member: Member, name: str, args: Sequence[Any], run: Run) -> None:
        """Likewise, of a call that returned or trapped."""

    def _written(self, group: Group, member: Member, writes: Sequence[tuple[str, tuple[int, int]]]) -> None:
        """Likewise, of what the host has written, as far as there is memory."""

    @contextmanager
    def _calling(self, name: str, member: Member | None = None) -> Iterator[None]:
        """One call at a time. One that is given up leaves tokens in the middle: those of the group are decoded anew then."""
        error: BaseException | None = None
        with self._exclusive.call(name):
            try:
                yield
            except (Trap, ArgumentError):
                raise
            except BaseException as given_up:
                if member is not None:
                    self._groups[member].machine = None
                error = given_up
        if error is not None:
            raise error


def _instantiating(member: Member) -> Callable[[Group, Mapping[str, Any]], Run]:
    return lambda group, options: group.call(group.part(member).instantiating, (), options)
