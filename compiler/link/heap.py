"""Objects: structs and arrays in hidden memory. What references to them are: `format.references`.

An object is the number of its type, of an array its length (4 bytes), then the fields or elements one behind the other,
little-endian and without gaps. The heap is the first part of hidden memory, so where an object begins is its address there.
Objects are made one behind the other (HEAP_TOP says where the next one goes), and no room comes back; what has never been
written is 0, so default values need no stores.

Types are numbered so that subtypes come right behind their supertype, structs before arrays: whether an object is of a type is
a question of two bounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..format.references import NUMBER, OUTSIDE
from ..format.types import ArrayType, FieldType, HeapType, StructType
from ..wasm.module import Instr, Module

HEAP_TOP = "heap_top"
# Where the first object begins.
FIRST_OBJECT = 1
LENGTH_BYTES = 4
_SIZES = {"i8": 1, "i16": 2, "i64": 8, "f64": 8, "v128": 16}


def size_of(type_: str) -> int:
    """Bytes of a field: 4 where nothing else is said, also of a reference."""
    return _SIZES.get(type_, 4)


@dataclass
class HeapTypes:
    """The types of all modules of a link. numbers: of each type by name; last: the last number among its subtypes and itself.

    structs, arrays: last number of each.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    structs: int = 0
    arrays: int = 0

    @property
    def header(self) -> int:
        """Bytes of the number of an object's type."""
        return 1 if self.arrays < 256 else 4

    def range_of(self, heap: str) -> tuple[int, int]:
        """First and last number of the objects of a heap type: a name, "struct", "array", or "eq" for all."""
        if heap in self.numbers:
            return self.numbers[heap], self.last[heap]
        return {"struct": (1, self.structs), "array": (self.structs + 1, self.arrays), "eq": (1, self.arrays)}[heap]

    def offsets(self, type_: StructType) -> list[int]:
        """Where each field of a struct is, and where the struct ends."""
        at = [self.header]
        for each in type_.fields:
            at.append(at[-1] + size_of(each.type))
        return at

    @property
    def elements(self) -> int:
        """Where the elements of an array begin."""
        return self.header + LENGTH_BYTES


def heap_types(modules: Iterable[Module]) -> HeapTypes:
    """Numbers for the struct and array types of these modules."""
    types: dict[str, HeapType] = {}
    for module in modules:
        types.update({t.name: t for t in module.types if isinstance(t, (StructType, ArrayType))})
    below: dict[str, list[str]] = defaultdict(list)
    for name, type_ in types.items():
        below[type_.above[0] if type_.above else ""].append(name)
    out = HeapTypes()
    for kind in (StructType, ArrayType):
        for name in _in_order([name for name in below[""] if isinstance(types[name], kind)], below):
            out.numbers[name] = len(out.numbers) + 1
        if kind is StructType:
            out.structs = len(out.numbers)
    out.arrays = len(out.numbers)
    out.last = dict(out.numbers)
    for name, number in out.numbers.items():
        for above in types[name].above:
            out.last[above] = max(out.last[above], number)
    return out


def _in_order(roots: Sequence[str], below: dict[str, list[str]]) -> Iterator[str]:
    """Each before its subtypes, and these before the next one."""
    todo = list(reversed(roots))
    while todo:
        name = todo.pop()
        yield name
        todo += reversed(below[name])


def makes_objects(instr: Instr) -> bool:
    return instr.name.startswith(("struct.new", "array.new"))


def converted(reference: int) -> int:
    """any.convert_extern, and extern.convert_any."""
    return reference ^ OUTSIDE if 0 < reference < NUMBER else reference


class HeapImage:
    """The objects of constant expressions: what the heap holds at first."""

    def __init__(self, types: HeapTypes):
        self.types = types
        self.bytes = bytearray(FIRST_OBJECT)

    def struct(self, type_: StructType, values: Sequence[int]) -> int:
        """A reference to a new struct."""
        at = self._begin(type_.name)
        for each, value in zip(type_.fields, values, strict=True):
            self._field(each, value)
        return at

    def array(self, type_: ArrayType, values: Sequence[int]) -> int:
        """A reference to a new array."""
        at = self._begin(type_.name)
        self.bytes += len(values).to_bytes(LENGTH_BYTES, "little")
        for value in values:
            self._field(type_.element, value)
        return at

    def _begin(self, name: str) -> int:
        at = len(self.bytes)
        self.bytes += self.types.numbers[name].to_bytes(self.types.header, "little")
        return at

    def _field(self, type_: FieldType, value: int) -> None:
        size = size_of(type_.type)
        self.bytes += (value % 256**size).to_bytes(size, "little")
