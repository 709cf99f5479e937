"""The types of a module's type section, and what makes two of them the same: their names.

Types are defined in groups, whose members may name each other, and two types are the same if they stand at the same place of
groups that are the same. So the name of a type is a digest of its whole group, in which references within the group are
places and references to other types are names; and of two modules, equal names are equal types. A function type that names
nothing in its group and has no supertype is told apart by its structure alone, and has no name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ..format.types import ArrayType, FieldType, FuncType, HeapType, RefType, StructType, ValType

_DIGITS = 20


@dataclass(frozen=True)
class TypeIndex:
    """A reference to the type with this index, as it stands in the section."""

    nullable: bool
    index: int


RawType = ValType | TypeIndex


@dataclass(frozen=True)
class RawDefinition:
    """One type as it stands in the section. kind: "func", "struct" or "array". parts: (type, mutable) of parameters and results,
    fields, or the element; params: how many of them are parameters. above: index of the supertype."""

    kind: str
    parts: tuple[tuple[RawType, bool], ...]
    params: int = 0
    above: int | None = None
    final: bool = True


def named(group: Sequence[RawDefinition], known: Sequence[HeapType]) -> list[HeapType]:
    """The types of a group. known: those before it."""
    first = len(known)
    alone = all(not isinstance(t, TypeIndex) or t.index < first for t, _ in group[0].parts) if len(group) == 1 else False
    if alone and group[0].kind == "func" and group[0].final and group[0].above is None:
        parts = [_resolved(t, known) for t, _ in group[0].parts]
        return [FuncType(tuple(parts[: group[0].params]), tuple(parts[group[0].params :]))]
    digest = sha256(";".join(_text(d, known) for d in group).encode()).hexdigest()[:_DIGITS]
    names = [f"{d.kind}.{digest}" + (f".{k}" if len(group) > 1 else "") for k, d in enumerate(group)]
    made: list[HeapType] = []
    for definition, name in zip(group, names, strict=True):
        types = [_resolved(t, known, names) for t, _ in definition.parts]
        above = () if definition.above is None else _line([*known, *made], definition.above)
        fields = tuple(FieldType(t, mutable) for t, (_, mutable) in zip(types, definition.parts, strict=True))
        match definition.kind:
            case "func":
                params, results = tuple(types[: definition.params]), tuple(types[definition.params :])
                made.append(FuncType(params, results, name, above, definition.final))
            case "struct":
                made.append(StructType(fields, name, above, definition.final))
            case _:
                made.append(ArrayType(fields[0], name, above, definition.final))
    return made


def _line(types: Sequence[HeapType], index: int) -> tuple[str, ...]:
    """The names of a type and of all above it. (A supertype is not final, so it has a name.)"""
    return (types[index].name, *types[index].above) if index < len(types) else ()


def _resolved(type_: RawType, known: Sequence[HeapType], names: Sequence[str] = ()) -> ValType:
    if not isinstance(type_, TypeIndex):
        return type_
    if type_.index >= len(known):
        return RefType(type_.nullable, names[type_.index - len(known)])
    return reference_to(known[type_.index], type_.nullable)


def reference_to(type_: HeapType, nullable: bool) -> RefType:
    return RefType(nullable, type_ if isinstance(type_, FuncType) else type_.name)


def _text(definition: RawDefinition, known: Sequence[HeapType]) -> str:
    def words() -> Iterator[str]:
        yield f"{definition.kind} {definition.params} {int(definition.final)} {_index(definition.above, known)}"
        for type_, mutable in definition.parts:
            if isinstance(type_, TypeIndex):
                yield f"{int(mutable)} {int(type_.nullable)} {_index(type_.index, known)}"
            else:
                yield f"{int(mutable)} {type_}"

    return ",".join(words())


def _index(index: int | None, known: Sequence[HeapType]) -> str:
    """A type by its name, or one of the same group by its place."""
    if index is None:
        return "-"
    return f"#{index - len(known)}" if index >= len(known) else str(reference_to(known[index], True))


def named_in(types: Sequence[HeapType]) -> dict[str, HeapType]:
    """By name, those that have one."""
    return {type_.name: type_ for type_ in types if type_.name}


def is_below(types: dict[str, HeapType], type_: ValType, other: ValType) -> bool:
    """Whether values of this type are values of the other one. types: by name, those that the first one may name."""
    if type_ == other:
        return True
    lower, upper = _heap(type_), _heap(other)
    if lower is None or upper is None:
        return False
    if lower[0] and not upper[0]:
        return False
    return _heap_is_below(types, lower[1], upper[1])


def _heap(type_: ValType) -> tuple[bool, str | FuncType] | None:
    """(nullable, to) of a reference type."""
    if isinstance(type_, RefType):
        return type_.nullable, type_.to
    return (True, type_.removesuffix("ref")) if type_ in ("funcref", "externref", "exnref", "anyref") else None


_ABOVE = {"eq": "any", "i31": "eq", "struct": "eq", "array": "eq"}
_BOTTOM = {"none": "any", "nofunc": "func", "noextern": "extern", "noexn": "exn"}


def _heap_is_below(types: dict[str, HeapType], lower: str | FuncType, upper: str | FuncType) -> bool:
    if lower == upper:
        return True
    if isinstance(lower, FuncType):
        return upper == "func"
    if lower in _BOTTOM:
        return top_of(upper) == _BOTTOM[lower]
    if lower in types:
        kind = lower.partition(".")[0]
        return upper in types[lower].above or _heap_is_below(types, kind, upper)
    return lower in _ABOVE and _heap_is_below(types, _ABOVE[lower], upper)


def top_of(to: str | FuncType) -> str:
    """The heap type at the top of its hierarchy: any, func, extern or exn."""
    kind = "func" if isinstance(to, FuncType) else to.partition(".")[0]
    kind = _BOTTOM.get(kind, kind)
    return kind if kind in ("func", "extern", "exn") else "any"
