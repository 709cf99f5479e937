"""Functions with which modules give memory away: what bytes from outside are put into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..compiler.format.types import ValType
from .errors import ArgumentError

# By name, the parameters' count and what they are: "n" the number of bytes, else a number. C, Emscripten's names, wasm-bindgen
# (bytes, alignment), AssemblyScript (bytes, the id of ArrayBuffer), components (old, old size, alignment, bytes).
_ALLOCATORS: tuple[tuple[str, tuple[str | int, ...]], ...] = (
    ("malloc", ("n",)), ("_malloc", ("n",)), ("__wbindgen_malloc", ("n", 1)), ("__wbindgen_malloc", ("n",)), ("__new", ("n", 1)),
    ("cabi_realloc", (0, 0, 1, "n")), ("alloc", ("n",)), ("allocate", ("n",)), ("wasm_malloc", ("n",)), ("walloc", ("n",)),
)  # fmt: skip
NAMES = tuple(dict.fromkeys(name for name, _ in _ALLOCATORS))

Types = Mapping[str, tuple[Sequence[ValType], Sequence[ValType]]]  # parameters and results of exported functions, by name


def allocator(exports: Types, name: str | None = None) -> str:
    """The name of a module's allocator: the given one, else the first that is known. Raises ArgumentError."""
    if name is not None:
        if name not in exports:
            raise ArgumentError(f"alloc: no exported function {name!r}; there are: {', '.join(sorted(exports)) or 'none'}")
        if not _takes_bytes(exports[name]):
            raise ArgumentError(f"alloc: {name} is no allocator: (i32) -> (i32), of a number of bytes, is one")
        return name
    for known, given in _ALLOCATORS:
        if known in exports and len(exports[known][0]) == len(given) and _takes_bytes(exports[known]):
            return known
    raise ArgumentError(f"alloc: the module exports no allocator that is known ({', '.join(NAMES)}); say which function it is")


def _takes_bytes(type_: tuple[Sequence[ValType], Sequence[ValType]]) -> bool:
    return bool(type_[0]) and {*type_[0]} == {"i32"} and list(type_[1]) == ["i32"]


def arguments(exports: Types, name: str, count: int) -> list[int]:
    """What an allocator is called with, for so many bytes."""
    size = len(exports[name][0])
    plain: tuple[str | int, ...] = ("n", *[0] * (size - 1))
    given = next((g for known, g in _ALLOCATORS if known == name and len(g) == size), plain)
    return [count if isinstance(g, str) else g for g in given]


class Allocating(Protocol):
    """What has exported functions and memory."""

    @property
    def exports(self) -> Types: ...
    def invoke(self, name: str, values: Sequence[Any]) -> Any: ...
    def write_memory(self, address: int, data: bytes) -> None: ...


def allocate(target: Allocating, data: bytes | int, name: str | None = None) -> int:
    """See `Instance.alloc`."""
    size = data if isinstance(data, int) else len(data)
    found = allocator(target.exports, name)
    address = int(target.invoke(found, arguments(target.exports, found, size)).values[0]) % 2**32
    if address == 0 and size:
        raise ArgumentError(f"alloc: {found} has no room for {size:,} bytes")
    if not isinstance(data, int):
        target.write_memory(address, data)
    return address
