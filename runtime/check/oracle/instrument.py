"""Rewrites a module so that it logs one record per executed site, and keeps the model's call stack limit.

What is added stands behind what was there, in every index space, so that no index of the original changes:

    memory     the log buffer
    table      two functions of the host: FLUSH_SLOT empties the buffer, BULK_SLOT reads a range just written
    globals    log pointer, frame sum, what was about to run that may trap, site of the call_indirect in progress
    functions  the logging routine, wrappers of imported functions that tables may hold, exports that pass floats
               as bit patterns

A site is logged when its instruction has completed, so one that traps leaves no record; conditions and transfers of
control (br, call, return, ...) are logged just before, when nothing can go wrong any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....compiler.format.isa import Site
from ....compiler.wasm.check import SUPPORTED_INSTRUCTIONS, SUPPORTED_TYPES
from ....compiler.wasm.module import (
    Export,
    Function,
    FuncType,
    Global,
    GlobalType,
    Instr,
    Limits,
    Module,
    TableType,
    ValType,
)
from ....compiler.wasm.opcodes import ACCESS_WIDTH, STORES
from .linking import with_memory_export
from .stack_types import DEAD, Top, stack_tops

# site: index into the list of sites. value: bits of the value, for a reference 0 (null) or 1, or what isa.Site says.
# address: of a store, the effective address; of a bulk operation, where the range starts (the value is its length); of
# memory.grow and table.grow, by how much they were to grow.
RECORD = np.dtype([("site", "<u4"), ("address", "<u4"), ("value", "<u8")])
LOG_PAGES = 16
LOG_BYTES = LOG_PAGES * 65536

# Names of what is exported for the host.
PREFIX = "w2x:"
MODULE_NAME = PREFIX + "program"
LOG_MEMORY, HOST_TABLE, LOG_POINTER = PREFIX + "log", PREFIX + "host", PREFIX + "pointer"
FRAMES, STOPPED, INDIRECT = PREFIX + "frames", PREFIX + "stopped", PREFIX + "indirect"
MEMORY, TABLE, ENTRY, REFERENCE = PREFIX + "memory:", PREFIX + "table:", PREFIX + "entry:", PREFIX + "reference:"
GLOBAL, BITS = PREFIX + "global:", PREFIX + "bits:"
START = PREFIX + "start"
FLUSH_SLOT, BULK_SLOT = 0, 1
FLUSH_TYPE, BULK_TYPE = FuncType(), FuncType(("i32", "i32", "i32"))
MEMORY_SPACE = -1  # first argument of the bulk function; a table is its index

NOT_COMPILED = "not compiled"
_NOT_A_SITE = 0xFFFFFFFF  # INDIRECT holds 0: no call_indirect in progress; this: one that is not recorded; site + 1
_BITS = {"f32": "i32", "f64": "i64"}
_BULK = frozenset({"memory.copy", "memory.fill", "memory.init", "table.copy", "table.fill", "table.init"})
_DROPS = frozenset({"data.drop", "elem.drop"})
_MAY_TRAP = frozenset(
    name for name in SUPPORTED_INSTRUCTIONS
    if (".div" in name and name[0] == "i") or ".rem" in name or (".trunc_f" in name and name[0] == "i")
) | set(ACCESS_WIDTH) | _BULK | {"table.get", "table.set", "unreachable", "call", "call_indirect"}  # fmt: skip
_TRANSFERS = frozenset({"br", "br_if", "br_table", "if", "return", "call", "block", "loop", "else", "end"})


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


@dataclass(frozen=True)
class _Added:
    """Indices of what is added to the module."""

    memory: int
    table: int
    pointer: int
    frames: int
    stopped: int
    indirect: int
    log: int
    flush_type: int
    bulk_type: int


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
    first = len(module.globals)
    added = _Added(
        memory=len(module.memories),
        table=len(module.tables),
        pointer=first,
        frames=first + 1,
        stopped=first + 2,
        indirect=first + 3,
        log=len(module.functions),
        flush_type=len(module.types),
        bulk_type=len(module.types) + 1,
    )
    sites_at: dict[tuple[int, int], list[tuple[int, Site]]] = defaultdict(list)
    for number, site in enumerate(sites):
        sites_at[site.function, site.instruction].append((number, site))

    watched = {site.function for site in sites} | {function for function, _ in frame_deltas}
    referenced = _referenced(module)
    bodies, origins = [], {}
    found = _Found([], set())
    for index, function in enumerate(module.functions):
        if function.imported is None:
            body = _Body(module, added, index, frame_limit, found)
            if not _core(function) or (functions is not None and index not in functions):
                bodies.append(body.left_out())
                continue
            if index in referenced:
                body.say_reached()
            # What is not compiled is not called.
            tops = stack_tops(module, function) if index in watched else [DEAD] * len(function.body)
            for i, (instr, top) in enumerate(zip(function.body, tops, strict=True)):
                body.copy(i, instr, top, sites_at[index, i], frame_deltas.get((index, i)))
            bodies.append(replace(function, locals=body.locals, body=tuple(body.out)))
            origins[index] = body.origins
        else:
            bodies.append(function)
    bodies.append(_log_routine(added))
    wrappers = {}
    for index in sorted(i for i in referenced if module.functions[i].imported):
        wrappers[index] = len(bodies)
        body = _Body(module, added, index, frame_limit, found)
        body.say_reached()
        bodies.append(_forward(module.functions[index], index, body.out))
        origins[wrappers[index]] = body.origins + [-1] * (len(bodies[-1].body) - len(body.origins))

    exports = [Export(LOG_MEMORY, "memory", added.memory), Export(HOST_TABLE, "table", added.table)]
    for name, index in ((LOG_POINTER, added.pointer), (FRAMES, added.frames), (STOPPED, added.stopped)):
        exports.append(Export(name, "global", index))
    exports.append(Export(INDIRECT, "global", added.indirect))
    # Tags are not decoded; only what is left out uses one.
    own = tuple(e for e in with_memory_export(module).exports if e.kind != "tag")
    exports += [Export(f"{MEMORY}{i}", "memory", i) for i in range(len(module.memories))]
    exports += [Export(f"{TABLE}{i}", "table", i) for i in range(len(module.tables))]
    exports += [Export(f"{REFERENCE}{i}", "func", wrappers.get(i, i)) for i in sorted(referenced)]
    if module.start is not None:
        exports.append(Export(START, "func", module.start))
    for export in module.exports:
        if export.kind == "func":
            exports.append(Export(ENTRY + export.name, "func", len(bodies)))
            bodies.append(_bits_entry(module.functions[export.index], export.index))

    for index, entry in enumerate(module.globals):
        exports.append(Export(f"{GLOBAL}{index}", "global", index))
        if entry.type.type in ("i32", "i64", "f32", "f64"):
            exports.append(Export(f"{BITS}{index}", "func", len(bodies)))
            bodies.append(_bits_of_global(entry.type.type, index))

    counter = GlobalType("i32", True)
    zero = (Instr("i32.const", (0,)),)
    return Instrumented(
        replace(
            _replace_references(module, wrappers),
            types=(*module.types, FLUSH_TYPE, BULK_TYPE),
            functions=tuple(_with_references(f, wrappers) for f in bodies),
            tables=(*_limited_tables(module, table_limits), TableType("funcref", Limits(2, 2))),
            memories=(*_limited_memories(module, memory_maximum), Limits(LOG_PAGES, LOG_PAGES)),
            globals=(*_replace_references(module, wrappers).globals, *(Global(counter, zero) for _ in range(4))),
            exports=(*own, *exports),
            start=None,
        ),
        origins,
        tuple(found.stops),
        frozenset(found.references),
    )


@dataclass(frozen=True)
class _Found:
    """What the bodies add up to, see `Instrumented`."""

    stops: list[tuple[int, int, str]]
    references: set[int]


class _Body:
    """One function's new body: instructions are copied, and what logs them is put around them."""

    def __init__(self, module: Module, added: _Added, index: int, frame_limit: int, found: _Found):
        function = module.functions[index]
        self.module, self.added, self.index, self.frame_limit, self.found = module, added, index, frame_limit, found
        self.types = function.type.params + function.locals
        self.locals = function.locals
        self.out: list[Instr] = []
        self.origins: list[int] = []
        self._origin = -1
        self._scratch: dict[tuple[ValType, int], int] = {}

    def emit(self, *instrs: tuple | Instr) -> None:
        for i in instrs:
            self.out.append(i if isinstance(i, Instr) else Instr(i[0], i[1:]))
            self.origins.append(self._origin)

    def scratch(self, type_: ValType, which: int = 0) -> int:
        """A fresh local of this type; the same one for the same `which`."""
        if (type_, which) not in self._scratch:
            self._scratch[type_, which] = len(self.types) + len(self._scratch)
            self.locals = (*self.locals, type_)
        return self._scratch[type_, which]

    def log(self, site: int, value: Sequence[tuple], type_: ValType, address: Sequence[tuple] = ()) -> None:
        """Logs what the code `value` leaves on the stack."""
        self.emit(*(address or [("i32.const", 0)]), *value)
        if type_ == "i32":
            self.emit(("i64.extend_i32_u",))
        elif type_ == "f32":
            self.emit(("i32.reinterpret_f32",), ("i64.extend_i32_u",))
        elif type_ == "f64":
            self.emit(("i64.reinterpret_f64",))
        elif type_ in ("funcref", "externref"):
            self.found.references.add(site)
            self.emit(("ref.is_null",), ("i32.eqz",), ("i64.extend_i32_u",))
        elif type_ != "i64":
            raise ValueError(f"a value of type {type_} cannot be logged")
        self.emit(("i32.const", _signed32(site)), ("call", self.added.log))

    def read_range(self, site: int, space: int, start: Sequence[tuple], length: Sequence[tuple]) -> None:
        """Logs a range that was written; the host reads what stands there now."""
        self.emit(("i32.const", space), *start, *length)
        self.emit(("i32.const", BULK_SLOT), ("call_indirect", self.added.bulk_type, self.added.table))
        self.log(site, length, "i32", start)

    def say_reached(self) -> None:
        """Prologue of a function that a table may hold: a call_indirect in progress has found its callee here."""
        indirect = self.added.indirect
        self.emit(("global.get", indirect), ("if", FuncType()))
        self.emit(("global.get", indirect), ("i32.const", -1), ("i32.ne",), ("if", FuncType()))
        site = [("global.get", indirect), ("i32.const", 1), ("i32.sub",)]
        self.emit(("i32.const", 0), ("i64.const", self.index), *site, ("call", self.added.log), ("end",))
        self.emit(("i32.const", 0), ("global.set", indirect), ("end",))

    def check_frames(self, *frames: tuple) -> None:
        self.emit(*frames, ("i32.const", self.frame_limit), ("i32.ge_u",), ("if", FuncType()))
        self.stop("stack_exhausted")
        self.emit(("end",))

    def stop(self, trap: str) -> None:
        self.mark(trap)
        self.emit(("unreachable",))

    def mark(self, trap: str = "") -> None:
        """Says what is about to run."""
        self.found.stops.append((self.index, self._origin, trap))
        self.emit(("i32.const", len(self.found.stops)), ("global.set", self.added.stopped))

    def left_out(self) -> Function:
        """A function that the compiler does not know how to compile, so that nothing compiled calls it."""
        self.stop(NOT_COMPILED)
        function = self.module.functions[self.index]
        return replace(function, locals=(), body=(*self.out, Instr("end")))

    def move_frames(self, delta: int) -> None:
        frames = self.added.frames
        self.emit(("global.get", frames), ("i32.const", delta), ("i32.add",), ("global.set", frames))

    def copy(self, origin: int, instr: Instr, top: Top, sites: list[tuple[int, Site]], delta: int | None) -> None:
        self._origin = origin
        if not top.live:  # cannot be executed; and its operands have no types to keep
            self.emit(instr)
            return
        name = instr.name
        if name == "call_indirect":
            self.mark()
            self._call_indirect(instr, sites, delta)
            return
        if delta is not None:
            if name == "call":
                self.move_frames(delta)
                self.check_frames(("global.get", self.added.frames))
            else:  # one instruction here, a routine of its own in the model
                self.check_frames(("global.get", self.added.frames), ("i32.const", delta), ("i32.add",))
        if name in _MAY_TRAP and name != "unreachable":
            self.mark()
        before = [s for s in sites if s[1].record in ("branch", "br_table") or (name in _TRANSFERS and _passing(s[1]))]
        after = [s for s in sites if s not in before]
        for number, site in before:
            self._before(number, site, instr)
        if name == "unreachable":
            self.stop("unreachable")
        elif not after:
            self.emit(instr)
        elif name in STORES:
            self._store(instr, after)
        elif name in _BULK or name == "table.set":
            self._bulk(instr, after)
        elif name in ("memory.grow", "table.grow") and after[0][1].record == "value":
            delta, value = self.scratch("i32", 4), self.scratch("i32")
            self.emit(("local.tee", delta), instr, ("local.tee", value))
            for number, _ in after:
                self.log(number, [("local.get", value)], "i32", [("local.get", delta)])
        else:
            self.emit(instr)
            for number, site in after:
                self._value(number, site, instr, top)
        if delta is not None and name == "call":
            self.move_frames(-delta)

    def _before(self, number: int, site: Site, instr: Instr) -> None:
        if site.record == "branch" and instr.name in ("br_if", "if"):
            condition = self.scratch("i32")
            self.emit(("local.tee", condition))
            self.log(number, [("local.get", condition), ("i32.const", 0), ("i32.ne",)], "i32")
        elif site.record == "br_table" and instr.name == "br_table":
            index, labels = self.scratch("i32"), len(instr.args[0])
            self.emit(("local.tee", index))
            bound = [("i32.const", labels), ("local.get", index), ("i32.const", labels), ("i32.lt_u",), ("select",)]
            self.log(number, [("local.get", index), *bound], "i32")
        elif _passing(site):
            self.log(number, [("i32.const", 0)], "i32")
        else:
            raise _refusal(site, instr)

    def _value(self, number: int, site: Site, instr: Instr, top: Top) -> None:
        if _passing(site):
            self.log(number, [("i32.const", 0)], "i32")
            return
        if site.record == "bulk" and instr.name in _DROPS:
            self.read_range(number, MEMORY_SPACE, [("i32.const", 0)], [("i32.const", 0)])
            return
        if site.record != "value" or instr.name in ("end", "else"):
            raise _refusal(site, instr)
        if instr.name in ("local.get", "local.set", "local.tee"):
            (local,) = instr.args
            self.log(number, [("local.get", local)], self.types[local])
        elif instr.name in ("global.get", "global.set"):
            (index,) = instr.args
            self.log(number, [("global.get", index)], self.module.globals[index].type.type)
        elif top.top is not None:
            value = self.scratch(top.top)
            self.emit(("local.tee", value))
            self.log(number, [("local.get", value)], top.top)
        else:
            raise _refusal(site, instr)

    def _store(self, instr: Instr, sites: list[tuple[int, Site]]) -> None:
        type_, width = instr.name.split(".")[0], ACCESS_WIDTH[instr.name]
        address, value = self.scratch("i32", 1), self.scratch(type_)
        self.emit(("local.set", value), ("local.tee", address), ("local.get", value), instr)
        effective = [("local.get", address), ("i32.const", _signed32(instr.args[1])), ("i32.add",)]
        stored: list[tuple] = [("local.get", value)]
        if width < (8 if type_ in ("i64", "f64") else 4):
            stored += [(f"{type_}.const", 256**width - 1), (f"{type_}.and",)]
        for number, site in sites:
            if _passing(site):
                self.log(number, [("i32.const", 0)], "i32")
            elif site.record == "store":
                self.log(number, stored, type_, effective)
            else:
                raise _refusal(site, instr)

    def _bulk(self, instr: Instr, sites: list[tuple[int, Site]]) -> None:
        """memory.* and table.* that write a range; table.set writes a range of one."""
        if instr.name in ("table.fill", "table.set"):
            last: ValType = self.module.tables[instr.args[0]].element
        else:
            last = "i32"
        start, middle, length = self.scratch("i32", 1), self.scratch(last, 2), self.scratch("i32", 3)
        if instr.name == "table.set":
            self.emit(("i32.const", 1), ("local.set", length), ("local.set", middle), ("local.tee", start))
            self.emit(("local.get", middle), instr)
        else:
            self.emit(("local.set", length), ("local.set", middle), ("local.tee", start))
            self.emit(("local.get", middle), ("local.get", length), instr)
        if instr.name.startswith("memory."):
            space = MEMORY_SPACE
        else:
            space = instr.args[1] if instr.name == "table.init" else instr.args[0]
        for number, site in sites:
            if site.record == "bulk":
                self.read_range(number, space, [("local.get", start)], [("local.get", length)])
            elif _passing(site):
                self.log(number, [("i32.const", 0)], "i32")
            elif instr.name == "table.set" and site.record == "value":
                self.log(number, [("local.get", middle)], last)
            elif instr.name == "table.set" and site.record == "store":
                self.log(number, [("local.get", middle)], last, [("local.get", start)])
            else:
                raise _refusal(site, instr)

    def _call_indirect(self, instr: Instr, sites: list[tuple[int, Site]], delta: int | None) -> None:
        """Which function this is, the callee says (`say_reached`): it is called only when no trap came before."""
        if len(sites) > 1 or (sites and not _passing(sites[0][1])):
            raise _refusal(sites[0][1], instr)
        if delta is not None:
            # In the model the reference is read from the table first, then the frame is checked, then the reference.
            index = self.scratch("i32")
            self.move_frames(delta)
            self.emit(("local.tee", index), ("local.get", index), ("table.size", instr.args[1]), ("i32.lt_u",))
            self.emit(("if", FuncType()))
            self.check_frames(("global.get", self.added.frames))
            self.emit(("end",))
        # The operands are evaluated by now, so nothing else is called before the callee.
        number = sites[0][0] + 1 if sites else _NOT_A_SITE
        self.emit(("i32.const", _signed32(number)), ("global.set", self.added.indirect), instr)
        # A function of another module says nothing (unless it calls back, which then says it): that one is not known.
        if sites:
            self.emit(("global.get", self.added.indirect), ("if", FuncType()), ("i32.const", 0), ("i64.const", -2))
            self.emit(("i32.const", _signed32(sites[0][0])), ("call", self.added.log), ("end",))
        self.emit(("i32.const", 0), ("global.set", self.added.indirect))
        if delta is not None:
            self.move_frames(-delta)


