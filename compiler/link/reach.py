"""What the exported functions can reach, across all units, and with which routines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..format.errors import CompileError, Reason
from ..wasm.module import FuncType, Instr
from ..wasm.opcodes import BY_NAME
from .routines import ROUTINES, WASI_MODULES, layout_of, load
from .units import PROGRAM, Definition, Intrinsic, Layout, Target, Units

# Immediates that name an entity of an index space, by the kinds of `opcodes`.
INDEX_KINDS = ("func", "table", "global", "memory", "data", "elem")


@dataclass
class Reached:
    """exports: exported function of the program by name. start: start functions in the order of their calls.

    functions: callable ones. referenced: those that have a reference value. imported: those that the program imports.
    intrinsics, registers: what is needed from "w2x", in the order of the first use (the values mean nothing).
    layouts: layout values that code reads. instantiated: the program and its libraries, in the order of instantiation.
    calls: (unit, instruction name, immediates) -> the function that does it.
    """

    exports: dict[str, Definition] = field(default_factory=dict)
    exported_globals: dict[str, Target] = field(default_factory=dict)
    start: list[Definition] = field(default_factory=list)
    functions: set[Definition] = field(default_factory=set)
    referenced: set[Definition] = field(default_factory=set)
    imported: set[Definition] = field(default_factory=set)
    intrinsics: dict[Intrinsic, None] = field(default_factory=dict)
    registers: dict[Intrinsic | Layout, None] = field(default_factory=dict)
    globals: set[Definition] = field(default_factory=set)
    tables: set[Definition] = field(default_factory=set)
    memories: set[Definition] = field(default_factory=set)
    layouts: set[Layout] = field(default_factory=set)
    instantiated: list[int] = field(default_factory=list)
    calls: dict[tuple[int, str, tuple], Definition] = field(default_factory=dict)


def reach(units: Units, exports: Sequence[str] | None) -> Reached:
    """Follows the program's exported functions (None: all of them), its exported globals and all start functions.

    A call_indirect reaches the functions of its type among those that tables, element segments in use, globals and
    ref.func instructions refer to. Raises CompileError with all imports that are missing or do not fit.
    """
    return _Reach(units).run(exports)


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
    elif instruction.name != "select":
        yield from ((k, a) for k, a in zip(kinds, args, strict=True) if k in INDEX_KINDS)


class _Reach:
    def __init__(self, units: Units):
        self.units = units
        self.out = Reached()
        self.todo: list[Definition] = []
        self.called_types: set[FuncType] = set()
        self.elements: set[Definition] = set()
        self.instances: dict[tuple, int] = {}
        self.reasons: dict[Reason, None] = {}
        memory = units.all[PROGRAM].exports.get("memory")
        # WASI works on the memory that the program exports under this name.
        self._program_memory = memory.index if memory is not None and memory.kind == "memory" else None

    def run(self, names: Sequence[str] | None) -> Reached:
        self._instantiate(PROGRAM)
        # A whole program needs what it imports, as for instantiation; a part of it only the functions it calls.
        for kind in ("func", "table", "memory", "global") if names is None else ("table", "memory", "global"):
            for index in range(len(self.units.all[PROGRAM].imports[kind])):
                self._resolve(PROGRAM, kind, index)
        self._roots(names)
        while self.todo:
            while self.todo:
                function = self.todo.pop()
                for instruction in self.units.all[function.unit].module.functions[function.index].body:
                    self._instruction(function.unit, instruction)
            self._follow_tables()
            for function in self.out.referenced - self.out.functions:
                if self.units.all[function.unit].module.functions[function.index].type in self.called_types:
                    self._function(function)
        if self._program_memory is None:
            hosts = sorted({self.units.all[f.unit].name for f in self.out.functions} & set(WASI_MODULES))
            self.reasons.update((Reason(f'{name} needs the memory to be exported as "memory"'), None) for name in hosts)
        if self.reasons:
            raise CompileError(list(self.reasons))
        return self.out

    def _instantiate(self, unit: int) -> None:
        """Libraries before what imports from them."""
        module = self.units.all[unit].module
        for name in dict.fromkeys(i.module for i in module.imports):
            known = len(self.units.all)
            library = self.units.library(name)
            if library is not None and library >= known:
                self._instantiate(library)
        self.out.instantiated.append(unit)
        if module.start is not None:
            start = self._resolve(unit, "func", module.start)
            if isinstance(start, Definition):
                self.out.start.append(start)
                self._function(start)

    def _roots(self, names: Sequence[str] | None) -> None:
        exports = self.units.all[PROGRAM].exports
        functions = [name for name, e in exports.items() if e.kind == "func"]
        for name in functions if names is None else dict.fromkeys(names):
            if name not in exports or exports[name].kind != "func":
                raise CompileError(f"no exported function {name!r}; there are: {', '.join(functions) or 'none'}")
            target = self._resolve(PROGRAM, "func", exports[name].index)
            if isinstance(target, Definition):
                self.out.exports[name] = target
                self._function(target)
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
        try:
            target = self.units.resolve(unit, kind, index)
        except CompileError as error:
            self.reasons.update(dict.fromkeys(error.reasons))
            return None
        if unit == PROGRAM and isinstance(target, Definition) and target.unit != PROGRAM and kind == "func":
            self.out.imported.add(target)
        return target

    def _function(self, function: Definition) -> None:
        if function not in self.out.functions:
            self.out.functions.add(function)
            self.todo.append(function)

    def _instruction(self, unit: int, instruction: Instr) -> None:
        name = instruction.name
        if name in ("call_indirect", "return_call_indirect"):
            self.called_types.add(self.units.all[unit].module.types[instruction.args[0]])
        uses = list(operands(instruction))
        if name == "ref.func":
            self._refer(unit, [instruction])
        else:
            for kind, index in uses:
                self._use(unit, kind, index)
        if name in ROUTINES:
            self._routine(unit, instruction, uses)

    def _use(self, unit: int, kind: str, index: int) -> None:
        match self._resolve(unit, kind, index):
            case Definition() as target:
                self._define(target)
            case Layout() as target:
                self.out.layouts.add(target)
                if target.is_register:
                    self.out.registers[target] = None
            case Intrinsic(kind="func") as target:
                self.out.intrinsics[target] = None
            case Intrinsic(kind="global") as target:
                self.out.registers[target] = None
            case Intrinsic(kind="memory"):
                if self.units.all[PROGRAM].module.memories:
                    self._use(PROGRAM, "memory", self._program_memory or 0)

    def _define(self, target: Definition) -> None:
        match target.kind:
            case "func":
                self._function(target)
            case "table":
                self.out.tables.add(target)
            case "memory":
                self.out.memories.add(target)
            case "elem":
                self.elements.add(target)
            case "global" if target not in self.out.globals:
                self.out.globals.add(target)
                self._refer(target.unit, self.units.all[target.unit].module.globals[target.index].init)

    def _refer(self, unit: int, code: Iterable[Instr]) -> None:
        """Notes the functions that get a reference value, and the globals, in a constant expression or ref.func."""
        for instruction in code:
            if instruction.name == "ref.func":
                target = self._resolve(unit, "func", instruction.args[0])
                if isinstance(target, Definition):
                    self.out.referenced.add(target)
                elif target is not None:
                    self.reasons[Reason(f"a reference to the intrinsic {target.name!r} is not supported")] = None
            elif instruction.name == "global.get":
                self._use(unit, "global", instruction.args[0])

    def _follow_tables(self) -> None:
        """References in the segments that fill live tables, and in segments that live code copies from."""
        for unit in self.out.instantiated:
            for index, element in enumerate(self.units.all[unit].module.elements):
                live = Definition(unit, "elem", index) in self.elements
                if element.mode == "active" and not live:
                    live = self._resolve(unit, "table", element.table) in self.out.tables
                if live:
                    for item in element.items:
                        self._refer(unit, item)

    def _routine(self, unit: int, instruction: Instr, uses: list[tuple[str, int]]) -> None:
        """Instantiates the routine for this instruction's tables and segments, and follows it."""
        routine = ROUTINES[instruction.name]
        kinds = {kind for kind, _ in routine.parameters}
        owners = [self._resolve(unit, kind, index) for kind, index in uses if kind in kinds]
        definitions = [o for o in owners if isinstance(o, Definition)]
        if len(definitions) < len(routine.parameters):
            return  # refused
        key = (routine.file, tuple(definitions), tuple(prefix for _, prefix in routine.parameters))
        if key not in self.instances:
            label = "".join(f" {self._label(d)}" for d in definitions)
            layout = layout_of(routine, definitions)
            self.instances[key] = self.units.add(f"w2x.{routine.file}", load(routine.file), layout, label)
        instance = self.instances[key]
        function = Definition(instance, "func", self.units.all[instance].exports[routine.function].index)
        self.out.calls[unit, instruction.name, instruction.args] = function
        self._function(function)

    def _label(self, definition: Definition) -> str:
        name = self.units.all[definition.unit].name
        return f"{name + '.' if name else ''}{definition.kind}{definition.index}"
