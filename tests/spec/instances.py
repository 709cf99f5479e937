"""The instances of a script as programs: one for each module, with the modules it imports from linked into it.

Linking is static. So when a module imports state of instances that are already there (a memory, a table, a global), one
new program takes the place of theirs: it instantiates all of them again, in order, and exports the functions of all. That
is the same as sharing as long as nothing that has run in between may have changed their state; such imports are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wasm2xformer import CompileError, Instance, Model, Run, Trap
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.types import is_reference
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.module import Export, Function, FuncType, Import, Instr, Module
from wasm2xformer.compiler.wasm.source import Source, load

from .dense import DenseCheck
from .script import Value
from .values import argument

SPECTEST = (Path(__file__).parent / "spectest.wat").read_bytes()
# Nothing in the suite needs nearly as many: the most is a recursion in f64 at -O0.
MAX_TOKENS = 100_000_000
_WRITES = (
    *("global.set", "table.set", "table.grow", "table.fill", "table.copy", "table.init", "elem.drop"),
    *("memory.grow", "memory.fill", "memory.copy", "memory.init", "data.drop"),
)


class Refused(Exception):
    """The compiler does not take it, or static linking cannot express it; the message says why."""


@dataclass(eq=False)
class Unit:
    """An instance of one module of the script.

    number: in the order of instantiation. libraries: the instances that it imports from, by module name. writes: running
    it can change memory, tables or globals. group: the instances that share its program.
    """

    number: int
    wasm: bytes
    module: Module
    libraries: dict[str, Unit]
    writes: bool
    group: Group = field(init=False)


@dataclass(eq=False)
class Group:
    """Instances in one program, in order of instantiation.

    refused: reason, by export of the program, of what could not be compiled; whole: why not all was. lost: why it cannot
    run any more. ran: what has run may have changed state.
    """

    units: list[Unit]
    model: Model
    refused: dict[str, str]
    whole: str
    instance: Instance | None = None
    dense: DenseCheck | None = None
    lost: str = ""
    ran: bool = False

    def export(self, unit: Unit, name: str) -> str:
        """The program's name for an export of one of its units."""
        return name if len(self.units) == 1 else _qualified(unit, name)


