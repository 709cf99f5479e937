"""The instances of a script: one program for each module, with the modules it imports from linked into it.

Linking is static, so an importing program holds a *copy* of the instances it imports from, as they were instantiated.
That is the same as sharing them as long as nothing changes in any other instance that should share; what would not be
the same is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from wasm2xformer import CompileError, Instance, Model, Run, Trap
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.frontend.encode import encode
from wasm2xformer.compiler.frontend.module import Export, Function, FuncType, Instr, Module
from wasm2xformer.compiler.frontend.source import Source, load
from wasm2xformer.runtime.trace import TokenTable, decode

from .dense import DenseCheck
from .script import Value
from .values import argument, bit_patterns

SPECTEST = (Path(__file__).parent / "spectest.wat").read_bytes()
# Nothing in the suite needs nearly as many, except to exhaust the call stack.
MAX_TOKENS = 10_000_000
_WRITES = ("global.set", "table.set", "table.grow", "table.fill", "table.copy", "table.init", "elem.drop", "data.drop")
_WRITES += ("memory.grow", "memory.fill", "memory.copy", "memory.init")


class Refused(Exception):
    """The compiler does not take it, or static linking cannot express it; the message says why."""


@dataclass
class Sharing:
    """What an instance shares with those that import from it. writer: the only one whose copy is up to date."""

    writer: Unit | None = None


@dataclass
class Unit:
    """One module of the script.

    wasm: its binary. libraries: what it imports from, by module name. writes: running it can change memory, tables or
    globals, its own or shared ones. shared: its own state, then that of instances it imports state from. ran: it may
    have changed something since it was instantiated.
    refused: reason, by export, of what could not be compiled; whole: why not all was.
    """

    wasm: bytes
    module: Module
    libraries: dict[str, Unit]
    writes: bool
    shared: list[Sharing] = field(default_factory=lambda: [Sharing()])
    refused: dict[str, str] = field(default_factory=dict)
    whole: str = ""
    model: Model | None = None
    instance: Instance | None = None
    dense: DenseCheck | None = None
    ran: bool = False


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
        self.registered: dict[str, Unit | str] = {"spectest": _unit(SPECTEST, {})}
        self._models: dict[object, Model] = {}

    def instantiate(self, wasm: bytes) -> Unit:
        """A new instance. Its start function has run.

        Raises CompileError (nothing of the module can be compiled, or instantiation traps), Trap, Refused.
        """
        unit = _unit(wasm, self._imported(wasm), self.globals_read)
        try:
            self._share(unit)
            self._compile(unit)
            if unit.module.start is not None:
                started = self._instance(unit).started
                if started is not None and started.trap is not None:
                    raise Trap(started.trap, started)
        finally:
            segments = (*unit.module.elements, *unit.module.data)
            if unit.module.start is not None or any(s.mode == "active" for s in segments):
                # Also when instantiation fails: segments before the one that traps have been written.
                _mark_written(unit, unit.shared[1:])
        return unit

    def link(self, wasm: bytes) -> None:
        """Whether the module can be linked at all. Raises CompileError."""
        unit = _unit(wasm, self._imported(wasm))
        compile_steps(Source(unit.module, unit.wasm), self.opt_level, None, _binaries(unit))

    def invoke(self, unit: Unit, name: str, args: Sequence[Value]) -> list[int | None]:
        """Results as bit patterns. Raises Trap, Refused, AssertionError where the dense engine differs."""
        if name in unit.refused:
            raise Refused(unit.refused[name])
        if unit.model is None:
            raise Refused(unit.whole)
        if any(s.writer not in (None, unit) for s in unit.shared):
            raise Refused("an instance that shares state with this one has changed it")
        if unit.writes:
            unit.ran = True
            _mark_written(unit, unit.shared)
        instance = self._instance(unit)
        trap = None
        try:
            run = instance.invoke(name, *(argument(a) for a in args), max_tokens=MAX_TOKENS)
        except Trap as caught:
            trap, run = caught, caught.run
        if unit.dense is not None:
            unit.dense.follow(run)
        if trap is not None:
            raise trap
        return self._results(unit, name, run)

    def read_global(self, unit: Unit, name: str) -> int | None:
        """The value of an exported global."""
        return self.invoke(unit, _getter(name), ())[0]

    def _imported(self, wasm: bytes) -> dict[str, Unit]:
        names = dict.fromkeys(i.module for i in load(wasm).module.imports)
        units = {name: self.registered[name] for name in names if name in self.registered}
        for unit in units.values():
            if isinstance(unit, str):
                raise Refused(unit)
        return units  # type: ignore[return-value]

    def _share(self, unit: Unit) -> None:
        """Finds the instances that it shares state with. Raises Refused when a copy of them would be out of date."""
        changed = False
        for name, library in unit.libraries.items():
            if library is self.registered["spectest"]:
                continue
            imported = [i for i in unit.module.imports if i.module == name and i.kind != "func"]
            if library.writes or any(i.kind in ("memory", "table", "global") for i in imported):
                changed |= library.ran or any(s.writer not in (None, library) for s in library.shared)
                unit.shared += library.shared
        if changed:
            raise Refused("imports from an instance whose state has changed")

    def _compile(self, unit: Unit) -> None:
        """All exports, or those that can be compiled when others cannot."""
        source = Source(unit.module, unit.wasm)
        try:
            unit.model = self._model(source, None, unit)
            return
        except CompileError as error:
            unit.whole = reason_group(error)
            whole = error
        good = []
        for export in unit.module.exports:
            if export.kind == "func":
                try:
                    compile_steps(source, self.opt_level, [export.name], _binaries(unit))
                    good.append(export.name)
                except CompileError as error:
                    unit.refused[export.name] = reason_group(error)
        if not good:
            raise whole
        unit.model = self._model(source, good, unit)

    def _model(self, source: Source, exports: Sequence[str] | None, unit: Unit) -> Model:
        libraries = _binaries(unit)
        key = (source.wasm, tuple(exports or ()), tuple(libraries.items()))
        if key not in self._models:
            program, module = compile_steps(source, self.opt_level, exports, libraries)
            self._models[key] = realise(program, module)
        return self._models[key]

    def _instance(self, unit: Unit) -> Instance:
        """Made when something is to run: most modules of the suite are only instantiated."""
        if unit.instance is None:
            assert unit.model is not None
            unit.instance = Instance(unit.model)
            if self.dense_tokens:
                unit.dense = DenseCheck(unit.model, self.dense_tokens, unit.instance.started, unit.writes)
        return unit.instance

    def _results(self, unit: Unit, name: str, run: Run) -> list[int | None]:
        assert unit.model is not None
        types = unit.model.program.entries[name].results
        if not {"f32", "f64"}.intersection(types):
            return bit_patterns(run.values, types)
        # A Python float cannot hold every NaN, so the bits are taken from the trace.
        model = unit.model
        deltas = ([d for d, _ in model.jumps], [f for _, f in model.jumps])
        table = TokenTable.build(model.transformer.vocabulary, *deltas, [ip for _, ip in model.entries])
        trace = decode(np.concatenate([run.prompt, run.tokens]), table, model.program)
        floats = trace.results(model.program)
        return [b if t in ("f32", "f64") else v for v, b, t in zip(bit_patterns(run.values, types), floats, types)]


def reason_group(error: CompileError) -> str:
    """The first reason's message, without names and numbers, so that what has the same cause is counted together."""
    words = []
    for word in error.reasons[0].message.replace('" "', '"."').split():
        quoted = word[0] in "\"'" or word.rstrip(":,").replace(",", "").isdigit()
        words.append("..." if quoted else word)
    return " ".join(words)


def _mark_written(unit: Unit, shared: Sequence[Sharing]) -> None:
    for state in shared:
        state.writer = unit


def _unit(wasm: bytes, libraries: dict[str, Unit], globals_read: Collection[str] = ()) -> Unit:
    source = load(wasm)
    module = source.module
    read = [e for e in module.exports if e.kind == "global" and e.name in globals_read]
    binary = source.wasm
    if read:
        module = _with_getters(module, read)
        binary = encode(module)
    writes = any(_writes(i) for f in module.functions for i in f.body) or any(u.writes for u in libraries.values())
    return Unit(binary, load(binary).module, libraries, writes)


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


def _binaries(unit: Unit) -> dict[str, str | bytes]:
    """What the unit imports from, directly or not, as `compile` takes it."""
    return dict(_libraries(unit.libraries))


def _libraries(units: Mapping[str, Unit]) -> Iterator[tuple[str, bytes]]:
    for name, unit in units.items():
        yield name, unit.wasm
        yield from _libraries(unit.libraries)
