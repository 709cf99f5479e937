"""Which input each function may look at, itself or in what it calls: the prompt of a call tells that, and nothing else.

A body looks at an area of input (see `format.isa.INPUTS`) where it names one of its registers or its place in hidden memory. A
call through a reference may be of every function that has one and is of its type, as in `reach`. Routines for casts and
exceptions, which no body names, look at none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from ..format.isa import INPUTS
from ..format.types import FuncType
from .layout import FILES_END
from .reach import INDIRECT, Reached
from .units import Definition, Intrinsic, Layout, Target, Units, Unresolved

# By the name of a layout value that says where an area is: the area.
_PLACES = {FILES_END: "files", **{area: area for area in INPUTS}}
_REGISTERS = {register: area for area, registers in INPUTS.items() for register in registers}
_NOTHING: frozenset[str] = frozenset()


def needed_inputs(units: Units, reached: Reached) -> Mapping[Definition, frozenset[str]]:
    """The areas of each function that can be called; those that need none are left out. What the host can read as an exported
    global, all need."""
    names = {r.name for r in (*reached.registers, *reached.layouts) if isinstance(r, Intrinsic) or r.owner is None}
    if not names.intersection((*_REGISTERS, *_PLACES)):
        return {}
    areas: dict[Definition, frozenset[str]] = {}
    callers: dict[Definition, list[Definition]] = defaultdict(list)
    called: dict[FuncType, list[Definition]] = defaultdict(list)
    exported = frozenset(filter(None, map(_area, reached.exported_globals.values())))
    routines = {name for _, name, _ in reached.calls}
    for function in reached.functions:
        found = set(exported)
        for used in _used(units, reached, routines, function):
            if isinstance(used, Definition):
                callers[used].append(function)
            elif isinstance(used, FuncType):
                called[used].append(function)
            else:
                found.add(used)
        if found:
            areas[function] = frozenset(found)
    types = {f: units.all[f.unit].module.functions[f.index].type for f in reached.referenced}
    through = {type_: [f for of, by in called.items() if of.takes(type_) for f in by] for type_ in set(types.values())}
    todo = list(areas)
    while todo:
        function = todo.pop()
        for caller in (*callers.get(function, ()), *(through[types[function]] if function in types else ())):
            more = areas.get(caller, _NOTHING) | areas[function]
            if more != areas.get(caller):
                areas[caller] = more
                todo.append(caller)
    return areas


def _used(units: Units, reached: Reached, routines: set[str], function: Definition) -> Iterator[Definition | FuncType | str]:
    """What it calls, by itself or through a reference, and areas."""
    unit, module = function.unit, units.all[function.unit].module
    for instruction in module.functions[function.index].body:
        name = instruction.name
        if name in ("call", "return_call"):
            target = units.find(unit, "func", instruction.args[0])
            if isinstance(target, Definition):
                yield target
        elif name in INDIRECT:
            yield module.function_type(instruction.args[0])
        elif name in ("global.get", "global.set"):
            area = _area(units.find(unit, "global", instruction.args[0]))
            if area is not None:
                yield area
        elif name in routines:
            routine = reached.calls.get((unit, name, instruction.args))
            if routine is not None:
                yield routine


def _area(target: Target | Unresolved) -> str | None:
    if isinstance(target, Intrinsic) and target.kind == "global":
        return _REGISTERS.get(target.name)
    if isinstance(target, Layout) and target.owner is None:
        return _PLACES.get(target.name)
    return None
