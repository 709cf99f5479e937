"""Every reason why what is reached cannot be compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..format.errors import CompileError, Reason
from ..format.types import RefType, is_asked
from ..wasm.check import refusals
from .aliases import suggestion
from .reach import Reached
from .units import Definition, Units


def refuse(units: Units, reached: Reached) -> None:
    """Raises CompileError with every reason there is: the program's first, each module's in the module's own order."""
    parts: dict[str, dict[int, list[int]]] = {"func": {}, "table": {}, "global": {}}
    for definition in (*reached.functions, *reached.tables, *reached.globals):
        parts[definition.kind].setdefault(definition.unit, []).append(definition.index)
    imports: dict[int, list[Reason]] = {}
    for (unit_index, position), reason in sorted(reached.refused.items(), key=lambda entry: entry[0]):
        entries = units.all[unit_index].module.imports[position : position + 1]
        if entries and reason.message.endswith("is not provided"):
            hint = suggestion(entries[0].module, entries[0].name, entries[0].desc)
            reason = replace(reason, message=reason.message + hint)
        imports.setdefault(unit_index, []).append(reason)
    reasons: list[Reason] = []
    for index, unit in enumerate(units.all):
        reasons += imports.get(index, ())
        if index == 0:
            reasons += _memories(units, reached)
            reasons += _parameters(units, reached)
        if not unit.own:
            functions, tables, globals_ = (parts[kind].get(index, ()) for kind in ("func", "table", "global"))
            reasons += refusals(unit.module, functions, tables, globals_, unit.name)
    if reasons:
        raise CompileError(list(dict.fromkeys(reasons)))


def _memories(units: Units, reached: Reached) -> Iterator[Reason]:
    if len(reached.host_memories) > 1:
        names = [_memory(units, memory) for memory in sorted(reached.host_memories)]
        yield Reason(f"host functions are called by modules with {len(names)} memories ({', '.join(names)}): one is supported")


# References to these hosts have other values of than null.
_PASSED = ("extern", "func", "any", "eq", "i31")


def _parameters(units: Units, reached: Reached) -> Iterator[Reason]:
    """Hosts have no exceptions, and of some types there is no value."""
    for name, function in reached.exports.items():
        for type in units.all[function.unit].module.functions[function.index].type.params:
            if isinstance(type, RefType) and not type.nullable and type.to not in _PASSED and not is_asked(type):
                yield Reason(f"the exported function {name!r} has a parameter of type {type}, which a host cannot pass")


def _memory(units: Units, memory: Definition) -> str:
    name = units.all[memory.unit].name
    return f"memory {memory.index} of {name!r}" if name else f"memory {memory.index} of the program"
