"""Runs an instrumented module in wasmtime and reads its records back."""

from __future__ import annotations

import ctypes
import struct
import tempfile
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import wasmtime
from wasmtime import _ffi as ffi

from ....compiler.format.isa import FRAME_LIMIT, TRAPS, Site
from ....compiler.wasm.decode import decode
from ....compiler.wasm.encode import encode
from ....compiler.wasm.module import Function, Module
from ...arrays import join
from ...world import RANDOM_BYTES, World
from . import instrument as names
from .instrument import RECORD, instrument

T = TypeVar("T")

# wasmtime's own stack must never be the limit that is met first: FRAME_LIMIT calls of some hundred bytes each. This
# much address space is reserved while a call runs; only what is used becomes memory.
WASM_STACK = 2**30
_STACK_MARGIN = 2**24  # for the host's frames above and below
_WASI = "wasi_snapshot_preview1"
NOTHING = World(random=bytes(RANDOM_BYTES), clock=0.0)  # no input, no arguments, no environment
NULL, UNKNOWN = -1, -2  # elements of a table range that are no function of the module


@dataclass(frozen=True)
class OracleRun:
    """What one invocation did.

    records: structured array (`RECORD`), in program order; `site` is an index into `sites`.
    bulk: for every record of a "bulk" site, in order: the bytes of the range (uint8 [length]), or, for tables, the
        function indices (int64 [length]; NULL, UNKNOWN for what is no function of this module).
    references: bool, by site: its value is a reference, of which a record holds only 0 (null) or 1.
    outcome: "ok", "exit" (the program called proc_exit), or the trap in wasmtime's words, as in isa.TRAPS.
    results: integers signed, floats as bit patterns, references as None or an int (a funcref: its function index);
        for "exit" the exit code. Empty after a trap.
    trap_site: (function, instruction) that trapped, where that is known.
    """

    sites: tuple[Site, ...]
    records: np.ndarray
    bulk: list[np.ndarray]
    references: np.ndarray
    outcome: str
    results: list[int | None]
    trap_site: tuple[int, int] | None = None
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def executed(self) -> int:
        """Instructions that completed and were recorded."""
        return len(self.records)


@dataclass
class _Log:
    chunks: list[np.ndarray] = field(default_factory=list)
    bulk: list[np.ndarray] = field(default_factory=list)