class Instances:
    """Compiles and runs the modules of one script.

    dense_tokens: when not 0, every run of at most that many tokens is checked against the dense engine as well.
    globals_read: names of the exported globals that the script asks for. registered: by name; a text: why it is not
    there.
    """

    def __init__(self, opt_level: int = 1, dense_tokens: int = 0, globals_read: Collection[str] = ()):
        self.opt_level = opt_level
        self.dense_tokens = dense_tokens
        self.globals_read = frozenset(globals_read)
        self._count = 0
        self.registered: dict[str, Unit | str] = {"spectest": self._unit(SPECTEST)}
        self._models: dict[object, Model] = {}
        self._groups: list[Group] = []

    def instantiate(self, wasm: bytes | str) -> Unit:
        """A new instance. Its start function has run.

        Raises CompileError (nothing of the module can be compiled, or instantiation traps), Trap, Refused.
        """
        unit = self._unit(wasm)
        groups = list(dict.fromkeys(library.group for library in self._shared(unit)))
        try:
            if any(group.ran or group.lost for group in groups):
                raise Refused("imports from an instance whose state has changed")
            group = self._compile(sorted({unit, *(u for g in groups for u in g.units)}, key=lambda u: u.number))
            self._groups.append(group)
            if group.model.program.start is not None:
                self._instance(group)  # raises Trap
        except (CompileError, Trap, Refused):
            if _initialises(unit.module):  # in part, perhaps: segments before the one that traps
                for group in groups:
                    group.lost = "an instance that shares state with this one has changed it"
            raise
        for member in group.units:
            member.group = group
        self._lose_copies(unit, group)
        return unit

    def _lose_copies(self, unit: Unit, group: Group) -> None:
        """What a new instance writes into those that it imports from, other programs with a copy of them do not see."""
        if not _initialises(unit.module):
            return
        changed = set(self._shared(unit))
        for other in self._groups:
            if other is not group and other.units[0].group is other and changed & _copied(other.units):
                other.lost = "an instance that this one imports from has been changed by another"

    def link(self, wasm: bytes | str) -> None:
        """Whether the module can be linked at all. Raises CompileError."""
        unit = self._unit(wasm)
        compile_steps(Source(unit.module, unit.wasm), CompileOptions(self.opt_level, None, _binaries([unit])))

    def invoke(self, unit: Unit, name: str, args: Sequence[Value]) -> list[int | None]:
        """Results as bit patterns. Raises Trap, Refused, AssertionError where the dense engine differs."""
        group = unit.group
        export = group.export(unit, name)
        if group.lost or export in group.refused:
            raise Refused(group.lost or group.refused[export])
        group.ran |= any(u.writes for u in group.units)
        instance = self._instance(group)
        trap = None
        try:
            run = instance.invoke(export, *(argument(a) for a in args), max_tokens=MAX_TOKENS)
        except Trap as caught:
            trap, run = caught, caught.run
        if group.dense is not None:
            group.dense.follow(run)
        if trap is not None:
            raise trap
        return _results(group.model, export, run)

    def read_global(self, unit: Unit, name: str) -> int | None:
        """The value of an exported global."""
        return self.invoke(unit, _getter(name), ())[0]

    def _unit(self, wasm: bytes | str) -> Unit:
        source = load(wasm)
        module, binary = source.module, source.wasm
        read = [e for e in module.exports if e.kind == "global" and e.name in self.globals_read]
        if read:
            module = _with_getters(module, read)
            binary = encode(module)
        libraries = {}
        for name in dict.fromkeys(i.module for i in module.imports if i.module in self.registered):
            library = self.registered[name]
            if isinstance(library, str):
                raise Refused(library)
            libraries[name] = library
        writes = any(_writes(i) for f in module.functions for i in f.body) or any(u.writes for u in libraries.values())
        self._count += 1
        return Unit(self._count, binary, module, libraries, writes)

    def _shared(self, unit: Unit) -> list[Unit]:
        """The libraries whose state it can see or change."""
        shared = []
        for name, library in unit.libraries.items():
            kinds = {i.kind for i in unit.module.imports if i.module == name}
            if library is not self.registered["spectest"] and (library.writes or kinds - {"func"}):
                shared.append(library)
        return shared

    def _compile(self, units: list[Unit]) -> Group:
        """All exports, or those that can be compiled when others cannot. Raises CompileError when nothing can."""
        if len(units) == 1:
            source, libraries = Source(units[0].module, units[0].wasm), _binaries(units)
        else:
            source, libraries = _bundle(units)
        try:
            return Group(units, self._model(source, libraries, None), {}, "")
        except CompileError as error:
            whole = error
        good, refused = [], {}
        for export in source.module.exports:
            if export.kind == "func":
                try:
                    compile_steps(source, CompileOptions(self.opt_level, [export.name], libraries))
                    good.append(export.name)
                except CompileError as error:
                    refused[export.name] = reason_group(error)
        if not good:
            raise whole
        return Group(units, self._model(source, libraries, good), refused, reason_group(whole))

    def _model(self, source: Source, libraries: dict[str, str | bytes], exports: Sequence[str] | None) -> Model:
        key = (source.wasm, tuple(exports or ()), tuple(libraries.items()))
        if key not in self._models:
            program, module = compile_steps(source, CompileOptions(self.opt_level, exports, libraries))
            self._models[key] = realise(program, module)
        return self._models[key]

    def _instance(self, group: Group) -> Instance:
        """Made when something is to run: most modules of the suite are only instantiated."""
        if group.instance is None:
            group.instance = Instance(group.model)
            if self.dense_tokens:
                writes = any(u.writes for u in group.units)
                group.dense = DenseCheck(group.model, self.dense_tokens, group.instance.started, writes)
        return group.instance


