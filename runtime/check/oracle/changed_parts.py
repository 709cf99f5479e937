"""What an instrumented module has otherwise: references to functions, and limits of memories and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ....compiler.wasm.module import Function, Instr, Limits, Module, TableType


def referenced_functions(module: Module) -> set[int]:
    """Functions that a table of this module may hold."""
    code = [e for element in module.elements for e in element.items]
    code += [g.init for g in module.globals] + [f.body for f in module.functions]
    return {instr.args[0] for instrs in code for instr in instrs if instr.name == "ref.func"}


def with_references(function: Function, wrappers: Mapping[int, int]) -> Function:
    return replace(function, body=_rereference(function.body, wrappers)) if wrappers else function


def _rereference(code: tuple[Instr, ...], wrappers: Mapping[int, int]) -> tuple[Instr, ...]:
    return tuple(i.but(args=(wrappers.get(i.args[0], i.args[0]),)) if i.name == "ref.func" else i for i in code)


def replace_references(module: Module, wrappers: Mapping[int, int]) -> Module:
    """The module with every reference to a wrapped function outside function bodies replaced."""
    return replace(
        module,
        globals=tuple(replace(g, init=_rereference(g.init, wrappers)) for g in module.globals),
        elements=tuple(
            replace(e, items=tuple(_rereference(item, wrappers) for item in e.items)) for e in module.elements
        ),
    )


def unshared(module: Module) -> Module:
    """The module, whose memories are shared with nobody."""
    imports = tuple(replace(i, desc=replace(i.desc, shared=False)) if isinstance(i.desc, Limits) else i for i in module.imports)
    return replace(module, imports=imports, memories=tuple(replace(m, shared=False) for m in module.memories))


def limited_memories(module: Module, maximum: int | None) -> list[Limits]:
    imported = sum(i.kind == "memory" for i in module.imports)
    return [_limited(m, None if i < imported else maximum) for i, m in enumerate(module.memories)]


def limited_tables(module: Module, limits: Sequence[int | None]) -> list[TableType]:
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
