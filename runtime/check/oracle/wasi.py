"""What wasmtime's WASI is told: the same world as the model. Its standard streams are opened once for each instance."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import wasmtime

from ....compiler.format.isa import TRAPS
from ...world import RANDOM_BYTES, World
from .clock import ASKING, CLOCK_REGISTERS, Clock
from .folders import OracleFolders
from .poll import poll_oneoff

WASI = "wasi_snapshot_preview1"
NOTHING = World(random=bytes(RANDOM_BYTES), clock=0.0)  # no input, no arguments, no environment
# What wasmtime says where a call of WASI ends with an error instead of an errno, and what it is here.
_ERRORS = {
    "exit with invalid exit status": "host_error",  # of proc_exit: 126 or more
    "Pointer out of bounds": "memory_out_of_bounds",
    "Pointer overflow": "memory_out_of_bounds",  # behind 4 GiB
    "Pointer not aligned": "host_error",
    "Invalid enum value": "host_error",
    "Invalid flag": "host_error",
    "number too small to fit in target type": "host_error",  # flags of 64 bits
}


def host_trap(message: str) -> str | None:
    """The key of isa.TRAPS, None for any other error."""
    return next((kind for text, kind in _ERRORS.items() if text in message), None)


def uses_wasi(wasm: bytes) -> bool:
    """Whether a module imports from WASI; true as well where the name stands somewhere else in it."""
    return WASI.encode() in wasm


def is_told(wasm: bytes) -> bool:
    """Whether a module asks WASI, or the registers of the clock. The same holds."""
    return uses_wasi(wasm) or any(name.encode() in wasm for name in CLOCK_REGISTERS)


@dataclass
class Wasi:
    """The WASI world of one instance, with nothing in it but these. What has been read of stdin and which descriptors are
    closed lasts from one call to the next.

    Random bytes and time are those that the model is told, anew for every call; wasmtime's own would be others.
    """

    world: World
    position: int = 0  # in the random bytes

    def __post_init__(self) -> None:
        self.clock = Clock(self.world)
        self.folders = OracleFolders(self.world.folders, self.clock)
        self._probe: Any = None  # fd_fdstat_get and fd_tell, which say what a descriptor is
        self._random = bytearray()
        self._outputs: list[BinaryIO] = []

    def open(self, store: wasmtime.Store) -> None:
        """Gives the store its streams. The files have no names then, and go with the store."""
        with tempfile.TemporaryDirectory(prefix="oracle") as directory:
            path = Path(directory)
            (path / "stdin").write_bytes(self.world.stdin)
            config = wasmtime.WasiConfig()
            arguments, environment = self.world.arguments(), self.world.environment()
            config.argv = [_text(a) for a in arguments]
            config.env = [_text(e).split("=", 1) for e in environment]
            config.stdin_file = path / "stdin"
            config.stdout_file = str(path / "stdout")
            config.stderr_file = str(path / "stderr")
            self.folders.open(config)
            store.set_wasi(config)
            for name in ("stdout", "stderr"):
                output = (path / name).open("rb")
                weakref.finalize(self, output.close)
                self._outputs.append(output)
        self.begin(store)

    def begin(self, store: wasmtime.Store) -> None:
        """A call begins; the start functions together are one."""
        self.position, self._random = 0, bytearray(self.world.random or b"")
        self.clock.reset(store)

    def written(self) -> tuple[bytes, bytes]:
        """What the program has written to stdout and to stderr since this was asked last."""
        stdout, stderr = (output.read() for output in self._outputs)
        return stdout, stderr

    def define(self, store: wasmtime.Store, linker: wasmtime.Linker) -> None:
        """The functions of WASI whose results are not determined by the program, or that it cannot be told."""
        self._probe = linker.instantiate(store, wasmtime.Module(store.engine, _PROBE)).exports(store)
        self.folders.define(store, linker)
        i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
        for name, params, function in (
            ("random_get", [i32, i32], self._random_get),
            ("clock_time_get", [i32, i64, i32], self._clock_time_get),
            ("clock_res_get", [i32, i32], self._clock_res_get),
            ("poll_oneoff", [i32] * 4, self._poll_oneoff),
        ):
            linker.define_func(WASI, name, wasmtime.FuncType(params, [i32]), function, access_caller=True)
        for name, strings in (("args_get", self.world.arguments()), ("environ_get", self.world.environment())):
            if any(_text(s).encode() != s for s in strings):
                type_ = wasmtime.FuncType([i32, i32], [i32])
                linker.define_func(WASI, name, type_, _copying(strings), access_caller=True)

    def _random_get(self, caller: wasmtime.Caller, pointer: int, length: int) -> int:
        length %= 2**32
        if length:
            _check(caller, pointer, length)
        while length:
            part = self._random[self.position : self.position + length]
            _write(caller, pointer, bytes(part))
            self.position, pointer, length = self.position + len(part), pointer + len(part), length - len(part)
            if self.position == RANDOM_BYTES:
                self.position, self._random = 0, _renewed(bytes(self._random))
        return 0

    def _clock_time_get(self, caller: wasmtime.Caller, clock: int, precision: int, pointer: int) -> int:
        error = _tell(caller, clock, pointer, self.clock.read(caller))
        if not error:
            self.clock.wait(caller, ASKING)
        return error

    def _clock_res_get(self, caller: wasmtime.Caller, clock: int, pointer: int) -> int:
        return _tell(caller, clock, pointer, 1)

    def _poll_oneoff(self, caller: wasmtime.Caller, *arguments: int) -> int:
        subscriptions, events, count, number = (a % 2**32 for a in arguments)
        return poll_oneoff(
            caller, self.clock, lambda kind, fd: self._ready(caller, kind, fd), subscriptions, events, count, number
        )

    def _ready(self, caller: wasmtime.Caller, kind: int, fd: int) -> bool:
        """Whether a descriptor is there that can be read (1) or written (2): a file, or a stream with that right."""
        fd -= fd >> 31 << 32
        told = self._probe["tell"](caller, fd)
        if told in (0, _BAD):
            return bool(told == 0)
        return bool(self._probe["rights"](caller, fd) == (_READING if kind == 1 else _WRITING))


_BAD = 8  # WASI's errno
_READING, _WRITING = 2, 64  # WASI's rights
_PROBE = """(module (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tell") (param i32) (result i32) (call $tell (local.get 0) (i32.const 0)))
  (func (export "rights") (param i32) (result i32)
    (drop (call $stat (local.get 0) (i32.const 0))) (i32.load (i32.const 8))))"""
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio


def _renewed(random: bytes) -> bytearray:
    """The random bytes behind these, as compiler/link/wasi_common.wat makes them."""
    renewed = bytearray()
    for at in range(0, len(random), 8):
        x = (int.from_bytes(random[at : at + 8], "little") + _GOLDEN) % 2**64
        x ^= x << 13 & 2**64 - 1
        x ^= x >> 7
        x ^= x << 17 & 2**64 - 1
        renewed += x.to_bytes(8, "little")
    return renewed


def _text(data: bytes) -> str:
    """As wasmtime's bindings take it, which is UTF-8 only: bytes that are none are replaced, each by one (the length,
    which args_sizes_get tells, stays)."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("ascii", errors="surrogateescape").translate(dict.fromkeys(range(56448, 56576), "?"))


