"""Several cases as one module: index spaces side by side, exports under the case's number. What the engine has to be made
ready for is then shared, which is most of what a case costs; every function is the program's own and compared as before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.module import Function, Global, Instr, Module
from wasm2xformer.compiler.wasm.opcodes import BY_NAME
from wasm2xformer.compiler.wasm.source import load

from .case import Call, Case

Expression = tuple[Instr, ...]


def together(cases: Sequence[Case]) -> Case:
    """One case with the calls of all, in their order. Case k's export e is named "k.e"."""
    modules = [load(case.source).module for case in cases]
    refused = sum((case.refused for case in cases), Counter[str]())
    libraries = {name: library for case in cases for name, library in case.libraries.items()}
    calls = [Call(f"{k}.{c.export}", c.args) for k, case in enumerate(cases) for c in case.calls]
    exports = [f"{k}.{name}" for k, case in enumerate(cases) for name in _exported(case, modules[k])]
    return Case(encode(merged(modules)), tuple(calls), tuple(exports), libraries, refused)


def _exported(case: Case, module: Module) -> Iterable[str]:
    return (e.name for e in module.exports if e.kind == "func") if case.exports is None else case.exports


def merged(modules: Sequence[Module]) -> Module:
    """One module with everything of all. Imports are repeated as they are; there may be no start functions and no tags."""
    assert all(m.start is None for m in modules)
    moved = [_Moved(modules, k) for k in range(len(modules))]
    imports = [i for m in modules for i in m.imports]
    functions = [f for m in modules for f in m.functions if f.imported]
    functions += [to.function(f) for m, to in zip(modules, moved) for f in m.functions if not f.imported]
    globals_ = [g for m in modules for g in m.globals if g.imported]
    globals_ += [to.global_(g) for m, to in zip(modules, moved) for g in m.globals if not g.imported]
    pairs = list(zip(modules, moved))
    assert not any(i.kind in ("table", "memory") for i in imports)
    return Module(
        types=tuple(t for m in modules for t in m.types),
        functions=tuple(functions),
        tables=tuple(replace(t, init=to.code(t.init)) for m, to in pairs for t in m.tables),
        memories=tuple(x for m in modules for x in m.memories),
        globals=tuple(globals_),
        exports=tuple(
            replace(e, name=f"{k}.{e.name}", index=to.index(e.kind, e.index))
            for k, (m, to) in enumerate(pairs)
            for e in m.exports
        ),
        elements=tuple(
            replace(e, items=tuple(map(to.code, e.items)), table=to.index("table", e.table), offset=to.code(e.offset))
            for m, to in pairs
            for e in m.elements
        ),
        data=tuple(
            replace(d, memory=to.index("memory", d.memory) if d.mode == "active" else 0, offset=to.code(d.offset))
            for m, to in pairs
            for d in m.data
        ),
        imports=tuple(imports),
    )


class _Moved:
    """Where the entities of module `k` of these are in the merged one."""

    def __init__(self, modules: Sequence[Module], k: int):
        before = modules[:k]
        spaces = {
            "type": "types", "func": "functions", "table": "tables", "memory": "memories", "global": "globals", "data": "data",
            "elem": "elements",
        }  # fmt: skip
        self._imported = {kind: _imported(modules[k], kind) for kind in spaces}
        self._first = {kind: sum(_imported(m, kind) for m in before) for kind in spaces}
        all_imported = {kind: sum(_imported(m, kind) for m in modules) for kind in spaces}
        self._defined = {
            kind: all_imported[kind] + sum(len(getattr(m, name)) - _imported(m, kind) for m in before)
            for kind, name in spaces.items()
        }

    def index(self, kind: str, index: int) -> int:
        imported = self._imported[kind]
        return self._first[kind] + index if index < imported else self._defined[kind] + index - imported

    def function(self, function: Function) -> Function:
        return replace(function, body=self.code(function.body))

    def global_(self, entry: Global) -> Global:
        return replace(entry, init=self.code(entry.init))

    def code(self, expression: Expression) -> Expression:
        return tuple(map(self._instruction, expression))

    def _instruction(self, instruction: Instr) -> Instr:
        kinds = BY_NAME[instruction.name].immediates
        args = instruction.args
        if kinds == ("memarg",):
            return instruction.but(args=(*args[:2], self.index("memory", args[2] if len(args) > 2 else 0)))
        if "memory" in kinds:  # 0 is left out
            args = (*args, *(0 for _ in range(len(kinds) - len(args))))
        if len(kinds) != len(args):  # types of select
            return instruction
        moved = (self.index(kind, value) if kind in self._imported else value for kind, value in zip(kinds, args))
        return instruction.but(args=tuple(moved))


def _imported(module: Module, kind: str) -> int:
    return sum(i.kind == kind for i in module.imports)
