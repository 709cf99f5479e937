"""Value and function types. Apart from `module`, so that reading a checkpoint needs no more of the front end than this."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Value types by their text names: "i32", "i64", "f32", "f64", "v128", "funcref", "externref", "exnref", "anyref";
# other references are `RefType`.
ValType = str
# A v128 is two values from the linker on, each of 64 bits: its low lanes and its high ones.
LOW_HALF, HIGH_HALF = "v128.low", "v128.high"
# Under its name and this a module exports the high half of a global.
HIGH_NAME = "\0high"
_WIDE = frozenset({"i64", "f64", LOW_HALF, HIGH_HALF})


@dataclass(frozen=True)
class FuncType:
    """name, above, final: as of every `HeapType`; a function type without a name is told apart by its structure alone."""

    params: tuple[ValType, ...] = ()
    results: tuple[ValType, ...] = ()
    name: str = ""
    above: tuple[str, ...] = ()
    final: bool = True

    def takes(self, other: FuncType) -> bool:
        """Whether a reference to a function of the other type is one to a function of this type."""
        return self == other or bool(self.name and self.name in other.above)


@dataclass(frozen=True)
class FieldType:
    """Of a struct's field or an array's elements. type: a value type, or "i8" or "i16"."""

    type: str
    mutable: bool = False

    @property
    def value(self) -> ValType:
        """The type of the values that it takes and gives."""
        return "i32" if self.type in PACKED else self.type


PACKED = ("i8", "i16")


@dataclass(frozen=True)
class StructType:
    """name: says which type it is: equal names are equal types, also of two modules (`wasm.type_names`). above: the names of its
    supertypes, the nearest first. final: it has no subtypes."""

    fields: tuple[FieldType, ...]
    name: str
    above: tuple[str, ...] = ()
    final: bool = True


@dataclass(frozen=True)
class ArrayType:
    """As `StructType`; all elements have the type of one field."""

    element: FieldType
    name: str
    above: tuple[str, ...] = ()
    final: bool = True


HeapType = FuncType | StructType | ArrayType


class RefType(str):
    """A reference type that is no plain funcref, externref, exnref or anyref.

    to: one of ABSTRACT, the type of the functions referred to, or the name of a type that has one.
    As text it begins with REFERENCE, and says its structure or its name, so that equal types of two modules are equal.
    """

    nullable: bool
    to: str | FuncType

    def __new__(cls, nullable: bool, to: str | FuncType) -> RefType:
        types = lambda ts: " ".join(ts)  # noqa: E731
        if isinstance(to, FuncType) and to.name:
            to = to.name
        heap = to if isinstance(to, str) else f"(func ({types(to.params)}) -> ({types(to.results)}))"
        made = super().__new__(cls, f"{REFERENCE}{'null ' if nullable else ''}{heap})")
        made.nullable, made.to = nullable, to
        return made

    def __getnewargs__(self) -> tuple[bool, str | FuncType]:  # type: ignore[override]
        return self.nullable, self.to


REFERENCE = "(ref "
# Abstract heap types, with how hosts see references to them. A named type begins with one of these and a dot.
ABSTRACT = {
    "func": "funcref", "extern": "externref", "exn": "exnref", "any": "anyref", "eq": "eqref", "i31": "i31ref",
    "struct": "structref", "array": "arrayref",
    "none": "nullref", "nofunc": "nullref", "noextern": "nullref", "noexn": "nullref",
}  # fmt: skip
# Of what hosts see: references that may be to objects of the program's own, or can be nothing but null; see `format.references`.
OBJECTS = ("anyref", "eqref", "i31ref", "structref", "arrayref", "nullref")
_KINDS = frozenset(ABSTRACT.values())
_HEAP = re.compile(r"\(ref (?:null )?(\w+)(?:\.[\w.]+)?\)")


def general(type: ValType) -> ValType:
    """Of a reference type the plain one that it is a kind of: how hosts see it; another type itself."""
    if type.startswith(REFERENCE):
        heap = _HEAP.fullmatch(type)
        return ABSTRACT.get(heap[1], "funcref") if heap else "funcref"
    return type


def passed(type: ValType) -> ValType:
    """Of a parameter's type how hosts see it: as `general`, but of references that are never null it says so, and of what they
    are to where that has to be asked."""
    if is_asked(type):
        return type
    return general(type) if accepts_null(type) else RefType(False, general(type).removesuffix("ref"))


def is_asked(type: ValType) -> bool:
    """Whether a reference that a host passes has to be looked at: of a struct, an array, and of a certain type of these or of
    functions."""
    if not type.startswith(REFERENCE):
        return False
    heap = type.removeprefix(REFERENCE).removeprefix("null ").removesuffix(")")
    return heap in ("struct", "array") or heap not in ABSTRACT


def accepts_null(type: ValType) -> bool:
    """Of a reference type."""
    return not type.startswith(REFERENCE) or type.startswith(f"{REFERENCE}null ")


def is_reference(type: ValType) -> bool:
    return general(type) in _KINDS


def is_wide(type: ValType) -> bool:
    """Whether a value of this type takes 64 bits of its slot, not 32."""
    return type in _WIDE


def halved(types: Iterable[ValType]) -> tuple[ValType, ...]:
    """With the two halves in the place of each v128."""
    return tuple(half for type in types for half in ((LOW_HALF, HIGH_HALF) if type == "v128" else (type,)))


def joined_halves(types: Iterable[ValType]) -> tuple[ValType, ...]:
    """With a v128 in the place of its two halves."""
    return tuple("v128" if type == LOW_HALF else type for type in types if type != HIGH_HALF)
