"""What of a module is compiled, and whether it can be: reachable functions, and every reason to refuse them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..format.errors import CompileError, Reason
from .module import Element, Function, FuncType, Instr, Module, ValType
from .opcodes import BY_NAME, SIGNATURES

# What can be compiled. An instruction or type that is not listed here is refused.
SUPPORTED_TYPES = frozenset({"i32", "i64", "f32", "f64", "funcref", "externref"})
SUPPORTED = {
    "control": "unreachable nop block loop if else end br br_if br_table return call call_indirect drop select",
    "variables": "local.get local.set local.tee global.get global.set",
    "memory": "memory.size memory.grow memory.fill memory.copy memory.init data.drop",
    "tables": "table.get table.set table.size table.grow table.fill table.copy table.init elem.drop",
    "references": "ref.null ref.is_null ref.func",
    "integers": " ".join(name for name, (a, b) in SIGNATURES.items() if {"i32", "i64"}.issuperset(a + b)),
    "floats": " ".join(name for name, (a, b) in SIGNATURES.items() if {"f32", "f64"}.intersection(a + b)),
}
SUPPORTED_INSTRUCTIONS = frozenset(name for names in SUPPORTED.values() for name in names.split())
# A float is carried as its bit pattern: these only move or mask bits, all other float instructions are arithmetic.
FLOAT_MOVES = frozenset(
    f"{t}.{name}" for t in ("f32", "f64") for name in ("const", "load", "store", "abs", "neg", "copysign")
) | {"f32.reinterpret_i32", "i32.reinterpret_f32", "f64.reinterpret_i64", "i64.reinterpret_f64"}
FLOAT_ARITHMETIC = tuple(name for name in SUPPORTED["floats"].split() if name not in FLOAT_MOVES)


@dataclass(frozen=True)
class Selection:
    """exports: names of the exported functions to compile. functions: indices of what they can reach."""

    exports: tuple[str, ...]
    functions: frozenset[int]


def check(
    module: Module, exports: Sequence[str] | None = None, provided: Collection[tuple[str, str]] = frozenset()
) -> Selection:
    """Selects what the exported functions (None: all) and the start function reach.

    provided: (module, name) of the imports that are there. Raises CompileError with every reason found in the
    reachable part, in module order.
    """
    selection = _select(module, exports)
    reasons = [
        *_import_reasons(module, selection, provided),
        *_module_reasons(module),
        *(reason for i in sorted(selection.functions) for reason in _function_reasons(module.functions[i])),
    ]
    if reasons:
        raise CompileError(reasons)
    return selection


def prune(module: Module, selection: Selection) -> Module:
    """The module with only the selected part: other function exports are gone, other bodies are `unreachable`.

    Indices do not change. The result is valid: a function that only a dropped export declared for use by `ref.func`
    is declared by an element segment at the end.
    """
    stub = (Instr("unreachable"), Instr("end"))
    functions = [
        function if i in selection.functions or function.imported else replace(function, locals=(), body=stub)
        for i, function in enumerate(module.functions)
    ]
    # Tags are not decoded, so neither can their exports stay; nothing that is selected uses one.
    exports = [e for e in module.exports if (e.name in selection.exports if e.kind == "func" else e.kind != "tag")]
    pruned = replace(module, functions=tuple(functions), exports=tuple(exports))
    declared = set(_references(_constants(pruned))) | {e.index for e in exports if e.kind == "func"}
    undeclared = sorted(set(_references(f.body for f in functions)) - declared)
    if not undeclared:
        return pruned
    items = tuple((Instr("ref.func", (index,)),) for index in undeclared)
    return replace(pruned, elements=(*pruned.elements, Element("declarative", "funcref", items)))


def _select(module: Module, names: Sequence[str] | None) -> Selection:
    exported = {e.name: e.index for e in module.exports if e.kind == "func"}
    chosen = tuple(exported if names is None else dict.fromkeys(names))
    for name in chosen:
        if name not in exported:
            raise CompileError(f"no exported function {name!r}; there are: {', '.join(exported) or 'none'}")
    roots = [exported[name] for name in chosen]
    if module.start is not None:
        roots.append(module.start)
    return Selection(chosen, frozenset(_reachable(module, roots)))


def _reachable(module: Module, roots: Iterable[int]) -> set[int]:
    """Functions that calls can reach from `roots`.

    A call_indirect reaches what has its type and may be in a table: functions of active element segments, of passive
    ones that a reachable table.init names, and those that a global or a reachable ref.func refers to.
    """
    initial = [g.init for g in module.globals]
    initial += [item for e in module.elements if e.mode == "active" for item in e.items]
    referable = set(_references(initial))
    called_types: set[FuncType] = set()
    reached: set[int] = set()
    todo = set(roots)
    while todo:
        index = todo.pop()
        reached.add(index)
        body = module.functions[index].body
        referable.update(_references([body]))
        for instruction in body:
            if instruction.name in ("call", "return_call"):
                todo.add(instruction.args[0])
            elif instruction.name in ("call_indirect", "return_call_indirect"):
                called_types.add(module.types[instruction.args[0]])
            elif instruction.name == "table.init":
                referable.update(_references(module.elements[instruction.args[0]].items))
        todo.update(i for i in referable if module.functions[i].type in called_types)
        todo -= reached
    return reached


def _references(code: Iterable[tuple[Instr, ...]]) -> Iterator[int]:
    return (i.args[0] for instructions in code for i in instructions if i.name == "ref.func")


def _constants(module: Module) -> Iterator[tuple[Instr, ...]]:
    """Every constant expression, in module order."""
    yield from (g.init for g in module.globals)
    for element in module.elements:
        yield from (element.offset, *element.items)
    yield from (d.offset for d in module.data)


def _import_reasons(module: Module, selection: Selection, provided: Collection[tuple[str, str]]) -> Iterator[Reason]:
    index = 0
    for entry in module.imports:
        needed = True  # by instantiation; an imported function only when it can be called
        if entry.kind == "func":
            needed = index in selection.functions
            index += 1
        if needed and (entry.module, entry.name) not in provided:
            yield Reason(f'the import "{entry.module}" "{entry.name}" ({entry.kind}) is not provided')


def _module_reasons(module: Module) -> Iterator[Reason]:
    for index, table in enumerate(module.tables):
        yield from _type_reasons([table.element], f"table {index}: ")
    if len(module.memories) > 1:
        yield Reason(f"{len(module.memories)} memories: only one is supported")
    for index, entry in enumerate(module.globals):
        yield from _type_reasons([entry.type.type], f"global {index}: ")
    for constant in _constants(module):
        if len(constant) > 1:
            yield Reason("a constant expression with arithmetic is not supported", offset=constant[0].offset)


def _function_reasons(function: Function) -> Iterator[Reason]:
    types = dict.fromkeys(function.type.params + function.type.results + function.locals)
    for reason in _type_reasons(types):
        yield replace(reason, function=function.name)
    for instruction in function.body:
        if instruction.name not in SUPPORTED_INSTRUCTIONS:
            yield Reason(_family(instruction.name), function.name, instruction.offset, instruction.name)


def _type_reasons(types: Iterable[ValType], where: str = "") -> Iterator[Reason]:
    for type in types:
        if type not in SUPPORTED_TYPES:
            yield Reason(f"{where}values of type {type} are not supported")


def _family(name: str) -> str:
    """Why an instruction is refused."""
    prefix = BY_NAME[name].code[0]
    if prefix == 0xFD:
        return "SIMD is not supported"
    if prefix == 0xFE:
        return "atomic operations are not supported"
    if name.startswith("return_call"):
        return "tail calls are not supported"
    return "exceptions are not supported"
