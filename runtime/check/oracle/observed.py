"""What of a reference is recorded: whether it is null, an object or something else, and the number of an i31ref."""

from __future__ import annotations

import numpy as np

from ....compiler.format.references import NUMBER, OUTSIDE
from ....compiler.format.types import OBJECTS, FuncType, RefType, ValType, general

# Of a host's value as an anyref the last one. An i31ref with the number v is recorded as NUMBER and v, as the model has it.
NULL_BITS, REFERENCE_BITS, OBJECT_BITS, HOST_BITS = 0, 1, 2, 3


def as_record(references: np.ndarray) -> np.ndarray:
    """What is recorded of references to objects that the model has, see `format.references`."""
    kinds = np.select([references == 0, references < OUTSIDE, references < NUMBER], [NULL_BITS, OBJECT_BITS, HOST_BITS], -1)
    return np.where(kinds >= 0, kinds.astype(np.uint64), references)


def nullable(type_: ValType) -> ValType:
    """The type with null, which a local can have from the beginning."""
    return RefType(True, type_.to) if isinstance(type_, RefType) and not type_.nullable else type_


def reference_bits(type_: ValType, local: int) -> list[tuple]:
    """Code that takes a reference off the stack and leaves what is recorded of it, an i32. local: one of this type, with null."""
    kind = general(type_)
    null = [("local.tee", local), ("ref.is_null",), ("if", FuncType((), ("i32",))), ("i32.const", NULL_BITS), ("else",)]
    if kind not in ("anyref", "eqref", "i31ref"):
        bits = OBJECT_BITS if kind in OBJECTS else REFERENCE_BITS
        return [*null, ("i32.const", bits), ("end",)]
    number = RefType(False, "i31")
    return [
        *null, ("local.get", local), ("ref.test", number), ("if", FuncType((), ("i32",))),
        ("local.get", local), ("ref.cast", number), ("i31.get_u",), ("i32.const", NUMBER - 2**32), ("i32.or",),
        ("else",), ("i32.const", OBJECT_BITS), ("i32.const", HOST_BITS), ("local.get", local), ("ref.test", RefType(False, "eq")),
        ("select",), ("end",), ("end",),
    ]  # fmt: skip
