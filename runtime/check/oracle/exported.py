"""What an instrumented module exports for the host, without detours: wasmtime's package asks for types and makes new ones each
time, which takes longer than a short call."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import wasmtime
from wasmtime import _ffi as ffi

from .record import LOG_BYTES, RECORD

_LOG = ctypes.c_uint8 * LOG_BYTES


class I32Global:
    """A mutable global of type i32 in a store."""

    def __init__(self, store: wasmtime.Store, exported: Any):
        self._store, self._exported = store, exported
        self._value = ffi.wasmtime_val_t(kind=ffi.WASMTIME_I32)
        self._places = ctypes.byref(exported._global), ctypes.byref(self._value)

    def get(self) -> int:
        """As it is now, signed."""
        ffi.wasmtime_global_get(self._store._context(), *self._places)
        return self._value.of.i32

    def set(self, value: int) -> None:
        self._value.of.i32 = value
        error = ffi.wasmtime_global_set(self._store._context(), *self._places)
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)


def records_in(store: wasmtime.Store, log: wasmtime.Memory, used: int) -> np.ndarray:
    """`RECORD` [used / its size]: those in the first bytes of the log, to be looked at before anything runs again."""
    buffer = _LOG.from_address(ctypes.addressof(log.data_ptr(store).contents))
    return np.frombuffer(memoryview(buffer)[:used], RECORD)
