"""WASI's poll_oneoff as wasmtime does it, without waiting: the time that would pass is added to the clock."""

from __future__ import annotations

import struct
from collections.abc import Callable

import wasmtime

from ....compiler.format.isa import TRAPS
from .clock import Clock

_BAD, _INVALID, _TOO_MANY = 8, 28, 48  # WASI's errno
_CLOCK = 0  # type of a subscription
_SIZE, _EVENT_SIZE = 48, 32
_FOREVER = 2**64 - 1


class _Errno(Exception):
    """args: the number."""


def poll_oneoff(
    caller: wasmtime.Caller,
    clock: Clock,
    ready: Callable[[int, int], bool],
    where: int,
    events: int,
    count: int,
    number: int,
) -> int:
    """ready: of a type of subscription (1 reading, 2 writing) and a descriptor, whether it can
    be. The others are WASI's parameters, unsigned."""
    if count == 0:
        return _INVALID
    if count * _SIZE >= 2**32:
        return _TOO_MANY
    _aligned(where, 8)
    clock.read(caller)
    places = range(where, where + count * _SIZE, _SIZE)
    try:
        waits = [_wait(_read(caller, place, _SIZE), clock, ready) for place in places]
    except _Errno as error:
        return error.args[0]
    least = min(waits)
    first = [place for place, wait in zip(places, waits, strict=True) if wait == least]
    for k, place in enumerate(first):
        _aligned(events, 8)
        data, at = _read(caller, place, _SIZE), events + k * _EVENT_SIZE
        _write(caller, at, data[:8])
        _write(caller, at + 8, bytes([0, 0, data[8]]))
        _write(caller, at + 16, (data[8] != _CLOCK).to_bytes(8, "little") + bytes(2))
    if least:
        clock.wait(caller, least - 1)
    _aligned(number, 4)
    _write(caller, number, len(first).to_bytes(4, "little"))
    return 0


def _wait(data: bytes, clock: Clock, ready: Callable[[int, int], bool]) -> int:
    """0 for a stream, which is ready; n + 1 for a clock with n nanoseconds to wait. Raises _Errno."""
    kind, what, time, flags = data[8], *struct.unpack_from("<I4xQ8xH", data, 16)
    if kind == _CLOCK:
        if what > 1 or flags > 1:
            raise _Errno(_INVALID)
        return min(max(0, time - clock.now) if flags else time, _FOREVER - 1) + 1
    if kind > 2:
        raise _Errno(_INVALID)
    if not ready(kind, what):
        raise _Errno(_BAD)
    return 0


def _aligned(pointer: int, to: int) -> None:
    if pointer % to:
        raise wasmtime.Trap(TRAPS["host_error"])


def _read(caller: wasmtime.Caller, pointer: int, length: int) -> bytes:
    return bytes(_memory(caller, pointer, length).read(caller, pointer, pointer + length))


def _write(caller: wasmtime.Caller, pointer: int, data: bytes) -> None:
    _memory(caller, pointer, len(data)).write(caller, bytearray(data), pointer)


def _memory(caller: wasmtime.Caller, pointer: int, length: int) -> wasmtime.Memory:
    memory = caller["memory"]
    assert isinstance(memory, wasmtime.Memory)
    if pointer + length > memory.data_len(caller):
        raise wasmtime.Trap(TRAPS["memory_out_of_bounds"])
    return memory
