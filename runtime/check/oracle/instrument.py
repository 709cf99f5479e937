"""Rewrites a module so that it logs one record per executed site, and keeps the model's call stack limit.

What is added stands behind what was there, in every index space, so that no index of the original changes:

    memory     the log buffer
    tables     two functions of the host: FLUSH_SLOT empties the buffer, BULK_SLOT reads a range just written; and what exported
               functions have returned that a host cannot hold, so that it can be passed again
    globals    log pointer, frame sum, what was about to run that may trap, site of the call_indirect in progress
    functions  the logging routine, wrappers of imported functions that tables may hold, exports that pass floats
               as bit patterns

A site is logged when its instruction has completed, so one that traps leaves no record; conditions and transfers of
control (br, call, return, ...) are logged just before, when nothing can go wrong any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ....compiler.format.isa import Site
from ....compiler.format.types import ArrayType, StructType, general, is_asked
from ....compiler.wasm.check import SUPPORTED_INSTRUCTIONS, SUPPORTED_TYPES
from ....compiler.wasm.module import Export, Function, Global, GlobalType, Instr, Limits, Module, TableType
from ....compiler.wasm.simd import V128
from ....compiler.wasm.stack_types import DEAD, stack_tops
from .added_functions import (
    LOOKED_INTO,
    accepts,
    bits_entry,
    bits_of_element,
    bits_of_global,
    forward,
    log_routine,
    room_routine,
)
from .changed_parts import (
    limited_memories,
    limited_tables,
    referenced_functions,
    replace_references,
    unshared,
    with_references,
)
from .instrumented_body import Found, InstrumentedBody
from .linking import with_memory_export
from .record import (
    ACCEPTS,
    BITS,
    BULK_TYPE,
    ENTRY,
    FLUSH_TYPE,
    FRAMES,
    GLOBAL,
    HOST_TABLE,
    INDIRECT,
    KEPT_PAGES,
    LOG_MEMORY,
    LOG_PAGES,
    LOG_POINTER,
    MEMORY,
    MOST_KEPT_PAGES,
    OBJECTS_TABLE,
    REFERENCE,
    START,
    STOPPED,
    TABLE,
    Added,
)  # fmt: skip


@dataclass(frozen=True)
class Instrumented:
    """module: the rewritten one.

    origins: function index -> original instruction of every instruction, -1 for none.
    stops: (function, instruction, "") of everything that may trap; instead of "" a key of isa.TRAPS where an
        `unreachable` stands for that trap, NOT_COMPILED in a function that was left out. STOPPED says which was about to
        run, counted from 1. (wasmtime moves a trap that is certain to the branch that leads to it, so its position says
        nothing.)
    references: numbers of the sites whose recorded value is that of a reference.
    """

    module: Module
    origins: dict[int, list[int]]
    stops: tuple[tuple[int, int, str], ...]
    references: frozenset[int]


def instrument(
    module: Module,
    sites: Sequence[Site],
    frame_deltas: Mapping[tuple[int, int], int],
    frame_limit: int,
    memory_maximum: int | None = None,
    table_limits: Sequence[int | None] = (),
    functions: Collection[int] | None = None,
) -> Instrumented:
    """See above. `sites` are numbered in order; one instruction may be several sites.

    frame_deltas: (function, instruction) -> slots by which the call there moves the frame; the sum over the calls in
    progress may not reach frame_limit. memory_maximum (pages) and table_limits (elements, by table index) lower what
    the module's own memories and tables declare. functions: only these can be called (None: all).

    Raises ValueError where a site cannot be logged the way it asks, and
    for instructions outside the core that the compiler accepts.
    """
    added = _indices(module)
    found = Found([], set(), {i.name for f in module.functions for i in f.body})
    referenced = referenced_functions(module)

    def empty(index: int) -> InstrumentedBody:
        return InstrumentedBody(module, added, index, frame_limit, found)

    bodies, origins = _bodies(module, sites, frame_deltas, functions, referenced, empty)
    bodies += [log_routine(added), room_routine(added)]
    wrappers = {}
    for index in sorted(i for i in referenced if module.functions[i].imported):
        wrappers[index] = len(bodies)
        body = empty(index)
        body.say_reached()
        bodies.append(forward(module.functions[index], index, body.out))
        origins[wrappers[index]] = body.origins + [-1] * (len(bodies[-1].body) - len(body.origins))
    exports = _exports(module, added, {i: wrappers.get(i, i) for i in sorted(referenced)})
    for name, function in _bit_functions(module, added.objects):
        exports.append(Export(name, "func", len(bodies)))
        bodies.append(function)

    log = Limits(LOG_PAGES, LOG_PAGES)
    if any(isinstance(type_, (StructType, ArrayType)) for type_ in module.types):
        log = Limits(LOG_PAGES + KEPT_PAGES, LOG_PAGES + MOST_KEPT_PAGES)
    counter = Global(GlobalType("i32", True), (Instr("i32.const", (0,)),))
    changed = unshared(replace_references(module, wrappers))
    return Instrumented(
        replace(
            changed,
            types=(*module.types, FLUSH_TYPE, BULK_TYPE),
            functions=tuple(with_references(f, wrappers) for f in bodies),
            tables=(
                *limited_tables(module, table_limits), TableType("funcref", Limits(2, 2)), TableType("anyref", Limits(0, None)),
            ),
            memories=(*limited_memories(changed, memory_maximum), log),
            globals=(*changed.globals, *[counter] * 4),
            exports=tuple(exports),
            start=None,
        ),
        origins,
        tuple(found.stops),
        frozenset(found.references),
    )


def _indices(module: Module) -> Added:
    first = len(module.globals)
    return Added(
        memory=len(module.memories),
        table=len(module.tables),
        objects=len(module.tables) + 1,
        pointer=first,
        frames=first + 1,
        stopped=first + 2,
        indirect=first + 3,
        log=len(module.functions),
        room=len(module.functions) + 1,
        flush_type=len(module.types),
        bulk_type=len(module.types) + 1,
    )


def _bodies(
    module: Module,
    sites: Sequence[Site],
    frame_deltas: Mapping[tuple[int, int], int],
    functions: Collection[int] | None,
    referenced: Collection[int],
    empty: Callable[[int], InstrumentedBody],
) -> tuple[list[Function], dict[int, list[int]]]:
    """The module's functions, those of its own instrumented; and the origins of their instructions."""
    sites_at: dict[tuple[int, int], list[tuple[int, Site]]] = defaultdict(list)
    for number, site in enumerate(sites):
        sites_at[site.function, site.instruction].append((number, site))
    watched = {site.function for site in sites} | {function for function, _ in frame_deltas}
    bodies: list[Function] = []
    origins: dict[int, list[int]] = {}
    for index, function in enumerate(module.functions):
        if function.imported is not None:
            bodies.append(function)
            continue
        body = empty(index)
        if not _core(function) or (functions is not None and index not in functions):
            bodies.append(body.left_out())
            continue
        if index in referenced:
            body.say_reached()
        # What is not compiled is not called.
        tops = stack_tops(module, function) if index in watched else [DEAD] * len(function.body)
        body.begin(function)
        for i, (instr, top) in enumerate(zip(function.body, tops, strict=True)):
            body.copy(i, instr, top, sites_at[index, i], frame_deltas.get((index, i)))
        bodies.append(replace(function, locals=body.locals, body=tuple(body.out)))
        origins[index] = body.origins
    return bodies, origins


