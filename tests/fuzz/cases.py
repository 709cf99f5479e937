"""What a generator makes: a module with the calls to make, and the choices it is made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from wasm2xformer.compiler.frontend.opcodes import ACCESS_WIDTH, SIGNATURES

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]

TYPES = ("i32", "i64")
# Instructions over i32 and i64 by the type they leave: name, operand types.
OPERATIONS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    t: [
        (name, operands)
        for name, (operands, results) in SIGNATURES.items()
        if results == (t,) and operands and set(operands) <= set(TYPES) and name not in ACCESS_WIDTH
    ]
    for t in TYPES
}
LOADS = {t: [n for n in ACCESS_WIDTH if ".load" in n and n.startswith(t)] for t in TYPES}
STORES = {t: [n for n in ACCESS_WIDTH if ".store" in n and n.startswith(t)] for t in TYPES}
_SMALL = [0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 257, 32767, 32768, 65535, 65536, 65537]
EDGES = {t: sorted({s * v + d for v in [*_SMALL, *(2**k for k in ks)] for s in (1, -1) for d in (0, -1)})
         for t, ks in (("i32", (24, 30, 31)), ("i64", (31, 32, 33, 40, 48, 62, 63)))}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """wat: a module. calls: exported functions and arguments, in the order in which one instance is to run them."""

    wat: str
    calls: tuple[tuple[str, tuple[int, ...]], ...]


class Choices:
    """The decisions of a generator, drawn from hypothesis, so that a failing program is made small."""

    def __init__(self, draw: Draw):
        self._draw = draw

    def below(self, n: int) -> int:
        """0 .. n - 1; 0 is the simplest."""
        return self._draw(st.integers(0, n - 1)) if n > 1 else 0

    def one_of(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def chance(self, n: int, of: int) -> bool:
        """True n times of `of`; False is simpler."""
        return self.below(of) >= of - n

    def value(self, type_: str) -> int:
        """An edge case three times of four, else any value; signed."""
        bits = int(type_[1:])
        value = (
            self._draw(st.integers(-(2 ** (bits - 1)), 2**bits - 1)) if self.chance(1, 4) else self.one_of(EDGES[type_])
        )
        value %= 2**bits
        return value - 2**bits if value >= 2 ** (bits - 1) else value


def constant(type_: str, value: int) -> str:
    return f"({type_}.const {value})"
