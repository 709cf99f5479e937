"""wasmtime as it is used here: deep recursion, little address space, calls that can be interrupted."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import thread_time
from typing import ClassVar, TypeVar

import wasmtime
from wasmtime import _ffi as ffi

from ....compiler.format.limits import TABLE_ELEMENTS
from ...errors import OracleError
from ...world import World
from .clock import Clock
from .linking import Library, instantiate_linked
from .wasi import Wasi

T = TypeVar("T")

# wasmtime's own stack must never be the limit that is met first: FRAME_LIMIT calls of some hundred bytes each. This
# much address space is reserved while a call runs; only what is used becomes memory. Where there is less, less is taken.
WASM_STACK, LEAST_STACK = 2**30, 2**26
STACK_MARGIN = 2**24  # for the host's frames above and below
# wasmtime reserves 4 GiB of addresses for a memory unless it is told what is enough; a larger one moves.
MEMORY_RESERVATION = 2**26
# After a call that took less, its thread is kept for the next one: in that time, some MiB of the stack become memory.
KEPT_SECONDS, IDLE, BUSY = 0.002, "idle", "wasmtime"
_LOOK = 0.2  # seconds between two looks at whether somebody wants to interrupt
FUEL = 2**62
# Elements that a table has room for, as everything that wasmtime is asked to do comes from a stranger's module: 2^31 elements
# take 16 GiB. More than the model has room for, so that what is refused here is told as the model's limit.
TABLE_ROOM = 2 * TABLE_ELEMENTS


def configuration(stack: int, fuel: bool = False) -> wasmtime.Config:
    config = wasmtime.Config()
    config.wasm_multi_memory = True
    config.wasm_tail_call = True
    config.wasm_memory64 = True
    config.wasm_function_references = True
    config.wasm_exceptions = True
    config.wasm_gc = True
    config.wasm_threads = True
    config.cranelift_nan_canonicalization = True  # WebAssembly leaves the bits of a NaN open; the routines do not
    config.wasm_relaxed_simd = True
    ffi.wasmtime_config_wasm_relaxed_simd_deterministic_set(config.ptr(), True)  # neither does the deterministic profile
    config.consume_fuel = fuel
    config.epoch_interruption = True
    config.memory_reservation = MEMORY_RESERVATION
    config.memory_reservation_for_growth = MEMORY_RESERVATION
    config.memory_guard_size = 0
    # wasmtime wants its asynchronous stacks, which are not used here, to be no smaller.
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), stack + STACK_MARGIN)
    config.max_wasm_stack = stack
    return config


def instantiate(
    wasm: bytes,
    libraries: Sequence[Library],
    wasi: Wasi | None,
    world: World,
    fuel: bool = False,
) -> tuple[wasmtime.Store, wasmtime.Instance]:
    """An instance with what it imports. Raises OracleError for what wasmtime refuses or has no room for."""
    engine = wasmtime.Engine(configuration(stack_size(), fuel))
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    store.set_epoch_deadline(1)
    store.set_limits(table_elements=TABLE_ROOM)
    if fuel:
        store.set_fuel(FUEL)
    linker.allow_shadowing = True
    try:
        linker.define_wasi()
        if wasi:
            wasi.open(store)
            wasi.define(store, linker)
        else:
            store.set_wasi(wasmtime.WasiConfig())
        clock = wasi.clock if wasi else Clock(world)
        return store, instantiate_linked(store, linker, wasm, libraries, clock)
    except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
        raise OracleError(f"wasmtime does not instantiate the program: {said(error)}") from None


def said(error: Exception) -> str:
    """What wasmtime says, as one line."""
    lines = (line.strip().rstrip(":") for line in str(error).splitlines())
    return ": ".join(line for line in lines if line and line != "Caused by")


_sizes: list[int] = []  # what `stack_size` found


def stack_size() -> int:
    """WASM_STACK, or as much of it as this process has addresses for. Raises OracleError below LEAST_STACK."""
    if not _sizes:
        size = WASM_STACK
        while not _starts(size + STACK_MARGIN):
            size //= 2
            if size < LEAST_STACK:
                raise OracleError(f"no room for a stack of {LEAST_STACK >> 20} MiB, which wasmtime needs here")
        # What runs needs addresses too: not all that is left goes into the stack.
        _sizes.append(size if size == WASM_STACK else max(size // 2, LEAST_STACK))
    return _sizes[0]


def _starts(size: int) -> bool:
    """Whether a thread can have a stack of this size."""
    try:
        _thread(size, lambda: None).join()
    except (RuntimeError, MemoryError):
        return False
    return True


def _thread(size: int, work: Callable[[], None]) -> threading.Thread:
    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread


class _Worker:
    """A thread with a large stack, which does what it is given: to start one takes longer than a short call."""

    _idle: ClassVar[list[_Worker]] = []

    def __init__(self) -> None:
        self._work = SimpleQueue[Callable[[], None] | None]()
        self._thread: threading.Thread | None = None

    @classmethod
    def waiting(cls) -> _Worker:
        """One that nobody else has."""
        try:
            return cls._idle.pop()
        except IndexError:
            return cls()

    def do(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        if self._thread is None:
            self._thread = _thread(stack_size() + STACK_MARGIN, self._run)
        self._thread.name = BUSY

    def leave(self, seconds: float) -> None:
        """It has done what took so much processor time. Kept is one, with a stack of which little has become memory."""
        if seconds < KEPT_SECONDS and stack_size() == WASM_STACK and not self._idle and self._thread is not None:
            self._thread.name = IDLE  # by which the end of the process is not held up
            self._idle.append(self)
        else:
            self.end()

    def end(self) -> None:
        """It ends when it has done what it was given."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


if hasattr(os, "register_at_fork"):  # threads stay behind
    os.register_at_fork(after_in_child=_Worker._idle.clear)


def call(store: wasmtime.Store, function: Callable[[], T]) -> T:
    """Runs a function that calls into the store, in a thread whose stack holds all of wasmtime's frames.

    KeyboardInterrupt, whenever it comes, stops what runs there before it goes on.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []
    done = threading.Lock()  # held until then: `Thread.join` takes a thread for ended when an interrupt cuts it off
    done.acquire()
    running = threading.Lock()
    given_up = False
    worker, seconds = _Worker.waiting(), 0.0

    def work() -> None:
        nonlocal seconds
        began = thread_time()
        try:
            with running:
                if not given_up:
                    outcome.append(function())
        except BaseException as error:
            failure.append(error)
        finally:
            seconds = thread_time() - began
            done.release()

    try:
        worker.do(work)
        while not done.acquire(timeout=_LOOK):
            pass
    except (RuntimeError, MemoryError):
        raise OracleError(f"no room for a stack of {stack_size() >> 20} MiB, which wasmtime needs here") from None
    except BaseException:
        # It may come before the thread is known to have started: then nothing says that it will ever be done.
        given_up = True
        worker.end()
        store.engine.increment_epoch()  # the deadline is one tick: what runs traps at its next loop or call
        with running:
            store.set_epoch_deadline(1)
        raise
    worker.leave(seconds)
    if failure:
        raise failure[0]
    return outcome[0]
