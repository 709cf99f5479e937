"""How many instructions a call executes, as wasmtime counts them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import wasmtime

from ....compiler.wasm.decode import decode
from ....compiler.wasm.encode import encode
from ....compiler.wasm.module import Function, Module
from ...world import World
from .engine import FUEL, call, instantiate
from .linking import Library, sharing, with_memory_export
from .wasi import NOTHING, Wasi, uses_wasi


def count_instructions(
    wasm: bytes,
    name: str,
    args: Sequence[int | float] = (),
    libraries: Sequence[Library] = (),
    world: World = NOTHING,
    writes: Sequence[tuple[int, bytes]] = (),
) -> int:
    """WASM instructions that the module as written executes for this call, in a fresh instance, traps included. An int
    as an f32 or f64 argument is a bit pattern. writes: (address, bytes) that its exported memory is given before.

    They are counted as wasmtime's fuel: 1 for every instruction, except 0 for nop, drop, block, loop, else, end, return
    and unreachable; and 1 for every function entered. The start function is not counted.
    """
    module = decode(wasm)
    function = exported(module, name)
    values = [
        _float(a, t) if t in ("f32", "f64") and isinstance(a, int) else a
        for a, t in zip(args, function.type.params, strict=True)
    ]
    wasi = Wasi(world) if any(map(uses_wasi, (wasm, *(library for _, library in libraries)))) else None
    hosted = sharing(with_memory_export(module) if wasi else module, libraries)
    store, instance = instantiate(wasm if hosted == module else encode(hosted), libraries, wasi, world, fuel=True)
    if wasi:
        wasi.begin(store)
    store.set_fuel(FUEL)
    exports: Any = instance.exports(store)
    for address, data in writes:
        next(e for e in exports.values() if isinstance(e, wasmtime.Memory)).write(store, bytearray(data), address)
    export = exports[name]
    with suppress(wasmtime.Trap, wasmtime.WasmtimeError):
        call(store, lambda: export(store, *values))
    return FUEL - store.get_fuel()


def exported(module: Module, name: str) -> Function:
    """Raises ValueError when there is no such function."""
    for export in module.exports:
        if export.name == name and export.kind == "func":
            return module.functions[export.index]
    raise ValueError(f"no exported function {name!r}")


def _float(bits: int, type_: str) -> float:
    if type_ == "f32":
        return struct.unpack("<f", struct.pack("<I", bits))[0]
    return struct.unpack("<d", struct.pack("<Q", bits))[0]
