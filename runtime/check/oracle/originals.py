"""The instances of a store as wasmtime itself links them: each module by itself, and all in one store of wasmtime's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import wasmtime

from ....compiler.format.isa import TRAPS
from ....compiler.wasm.source import Source
from ...errors import OracleError
from ...world import World
from .engine import TABLE_ROOM, configuration, said, stack_size
from .linking import Library
from .record import OBJECTS_TABLE
from .run import Oracle


class Original(Oracle):
    """One of them, in a store that others have made. providers: what it imports from, by module name. No step is recorded.

    Raises wasmtime.Trap where a segment does not fit; what its start function does is in `start`.
    """

    def __init__(
        self, store: wasmtime.Store, source: Source, providers: Mapping[str, Original], memory_maximum: int | None = None
    ):
        self._shared, self._providers = store, providers
        super().__init__(source.wasm, (), memory_maximum=memory_maximum)

    def _instantiate(self, libraries: Sequence[Library], world: World) -> tuple[wasmtime.Store, wasmtime.Instance]:
        store, linker = self._shared, wasmtime.Linker(self._shared.engine)
        try:
            for entry in dict.fromkeys(self.module.imports):
                linker.define(store, entry.module, entry.name, self._providers[entry.module]._exports[entry.name])
            return store, linker.instantiate(store, wasmtime.Module(store.engine, self._instrumented))
        except wasmtime.WasmtimeError as error:
            raise OracleError(f"wasmtime does not instantiate the module: {said(error)}") from None

    def adopt(self, number: int, other: Original) -> None:
        """Lets an object that a call of another one has returned be passed here, under the number that it has there."""
        if number not in self._objects:
            linker = wasmtime.Linker(self._shared.engine)
            linker.define(self._shared, "", "from", other._exports[OBJECTS_TABLE])
            linker.define(self._shared, "", "to", self._exports[OBJECTS_TABLE])
            copy = linker.instantiate(self._shared, wasmtime.Module(self._shared.engine, _COPY)).exports(self._shared)["copy"]
            assert isinstance(copy, wasmtime.Func)
            self._objects[number] = copy(self._shared, other._objects[number])
            self._kept += 1

    def has(self, number: int) -> bool:
        """Whether a call has returned the object of that number."""
        return number in self._objects

    def _trap(self, trap: wasmtime.Trap) -> tuple[str, tuple[int, int] | None]:
        return trap_text(trap), None

    def write(self, address: int, value: int, width: int) -> None:
        """What the host writes of so many bytes, where there is memory for all of them."""
        memory = self._exported_memory()
        if address + width <= memory.data_len(self._store):
            memory.write(self._store, bytearray(value.to_bytes(width, "little")), address)


_COPY = """(module (import "" "from" (table $from 0 anyref)) (import "" "to" (table $to 0 anyref))
  (func (export "copy") (param i32) (result i32) (table.grow $to (table.get $from (local.get 0)) (i32.const 1))))"""


def trap_text(trap: wasmtime.Trap) -> str:
    """As in isa.TRAPS."""
    text = str(trap.message.rsplit("wasm trap: ")[-1].strip())
    return TRAPS["uncaught_exception"] if text.endswith(TRAPS["uncaught_exception"]) else text


def new_store() -> wasmtime.Store:
    """One for instances that import from nobody else."""
    store = wasmtime.Store(wasmtime.Engine(configuration(stack_size())))
    store.set_epoch_deadline(1)
    store.set_limits(table_elements=TABLE_ROOM)
    store.set_wasi(wasmtime.WasiConfig())
    return store

