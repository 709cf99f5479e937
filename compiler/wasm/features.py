"""Which parts of WebAssembly beyond 1.0 a module uses, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..format.types import FuncType
from .module import Module
from .opcodes import BY_NAME

_NAMES = (
    (r"i(32|64)\.extend(8|16|32)_s", "sign extension"), (r"i(32|64)\.trunc_sat_.*", "saturating conversions"),
    (r"(memory\.(copy|fill|init)|data\.drop|table\.(copy|init)|elem\.drop)", "bulk memory"),
    (r"(ref\.(null|is_null|func)|table\.(get|set|grow|size|fill))", "reference types"), (r"return_call.*", "tail calls"),
    (r"((struct|array|i31|any|extern)\..*|ref\.(eq|i31|test|cast)|br_on_cast.*)", "garbage collection"),
    (r"(ref\.as_non_null|br_on_(non_)?null|(return_)?call_ref)", "typed function references"),
    (r"(try|try_table|catch|catch_all|delegate|throw|throw_ref|rethrow)", "exceptions"),
)  # fmt: skip
_PREFIXES = {0xFD: "SIMD", 0xFE: "atomic operations"}


def features(module: Module) -> list[str]:
    """In the order of their names."""
    return sorted({*_of_instructions(module), *_of_types(module)})


def _of_instructions(module: Module) -> Iterator[str]:
    for name in {instruction.name for function in module.functions for instruction in function.body}:
        if (prefix := BY_NAME[name].code[0]) in _PREFIXES:
            yield _PREFIXES[prefix]
        yield from (feature for pattern, feature in _NAMES if re.fullmatch(pattern, name))
        if re.match(r"f(32|64)\.", name):
            yield "floating point (by routines)"


def _of_types(module: Module) -> Iterator[str]:
    types = [*(f.type for f in module.functions), *(t for t in module.types if isinstance(t, FuncType))]
    if any(len(type_.results) > 1 for type_ in types):
        yield "multi-value"
    if len(module.memories) > 1:
        yield "several memories"
    if any(i.kind == "global" and getattr(i.desc, "mutable", False) for i in module.imports) or any(
        e.kind == "global" and module.globals[e.index].type.mutable for e in module.exports
    ):
        yield "mutable globals"
    if module.start is not None:
        yield "a start function"
