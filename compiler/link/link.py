"""Linking: a program, its libraries and the routines it needs become one module without anything to resolve.

What is left to import are the intrinsics of module "w2x" (see `linked`), which the lowering turns into steps. Passes:

    split      (of the reader's) every v128 as two i64, in all modules
    libraries  what there is to import from
    units      the modules, and where an import leads
    reach      what exports and start functions can reach; each instruction of `routines.ROUTINES` brings its routine in
    refuse     every reason why what was reached cannot be compiled
    indices    numbers for functions, tables, globals and references
    layout     instantiation: initial values, segments, tables and passive segments in hidden memory
    merge      bodies with the new indices
    needed_inputs   which input each function can come to look at: what a call is told

Routines are linked and replaced one for one. An instruction that is no step of its own, such as `f64.div` or
`memory.copy`, becomes a `call` of a function with the same operands and results; the body keeps its length, so that an
index into it still names the original instruction. Routines are WAT files beside this one. What depends on a table, a
segment or the memory's maximum is imported from the module "w2x.layout": the linker copies the routine for each set of
these values and puts them in as constants, so that a call passes nothing that is already known. References are i32
values in routines; the linked module need not be valid where they meet. Host functions (WASI) are found the same
way, as libraries under the name that the program imports. Only what is reached is linked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..format.operations import DIVISION_STEPS, FLOAT_STEPS
from ..format.types import general
from ..wasm.module import Module
from ..wasm.split import split
from .exceptions import CAPTURE, RESTORE, registers_of, throwing, widths_of
from .indices import Indices, number
from .layout import Instantiation, lay_out, register_name
from .libraries import libraries_of
from .linked import Exceptions, LinkedModule, with_places
from .merge import merge
from .needed_inputs import needed_inputs
from .reach import Reached, reach
from .refuse import refuse
from .routines import ROUTINES
from .units import PROGRAM, Definition, Layout, Units


def link(
    module: Module,
    libraries: Mapping[str, Module] | None = None,
    exports: Sequence[str] | None = None,
    max_memory_pages: int | None = None,
    unknown_imports_trap: bool = False,
    float_routines: bool | None = None,
    division_routines: bool | None = None,
) -> LinkedModule:
    """Links `module` with what it imports from `libraries` and from the standard libraries.

    exports: names of the exported functions to link (None: all). max_memory_pages, unknown_imports_trap,
    float_routines, division_routines: see `compile`.
    Raises CompileError with every reason, in module order: imports that are missing or do not fit, and what is reached
    and not supported; or when instantiation would trap.
    """
    whole = split(module)
    provided = {name: split(library).module for name, library in (libraries or {}).items()}
    units = Units(whole.module, libraries_of(whole.module, provided, unknown_imports_trap))
    reached = reach(units, exports, chosen_steps(units, exports, float_routines, division_routines))
    refuse(units, reached)
    indices = number(units, reached)
    state = lay_out(units, reached, indices, max_memory_pages)
    merged = merge(units, reached, indices, state)
    functions = indices.functions
    exceptions = _exceptions(units, reached, indices, merged)
    registers = {
        index: register_name(units, indices, target)
        for target, index in indices.globals.items()
        if not isinstance(target, Definition)
    }
    linked = LinkedModule(
        module=merged,
        routines=_records(units, reached, indices),
        origin={i: f.index for f, i in functions.items() if isinstance(f, Definition) and f.unit == PROGRAM},
        registers={**registers_of(exceptions), **dict.fromkeys(registers.values(), 0), **state.registers},
        register_globals=registers,
        global_values={indices.globals[g]: v for g, v in state.global_values.items() if g in indices.globals},
        tables=tuple(state.tables.values()),
        references={value: functions[f] for f, value in indices.references.items()},
        function_references=_function_references(units, reached, indices),
        table_capacity=_table_capacity(units, reached, state),
        segments=tuple(state.segments),
        hidden_bytes=state.hidden_bytes,
        inputs=state.inputs,
        needed_inputs={functions[f]: areas for f, areas in needed_inputs(units, reached).items()},
        memories=tuple(state.memories.values()),
        memory_exported=_exported_memory(units, indices),
        exports={name: functions[f] for name, f in reached.exports.items()},
        exported_globals={
            name: (indices.globals[g], general(merged.globals[indices.globals[g]].type.type))
            for name, g in reached.exported_globals.items()
        },
        start=tuple(functions[f] for f in reached.start),
        exceptions=exceptions,
        casts={type: functions[f] for type, f in reached.casts.items()},
        asked={type: functions[f] for type, f in reached.asked.items()},
    )
    return with_places(linked, whole)


# One in so many instructions is rare. A division that is rarer than that is the one in printf; programs whose floats are rarer
# print or parse some, and their circuits would make the file of QuickJS (0.7 %) more than twice as long.
RARE_FLOATS, RARE_DIVISIONS = 120, 2000


def chosen_steps(
    units: Units, exports: Sequence[str] | None, float_routines: bool | None, division_routines: bool | None
) -> frozenset[str]:
    """The instructions that are to be single steps and not calls of routines. None: unless they are rare in what is
    reached."""
    kinds = ((FLOAT_STEPS, float_routines, RARE_FLOATS), (DIVISION_STEPS, division_routines, RARE_DIVISIONS))
    steps = frozenset(name for kind, routines, _ in kinds if not routines for name in kind)
    if all(routines is not None for _, routines, _ in kinds):
        return steps
    functions = reach(units, exports, steps).functions
    bodies = [units.all[f.unit].module.functions[f.index].body for f in functions]
    names = Counter(instruction.name for body in bodies for instruction in body)
    for kind, routines, rare in kinds:
        if routines is None and sum(names[name] for name in kind) * rare < names.total():
            steps -= kind
    return steps


def _exported_memory(units: Units, indices: Indices) -> int | None:
    """The memory that the host reads and writes, if it is in use: what the program exports under the name "memory", else the
    first that it exports, else the first that it imports, which a library exports."""
    module = units.all[PROGRAM].module
    exports = sorted((e for e in module.exports if e.kind == "memory"), key=lambda e: e.name != "memory")
    imported = any(i.kind == "memory" for i in module.imports)
    target = units.find(PROGRAM, "memory", exports[0].index if exports else 0) if exports or imported else None
    return indices.memories.get(target) if isinstance(target, Definition) else None


def _exceptions(units: Units, reached: Reached, indices: Indices, merged: Module) -> Exceptions | None:
    if not reached.tags and not reached.exceptions:
        return None
    functions, types = throwing(merged, (indices.functions[f] for f in indices.references))
    values = {name: indices.functions[f] for name, f in reached.exceptions.items()}
    widths = widths_of(unit.module for unit in units.all)
    return Exceptions(widths, functions, types, values.get(CAPTURE), values.get(RESTORE))


def _function_references(units: Units, reached: Reached, indices: Indices) -> dict[int, int]:
    targets = ((index, units.resolve(PROGRAM, "func", index)) for index in sorted(reached.programs_references))
    return {index: indices.references[target] for index, target in targets if isinstance(target, Definition)}


def _table_capacity(units: Units, reached: Reached, state: Instantiation) -> dict[int, int]:
    found = {}
    for index in range(len(units.all[PROGRAM].module.tables)):
        target = units.find(PROGRAM, "table", index)
        if isinstance(target, Definition) and Layout(target, "capacity") in reached.layouts:
            found[index] = state.tables[target].capacity
    return found


def _records(units: Units, reached: Reached, indices: Indices) -> dict[int, str]:
    """How calls of routines, and the program's calls of imports, are recorded."""
    records = {indices.functions[f]: ROUTINES[name].record for (_, name, _), f in reached.calls.items()}
    records |= {indices.functions[f]: "host" for f in reached.imported if f in indices.functions}
    return records
