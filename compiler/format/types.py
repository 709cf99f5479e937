"""Value and function types. Apart from `module`, so that reading a checkpoint needs no more of the front end than this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Value types by their text names: "i32", "i64", "f32", "f64", "v128", "funcref", "externref", "exnref";
# other references are `RefType`.
ValType = str
# A v128 is two values from the linker on, each of 64 bits: its low lanes and its high ones.
LOW_HALF, HIGH_HALF = "v128.low", "v128.high"
# Under its name and this a module exports the high half of a global.
HIGH_NAME = "\0high"
_WIDE = frozenset({"i64", "f64", LOW_HALF, HIGH_HALF})


@dataclass(frozen=True)
class FuncType:
    params: tuple[ValType, ...] = ()
    results: tuple[ValType, ...] = ()


class RefType(str):
    """A reference type that is no plain funcref, externref or exnref. to: "func", "extern", "exn", or the type of the functions
    referred to.

    As text it begins with REFERENCE, and says its structure, so that equal types of two modules are equal.
    """

    nullable: bool
    to: str | FuncType

    def __new__(cls, nullable: bool, to: str | FuncType) -> RefType:
        types = lambda ts: " ".join(ts)  # noqa: E731
        heap = to if isinstance(to, str) else f"(func ({types(to.params)}) -> ({types(to.results)}))"
        made = super().__new__(cls, f"{REFERENCE}{'null ' if nullable else ''}{heap})")
        made.nullable, made.to = nullable, to
        return made

    def __getnewargs__(self) -> tuple[bool, str | FuncType]:  # type: ignore[override]
        return self.nullable, self.to


REFERENCE = "(ref "


def general(type: ValType) -> ValType:
    """Of a reference type the plain one that it is a kind of: how hosts see it; another type itself."""
    if type.startswith(REFERENCE):
        return next((f"{kind}ref" for kind in ("extern", "exn") if type.endswith(f" {kind})")), "funcref")
    return type


def is_reference(type: ValType) -> bool:
    return general(type) in ("funcref", "externref", "exnref")


def is_wide(type: ValType) -> bool:
    """Whether a value of this type takes 64 bits of its slot, not 32."""
    return type in _WIDE


def halved(types: Iterable[ValType]) -> tuple[ValType, ...]:
    """With the two halves in the place of each v128."""
    return tuple(half for type in types for half in ((LOW_HALF, HIGH_HALF) if type == "v128" else (type,)))


def joined_halves(types: Iterable[ValType]) -> tuple[ValType, ...]:
    """With a v128 in the place of its two halves."""
    return tuple("v128" if type == LOW_HALF else type for type in types if type != HIGH_HALF)
