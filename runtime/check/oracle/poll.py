"""WASI's poll_oneoff as wasmtime does it, without waiting: the time that would pass is added to the clock. Events that would be
written over subscriptions which are still to be read are not supported, by the model either."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import wasmtime

from ....compiler.format.isa import TRAPS
from .clock import Clock

_BAD, _INVALID, _TOO_MANY, _NOT_SUPPORTED = 8, 28, 48, 58  # WASI's errno
_CLOCK = 0  # type of a subscription
_LAST_CLOCK = 3  # 2 and 3 have a name, and are not there
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
    if 0 < events - where < count * _SIZE:
        return _NOT_SUPPORTED
    clock.read(caller)
    places = range(where, where + count * _SIZE, _SIZE)
    try:
        waiting = [(s, _wait(s, clock, ready)) for s in (_read(caller, place) for place in places)]
    except _Errno as error:
        return error.args[0]
    least = min(wait for _, wait in waiting)
    first = [subscription for subscription, wait in waiting if wait == least]
    for k, subscription in enumerate(first):
        stream = subscription.kind != _CLOCK
        fields = ((0, 8, subscription.data), (8, 2, 0), (10, 1, subscription.kind), (16, 8, int(stream)), (24, 2, 0))
        for at, size, value in fields:
            _Field(caller, events + k * _EVENT_SIZE + at, size).write(value.to_bytes(size, "little"))
    if least:
        clock.wait(caller, least - 1)
    _Field(caller, number, 4).write(len(first).to_bytes(4, "little"))
    return 0


class _Subscription(NamedTuple):
    """data: what its event says. what: a clock or a descriptor. time, flags: of a clock."""

    data: int
    kind: int
    what: int
    time: int = 0
    flags: int = 0


def _read(caller: wasmtime.Caller, place: int) -> _Subscription:
    """Field by field, as far as its kind has them. Raises _Errno."""

    def field(at: int, size: int) -> int:
        return int.from_bytes(_Field(caller, place + at, size).read(), "little")

    data, kind = field(0, 8), field(8, 1)
    if kind > 2:
        raise _Errno(_INVALID)
    what = field(16, 4)
    if kind != _CLOCK:
        return _Subscription(data, kind, what)
    if what > _LAST_CLOCK:
        raise _Errno(_INVALID)
    time, _precision, flags = field(24, 8), field(32, 8), field(40, 2)
    if flags > 1:
        raise _Errno(_INVALID)
    return _Subscription(data, kind, what, time, flags)


def _wait(subscription: _Subscription, clock: Clock, ready: Callable[[int, int], bool]) -> int:
    """0 for a stream, which is ready; n + 1 for a clock with n nanoseconds to wait. Raises _Errno."""
    _, kind, what, time, flags = subscription
    if kind == _CLOCK:
        if what > 1:
            raise _Errno(_INVALID)
        return min(max(0, time - clock.now) if flags else time, _FOREVER - 1) + 1
    if not ready(kind, what):
        raise _Errno(_BAD)
    return 0


class _Field:
    """So many bytes of the caller's memory, which are there and aligned."""

    def __init__(self, caller: wasmtime.Caller, pointer: int, size: int):
        memory = caller["memory"]
        assert isinstance(memory, wasmtime.Memory)
        if pointer + size > memory.data_len(caller):
            raise wasmtime.Trap(TRAPS["memory_out_of_bounds"])
        if pointer % size:
            raise wasmtime.Trap(TRAPS["host_error"])
        self._memory, self._caller, self._pointer, self._size = memory, caller, pointer, size

    def read(self) -> bytes:
        return bytes(self._memory.read(self._caller, self._pointer, self._pointer + self._size))

    def write(self, data: bytes) -> None:
        self._memory.write(self._caller, bytearray(data), self._pointer)
