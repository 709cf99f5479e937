"""A module without vectors: every v128 becomes two i64, every instruction of SIMD what it is on them (`halves.py`).

Parameters, results, locals, block types and what stands on the stack have the low half first. A global keeps its index for
the low half; the high halves stand behind all other globals. Instructions on halves (`simd.HALF_INSTRUCTIONS`) stay in the code,
the linker puts routines in their place. A module that has nothing to do with vectors stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..format.types import HIGH_HALF, LOW_HALF, FuncType
from .module import Global, GlobalType, Import, Instr, Module, Tag
from .simd import SIMD_SIGNATURES, V128
from .split_body import OriginalInstruction, SplitBody, halved_reference, halved_type, signed


@dataclass(frozen=True)
class SplitModule:
    """places: function -> of each instruction of its body here, which one of the module's it is; of functions that are
    the same here and there nothing. high_globals: index of a global's low half -> of its high one."""

    module: Module
    places: Mapping[int, tuple[OriginalInstruction, ...]] = field(default_factory=dict)
    high_globals: Mapping[int, int] = field(default_factory=dict)


def split(module: Module) -> SplitModule:
    """The same module without v128. Imported globals of that type stay, to be refused."""
    if not _has_vectors(module):
        return SplitModule(module)
    imported = sum(g.imported is not None for g in module.globals)
    vectors = [i for i, g in enumerate(module.globals) if g.type.type == V128 and i >= imported]
    high = {index: len(module.globals) + k for k, index in enumerate(vectors)}
    functions, places = [], {}
    for index, function in enumerate(module.functions):
        body = SplitBody(module, function, high)
        if function.imported is None:
            try:
                body.run()
            except ValueError:  # something in it is refused for other reasons
                functions.append(function)
                continue
        changed = replace(
            function, type=halved_type(function.type), locals=body.locals, body=tuple(body.out), imported=function.imported
        )
        functions.append(changed)
        if [p.instruction for p in body.places] != list(range(len(function.body))):
            places[index] = tuple(body.places)
    tables = tuple(replace(t, element=halved_reference(t.element)) for t in module.tables)
    return SplitModule(
        replace(
            module,
            types=tuple(map(halved_type, module.types)),
            functions=tuple(functions),
            tables=tables,
            tags=tuple(replace(t, type=halved_type(t.type)) for t in module.tags),
            globals=(*(_low_global(g, i in high) for i, g in enumerate(module.globals)), *_high_globals(module, high)),
            exports=tuple(e for e in module.exports if e.kind != "global" or e.index not in high),
            imports=tuple(map(_halved_import, module.imports)),
        ),
        places,
        high,
    )


def _halved_import(entry: Import) -> Import:
    if isinstance(entry.desc, FuncType):
        return replace(entry, desc=halved_type(entry.desc))
    return replace(entry, desc=Tag(halved_type(entry.desc.type))) if isinstance(entry.desc, Tag) else entry


def _has_vectors(module: Module) -> bool:
    types = [t for f in module.types for t in (*f.params, *f.results)] + [g.type.type for g in module.globals]
    types += [t for f in module.functions for t in (*f.type.params, *f.type.results, *f.locals)]
    if any(V128 in t for t in types):
        return True
    return any(i.name in SIMD_SIGNATURES for f in module.functions for i in f.body)


def _low_global(entry: Global, vector: bool) -> Global:
    type_ = replace(entry.type, type=LOW_HALF if vector else halved_reference(entry.type.type))
    return replace(entry, type=type_, init=tuple(_half_constant(entry.init, {}, False)))


def _high_globals(module: Module, high: Mapping[int, int]) -> Iterator[Global]:
    for index in high:
        entry = module.globals[index]
        yield Global(GlobalType(HIGH_HALF, entry.type.mutable), tuple(_half_constant(entry.init, high, True)))


def _half_constant(code: Iterable[Instr], high: Mapping[int, int], upper: bool) -> Iterator[Instr]:
    """One half of a constant expression's value."""
    for instr in code:
        if instr.name == "v128.const":
            yield replace(instr, name="i64.const", args=(signed(instr.args[0] >> 64 if upper else instr.args[0]),))
        elif upper and instr.name == "global.get" and instr.args[0] in high:
            yield replace(instr, args=(high[instr.args[0]],))
        else:
            yield instr