def _results(model: Model, name: str, run: Run) -> list[int | None]:
    types = model.program.entries[name].results
    return [v if is_reference(t) else bits for v, bits, t in zip(run.values, run.bits, types, strict=True)]


def _libraries(units: Sequence[Unit]) -> dict[str, Unit]:
    """What units import from, directly or not, by name. Raises Refused when names and instances are not one to one."""
    found: dict[str, Unit] = {}
    todo = list(units)
    while todo:
        imported = todo.pop().libraries
        todo += imported.values()
        for name, unit in imported.items():
            if found.setdefault(name, unit) is not unit:
                raise Refused(f"{name!r} is the name of two instances")
    if len(set(found.values())) < len(found):
        raise Refused("an instance that is imported under two names")
    return found


def _copied(units: Sequence[Unit]) -> set[Unit]:
    """What stands in their program without being among them: libraries whose state nobody could change so far."""
    found: set[Unit] = set()
    todo = [library for unit in units for library in unit.libraries.values()]
    while todo:
        library = todo.pop()
        if library not in found:
            found.add(library)
            todo += library.libraries.values()
    return found - set(units)


def _binaries(units: Sequence[Unit]) -> dict[str, str | bytes]:
    """Their libraries as `compile` takes them."""
    return {name: unit.wasm for name, unit in _libraries(units).items()}


def _bundle(units: Sequence[Unit]) -> tuple[Source, dict[str, str | bytes]]:
    """A program that instantiates all units in order and exports their functions, and its libraries."""
    libraries, names = _binaries(units), {unit: name for name, unit in _libraries(units).items()}
    imports: list[Import] = []
    functions: list[Function] = []
    exports: list[Export] = []
    for unit in units:
        # A unit that exports nothing is instantiated like the others, for the function that is added here.
        module = replace(unit.module, functions=(*unit.module.functions, Function(FuncType(), (), (Instr("end"),))))
        module = replace(module, exports=(*module.exports, Export(_ANCHOR, "func", len(module.functions) - 1)))
        name = names.get(unit, f"instance {unit.number}")
        libraries[name] = encode(module)
        for export in module.exports:
            if export.kind == "func":
                imports.append(Import(name, export.name, "func", module.functions[export.index].type))
                exports.append(Export(_qualified(unit, export.name), "func", len(functions)))
                functions.append(Function(module.functions[export.index].type, imported=imports[-1]))
    types = tuple(dict.fromkeys(f.type for f in functions))
    source = Module(types=types, functions=tuple(functions), exports=tuple(exports), imports=tuple(imports))
    binary = encode(source)
    return Source(load(binary).module, binary), libraries


_ANCHOR = "instantiated"


def _qualified(unit: Unit, name: str) -> str:
    return f"{unit.number}: {name}"


def _initialises(module: Module) -> bool:
    """Whether instantiation changes what the module imports, or can."""
    return module.start is not None or any(s.mode == "active" for s in (*module.elements, *module.data))


def reason_group(error: CompileError) -> str:
    """The first reason's message, without names and numbers, so that what has the same cause is counted together."""
    words = []
    for word in error.reasons[0].message.replace('" "', '"."').split():
        quoted = word[0] in "\"'" or word.rstrip(":,").replace(",", "").isdigit()
        words.append("..." if quoted else word)
    return " ".join(words)


def _writes(instruction: Instr) -> bool:
    return instruction.name in _WRITES or ".store" in instruction.name


def _with_getters(module: Module, exports: Sequence[Export]) -> Module:
    """With a function for each exported global that returns its value."""
    functions, added = list(module.functions), []
    for export in exports:
        added.append(Export(_getter(export.name), "func", len(functions)))
        body = (Instr("global.get", (export.index,)), Instr("end"))
        functions.append(Function(FuncType((), (module.globals[export.index].type.type,)), (), body))
    return replace(module, functions=tuple(functions), exports=(*module.exports, *added))


def _getter(name: str) -> str:
    return f"value of {name}"
