"""The index spaces of the linked module, and the numbers of function references."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.types import HeapType
from ..wasm.module import FuncType
from .reach import Reached
from .units import Definition, Intrinsic, Layout, Units


@dataclass(frozen=True)
class Indices:
    """Joint indices in the linked module: imports first, the program's definitions in their order, then the others'.

    host_memory: the memory on which host functions work.
    references: reference value of each function that has one, from 1 on; functions of one type are consecutive, and so are
        those of a type and of all below it.
    """

    types: dict[HeapType, int]
    functions: dict[Definition | Intrinsic, int]
    tables: dict[Definition, int]
    memories: dict[Definition, int]
    globals: dict[Definition | Intrinsic | Layout, int]
    tags: dict[Definition, int]
    host_memory: Definition | None
    references: dict[Definition, int]


def number(units: Units, reached: Reached) -> Indices:
    """Functions that are only referred to, never called, are in the index space too."""
    functions = sorted(reached.functions | reached.referenced)
    type_of = {f: units.all[f.unit].module.functions[f.index].type for f in functions}
    types: dict[HeapType, None] = dict.fromkeys([i.type for i in reached.intrinsics if isinstance(i.type, FuncType)])
    types.update(dict.fromkeys(type_of.values()))
    # a call_indirect may name a type that no function has
    for unit in units.all:
        types.update(dict.fromkeys(unit.module.types))
    order = {type: i for i, type in enumerate(types)}
    targets: list[Definition | Intrinsic] = [*reached.intrinsics, *functions]
    named = {type.name: number for type, number in order.items() if type.name}

    def line(f: Definition) -> tuple[int, ...]:
        type = type_of[f]
        return (*(named[name] for name in reversed(type.above)), order[type])

    referenced = sorted(reached.referenced, key=lambda f: (line(f), f))
    return Indices(
        types=order,
        functions={f: i for i, f in enumerate(targets)},
        tables={t: i for i, t in enumerate(sorted(reached.tables))},
        memories={m: i for i, m in enumerate(sorted(reached.memories))},
        globals={g: i for i, g in enumerate([*reached.registers, *sorted(reached.globals)])},
        tags={t: i for i, t in enumerate(sorted(reached.tags))},
        host_memory=next(iter(reached.host_memories), None),
        references={f: i for i, f in enumerate(referenced, 1)},
    )