class Oracle:
    """One instance of a module in wasmtime; memory, globals and tables persist from call to call, also after traps.

    wasm: the binary that was compiled.
    sites, frame_deltas, frame_limit, memory_maximum, table_limits: see `instrument`.
    entry_delta: slots by which the call of an exported function itself moves the frame.
    libraries: modules to import from, by name. stubs: the same, for functions that neither these nor the model's WASI have.
    world: what WASI tells the program; its random bytes and its time must be decided (`World.fixed`).
    start: the start function's run, None if the module has none.

    Raises ValueError for a module that cannot be instrumented, wasmtime.WasmtimeError for one that cannot be linked.
    """

    def __init__(
        self,
        wasm: bytes,
        sites: Sequence[Site],
        frame_deltas: Mapping[tuple[int, int], int] | None = None,
        frame_limit: int = FRAME_LIMIT,
        memory_maximum: int | None = None,
        table_limits: Sequence[int | None] = (),
        entry_delta: int = 0,
        libraries: Mapping[str, bytes] | None = None,
        stubs: Mapping[str, bytes] | None = None,
        world: World = NOTHING,
    ):
        self.sites = tuple(sites)
        self.module = decode(wasm)
        self._entry_delta = entry_delta
        self._wasi = _Wasi(world) if _uses_wasi(self.module) else None
        done = instrument(self.module, sites, frame_deltas or {}, frame_limit, memory_maximum, table_limits)
        self.references = np.isin(np.arange(len(self.sites)), list(done.references))
        self._instrumented, self._origins, self._stops = encode(done.module), done.origins, done.stops
        self._offsets: dict[int, list[int]] = {}
        self._store, instance = _instantiate(self._instrumented, libraries or {}, self._wasi, stubs or {})
        self._exports: dict[str, Any] = dict(instance.exports(self._store).items())
        self._log = _Log()
        self._connect()
        has_start = self.module.start is not None
        self.start = self._run(self._exports[names.START], (), (), world.stdin) if has_start else None

    def invoke(self, name: str, args: Sequence[int | None] = (), stdin: bytes = b"") -> OracleRun:
        """Calls an exported function. i32 and i64 arguments may be signed or unsigned, floats are bit patterns,
        an externref any int, a funcref the index of a function that the module takes references to; null is None.

        Raises ValueError for an unknown function or the wrong number of arguments.
        """
        function = _exported(self.module, name)
        if len(args) != len(function.type.params):
            raise ValueError(f"{name} takes {len(function.type.params)} arguments, not {len(args)}")
        values = [self._to_wasm(v, t) for v, t in zip(args, function.type.params, strict=True)]
        return self._run(self._exports[names.ENTRY + name], values, function.type.results, stdin)

    def write_memory(self, address: int, data: bytes) -> None:
        """What the host writes between two calls."""
        self._exports[names.MEMORY + "0"].write(self._store, bytearray(data), address)

    def read_memory(self, address: int, length: int) -> bytes:
        return bytes(self._exports[names.MEMORY + "0"].read(self._store, address, address + length))

    def _run(self, function: Any, values: Sequence[Any], types: Sequence[str], stdin: bytes) -> OracleRun:
        store, exports = self._store, self._exports
        for name, value in ((names.FRAMES, self._entry_delta), (names.STOPPED, 0), (names.INDIRECT, 0)):
            exports[name].set_value(store, value)
        results: list[int | None] = []
        trap_site = None
        files = self._wasi.open(store, stdin) if self._wasi else None
        try:
            returned = on_large_stack(lambda: function(store, *values))
            if types:
                several = returned if len(types) > 1 else [returned]
                results = [self._from_wasm(v, t) for v, t in zip(several, types, strict=True)]
            outcome = "ok"
        except wasmtime.ExitTrap as exit_:
            outcome, results = "exit", [exit_.code]
        except wasmtime.Trap as trap:
            outcome, trap_site = self._trap(trap)
        self._flush()
        log, self._log = self._log, _Log()
        records = join(log.chunks, RECORD)
        stdout, stderr = files.read() if files else (b"", b"")
        return OracleRun(self.sites, records, log.bulk, self.references, outcome, results, trap_site, stdout, stderr)

    def _connect(self) -> None:
        """Hands the instance the host functions of its log."""
        store, i32 = self._store, wasmtime.ValType.i32()
        table = self._exports[names.HOST_TABLE]
        # The store keeps the functions and the oracle the store: a strong reference back would keep them for ever.
        weak_flush, weak_bulk = weakref.WeakMethod(self._flush), weakref.WeakMethod(self._bulk)
        flush = wasmtime.Func(store, wasmtime.FuncType([], []), lambda: _alive(weak_flush)())
        bulk = wasmtime.Func(store, wasmtime.FuncType([i32] * 3, []), lambda *range_: _alive(weak_bulk)(*range_))
        table.set(store, names.FLUSH_SLOT, flush)
        table.set(store, names.BULK_SLOT, bulk)
        self._functions = {
            self._raw(self._exports[name]): int(name.removeprefix(names.REFERENCE))
            for name in self._exports
            if name.startswith(names.REFERENCE)
        }

    def _raw(self, function: wasmtime.Func) -> int:
        """The address that identifies a function within its instance."""
        return ffi.wasmtime_func_to_raw(self._store._context(), ctypes.byref(function._func))  # type: ignore

    def _flush(self) -> None:
        store = self._store
        pointer = self._exports[names.LOG_POINTER]
        used = pointer.value(store)
        if used:
            data = self._exports[names.LOG_MEMORY].data_ptr(store)
            buffer = np.ctypeslib.as_array(data, (names.LOG_BYTES,))
            self._log.chunks.append(buffer[:used].copy().view(RECORD))
            pointer.set_value(store, 0)

    def _bulk(self, space: int, start: int, length: int) -> None:
        store = self._store
        start, length = start % 2**32, length % 2**32
        if not length:
            self._log.bulk.append(np.empty(0, np.uint8 if space == names.MEMORY_SPACE else np.int64))
        elif space == names.MEMORY_SPACE:
            memory = self._exports[names.MEMORY + "0"]
            data = np.ctypeslib.as_array(memory.data_ptr(store), (memory.data_len(store),))
            self._log.bulk.append(data[start : start + length].copy())
        else:
            table = self._exports[f"{names.TABLE}{space}"]
            elements = (table.get(store, i) for i in range(start, start + length))
            self._log.bulk.append(np.array([self._element(e) for e in elements], dtype=np.int64))

    def _element(self, value: Any) -> int:
        if isinstance(value, wasmtime.Val):
            value = value.value
        if value is None:
            return NULL
        return self._functions.get(self._raw(value), UNKNOWN) if isinstance(value, wasmtime.Func) else UNKNOWN

    def _to_wasm(self, value: int | None, type_: str) -> Any:
        if type_ == "funcref":
            return None if value is None else self._exports[f"{names.REFERENCE}{value}"]
        if type_ == "externref":
            return value
        if value is None:
            raise ValueError(f"null is no {type_}")
        return _signed(value, 32 if type_ in ("i32", "f32") else 64)

    def _from_wasm(self, value: Any, type_: str) -> int | None:
        if type_ == "funcref":
            index = self._element(value)
            return None if index == NULL else index
        if type_ in ("f32", "f64"):
            return value % 2 ** (32 if type_ == "f32" else 64)
        return value

    def _trap(self, trap: wasmtime.Trap) -> tuple[str, tuple[int, int] | None]:
        """What it is called, and the instruction: the marked one, or that of the innermost frame that stands at one."""
        text = trap.message.rsplit("wasm trap: ")[-1].strip()
        stopped = self._exports[names.STOPPED].value(self._store)
        if stopped:
            function, instruction, kind = self._stops[stopped - 1]
            return TRAPS[kind], (function, instruction)
        if not self._offsets:
            decoded = decode(self._instrumented)
            self._offsets = {i: [x.offset for x in decoded.functions[i].body] for i in self._origins}
        for frame in trap.frames:
            index, offset = frame.func_index, frame.module_offset
            offsets = self._offsets.get(index, [])
            at = bisect_left(offsets, offset)
            if at < len(offsets) and offsets[at] == offset and self._origins[index][at] >= 0:
                return text, (index, self._origins[index][at])
        return text, None


