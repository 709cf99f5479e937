"""What instructions on structs, arrays and references of the garbage collection proposal take off the stack and leave on it."""

from __future__ import annotations

from ..format.types import ArrayType, FieldType, HeapType, RefType, StructType, ValType
from .module import Instr, Module
from .type_names import reference_to

# name -> (values popped, types pushed), where neither depends on immediates or on the module.
FIXED: dict[str, tuple[int, tuple[ValType, ...]]] = {
    "ref.eq": (2, ("i32",)),
    "ref.test": (1, ("i32",)),
    "struct.set": (2, ()),
    "array.set": (3, ()),
    "array.len": (1, ("i32",)),
    "array.fill": (4, ()),
    "array.copy": (5, ()),
    "array.init_data": (4, ()),
    "array.init_elem": (4, ()),
    "ref.i31": (1, (RefType(False, "i31"),)),
    "i31.get_s": (1, ("i32",)),
    "i31.get_u": (1, ("i32",)),
}
_POPPED = {"array.new": 2, "array.new_default": 1, "array.new_data": 2, "array.new_elem": 2, "struct.new_default": 0}
# All instructions of the proposal, but those that only branch.
HEAP_INSTRUCTIONS = (
    *FIXED, *_POPPED, "struct.new", "struct.get", "struct.get_s", "struct.get_u", "array.new_fixed", "array.get", "array.get_s",
    "array.get_u", "ref.cast", "any.convert_extern", "extern.convert_any",
)  # fmt: skip
# What reads half a value of type v128: no binary has these, they are what its reading becomes (`split_body`).
HEAP_HALVES = {
    "struct.get_low": ("type", "field"), "struct.get_high": ("type", "field"),
    "array.get_low": ("type",), "array.get_high": ("type",),
}  # fmt: skip
# What writes into objects.
HEAP_WRITES = ("struct.set", "array.set", "array.fill", "array.copy", "array.init_data", "array.init_elem")
CAST_BRANCHES = ("br_on_cast", "br_on_cast_fail")


def struct_of(module: Module, instr: Instr) -> StructType:
    """The type that a struct instruction names."""
    type_ = module.types[instr.args[0]]
    assert isinstance(type_, StructType)
    return type_


def array_of(module: Module, instr: Instr) -> ArrayType:
    """The type that an array instruction names; of array.copy that of where to."""
    type_ = module.types[instr.args[0]]
    assert isinstance(type_, ArrayType)
    return type_


def written_field(module: Module, instr: Instr) -> FieldType:
    """What one of HEAP_WRITES writes: the field, or the elements."""
    return struct_of(module, instr).fields[instr.args[1]] if instr.name == "struct.set" else array_of(module, instr).element


def gives_vector(module: Module, instr: Instr) -> bool:
    """Whether it reads a value of type v128 out of a struct or an array."""
    if instr.name == "struct.get":
        return struct_of(module, instr).fields[instr.args[1]].type == "v128"
    return instr.name == "array.get" and array_of(module, instr).element.type == "v128"


def holds_vectors(type_: HeapType) -> bool:
    """Whether objects of the type hold values of type v128."""
    fields = type_.fields if isinstance(type_, StructType) else (type_.element,) if isinstance(type_, ArrayType) else ()
    return any(f.type == "v128" for f in fields)


def popped_and_pushed(module: Module, instr: Instr, top: ValType | None) -> tuple[int, tuple[ValType, ...]] | None:
    """None for an instruction of other kinds. top: the type on top of the stack before it."""
    name = instr.name
    if name in FIXED:
        return FIXED[name]
    if name.startswith("struct.get"):
        return 1, (struct_of(module, instr).fields[instr.args[1]].value,)
    if name.startswith("array.get"):
        return 2, (array_of(module, instr).element.value,)
    if name.startswith(("struct.new", "array.new")):
        if name == "struct.new":
            popped = len(struct_of(module, instr).fields)
        else:
            popped = instr.args[1] if name == "array.new_fixed" else _POPPED[name]
        return popped, (reference_to(module.types[instr.args[0]], False),)
    if name == "ref.cast":
        return 1, (instr.args[0],)
    if name in ("any.convert_extern", "extern.convert_any"):
        nullable = not isinstance(top, RefType) or top.nullable
        plain, heap = ("anyref", "any") if name.startswith("any") else ("externref", "extern")
        return 1, (plain if nullable else RefType(False, heap),)
    if name == "br_on_cast":
        _, from_, to = instr.args
        return 1, (difference(from_, to),)
    if name == "br_on_cast_fail":
        return 1, (instr.args[2],)
    return None


def difference(type_: ValType, without: ValType) -> ValType:
    """The type of what is of the first one and not of the second: it is not null where the second one may be."""
    if isinstance(without, RefType) and not without.nullable:
        return type_
    return RefType(False, type_.to if isinstance(type_, RefType) else type_.removesuffix("ref"))
