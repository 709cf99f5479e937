"""What can be compiled, and every reason to refuse what cannot, of one module. Which of its parts matter, `link` says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..format.errors import Reason
from ..format.types import HIGH_HALF, LOW_HALF, OBJECTS, general
from .halves import has_expansion
from .heap_types import CAST_BRANCHES, HEAP_HALVES, HEAP_INSTRUCTIONS
from .module import Function, Module, ValType
from .opcodes import ATOMICS, SIGNATURES
from .simd import HALF_INSTRUCTIONS, SIMD_SIGNATURES, V128

# What can be compiled: all that `decode` reads. An instruction or type that were not listed here would be refused.
SUPPORTED_TYPES = frozenset({"i32", "i64", "f32", "f64", V128, LOW_HALF, HIGH_HALF, "funcref", "externref", "exnref", *OBJECTS})
SUPPORTED = {
    "control": "unreachable nop block loop if else end br br_if br_table return call call_indirect return_call "
    "return_call_indirect call_ref return_call_ref br_on_null br_on_non_null drop select",
    "variables": "local.get local.set local.tee global.get global.set",
    "memory": "memory.size memory.grow memory.fill memory.copy memory.init data.drop",
    "tables": "table.get table.set table.size table.grow table.fill table.copy table.init elem.drop",
    "exceptions": "try_table throw throw_ref",
    "atomics": " ".join(ATOMICS),
    "references": "ref.null ref.is_null ref.func ref.as_non_null",
    "garbage collection": " ".join((*HEAP_INSTRUCTIONS, *CAST_BRANCHES)),
    "integers": " ".join(name for name, (a, b) in SIGNATURES.items() if {"i32", "i64"}.issuperset(a + b)),
    "vectors": " ".join(name for name in SIMD_SIGNATURES if has_expansion(name)),
    "halves": " ".join((*HALF_INSTRUCTIONS, *HEAP_HALVES)),  # what vectors become, see `split`
    "floats": " ".join(name for name, (a, b) in SIGNATURES.items() if {"f32", "f64"}.intersection(a + b)),
}
SUPPORTED_INSTRUCTIONS = frozenset(name for names in SUPPORTED.values() for name in names.split())
# A float is carried as its bit pattern: these only move or mask bits, all other float instructions are arithmetic.
FLOAT_MOVES = frozenset(
    f"{t}.{name}" for t in ("f32", "f64") for name in ("const", "load", "store", "abs", "neg", "copysign")
) | {"f32.reinterpret_i32", "i32.reinterpret_f32", "f64.reinterpret_i64", "i64.reinterpret_f64"}
FLOAT_ARITHMETIC = tuple(name for name in SUPPORTED["floats"].split() if name not in FLOAT_MOVES)


def refusals(
    module: Module, functions: Iterable[int], tables: Iterable[int], globals_: Iterable[int], of: str = ""
) -> Iterator[Reason]:
    """Why these parts of a module (indices of its joint index spaces) cannot be compiled, in module order.

    of: the name of the library that the module is, "" for the program itself.
    """
    where, prefix = (f"{of}: ", f"{of}.") if of else ("", "")
    for index in sorted(tables):
        yield from _type_reasons([module.tables[index].element], f"{where}table {index}: ")
    for index in sorted(globals_):
        yield from _type_reasons([module.globals[index].type.type], f"{where}global {index}: ")
    for index in sorted(functions):
        for reason in _function_reasons(module, module.functions[index]):
            yield replace(reason, function=prefix + module.functions[index].name)


def _function_reasons(module: Module, function: Function) -> Iterator[Reason]:
    yield from _type_reasons(dict.fromkeys(function.type.params + function.type.results + function.locals))
    for instruction in function.body:
        if instruction.name not in SUPPORTED_INSTRUCTIONS:
            yield Reason("not supported", "", instruction.offset, instruction.name)


def _type_reasons(types: Iterable[ValType], where: str = "") -> Iterator[Reason]:
    for type in types:
        if general(type) not in SUPPORTED_TYPES:
            yield Reason(f"{where}values of type {type} are not supported")
