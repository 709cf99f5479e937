"""Runs an instrumented module in wasmtime and reads its records back."""

from __future__ import annotations

import ctypes
import weakref
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import wasmtime
from wasmtime import _ffi as ffi

from ....compiler.format.isa import TRAPS, Site
from ....compiler.format.limits import FRAME_LIMIT
from ....compiler.format.references import NUMBER, OUTSIDE
from ....compiler.format.types import OBJECTS, general
from ....compiler.wasm.decode import decode
from ....compiler.wasm.encode import encode
from ....compiler.wasm.simd import V128
from ...arrays import join
from ...bit_patterns import Reference
from ...errors import OracleError
from ...exclusive import Exclusive
from ...later import Later
from ...world import World
from . import record as names
from .added_functions import LOOKED_INTO, is_kept
from .count import exported
from .engine import call, instantiate, said
from .exported import I32Global, records_in
from .instrument import instrument
from .linking import Library, sharing
from .observed import HOST_BITS
from .record import RECORD
from .wasi import NOTHING, Wasi, host_trap, is_told

STILL_RUNNING = "still running"
NULL, UNKNOWN = -1, -2  # elements of a table range that are no function of the module


@dataclass(frozen=True)
class OracleRun:
    """What one invocation did.

    records: structured array (`RECORD`), in program order; `site` is an index into `sites`. Those that a `Watch` kept.
    bulk: for every record of a "bulk" site, in order: the bytes of the range (uint8 [length]), or, for tables, the
        function indices (int64 [length]; NULL, UNKNOWN for what is no function of this module).
    references: bool, by site: its value is a reference, of which a record holds only 0 (null) or 1.
    outcome: "ok", "exit" (the program called proc_exit), STILL_RUNNING past its bound, or the trap in wasmtime's
        words, as in isa.TRAPS.
    results: integers signed, floats as bit patterns, references as None or an int (a funcref: its function index);
        for "exit" the exit code. Empty after a trap.
    trap_site: (function, instruction) that trapped, where that is known.
    limit: the limit of the model that this run was made to meet, "" for none.
    """

    sites: tuple[Site, ...]
    records: np.ndarray
    bulk: list[np.ndarray]
    references: np.ndarray
    outcome: str
    results: list[int | None]
    trap_site: tuple[int, int] | None = None
    limit: str = ""
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def executed(self) -> int:
        """Instructions that completed and whose records were kept."""
        return len(self.records)


@dataclass
class Bound:
    """How far a run is worth following. answered: bool, by site: a step answers for it. steps: that the model executed, which
    may be given as a function: it is asked for only where records do not agree, or are kept.

    A run that leaves more records than there were steps to answer for them is another one, and may have no end; so is
    one that comes back to the same instruction without having left such a record.
    """

    answered: np.ndarray
    steps: Later[int] = Later()  # noqa: RUF009 (a descriptor)


class Watch(Protocol):
    """Who looks at the records as they come."""

    @property
    def compared(self) -> int:
        """How many records he has looked at for which a step answers."""

    def take(self, records: np.ndarray) -> bool:
        """The next ones, which are there only as long as this runs. Returns whether they need not be kept."""


class _Enough(Exception):
    """The run went past its bound."""


@dataclass
class _Log:
    """answered, since: records within the bound so far, and all since the latest of them. watch: sees them first."""

    chunks: list[np.ndarray] = field(default_factory=list)
    bulk: list[np.ndarray] = field(default_factory=list)
    bound: Bound | None = None
    watch: Watch | None = None
    answered: int = 0
    since: int = 0

    def add(self, records: np.ndarray) -> None:
        """Records that are there only now. Raises _Enough."""
        if self.watch is not None and self.watch.take(records):
            self.answered = self.watch.compared
            return
        self.chunks.append(records.copy())
        if self.bound is None:
            return
        at = np.flatnonzero(self.bound.answered[records["site"]])
        self.answered += len(at)
        self.since = len(records) - 1 - int(at[-1]) if len(at) else self.since + len(records)
        if self.answered > self.bound.steps or self.since > len(self.bound.answered):
            raise _Enough