def count_instructions(
    wasm: bytes,
    name: str,
    args: Sequence[int | float] = (),
    libraries: Mapping[str, bytes] | None = None,
    world: World = NOTHING,
) -> int:
    """WASM instructions that the module as written executes for this call, in a fresh instance, traps included. An int
    as an f32 or f64 argument is a bit pattern.

    They are counted as wasmtime's fuel: 1 for every instruction, except 0 for nop, drop, block, loop, else, end, return
    and unreachable; and 1 for every function entered. The start function is not counted.
    """
    module = decode(wasm)
    function = _exported(module, name)
    values = [
        _float(a, t) if t in ("f32", "f64") and isinstance(a, int) else a
        for a, t in zip(args, function.type.params, strict=True)
    ]
    wasi = _Wasi(world) if _uses_wasi(module) else None
    store, instance = _instantiate(wasm, libraries or {}, wasi, fuel=True)
    files = wasi.open(store, world.stdin) if wasi else None
    store.set_fuel(_FUEL)
    export: Any = instance.exports(store)[name]
    try:
        on_large_stack(lambda: export(store, *values))
    except (wasmtime.Trap, wasmtime.ExitTrap):
        pass
    finally:
        if files:
            files.read()
    return _FUEL - store.get_fuel()


_FUEL = 2**62


