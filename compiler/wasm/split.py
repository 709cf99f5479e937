"""A module without vectors: every v128 becomes two i64, every instruction of SIMD what it is on them (`halves.py`).

Parameters, results, locals, block types and what stands on the stack have the low half first. The high halves of globals
stand behind all others, those of imported ones behind their low halves. Instructions on halves (`simd.HALF_INSTRUCTIONS`)
stay in the code, the linker puts routines in their place. A module that has nothing to do with vectors stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..format.types import HIGH_HALF, HIGH_NAME, LOW_HALF, FuncType
from .heap_types import holds_vectors
from .module import Export, Global, GlobalType, Import, Instr, Module, TableType, Tag
from .simd import SIMD_SIGNATURES, V128
from .split_body import OriginalInstruction, SplitBody, halved_reference, halved_type, signed


@dataclass(frozen=True)
class SplitModule:
    """places: function -> of each instruction of its body here, which one of the module's it is; of functions that are
    the same here and there nothing. globals: index of each global here -> in the module; high_globals: of those that are the high
    half of one."""

    module: Module
    places: Mapping[int, tuple[OriginalInstruction, ...]] = field(default_factory=dict)
    globals: Mapping[int, int] = field(default_factory=dict)
    high_globals: Mapping[int, int] = field(default_factory=dict)


def split(module: Module) -> SplitModule:
    """The same module without v128."""
    if not _has_vectors(module):
        return SplitModule(module)
    low, high = _global_indices(module)
    functions, places = [], {}
    for index, function in enumerate(module.functions):
        body = SplitBody(module, function, low, high)
        if function.imported is None:
            try:
                body.run()
            except ValueError:  # something in it is refused for other reasons
                functions.append(function)
                continue
        functions.append(replace(function, type=halved_type(function.type), locals=body.locals, body=tuple(body.out)))
        if [p.instruction for p in body.places] != list(range(len(function.body))):
            places[index] = tuple(body.places)

    def constant(code: Sequence[Instr]) -> tuple[Instr, ...]:
        return tuple(_split_constant(code, low, high))

    changed = replace(
        module,
        types=tuple(halved_type(t) if isinstance(t, FuncType) else t for t in module.types),
        functions=tuple(functions),
        tables=tuple(replace(t, element=halved_reference(t.element), init=constant(t.init)) for t in module.tables),
        tags=tuple(replace(t, type=halved_type(t.type)) for t in module.tags),
        globals=_globals(module, low, high),
        exports=tuple(export for e in module.exports for export in _exports(e, low, high)),
        imports=tuple(part for entry in module.imports for part in _imports(entry)),
        elements=tuple(
            replace(e, offset=constant(e.offset), items=tuple(map(constant, e.items)), type=halved_reference(e.type))
            for e in module.elements
        ),
        data=tuple(replace(d, offset=constant(d.offset)) for d in module.data),
    )
    return SplitModule(changed, places, {k: index for index, k in enumerate(low)}, {high[i]: i for i in high})


def _global_indices(module: Module) -> tuple[list[int], dict[int, int]]:
    """Of each global its index here, or of its low half; and of those that are vectors the index of the high half. An imported
    high half stands behind its low one, all others behind everything else."""
    low: list[int] = []
    high: dict[int, int] = {}
    count = 0
    for index, entry in enumerate(module.globals):
        low.append(count)
        count += 1
        if entry.type.type == V128 and entry.imported is not None:
            high[index], count = count, count + 1
    for index, entry in enumerate(module.globals):
        if entry.type.type == V128 and entry.imported is None:
            high[index], count = count, count + 1
    return low, high


def _globals(module: Module, low: Sequence[int], high: Mapping[int, int]) -> tuple[Global, ...]:
    found: dict[int, Global] = {}
    for index, entry in enumerate(module.globals):
        parts = [_half_import(entry.imported, upper) for upper in (False, True)] if entry.imported is not None else [None, None]
        type_ = replace(entry.type, type=LOW_HALF if index in high else halved_reference(entry.type.type))
        code = tuple(_split_constant(entry.init, low, high))
        found[low[index]] = Global(type_, code[:1] if index in high else code, parts[0])
        if index in high:
            found[high[index]] = Global(replace(entry.type, type=HIGH_HALF), code[1:2], parts[1])
    return tuple(found[i] for i in sorted(found))


def _exports(export: Export, low: Sequence[int], high: Mapping[int, int]) -> Iterator[Export]:
    if export.kind != "global":
        yield export
        return
    yield replace(export, index=low[export.index])
    if export.index in high:
        yield Export(export.name + HIGH_NAME, "global", high[export.index])


def _imports(entry: Import) -> Iterator[Import]:
    vector = isinstance(entry.desc, GlobalType) and entry.desc.type == V128
    yield _half_import(entry, False)
    if vector:
        yield _half_import(entry, True)


def _half_import(entry: Import, upper: bool) -> Import:
    """An import without vectors: of a global that is one, the half that is asked for."""
    match entry.desc:
        case FuncType():
            return replace(entry, desc=halved_type(entry.desc))
        case Tag():
            return replace(entry, desc=Tag(halved_type(entry.desc.type)))
        case GlobalType(type=type_) if type_ == V128:
            name = entry.name + HIGH_NAME if upper else entry.name
            return replace(entry, name=name, desc=replace(entry.desc, type=HIGH_HALF if upper else LOW_HALF))
        case GlobalType():
            return replace(entry, desc=replace(entry.desc, type=halved_reference(entry.desc.type)))
        case TableType():
            return replace(entry, desc=replace(entry.desc, element=halved_reference(entry.desc.element)))
    return entry


def _has_vectors(module: Module) -> bool:
    types = [t for f in module.types if isinstance(f, FuncType) for t in (*f.params, *f.results)]
    types += [g.type.type for g in module.globals]
    types += [t for f in module.functions for t in (*f.type.params, *f.type.results, *f.locals)]
    if any(V128 in t for t in types) or any(map(holds_vectors, module.types)):
        return True
    return any(i.name in SIMD_SIGNATURES for f in module.functions for i in f.body)


def _split_constant(code: Iterable[Instr], low: Sequence[int], high: Mapping[int, int]) -> Iterator[Instr]:
    """A constant expression without vectors: both halves of each, the low one first. One that gives a vector has nothing else."""
    for instr in code:
        if instr.name == "v128.const":
            for bits in (instr.args[0], instr.args[0] >> 64):
                yield instr.but(name="i64.const", args=(signed(bits),))
        elif instr.name == "global.get":
            index = instr.args[0]
            yield instr.but(args=(low[index],))
            if index in high:
                yield instr.but(args=(high[index],))
        else:
            yield instr
