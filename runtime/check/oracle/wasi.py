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
from .clock import Clock
from .poll import poll_oneoff

WASI = "wasi_snapshot_preview1"
NOTHING = World(random=bytes(RANDOM_BYTES), clock=0.0)  # no input, no arguments, no environment
# What wasmtime says where a call of WASI ends with an error instead of an errno, and what it is here.
_ERRORS = {
    "exit with invalid exit status": "host_error",  # of proc_exit: 126 or more
    "Pointer out of bounds": "memory_out_of_bounds",
    "Pointer not aligned": "host_error",
    "Invalid enum value": "host_error",
    "Invalid flag": "host_error",
}


def host_trap(message: str) -> str | None:
    """The key of isa.TRAPS, None for any other error."""
    return next((kind for text, kind in _ERRORS.items() if text in message), None)


def uses_wasi(wasm: bytes) -> bool:
    """Whether a module imports from WASI; true as well where the name stands somewhere else in it."""
    return WASI.encode() in wasm


@dataclass
class Wasi:
    """The WASI world of one instance, with nothing in it but these. What has been read of stdin and which descriptors are
    closed lasts from one call to the next.

    Random bytes and time are those that the model is told, anew for every call; wasmtime's own would be others.
    """

    world: World
    position: int = 0  # in the random bytes
    limit: str = ""  # of the model, that the latest call has met

    def __post_init__(self) -> None:
        self.clock = Clock(self.world)
        self._tell: Any = None  # fd_tell, which says whether a descriptor is open
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
            store.set_wasi(config)
            for name in ("stdout", "stderr"):
                output = (path / name).open("rb")
                weakref.finalize(self, output.close)
                self._outputs.append(output)
        self.begin(store)

    def begin(self, store: wasmtime.Store) -> None:
        """A call begins; the start functions together are one."""
        self.position, self.limit = 0, ""
        self.clock.reset(store)

    def written(self) -> tuple[bytes, bytes]:
        """What the program has written to stdout and to stderr since this was asked last."""
        stdout, stderr = (output.read() for output in self._outputs)
        return stdout, stderr

    def define(self, store: wasmtime.Store, linker: wasmtime.Linker) -> None:
        """The functions of WASI whose results are not determined by the program, or that it cannot be told."""
        probe = linker.instantiate(store, wasmtime.Module(store.engine, _PROBE))
        self._tell = probe.exports(store)["tell"]
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
        random = self.world.random or b""
        if length > len(random) - self.position:
            self.limit = f"an invocation has {RANDOM_BYTES} random bytes"
            return _AGAIN
        _write(caller, pointer, random[self.position : self.position + length])
        self.position += length
        return 0

    def _clock_time_get(self, caller: wasmtime.Caller, clock: int, precision: int, pointer: int) -> int:
        return _tell(caller, clock, pointer, self.clock.now)

    def _clock_res_get(self, caller: wasmtime.Caller, clock: int, pointer: int) -> int:
        return _tell(caller, clock, pointer, 1)

    def _poll_oneoff(self, caller: wasmtime.Caller, *arguments: int) -> int:
        subscriptions, events, count, number = (a % 2**32 for a in arguments)
        return poll_oneoff(
            caller, self.clock, lambda fd: self._is_open(caller, fd), subscriptions, events, count, number
        )

    def _is_open(self, caller: wasmtime.Caller, fd: int) -> bool:
        return self._tell(caller, fd) != _BAD


_AGAIN, _BAD = 6, 8  # WASI's errno
_PROBE = """(module (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tell") (param i32) (result i32) (call $tell (local.get 0) (i32.const 0))))"""


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