def on_large_stack(function: Callable[[], T]) -> T:
    """Runs a function in a thread whose stack holds WASM_STACK bytes of wasmtime's frames."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    before = threading.stack_size(WASM_STACK + _STACK_MARGIN)
    try:
        thread = threading.Thread(target=work)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _instantiate(
    wasm: bytes,
    libraries: Mapping[str, bytes],
    wasi: _Wasi | None,
    stubs: Mapping[str, bytes] = MappingProxyType({}),
    fuel: bool = False,
) -> tuple[wasmtime.Store, wasmtime.Instance]:
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    config.cranelift_nan_canonicalization = True  # WebAssembly leaves the bits of a NaN open; the routines do not
    config.consume_fuel = fuel
    # wasmtime wants its asynchronous stacks, which are not used here, to be no smaller.
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), WASM_STACK + _STACK_MARGIN)
    config.max_wasm_stack = WASM_STACK
    engine = wasmtime.Engine(config)
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    if fuel:
        store.set_fuel(_FUEL)
    linker.allow_shadowing = True
    if _WASI not in libraries:
        linker.define_wasi()
        store.set_wasi(wasmtime.WasiConfig())
        if wasi:
            wasi.define(linker)
    for name, library in (*libraries.items(), *stubs.items()):
        linker.define_instance(store, name, linker.instantiate(store, wasmtime.Module(engine, library)))
    return store, linker.instantiate(store, wasmtime.Module(engine, wasm))


@dataclass(frozen=True)
class _Files:
    directory: tempfile.TemporaryDirectory

    def read(self) -> tuple[bytes, bytes]:
        with self.directory as path:
            return Path(path, "stdout").read_bytes(), Path(path, "stderr").read_bytes()


@dataclass
class _Wasi:
    """A WASI world with nothing in it but these, and fresh standard streams for every call.

    Random bytes and time are those that the model is told; wasmtime's own would be others.
    """

    world: World
    position: int = 0  # in the random bytes

    def open(self, store: wasmtime.Store, stdin: bytes) -> _Files:
        self.position = 0
        directory = tempfile.TemporaryDirectory(prefix="oracle")
        path = Path(directory.name)
        (path / "stdin").write_bytes(stdin)
        config = wasmtime.WasiConfig()
        config.argv = list(self.world.argv)
        config.env = list(self.world.env.items())
        config.stdin_file = path / "stdin"
        config.stdout_file = str(path / "stdout")
        config.stderr_file = str(path / "stderr")
        store.set_wasi(config)
        return _Files(directory)

    def define(self, linker: wasmtime.Linker) -> None:
        """The functions of WASI whose results are not determined by the program."""
        i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
        for name, params, function in (
            ("random_get", [i32, i32], self._random_get),
            ("clock_time_get", [i32, i64, i32], self._clock_time_get),
            ("clock_res_get", [i32, i32], self._clock_res_get),
        ):
            linker.define_func(_WASI, name, wasmtime.FuncType(params, [i32]), function, access_caller=True)

    def _random_get(self, caller: wasmtime.Caller, pointer: int, length: int) -> int:
        length %= 2**32
        random = self.world.random or b""
        if length > len(random) - self.position:
            return _AGAIN
        _write(caller, pointer, random[self.position : self.position + length])
        self.position += length
        return 0

    def _clock_time_get(self, caller: wasmtime.Caller, clock: int, precision: int, pointer: int) -> int:
        return _tell(caller, clock, pointer, round((self.world.clock or 0.0) * 10**9))

    def _clock_res_get(self, caller: wasmtime.Caller, clock: int, pointer: int) -> int:
        return _tell(caller, clock, pointer, 1)


_AGAIN, _BAD = 6, 8  # WASI's errno


def _tell(caller: wasmtime.Caller, clock: int, pointer: int, nanoseconds: int) -> int:
    """What a question about a clock (0 realtime, 1 monotonic, 2 and 3 are not there) gives, as in wasmtime."""
    if not 0 <= clock <= 3:
        raise wasmtime.Trap(TRAPS["host_error"])
    if clock > 1:
        return _BAD
    if pointer % 8:
        raise wasmtime.Trap(TRAPS["host_error"])
    _write(caller, pointer, nanoseconds.to_bytes(8, "little"))
    return 0


def _write(caller: wasmtime.Caller, pointer: int, data: bytes) -> None:
    memory = caller["memory"]
    assert isinstance(memory, wasmtime.Memory)
    if pointer % 2**32 + len(data) > memory.data_len(caller):
        raise wasmtime.Trap(TRAPS["memory_out_of_bounds"])
    memory.write(caller, bytearray(data), pointer % 2**32)


def _alive(method: weakref.WeakMethod[Any]) -> Callable[..., None]:
    found = method()
    assert found is not None, "the oracle is alive while its module runs"
    return found


def _uses_wasi(module: Module) -> bool:
    return any(i.module == _WASI for i in module.imports)


def _exported(module: Module, name: str) -> Function:
    for export in module.exports:
        if export.name == name and export.kind == "func":
            return module.functions[export.index]
    raise ValueError(f"no exported function {name!r}")


def _signed(value: int, bits: int) -> int:
    value %= 2**bits
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def _float(bits: int, type_: str) -> float:
    if type_ == "f32":
        return struct.unpack("<f", struct.pack("<I", bits))[0]
    return struct.unpack("<d", struct.pack("<Q", bits))[0]