def _copying(strings: Sequence[bytes]) -> Callable[[wasmtime.Caller, int, int], int]:
    """args_get or environ_get, of strings that wasmtime's own cannot be told."""

    def function(caller: wasmtime.Caller, pointers: int, buffer: int) -> int:
        for string in strings:
            if pointers % 4:
                raise wasmtime.Trap(TRAPS["host_error"])
            _write(caller, pointers, (buffer % 2**32).to_bytes(4, "little"))
            _write(caller, buffer, string + b"\0")
            pointers, buffer = pointers + 4, buffer + len(string) + 1
        return 0

    return function


def _tell(caller: wasmtime.Caller, clock: int, pointer: int, nanoseconds: int) -> int:
    """What a question about a clock (0 realtime, 1 monotonic, 2 and 3 are not there) gives, as in wasmtime."""
    if not 0 <= clock <= 3:
        raise wasmtime.Trap(TRAPS["host_error"])
    if clock > 1:
        return _BAD
    _check(caller, pointer, 8)
    if pointer % 8:
        raise wasmtime.Trap(TRAPS["host_error"])
    _write(caller, pointer, nanoseconds.to_bytes(8, "little"))
    return 0


def _write(caller: wasmtime.Caller, pointer: int, data: bytes) -> None:
    if data:  # nothing can go anywhere
        _check(caller, pointer, len(data)).write(caller, bytearray(data), pointer % 2**32)


def _check(caller: wasmtime.Caller, pointer: int, length: int) -> wasmtime.Memory:
    memory = caller["memory"]
    assert isinstance(memory, wasmtime.Memory)
    if pointer % 2**32 + length > memory.data_len(caller):
        raise wasmtime.Trap(TRAPS["memory_out_of_bounds"])
    return memory
