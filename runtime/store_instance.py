"""An instance of a store, as its user has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import allocators, host
from .bit_patterns import Reference
from .errors import ArgumentError, Trap
from .instance import memory_index
from .results import Run
from .store_group import NOTHING, Group, Member
from .world import plain_bytes

if TYPE_CHECKING:
    from .store import Store

_NO_TOKENS = (np.empty(0, np.int32), np.empty(0, np.int32))


class StoreInstance:
    """An instance of a store: its exported functions, memory and globals. `Store.instantiate` makes it."""

    def __init__(self, store: Store, member: Member):
        self.store, self.member = store, member

    def __repr__(self) -> str:
        return f"<instance {self.member.number} of a store: {', '.join(self.member.functions) or 'no functions'}>"

    def invoke(self, name: str, *args: Any, **options: Any) -> Run:
        """Calls an exported function, see `Instance.invoke`, also for options. An object that an instance has returned may be
        passed to those that share state with it. Raises Trap, ArgumentError, Unfinished, InstanceError."""
        store, member = self.store, self.member
        types = member.functions
        if not isinstance(name, str) or name not in types:
            raise ArgumentError(f"no exported function {name!r}; there are: {', '.join(sorted(types)) or 'none'}")
        params = types[name].params
        if len(args) != len(params):
            raise ArgumentError(f"{name} takes {len(params)} arguments ({', '.join(params)}), got {len(args)}")

        def ask(group: Group, given: Mapping[str, Any]) -> Run:
            return group.call(group.part(member).exported(name), group.arguments(member, params, args), given)

        with store._calling(name, member):
            group = store._groups[member]
            event = store._event(member, name, types[name].results, ask)
            try:
                run = store._do(group, event, options)
            except Trap as trap:
                store._invoked(group, member, name, args, trap.run)
                raise
            store._invoked(group, member, name, args, run)
        return run

    def write_memory(self, address: int, data: bytes) -> None:
        """Puts bytes into the memory that it exports (under the name "memory", else the first). Raises Trap where there is none
        (what lies before is written), ArgumentError."""
        member = self._with_memory()
        writes = list(host.writes(memory_index("address", address), plain_bytes("write_memory", data)))

        def ask(group: Group, given: Mapping[str, Any]) -> Run:
            run = Run([], *_NO_TOKENS, 0)
            for op, values in writes:
                run = group.call(group.part(member).accessing(op), values, NOTHING)
                if run.trap is not None:
                    break
            return run

        with self.store._calling("write_memory", member):
            group = self.store._groups[member]
            try:
                self.store._do(group, self.store._event(member, "write_memory", (), ask), NOTHING)
            finally:
                self.store._written(group, member, writes)

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes of that memory. Raises Trap, ArgumentError."""
        member = self._with_memory()
        reads = host.reads(memory_index("address", address), memory_index("length", length))
        with self.store._calling("read_memory", member):
            group = self.store._groups[member]
            found = []
            for op, at in reads:
                event = self.store._event(member, "read_memory", (), _loading(member, op, at))
                found.append(self.store._do(group, event, NOTHING, keep=False).values[0])
            return host.joined(length, found)

    def read_string(self, address: int) -> bytes:
        """Bytes of that memory up to the first zero, which is left out. Raises as `read_memory` does."""
        return host.string(self.read_memory, address)

    def alloc(self, data: bytes | int, allocator: str | None = None) -> int:
        """As `Instance.alloc`, by a function that it exports."""
        return allocators.allocate(_Allocating(self), data if isinstance(data, int) else plain_bytes("alloc", data), allocator)

    def read_global(self, name: str) -> Any:
        """The value of an exported global. Raises ArgumentError."""
        member, types = self.member, self.member.globals
        if name not in types:
            raise ArgumentError(f"no exported global {name!r}; there are: {', '.join(sorted(types)) or 'none'}")

        def ask(group: Group, given: Mapping[str, Any]) -> Run:
            assert group.machine is not None
            return Run([group.machine.read_global(group.part(member).exported(name))], *_NO_TOKENS, 0, bits=[0])

        with self.store._calling(name, member):
            event = self.store._event(member, f"global {name}", (types[name],), ask)
            group = self.store._groups[member]
            value = self.store._do(group, event, NOTHING, keep=False).values[0]
            if isinstance(value, Reference):
                group.events.append(event)  # the host has it now
            return value

    def _with_memory(self) -> Member:
        if self.member.part(dict.fromkeys(self.member.imports.values(), 0)).shown_memory is None:
            raise ArgumentError("the module does not export a memory")
        return self.member


class _Allocating:
    """An instance as `allocators` asks for one."""

    def __init__(self, instance: StoreInstance):
        self.exports: allocators.Types = {name: (t.params, t.results) for name, t in instance.member.functions.items()}
        self.write_memory = instance.write_memory
        self._instance = instance

    def invoke(self, name: str, values: Sequence[Any]) -> Run:
        return self._instance.invoke(name, *values)


def _loading(member: Member, op: str, address: int) -> Callable[..., Run]:
    return lambda group, options: group.call(group.part(member).accessing(op), (address,), options)
