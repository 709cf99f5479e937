"""Whether what a library has is what an import asks for: import matching of the specification, section 4.5.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..format.types import HeapType
from ..wasm.module import FuncType, GlobalType, Limits, TableType, Tag
from ..wasm.type_names import is_below, named_in


def mismatch(wanted: Any, given: Any, of: str, types: Sequence[HeapType] = ()) -> str:
    """ "" when `given` matches, else both types in words. Limits may be narrower than asked for. of: who has it. types: of the
    module that has it."""
    match wanted, given:
        case FuncType(), FuncType():
            return "" if wanted.takes(given) else f"imported as {show(wanted)}, {of} has {show(given)}"
        case GlobalType(), GlobalType():
            below = not wanted.mutable and not given.mutable and is_below(named_in(types), given.type, wanted.type)
            return "" if wanted == given or below else f"imported as {show(wanted)}, {of} has {show(given)}"
        case Tag(), Tag():
            return mismatch(wanted.type, given.type, of)
        case TableType(), TableType():
            if wanted.element != given.element:
                return f"imported as a table of {wanted.element}, {of} has one of {given.element}"
            return _limits(wanted.limits, given.limits, "element", of)
        case Limits(), Limits():
            return _limits(wanted, given, "page", of)
    raise TypeError(f"{wanted} and {given} are not of one kind")


def show(type: FuncType | GlobalType) -> str:
    """As in "(i32, i32) -> (i64)", "mutable f32"."""
    if isinstance(type, GlobalType):
        return f"{'mutable ' if type.mutable else 'immutable '}{type.type}"
    return f"({', '.join(type.params)}) -> ({', '.join(type.results)})"


def _limits(wanted: Limits, given: Limits, unit: str, of: str) -> str:
    if wanted.wide != given.wide:
        words = ("32", "64")
        return f"one with {words[wanted.wide]}-bit addresses wanted, {of} has one with {words[given.wide]}-bit addresses"
    if wanted.shared != given.shared:
        return f"{_SHARED[wanted.shared]} wanted, {of} has {_SHARED[given.shared]}"
    if given.minimum < wanted.minimum:
        return f"at least {_count(wanted.minimum, unit)} wanted, {of} has {given.minimum}"
    if wanted.maximum is None or (given.maximum is not None and given.maximum <= wanted.maximum):
        return ""
    has = "no maximum" if given.maximum is None else f"a maximum of {given.maximum}"
    return f"a maximum of {_count(wanted.maximum, unit)} wanted, {of} has {has}"


_SHARED = ("one that is not shared", "a shared one")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"
