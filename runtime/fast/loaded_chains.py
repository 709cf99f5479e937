"""Object code of chains in memory, and what engines of one program share in a process: these, and how much they have decoded."""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .image import ChainCode
from .jit import CodeMemory

# Programs whose chains stay in memory when their engines are gone: those that were used last.
PROGRAMS = 16

_DRIVE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, ctypes.c_int64, *[ctypes.c_void_p] * 4)


class LoadedChains:
    """Object code in memory; called as `special` is, whose address `special` has. tokens: ids that they decode without a look at
    their flags. address: of the function `drive`. Its state is that of whoever calls it, so engines share it."""

    def __init__(self, code: ChainCode):
        self.tokens, self.quick = code.tokens, code.quick
        self._memory = CodeMemory(code.code)
        self.address = self._memory.function("drive")
        self._drive = _DRIVE(self.address)

    def behind(self, special: Any, decoded: ctypes.c_int64) -> Callable[..., int]:
        """A function with the arguments of `special`, for decoding. It adds to `decoded` the tokens that chains have decoded: the
        others were left to `special`."""
        address, count = ctypes.cast(special, ctypes.c_void_p).value, ctypes.addressof(decoded)
        return lambda state, tokens, most, out, flags, probe: self._drive(state, out, most, flags, probe, address, count)


class Shared:
    """What engines of a program know together.

    tokens, by_chains: that all of them have decoded so far, and those of them by chains. since: the same when chains were loaded
    or looked at last. sampled: tokens that the samples of one had at most. due: tokens from which others are due. sought: whether
    those that were made before have been asked for. thread: makes some. made: those that nobody has loaded yet. changes: how
    many there have been; best: of them, those made with all of LLVM's passes.
    """

    def __init__(self) -> None:
        self.tokens = self.by_chains = self.sampled = self.changes = self.best = 0
        self.since = 0, 0
        self.due: int | None = None
        self.sought = False
        self.loaded: LoadedChains | None = None
        self.thread: threading.Thread | None = None
        self.made: list[ChainCode] = []

    @property
    def making(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def load(self) -> None:
        """What has been made last, if that is not in memory yet."""
        if not self.made:
            return
        with suppress(IndexError):  # another thread has taken it
            code = self.made.pop()
            self.loaded, self.since = LoadedChains(code), (self.tokens, self.by_chains)


_lock = threading.Lock()
_shared: OrderedDict[str, Shared] = OrderedDict()


def shared(name: str) -> Shared:
    """By a program's name in the cache; nobody's where it has none."""
    if not name:
        return Shared()
    with _lock:
        found = _shared.setdefault(name, Shared())
        _shared.move_to_end(name)
        while len(_shared) > PROGRAMS:
            _shared.popitem(last=False)
    return found
