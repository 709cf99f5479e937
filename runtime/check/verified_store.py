"""A store whose every step is checked against wasmtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import wasmtime

from ...compiler.compile import realise
from ...compiler.format.types import general, is_reference
from ..bit_patterns import Reference
from ..errors import DivergenceError, Trap
from ..results import Run
from ..store import Store
from ..store_group import Group, Machine, Member
from .oracle.originals import Original, new_store, trap_text
from .oracle.run import Oracle, OracleRun
from .verify import Report, Verifier, bits_of

_SMALL_TABLE = 1 << 14


class VerifiedMachine:
    """A verifier as a machine. reports: are given each call's. latest: of the last call what wasmtime did."""

    def __init__(self, verifier: Verifier, reports: list[Report]):
        self.verifier, self._reports = verifier, reports
        self.latest: OracleRun | None = None

    def invoke(self, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Run:
        report = self.verifier.invoke(name, args, **options)
        if not report.ok:
            raise DivergenceError(
                f"{name}: limit of wasm2xformer: {report.limit}" if report.limit else f"{name}: {report.divergence}", report
            )
        self._reports.append(report)
        self.latest = report.oracle
        return report.run

    def read_global(self, name: str) -> Any:
        return self.verifier.read_global(name)


class VerifiedStore(Store):
    """A `Store` in which every call is also made by wasmtime, twice: of the module that the instances together are, step by step,
    as `Verifier` does it; and of their own modules, which wasmtime links in one store of its own: results, traps, memories,
    globals and tables have to be the same. (The latter not of instances that import from the host, nor of those that import
    from such ones.)

    reports: of every call of a program, with those that were made once more for another one. Raises DivergenceError, from every
    call, where anything differs and where a limit of wasm2xformer is met, and OracleError; the call has not been made then.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.reports: list[Report] = []
        self._native = new_store()
        self._originals: dict[Member, Original] = {}

    def _machine(self, group: Group) -> Machine:
        options = self._options
        model = realise(group.program, group.source.module)
        return VerifiedMachine(
            Verifier(
                group.source, model=model, engine=self._engine, opt_level=options.opt_level, world=self._world,
                device=self._device, max_memory_pages=options.max_memory_pages,
                unknown_imports_trap=options.unknown_imports_trap,
            ),
            self.reports,
        )  # fmt: skip

    # The modules by themselves

    def _instantiated(self, group: Group, member: Member, trapped: Trap | None) -> None:
        wanted = str(trapped) if trapped is not None else ""
        named = {i.module for i in member.source.module.imports}
        providers = {name: self._originals[m] for name, m in member.imports.items() if m in self._originals}
        if not named <= providers.keys():
            return
        found = ""
        try:
            original = Original(self._native, member.source, providers, self._options.max_memory_pages)
            if original.start is not None and original.start.outcome != "ok":
                found = original.start.outcome
            self._originals[member] = original
        except wasmtime.Trap as trap:
            found = trap_text(trap)
        if found != wanted:
            raise DivergenceError(f"instantiation: wasmtime says {found or 'nothing'}, of all instances as one module {wanted}")
        self._compare_states(group)

    def _invoked(self, group: Group, member: Member, name: str, args: Sequence[Any], run: Run) -> None:
        original = self._originals.get(member)
        if original is None or not isinstance(group.machine, VerifiedMachine):
            return
        types = member.functions[name]
        for value in args:
            if isinstance(value, Reference) and value.kind == "object":
                original.adopt(value.number, next(o for o in self._originals.values() if o.has(value.number)))
        values = [bits_of(t, a) for t, a in zip(types.params, args, strict=True)]
        mine, theirs = group.machine.latest, original.invoke(name, values)
        original.know(run.values)
        assert mine is not None
        ends = [(r.outcome, [_comparable(t, v) for t, v in zip(types.results, r.results)]) for r in (mine, theirs)]
        if ends[0] != ends[1]:
            raise DivergenceError(f"{name}: wasmtime says {ends[1]}, and of all instances as one module {ends[0]}")
        self._compare_states(group)

    def _written(self, group: Group, member: Member, writes: Sequence[tuple[str, tuple[int, int]]]) -> None:
        if member in self._originals:
            for name, (address, value) in writes:
                self._originals[member].write(address, value, 1 if name.endswith("8") else 4)
            self._compare_states(group)

    def _compare_states(self, group: Group) -> None:
        """Of all instances whose state the group's program has."""
        if isinstance(group.machine, VerifiedMachine):
            for member in group.present:
                if member in self._originals:
                    for what in _differences(group, member, group.machine.verifier.oracle, self._originals[member]):
                        raise DivergenceError(f"instance {member.number}: {what} is not what wasmtime's own linking gives")


def _differences(group: Group, member: Member, composed: Oracle, original: Oracle) -> Iterator[str]:
    """What the two have that is not the same: of memories, globals and tables, imported ones too."""
    module = member.source.module
    for k, at in enumerate(group.indices("memory", member)):
        if not np.array_equal(composed.memory(at), original.memory(k)):
            yield f"memory {k}"
    for k, at in enumerate(group.indices("global", member)):
        type_ = module.globals[k].type.type
        if _comparable(type_, composed.value(at)) != _comparable(type_, original.value(k)):
            yield f"global {k}"
    for k, at in enumerate(group.indices("table", member)):
        sizes = composed.table_size(at), original.table_size(k)
        type_ = module.tables[k].element
        elements = range(min(*sizes, _SMALL_TABLE))
        if sizes[0] != sizes[1] or any(
            _comparable(type_, composed.element(at, i)) != _comparable(type_, original.element(k, i)) for i in elements
        ):
            yield f"table {k}"


def _comparable(type_: str, value: Any) -> Any:
    """Of a function, which has another number in each module, whether it is null."""
    return value is None if is_reference(type_) and general(type_) == "funcref" else value

