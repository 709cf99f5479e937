"""What the exported functions can reach, across all units, and with which routines. There is no other such analysis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..format.errors import CompileError, Reason
from ..format.types import is_asked
from ..wasm.heap_types import CAST_BRANCHES
from ..wasm.module import FuncType, Instr, ValType
from ..wasm.opcodes import BY_NAME
from .atomics import atomic_routine
from .exceptions import exception_routines, hands_on, widths_of
from .heap import makes_objects
from .heap_routines import cast_routine, functions_of, heap_routine, routine_key, routine_label
from .routines import BETWEEN, ROUTINES, WASI_MODULES, Routine, layout_of, load, memory_layout, variant
from .units import PROGRAM, Definition, Intrinsic, Layout, Target, Units, Unresolved

# Immediates that name an entity of an index space, by the kinds of `opcodes`.
INDEX_KINDS = ("func", "table", "global", "memory", "tag", "data", "elem")
# Calls through references.
INDIRECT = frozenset({"call_indirect", "return_call_indirect", "call_ref", "return_call_ref"})
# Instructions that name nothing, most of all: nothing follows from them.
_ALONE = frozenset(
    name for name, opcode in BY_NAME.items() if not {*INDEX_KINDS, "memarg"}.intersection(opcode.immediates)
) - frozenset(ROUTINES) - INDIRECT - {"try_table", "throw_ref", *CAST_BRANCHES}


@dataclass
class Reached:
    """exports: exported function of the program by name. start: start functions in the order of their calls.

    functions: callable ones. referenced: those that have a reference value; programs_references: the indices by which the
    program itself refers to some of them. imported: those that the program imports.
    intrinsics, registers: what is needed from "w2x", in the order of the first use (the values mean nothing).
    host_memories: those of modules that call hosts.
    layouts: layout values that code reads. instantiated: the program and its libraries, in the order of instantiation.
    asked: as casts, of what hosts pass to exported functions.
    exceptions: the routines of `exceptions`, by name, where exceptions are values.
    casts: reference type -> the function that says whether a reference is of it. objects: some may be made.
    calls: (unit, instruction name, immediates) -> the function that does it. refused: by unit and place, why an import
    that is needed is not there.
    """

    exports: dict[str, Definition] = field(default_factory=dict)
    exported_globals: dict[str, Target] = field(default_factory=dict)
    start: list[Definition] = field(default_factory=list)
    functions: set[Definition] = field(default_factory=set)
    referenced: set[Definition] = field(default_factory=set)
    programs_references: set[int] = field(default_factory=set)
    imported: set[Definition] = field(default_factory=set)
    intrinsics: dict[Intrinsic, None] = field(default_factory=dict)
    registers: dict[Intrinsic | Layout, None] = field(default_factory=dict)
    globals: set[Definition] = field(default_factory=set)
    tables: set[Definition] = field(default_factory=set)
    memories: set[Definition] = field(default_factory=set)
    tags: set[Definition] = field(default_factory=set)
    host_memories: set[Definition] = field(default_factory=set)
    layouts: set[Layout] = field(default_factory=set)
    instantiated: list[int] = field(default_factory=list)
    exceptions: dict[str, Definition] = field(default_factory=dict)
    casts: dict[ValType, Definition] = field(default_factory=dict)
    asked: dict[ValType, Definition] = field(default_factory=dict)
    objects: bool = False
    calls: dict[tuple[int, str, tuple], Definition] = field(default_factory=dict)
    refused: dict[tuple[int, int], Reason] = field(default_factory=dict)


def reach(units: Units, exports: Sequence[str] | None, steps: frozenset[str] = frozenset()) -> Reached:
    """Follows the program's exported functions (None: all of them), its exported globals and all start functions.

    A call_indirect, in whichever unit, reaches the functions of its type, in whichever unit, that have a reference: those
    that live tables' segments, segments that live code copies from, live globals and live ref.func instructions refer to.
    Every reference that can be in a table, a global or an argument is among them.
    steps: instructions that need no routine though there is one.
    Raises CompileError for an export that is not there.
    """
    return _Reach(units, steps).run(exports)


def operands(instruction: Instr) -> Iterator[tuple[str, int]]:
    """(kind, index) of each immediate that names an entity; the memory of a load, store or memory instruction too."""
    kinds = BY_NAME[instruction.name].immediates
    args = instruction.args
    memories = [k for k in kinds if k in ("memory", "memarg")]
    if memories == ["memarg"]:
        yield "memory", args[2] if len(args) > len(kinds) + 1 else 0
    elif memories:
        first = len(kinds) - len(memories)
        yield from zip(kinds[:first], args, strict=False)
        yield from (("memory", index) for index in args[first:] or (0,) * len(memories))
    elif instruction.name == "try_table":
        yield from (("tag", handler[1]) for handler in args[1] if len(handler) > 2)
    elif instruction.name != "select":
        yield from ((k, a) for k, a in zip(kinds, args, strict=True) if k in INDEX_KINDS)


class _Reach:
    """todo: functions whose bodies, initial: globals whose initial values are still to be followed. called: types of live
    call_indirects. waiting: functions with a reference whose type is not called yet. fillers: (unit, index) of the active
    element segments of each table."""

    def __init__(self, units: Units, steps: frozenset[str]):
        self.units = units
        self.routines = frozenset(ROUTINES) - steps
        self.out = Reached()
        self.todo: list[Definition] = []
        self.initial: list[Definition] = []
        self.called: set[FuncType] = set()
        self.waiting: dict[FuncType, list[Definition]] = defaultdict(list)
        self.fillers: dict[Definition, list[Definition]] = defaultdict(list)
        self.elements: set[Definition] = set()
        self.instances: dict[tuple, int] = {}

    def run(self, names: Sequence[str] | None) -> Reached:
        for unit in self.units.instantiation_order():
            self._instantiate(unit)
        # A whole program needs what it imports, as for instantiation; a part of it only the functions it calls.
        for kind in ("func", "table", "memory", "global", "tag") if names is None else ("table", "memory", "global"):
            for index in range(len(self.units.all[PROGRAM].imports[kind])):
                self._resolve(PROGRAM, kind, index)
        self._roots(names)
        while self.todo or self.initial:
            while self.initial:
                target = self.initial.pop()
                self._refer(target.unit, self.units.all[target.unit].module.globals[target.index].init)
            if self.todo:
                function = self.todo.pop()
                for instruction in self.units.all[function.unit].module.functions[function.index].body:
                    if instruction.name not in _ALONE:
                        self._instruction(function.unit, instruction)
        return self.out

    def _instantiate(self, unit: int) -> None:
        module = self.units.all[unit].module
        self.out.instantiated.append(unit)
        for index, element in enumerate(module.elements):
            if element.mode == "active":
                table = self._resolve(unit, "table", element.table)
                if isinstance(table, Definition):
                    self.fillers[table].append(Definition(unit, "elem", index))
                    if table in self.out.tables:
                        self._follow(Definition(unit, "elem", index))
        if module.start is not None:
            start = self._resolve(unit, "func", module.start)
            if isinstance(start, Definition):
                self.out.start.append(start)
                self._use(unit, "func", module.start)

    def _roots(self, names: Sequence[str] | None) -> None:
        exports = self.units.all[PROGRAM].exports
        functions = [name for name, e in exports.items() if e.kind == "func"]
        for name in functions if names is None else dict.fromkeys(names):
            if name not in exports or exports[name].kind != "func":
                raise CompileError(f"no exported function {name!r}; there are: {', '.join(functions) or 'none'}")
            target = self._resolve(PROGRAM, "func", exports[name].index)
            if isinstance(target, Definition):
                self.out.exports[name] = target
                self._use(PROGRAM, "func", exports[name].index)
                for type_ in filter(is_asked, self.units.all[target.unit].module.functions[target.index].type.params):
                    self._cast(type_)
                    self.out.asked[type_] = self.out.casts[type_]
        for name, export in exports.items():
            if export.kind == "global":
                self._use(PROGRAM, "global", export.index)
                target = self._resolve(PROGRAM, "global", export.index)
                if target is not None:
                    self.out.exported_globals[name] = target

    def _resolve(self, unit: int, kind: str, index: int) -> Target | None:
        """None after a refusal, which is noted."""
        if kind in ("data", "elem"):
            return Definition(unit, kind, index)
        target = self.units.find(unit, kind, index)
        if isinstance(target, Unresolved):
            self.out.refused.setdefault((target.unit, target.position), target.reason)
            return None
        if unit == PROGRAM and kind == "func" and isinstance(target, Definition) and target.unit != PROGRAM:
            self.out.imported.add(target)
        return target

    def _instruction(self, unit: int, instruction: Instr) -> None:
        name = instruction.name
        if name in INDIRECT:
            self._call_type(self.units.all[unit].module.function_type(instruction.args[0]))
        uses = list(operands(instruction))
        if name == "ref.func":
            self._refer(unit, [instruction])
        else:
            for kind, index in uses:
                self._use(unit, kind, index)
        if name in self.routines:
            self._routine(unit, instruction, uses)
        if name in CAST_BRANCHES:
            self._cast(instruction.args[2])
        if hands_on(instruction):
            self._exceptions()

    def _use(self, unit: int, kind: str, index: int) -> None:
        match self._resolve(unit, kind, index):
            case Definition() as target:
                self._host_memory(unit, target)
                self._define(target)
            case Layout() as target:
                self.out.layouts.add(target)
                if target.is_register:
                    self.out.registers[target] = None
            case Intrinsic(kind="func") as target:
                self.out.intrinsics[target] = None
            case Intrinsic(kind="global") as target:
                self.out.registers[target] = None

    def _define(self, target: Definition) -> None:
        match target.kind:
            case "func":
                self._function(target)
            case "table" if target not in self.out.tables:
                self.out.tables.add(target)
                self._refer(target.unit, self.units.all[target.unit].module.tables[target.index].init)
                for element in self.fillers[target]:
                    self._follow(element)
            case "memory":
                self.out.memories.add(target)
            case "elem":
                self._follow(target)
            case "tag":
                self.out.tags.add(target)
            case "global" if target not in self.out.globals:
                self.out.globals.add(target)
                self.initial.append(target)

    def _host_memory(self, unit: int, target: Definition) -> None:
        """WASI works on the memory of the module that calls it: the one it exports as "memory", else its first."""
        host = self.units.all[target.unit]
        if target.kind != "func" or not host.own or host.name not in WASI_MODULES or unit == target.unit:
            return
        caller = self.units.all[unit]
        memory = caller.memory
        if memory is not None:
            self._use(unit, "memory", memory)
            found = self._resolve(unit, "memory", memory)
            if isinstance(found, Definition):
                self.out.host_memories.add(found)
        elif not caller.own:
            of = f" {caller.name!r}" if caller.name else ""
            reason = Reason(f"{host.name} works on the memory of the module that calls it, and the module{of} has none")
            self.out.refused.setdefault((unit, len(caller.module.imports)), reason)

    # Calls and references

    def _function(self, function: Definition) -> None:
        if function not in self.out.functions:
            self.out.functions.add(function)
            self.todo.append(function)

    def _call_type(self, type: FuncType) -> None:
        if type not in self.called:
            self.called.add(type)
            for other in [waiting for waiting in self.waiting if type.takes(waiting)]:
                for function in self.waiting.pop(other):
                    self._function(function)

    def _referenced(self, function: Definition) -> None:
        if function not in self.out.referenced:
            self.out.referenced.add(function)
            type = self.units.all[function.unit].module.functions[function.index].type
            if type in self.called or (type.above and any(called.takes(type) for called in self.called)):
                self._function(function)
            else:
                self.waiting[type].append(function)

    def _follow(self, element: Definition) -> None:
        """The references in a segment that fills a live table, or that live code copies from."""
        if element not in self.elements:
            self.elements.add(element)
            for item in self.units.all[element.unit].module.elements[element.index].items:
                self._refer(element.unit, item)

    def _refer(self, unit: int, code: Iterable[Instr]) -> None:
        """Notes the functions that get a reference value, and the globals, in a constant expression or ref.func."""
        for instruction in code:
            self.out.objects |= makes_objects(instruction)
            if instruction.name == "ref.func":
                target = self._resolve(unit, "func", instruction.args[0])
                if isinstance(target, Definition):
                    self._host_memory(unit, target)
                    self._referenced(target)
                    if unit == PROGRAM:
                        self.out.programs_references.add(instruction.args[0])
            elif instruction.name == "global.get":
                self._use(unit, "global", instruction.args[0])

    def _exceptions(self) -> None:
        """Links the routines for exceptions that are values, once."""
        if not self.out.exceptions:
            module = exception_routines(widths_of(unit.module for unit in self.units.all))
            instance = self.units.add("w2x.exceptions", module, own=True)
            for export in module.exports:
                self.out.exceptions[export.name] = Definition(instance, "func", export.index)
                self._function(self.out.exceptions[export.name])

    # Routines

    def _routine(self, unit: int, instruction: Instr, uses: list[tuple[str, int]]) -> None:
        """Instantiates the routine for this instruction's tables and segments, and follows it."""
        routine = ROUTINES[instruction.name]
        kinds = {kind for kind, _ in routine.parameters}
        owners = [self._resolve(unit, kind, index) for kind, index in uses if kind in kinds]
        definitions = [o for o in owners if isinstance(o, Definition)]
        found = [self._resolve(unit, "memory", index) for kind, index in uses if kind == "memory"]
        memories = list(dict.fromkeys(m for m in found if isinstance(m, Definition)))
        if len(definitions) < len(routine.parameters) or (found and not memories):
            return  # refused
        if routine.file == "heap":
            self._heap(unit, instruction, [o for kind, i in uses if isinstance(o := self._resolve(unit, kind, i), Definition)])
            return
        if routine.file == "atomics":
            self._atomic(unit, instruction, memories[0])
            return
        file = routine.file if len(memories) < 2 else BETWEEN
        key = (file, *definitions, *memories, *(prefix for _, prefix in routine.parameters))
        if key not in self.instances:
            label = "".join(f" {self._label(d)}" for d in (*definitions, *(m for m in memories if m.unit or m.index)))
            layout = layout_of(routine, definitions) | memory_layout(memories)
            named = dict(zip(("memory", "source_memory"), memories))
            self.instances[key] = self.units.add(f"w2x.{file}", load(file), layout, label, own=True, memories=named)
        instance = self.instances[key]
        name = routine.function + variant(self._wide(routine, definitions, memories))
        function = Definition(instance, "func", self.units.all[instance].exports[name].index)
        self.out.calls[unit, instruction.name, instruction.args] = function
        self._function(function)

    def _atomic(self, unit: int, instruction: Instr, memory: Definition) -> None:
        """A routine of its own for each offset."""
        limits = self.units.all[memory.unit].module.memories[memory.index]
        name, offset = instruction.name, instruction.args[1]
        key = (name, offset, memory)
        if key not in self.instances:
            module = atomic_routine(name, offset, limits.wide, limits.shared)
            label = f" {self._label(memory)}" if memory.unit or memory.index else ""
            label = f" offset={offset}{label}" if offset else label
            self.instances[key] = self.units.add("w2x.atomics", module, label=label, own=True, memories={"memory": memory})
        function = Definition(self.instances[key], "func", self.units.all[self.instances[key]].exports[name].index)
        self.out.calls[unit, instruction.name, instruction.args] = function
        self._function(function)

    def _heap(self, unit: int, instruction: Instr, segments: list[Definition]) -> None:
        """A routine of its own for each instruction and type."""
        module = self.units.all[unit].module
        name, key = instruction.name, ("heap", *routine_key(module, instruction), *segments)
        self.out.objects |= makes_objects(instruction)
        if key not in self.instances:
            layout = {n: Layout(segments[0], n) for n in ("offset", "size")} if segments else functions_of(instruction)
            label = "".join(f" {part}" for part in (*routine_label(instruction), *map(self._label, segments)))
            made = heap_routine(self.units.heap_types, module, instruction)
            self.instances[key] = self.units.add("w2x.heap", made, layout, label, own=True)
        function = Definition(self.instances[key], "func", self.units.all[self.instances[key]].exports[name].index)
        self.out.calls[unit, name, instruction.args] = function
        self._function(function)

    def _cast(self, type_: ValType) -> None:
        """A routine for the question that a br_on_cast asks."""
        if type_ not in self.out.casts:
            made = cast_routine(self.units.heap_types, type_)
            unit = self.units.add("w2x.heap", made, functions_of(Instr("ref.test", (type_,))), f" {type_}", own=True)
            self.out.casts[type_] = Definition(unit, "func", self.units.all[unit].exports["ref.test"].index)
            self._function(self.out.casts[type_])

    def _wide(self, routine: Routine, owners: list[Definition], memories: list[Definition]) -> list[bool]:
        """Of the memories or tables, where to and where from: whether addresses are i64. A segment's are not."""
        if routine.file != "tables":
            return [self.units.all[m.unit].module.memories[m.index].wide for m in memories]
        by_prefix = sorted(zip((prefix for _, prefix in routine.parameters), owners, strict=True), key=lambda p: p[0])
        return [o.kind == "table" and self.units.all[o.unit].module.tables[o.index].limits.wide for _, o in by_prefix]

    def _label(self, definition: Definition) -> str:
        name = self.units.all[definition.unit].name
        return f"{name + '.' if name else ''}{definition.kind}{definition.index}"
