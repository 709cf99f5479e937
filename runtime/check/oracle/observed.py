"""What of a reference is recorded: whether it is null, an object or something else, and the number of an i31ref."""

from __future__ import annotations

from ....compiler.format.types import OBJECTS, FuncType, RefType, ValType, general

NULL_BITS, REFERENCE_BITS, OBJECT_BITS = 0, 1, 2
# An i31ref with the number v is recorded as this and v.
NUMBER_BITS = 2**31


def nullable(type_: ValType) -> ValType:
    """The type with null, which a local can have from the beginning."""
    return RefType(True, type_.to) if isinstance(type_, RefType) and not type_.nullable else type_


def reference_bits(type_: ValType, local: int) -> list[tuple]:
    """Code that takes a reference off the stack and leaves what is recorded of it, an i32. local: one of this type, with null."""
    kind = general(type_)
    null = [("local.tee", local), ("ref.is_null",), ("if", FuncType((), ("i32",))), ("i32.const", NULL_BITS), ("else",)]
    if kind != "anyref":
        bits = OBJECT_BITS if kind in OBJECTS else REFERENCE_BITS
        return [*null, ("i32.const", bits), ("end",)]
    number = RefType(False, "i31")
    return [
        *null, ("local.get", local), ("ref.test", number), ("if", FuncType((), ("i32",))),
        ("local.get", local), ("ref.cast", number), ("i31.get_u",), ("i32.const", NUMBER_BITS - 2**32), ("i32.or",),
        ("else",), ("i32.const", OBJECT_BITS), ("end",), ("end",),
    ]  # fmt: skip