def _core(function: Function) -> bool:
    """Whether it has nothing in it that the compiler refuses."""
    types = {*function.type.params, *function.type.results, *function.locals}
    return types <= SUPPORTED_TYPES and all(instr.name in SUPPORTED_INSTRUCTIONS for instr in function.body)


def _passing(site: Site) -> bool:
    return site.record in ("control", "host")


def _refusal(site: Site, instr: Instr) -> ValueError:
    return ValueError(
        f"function {site.function}, instruction {site.instruction}: {instr.name} cannot be logged as {site.record!r}"
    )


def _signed32(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value


def _log_routine(added: _Added) -> Function:
    """log(address, value, site): appends a record, and empties the buffer when that filled it."""
    memory = (added.memory,) if added.memory else ()
    pointer = ("global.get", added.pointer)
    offsets = {name: RECORD.fields[name][1] for name in ("site", "address", "value")}  # type: ignore[index]
    code: list[tuple] = [
        pointer, ("local.get", 2), ("i32.store", 2, offsets["site"], *memory),
        pointer, ("local.get", 0), ("i32.store", 2, offsets["address"], *memory),
        pointer, ("local.get", 1), ("i64.store", 3, offsets["value"], *memory),
        pointer, ("i32.const", RECORD.itemsize), ("i32.add",), ("global.set", added.pointer),
        pointer, ("i32.const", LOG_BYTES), ("i32.eq",), ("if", FuncType()),
        ("i32.const", FLUSH_SLOT), ("call_indirect", added.flush_type, added.table),
        ("i32.const", 0), ("global.set", added.pointer),
        ("end",), ("end",),
    ]  # fmt: skip
    body = tuple(Instr(name, tuple(args)) for name, *args in code)
    return Function(FuncType(("i32", "i64", "i32")), body=body, name=PREFIX + "log")


def _forward(function: Function, index: int, prologue: Iterable[Instr]) -> Function:
    """A function that does what `index` does."""
    arguments = (Instr("local.get", (i,)) for i in range(len(function.type.params)))
    body = (*prologue, *arguments, Instr("call", (index,)), Instr("end"))
    return Function(function.type, body=body, name=function.name)


def _bits_entry(function: Function, index: int) -> Function:
    """Calls `index` with floats passed as the integers of their bits: a host's own floats may change a NaN."""
    type_ = function.type
    body: list[Instr] = []
    for i, t in enumerate(type_.params):
        body.append(Instr("local.get", (i,)))
        if t in _BITS:
            body.append(Instr(f"{t}.reinterpret_{_BITS[t]}"))
    body.append(Instr("call", (index,)))
    extra: list[ValType] = []
    if any(t in _BITS for t in type_.results):
        first = len(type_.params)
        extra = list(type_.results)
        body += [Instr("local.set", (first + i,)) for i in reversed(range(len(extra)))]
        for i, t in enumerate(extra):
            body.append(Instr("local.get", (first + i,)))
            if t in _BITS:
                body.append(Instr(f"{_BITS[t]}.reinterpret_{t}"))
    bits = FuncType(tuple(_BITS.get(t, t) for t in type_.params), tuple(_BITS.get(t, t) for t in type_.results))
    return Function(bits, tuple(extra), (*body, Instr("end")), name=function.name)


def _bits_of_global(type_: ValType, index: int) -> Function:
    """Returns a global's bits: a host's own float may change a NaN."""
    integer = _BITS.get(type_, type_)
    cast = (Instr(f"{integer}.reinterpret_{type_}"),) if type_ in _BITS else ()
    return Function(FuncType((), (integer,)), body=(Instr("global.get", (index,)), *cast, Instr("end")))


def _referenced(module: Module) -> set[int]:
    """Functions that a table of this module may hold."""
    code = [e for element in module.elements for e in element.items]
    code += [g.init for g in module.globals] + [f.body for f in module.functions]
    return {instr.args[0] for instrs in code for instr in instrs if instr.name == "ref.func"}


def _with_references(function: Function, wrappers: Mapping[int, int]) -> Function:
    return replace(function, body=_rereference(function.body, wrappers)) if wrappers else function


def _rereference(code: tuple[Instr, ...], wrappers: Mapping[int, int]) -> tuple[Instr, ...]:
    return tuple(replace(i, args=(wrappers.get(i.args[0], i.args[0]),)) if i.name == "ref.func" else i for i in code)


def _replace_references(module: Module, wrappers: Mapping[int, int]) -> Module:
    """The module with every reference to a wrapped function outside function bodies replaced."""
    return replace(
        module,
        globals=tuple(replace(g, init=_rereference(g.init, wrappers)) for g in module.globals),
        elements=tuple(
            replace(e, items=tuple(_rereference(item, wrappers) for item in e.items)) for e in module.elements
        ),
    )


def _limited_memories(module: Module, maximum: int | None) -> list[Limits]:
    imported = sum(i.kind == "memory" for i in module.imports)
    return [_limited(m, None if i < imported else maximum) for i, m in enumerate(module.memories)]


def _limited_tables(module: Module, limits: Sequence[int | None]) -> list[TableType]:
    imported = sum(i.kind == "table" for i in module.imports)
    padded = [*limits, *[None] * len(module.tables)]
    return [
        replace(t, limits=_limited(t.limits, None if i < imported else padded[i])) for i, t in enumerate(module.tables)
    ]


def _limited(limits: Limits, maximum: int | None) -> Limits:
    if maximum is None:
        return limits
    if maximum < limits.minimum:
        raise ValueError(f"a limit of {maximum} is below the declared minimum {limits.minimum}")
    return replace(limits, maximum=maximum if limits.maximum is None else min(maximum, limits.maximum))