def _exports(module: Module, added: Added, references: Mapping[int, int]) -> list[Export]:
    """The module's exports and, for the host, everything in it and what is added. references: function -> its wrapper."""
    exports = list(with_memory_export(module).exports)
    exports += [Export(LOG_MEMORY, "memory", added.memory), Export(HOST_TABLE, "table", added.table)]
    exports.append(Export(OBJECTS_TABLE, "table", added.objects))
    counters = (
        (LOG_POINTER, added.pointer),
        (FRAMES, added.frames),
        (STOPPED, added.stopped),
        (INDIRECT, added.indirect),
    )
    exports += [Export(name, "global", index) for name, index in counters]
    exports += [Export(f"{MEMORY}{i}", "memory", i) for i in (*range(len(module.memories)), added.memory)]
    exports += [Export(f"{TABLE}{i}", "table", i) for i in range(len(module.tables))]
    exports += [Export(f"{REFERENCE}{i}", "func", wrapper) for i, wrapper in references.items()]
    exports += [Export(f"{GLOBAL}{i}", "global", i) for i in range(len(module.globals))]
    if module.start is not None:
        exports.append(Export(START, "func", module.start))
    return exports


def _bit_functions(module: Module, objects: int) -> Iterator[tuple[str, Function]]:
    """What passes floats as the integers of their bits: a call of each exported function, and a look at each global."""
    for export in module.exports:
        if export.kind == "func":
            yield ENTRY + export.name, bits_entry(module.functions[export.index], export.index, objects)
            for k, type_ in enumerate(module.functions[export.index].type.params):
                if is_asked(type_):
                    yield f"{ACCEPTS}{export.name}:{k}", accepts(type_, objects)
    for index, entry in enumerate(module.globals):
        if general(entry.type.type) in ("i32", "i64", "f32", "f64", V128, *LOOKED_INTO):
            yield f"{BITS}{index}", bits_of_global(entry.type.type, index)
    for index, table in enumerate(module.tables):
        if general(table.element) in LOOKED_INTO:
            yield f"{BITS}{TABLE}{index}", bits_of_element(table, index)


def _core(function: Function) -> bool:
    """Whether it has nothing in it that the compiler refuses."""
    types = {*function.type.params, *function.type.results, *function.locals}
    known = all(general(type_) in SUPPORTED_TYPES for type_ in types)
    return known and all(instr.name in SUPPORTED_INSTRUCTIONS for instr in function.body)