class Oracle:
    """One instance of a module in wasmtime; memory, globals, tables and the standard streams (how far stdin has been read,
    what is closed) persist from call to call, also after traps.

    wasm: the binary that was compiled.
    sites, frame_deltas, frame_limit, memory_maximum, table_limits, functions: see `instrument`.
    entry_delta: slots by which the call of an exported function itself moves the frame.
    libraries: (name, binary) of modules to import from; of equal names, later ones add to earlier ones.
    world: what WASI tells the program; its random bytes and its time must be decided (`World.fixed`).
    start: the start function's run, None if neither the module nor a library has one; of those of the libraries, which
    run before, only what they write is part of it. bound: of that run.

    Raises ValueError for a module that cannot be instrumented, OracleError for one that wasmtime does not take.
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
        libraries: Sequence[Library] = (),
        world: World = NOTHING,
        functions: Collection[int] | None = None,
        bound: Bound | None = None,
    ):
        self._exclusive = Exclusive("oracle")
        self.sites = tuple(sites)
        self.module = decode(wasm)
        self._entry_delta = entry_delta
        self._wasi = Wasi(world) if any(map(is_told, (wasm, *(library for _, library in libraries)))) else None
        done = instrument(self.module, sites, frame_deltas or {}, frame_limit, memory_maximum, table_limits, functions)
        self.references = np.isin(np.arange(len(self.sites)), list(done.references))
        self._instrumented = encode(sharing(done.module, libraries), names.MODULE_NAME)
        self._origins, self._stops = done.origins, done.stops
        self._offsets: dict[int, list[int]] = {}
        self._store, instance = self._instantiate(libraries, world)
        self._exports: dict[str, Any] = dict(instance.exports(self._store).items())
        self._pointer, self._frames, self._stopped, self._indirect = (
            I32Global(self._store, self._exports[name])
            for name in (names.LOG_POINTER, names.FRAMES, names.STOPPED, names.INDIRECT)
        )
        self._log = _Log()
        self._kept, self._latest = 0, list[int]()  # how many results the program's table holds; the places of the latest call's
        self._objects: dict[int, int] = {}
        self._connect()
        self.start: OracleRun | None = None
        if self.module.start is not None:
            self.start = self._run(self._exports[names.START], (), (), bound)
        elif any(decode(library).start is not None for _, library in libraries):
            self.start = self._run(lambda store: None, (), (), bound)

    def _instantiate(self, libraries: Sequence[Library], world: World) -> tuple[wasmtime.Store, wasmtime.Instance]:
        return instantiate(self._instrumented, libraries, self._wasi, world)

    def invoke(
        self, name: str, args: Sequence[int | Reference | None] = (), bound: Bound | None = None, watch: Watch | None = None
    ) -> OracleRun:  # fmt: skip
        """Calls an exported function. i32 and i64 arguments may be signed or unsigned, floats are bit patterns,
        an externref any int, an anyref, eqref or i31ref the number of an i31ref, an anyref also a host's `Reference`, an
        anyref, eqref or externref a `Reference` to an object (see `know`), a funcref the index of a function that the module
        takes references to; null is None. bound: how far the run is followed. watch: sees its records, and decides which of
        them `OracleRun.records` has.

        Raises ValueError for an unknown function or the wrong number of arguments, OracleError for a call that wasmtime does
        not finish, and InstanceError after such a call or one that was interrupted.
        """
        function = exported(self.module, name)
        if len(args) != len(function.type.params):
            raise ValueError(f"{name} takes {len(function.type.params)} arguments, not {len(args)}")
        values = [x for v, t in zip(args, function.type.params, strict=True) for x in self._to_wasm(v, t)]
        with self._exclusive.call(name):
            if self._wasi:
                self._wasi.begin(self._store)
            return self._run(self._exports[names.ENTRY + name], values, function.type.results, bound, watch)

    def accepts(self, name: str, index: int, value: Any) -> bool:
        """Whether a reference (an object or a function, as for `invoke`) is of the type of this exported function's parameter,
        where that is asked (`types.is_asked`)."""
        (passed,) = self._to_wasm(value, exported(self.module, name).type.params[index])
        return bool(self._exports[f"{names.ACCEPTS}{name}:{index}"](self._store, passed))

    def know(self, values: Sequence[Any]) -> None:
        """What the model calls the results of the latest call: objects among them can be passed under these names."""
        if len(values) == len(self._latest):
            named = zip(values, self._latest)
            self._objects.update({v.number: k for v, k in named if isinstance(v, Reference) and v.kind == "object" and k >= 0})

    def write_memory(self, address: int, data: bytes) -> None:
        """What the host writes between two calls."""
        self._exported_memory().write(self._store, bytearray(data), address)

    def read_memory(self, address: int, length: int) -> bytes:
        return bytes(self._exported_memory().read(self._store, address, address + length))

    def _exported_memory(self) -> Any:
        """The one that the module exports as "memory", else the first that it exports or has."""
        exports = sorted((e for e in self.module.exports if e.kind == "memory"), key=lambda e: e.name != "memory")
        return self._exports[f"{names.MEMORY}{exports[0].index if exports else 0}"]

    def memory(self, index: int = 0) -> np.ndarray:
        """A linear memory as it is now, uint8; to be looked at before anything runs again."""
        memory = self._exports[f"{names.MEMORY}{index}"]
        size = memory.data_len(self._store)
        return np.ctypeslib.as_array(memory.data_ptr(self._store), (size,)) if size else np.empty(0, np.uint8)

    def folders(self) -> dict[str, dict[str, bytes | None]]:
        """What is in the program's folders now."""
        return self._wasi.folders.contents() if self._wasi else {}

    def value(self, index: int) -> int | None:
        """A global's bits, unsigned; for a reference None (null), what the host passed, or a function's index."""
        type_ = general(self.module.globals[index].type.type)
        if type_ == "funcref":
            return self._from_wasm(self._exports[f"{names.GLOBAL}{index}"].value(self._store), type_)
        bits = self._exports[f"{names.BITS}{index}"](self._store)
        if type_ in LOOKED_INTO:
            return self._looked_into(bits, type_)
        if type_ == V128:
            return bits[0] % 2**64 | bits[1] % 2**64 << 64
        return bits % 2 ** (64 if type_ in ("i64", "f64") else 32)

    def table_size(self, index: int) -> int:
        return self._exports[f"{names.TABLE}{index}"].size(self._store)

    def element(self, table: int, index: int) -> int | None:
        """As `value`."""
        type_ = general(self.module.tables[table].element)
        if type_ in LOOKED_INTO:
            return self._looked_into(self._exports[f"{names.BITS}{names.TABLE}{table}"](self._store, index), type_)
        value = self._exports[f"{names.TABLE}{table}"].get(self._store, index)
        if isinstance(value, wasmtime.Val):
            value = value.value
        return self._from_wasm(value, type_)

    def _looked_into(self, bits: Any, type_: str) -> int | None:
        """bits: of one value, as a function that looks at it returns them."""
        several = iter(bits if isinstance(bits, (list, tuple)) else [bits])
        return self._from_wasm(next(several), type_, several)

    def _run(
        self, function: Any, values: Sequence[Any], types: Sequence[str], bound: Bound | None, watch: Watch | None = None
    ) -> OracleRun:  # fmt: skip
        store = self._store
        self._log = _Log(bound=bound, watch=watch)
        for number, value in ((self._frames, self._entry_delta), (self._stopped, 0), (self._indirect, 0)):
            number.set(value)
        results: list[int | None] = []
        self._latest = []
        trap_site, self._limit = None, ""
        try:
            returned = call(store, lambda: function(store, *values))
            if types:
                several = iter(returned if isinstance(returned, (list, tuple)) else [returned])
                results = [self._from_wasm(next(several), t, several) for t in types]
            self._latest = [self._kept + sum(map(is_kept, types[:k])) if is_kept(t) else -1 for k, t in enumerate(types)]
            self._kept += sum(map(is_kept, types))
            outcome = "ok"
        except wasmtime.ExitTrap as exit_:
            outcome, results = "exit", [exit_.code]
        except wasmtime.Trap as trap:
            outcome, trap_site = self._trap(trap)
        except wasmtime.WasmtimeError as error:  # of a host function
            kind = host_trap(str(error))
            if kind is None:
                raise OracleError(f"wasmtime did not finish: {said(error)}") from None
            outcome, trap_site = TRAPS[kind], self._marked()[:2]
        except _Enough:
            outcome = STILL_RUNNING
        self._log.bound = None
        self._flush()
        indirect = self._indirect.get() % 2**32
        left = outcome in ("ok", TRAPS["uncaught_exception"])
        if left and 0 < indirect < 2**32 - 1:  # a function of another module has been entered, and by a tail call or was left
            self._log.add(np.array([(indirect - 1, 0, 2**64 + UNKNOWN)], RECORD))
        log, self._log = self._log, _Log()
        records = join(log.chunks, RECORD)
        stdout, stderr = self._wasi.written() if self._wasi else (b"", b"")
        limit = self._limit
        return OracleRun(
            self.sites, records, log.bulk, self.references, outcome, results, trap_site, limit, stdout, stderr
        )  # fmt: skip

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
        used = self._pointer.get()
        if used:
            self._pointer.set(0)
            self._log.add(records_in(self._store, self._exports[names.LOG_MEMORY], used))

    def _bulk(self, space: int, start: int, length: int) -> None:
        store = self._store
        start, length = start % 2**32, length % 2**32
        if not length:
            self._log.bulk.append(np.empty(0, np.uint8 if space <= names.MEMORY_SPACE else np.int64))
        elif space <= names.MEMORY_SPACE:
            memory = self._exports[f"{names.MEMORY}{names.MEMORY_SPACE - space}"]
            data = np.ctypeslib.as_array(memory.data_ptr(store), (memory.data_len(store),))
            self._log.bulk.append(data[start : start + length].copy())
        else:
            table = self._exports[f"{names.TABLE}{space}"]
            found: list[int] = []
            for i in range(start, start + length):
                if general(self.module.tables[space].element) in LOOKED_INTO:
                    value = self.element(space, i)
                    found.append(NULL if value is None else value if value >= NUMBER else UNKNOWN)
                else:
                    found.append(self._element(table.get(store, i)))
            self._log.bulk.append(np.array(found, dtype=np.int64))

    def _element(self, value: Any) -> int:
        if isinstance(value, wasmtime.Val):
            value = value.value
        if value is None:
            return NULL
        return self._functions.get(self._raw(value), UNKNOWN) if isinstance(value, wasmtime.Func) else UNKNOWN

    def _to_wasm(self, value: Any, type_: str) -> list[Any]:
        """The arguments that stand for it: of a v128 its halves."""
        type_ = general(type_)
        if type_ == "funcref":
            return [None if value is None else self._exports[f"{names.REFERENCE}{value}"]]
        place = 0
        if isinstance(value, Reference) and value.kind == "object":
            place, value = self._objects[value.number] + 1, None
        if type_ == "externref":
            return [place, value]
        if type_ == "exnref":
            if value is not None:
                raise ValueError("an exception cannot be passed")
            return [0]
        if type_ in OBJECTS:
            host = type_ == "anyref" and isinstance(value, Reference)
            number = place if value is None or host else _signed(value | NUMBER, 32)
            return [number, value.number if host else None] if type_ == "anyref" else [number]
        if value is None:
            raise ValueError(f"null is no {type_}")
        if type_ == V128:
            return [_signed(value, 64), _signed(value >> 64, 64)]
        return [_signed(value, 32 if type_ in ("i32", "f32") else 64)]

    def _from_wasm(self, value: Any, type_: str, further: Iterator[Any] | None = None) -> int | None:
        """further: where the high half of a v128 is, and the host's value that an externref or anyref may be. Of an i31ref
        NUMBER and its number, of a host's value as an anyref what the model has, of what the host cannot tell from others
        UNKNOWN."""
        type_ = general(type_)
        if type_ == V128:
            assert further is not None, "the host gives and takes no vectors"
            return value % 2**64 | next(further) % 2**64 << 64
        if type_ == "funcref":
            index = self._element(value)
            return None if index == NULL else index
        if type_ == "exnref":
            return UNKNOWN if value else None
        if type_ in OBJECTS:
            bits = value % 2**32
            host: Any = next(further) if type_ == "anyref" and further is not None else None
            return None if not bits else bits if bits >= NUMBER else OUTSIDE + host + 1 if bits == HOST_BITS else UNKNOWN
        if type_ == "externref":
            assert further is not None, "the value itself stands behind what is recorded of it"
            bits, host = value % 2**32, next(further)
            return None if not bits else host if bits == HOST_BITS else bits if bits >= NUMBER else UNKNOWN
        if type_ in ("f32", "f64"):
            return value % 2 ** (32 if type_ == "f32" else 64)
        return value

    def _marked(self) -> tuple[int, int, str]:
        """The instruction that was about to run when the call ended without returning. Raises OracleError if none was."""
        stopped = self._stopped.get()
        if not stopped:
            raise OracleError("wasmtime stopped where nothing can trap")
        return self._stops[stopped - 1]

    def _trap(self, trap: wasmtime.Trap) -> tuple[str, tuple[int, int] | None]:
        """What it is called, and the instruction: the marked one, if the program's own code was running.

        Raises OracleError for what is no trap of the program.
        """
        text = trap.message.rsplit("wasm trap: ")[-1].strip()
        if text.endswith(TRAPS["uncaught_exception"]):
            return TRAPS["uncaught_exception"], None
        frames = trap.frames
        if not frames or frames[0].module_name != names.MODULE_NAME:
            return text, self._caller(frames)
        function, instruction, kind = self._marked()
        if kind == names.NOT_COMPILED:
            raise OracleError(f"the program calls {self.module.functions[function].name}, which was not compiled")
        if kind == "stack_exhausted":
            self._limit = f"calls nest to {FRAME_LIMIT:,} slots at most"
        if kind:
            return TRAPS[kind], (function, instruction)
        if text == TRAPS["stack_exhausted"]:
            raise OracleError("the stack that wasmtime has here was exhausted before the model's")
        return text, (function, instruction)

    def _caller(self, frames: Sequence[wasmtime.Frame]) -> tuple[int, int] | None:
        """The call that led out of the program's own code."""
        if not self._offsets:
            decoded = decode(self._instrumented)
            self._offsets = {i: [x.offset for x in decoded.functions[i].body] for i in self._origins}
        for frame in frames:
            if frame.module_name != names.MODULE_NAME:
                continue
            index, offset = frame.func_index, frame.module_offset
            offsets = self._offsets.get(index, [])
            at = bisect_left(offsets, offset)
            if at < len(offsets) and offsets[at] == offset and self._origins[index][at] >= 0:
                return index, self._origins[index][at]
        return None


def _alive(method: weakref.WeakMethod[Any]) -> Callable[..., None]:
    found = method()
    assert found is not None, "the oracle is alive while its module runs"
    return found


def _signed(value: int, bits: int) -> int:
    value %= 2**bits
    return value - 2**bits if value >= 2 ** (bits - 1) else value
