"""What wasmtime's WASI is told: the same world as the model, and fresh standard streams for every call."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from ....compiler.format.isa import TRAPS
from ...world import RANDOM_BYTES, World

WASI = "wasi_snapshot_preview1"
NOTHING = World(random=bytes(RANDOM_BYTES), clock=0.0)  # no input, no arguments, no environment
# What wasmtime says of a proc_exit with a status that it does not allow, 126 or more.
BAD_EXIT = "exit with invalid exit status"


def uses_wasi(wasm: bytes) -> bool:
    """Whether a module imports from WASI; true as well where the name stands somewhere else in it."""
    return WASI.encode() in wasm


@dataclass(frozen=True)
class Files:
    directory: tempfile.TemporaryDirectory

    def read(self) -> tuple[bytes, bytes]:
        with self.directory as path:
            return Path(path, "stdout").read_bytes(), Path(path, "stderr").read_bytes()


@dataclass
class Wasi:
    """A WASI world with nothing in it but these, and fresh standard streams for every call.

    Random bytes and time are those that the model is told; wasmtime's own would be others.
    """

    world: World
    position: int = 0  # in the random bytes

    def open(self, store: wasmtime.Store, stdin: bytes) -> Files:
        self.position = 0
        directory = tempfile.TemporaryDirectory(prefix="oracle")
        path = Path(directory.name)
        (path / "stdin").write_bytes(stdin)
        config = wasmtime.WasiConfig()
        arguments, environment = self.world.arguments(), self.world.environment()
        config.argv = [_text(a) for a in arguments]
        config.env = [_text(e).split("=", 1) for e in environment]
        config.stdin_file = path / "stdin"
        config.stdout_file = str(path / "stdout")
        config.stderr_file = str(path / "stderr")
        store.set_wasi(config)
        return Files(directory)

    def define(self, linker: wasmtime.Linker) -> None:
        """The functions of WASI whose results are not determined by the program, or that it cannot be told."""
        i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
        for name, params, function in (
            ("random_get", [i32, i32], self._random_get),
            ("clock_time_get", [i32, i64, i32], self._clock_time_get),
            ("clock_res_get", [i32, i32], self._clock_res_get),
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
            return _AGAIN
        _write(caller, pointer, random[self.position : self.position + length])
        self.position += length
        return 0

    def _clock_time_get(self, caller: wasmtime.Caller, clock: int, precision: int, pointer: int) -> int:
        return _tell(caller, clock, pointer, round((self.world.clock or 0.0) * 10**9))

    def _clock_res_get(self, caller: wasmtime.Caller, clock: int, pointer: int) -> int:
        return _tell(caller, clock, pointer, 1)


_AGAIN, _BAD = 6, 8  # WASI's errno


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
