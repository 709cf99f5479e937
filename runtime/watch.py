"""A bound of time and memory for whatever is running, looked at by a timer's signal."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import Unfinished

_SECONDS = 0.1  # between two looks
_AGAIN = 1.0  # after it was told: time to say what is known of what was given up
_STATM = Path("/proc/self/statm")


class NoTimerError(RuntimeError):
    """There are no such signals here, or not for this thread."""


@contextmanager
def watched(timeout: float | None, mib: int | None) -> Iterator[None]:
    """Raises Unfinished in whatever is running when it takes longer, or this process grows larger.

    A timer's signal looks again and again: what is not heard, because a library is in the middle of something, is
    heard a second later. Raises NoTimerError.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise NoTimerError("--timeout and --max-memory-mib need the main thread, and a system with timers")
    # Imports what it needs now: an import by a signal's handler in the middle of another import makes that one fail (CPython
    # 3.11 forgets there that the thread waits for a module's lock).
    resident_mib()
    began, told, over = time.monotonic(), -math.inf, False

    def look(number: int, frame: object) -> None:
        nonlocal told
        now = time.monotonic()
        if over or now < told + _AGAIN:
            return
        reason = _passed(timeout, now - began, mib)
        if reason:
            told = now
            raise Unfinished(reason)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS, _SECONDS)
    try:
        look(0, None)  # what ends before the timer's first signal has its bound all the same
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _passed(timeout: float | None, seconds: float, mib: int | None) -> str:
    """The bound that is passed after so many seconds, "" for none."""
    if timeout is not None and seconds >= timeout:
        return f"not finished after {timeout:g} second{'s' if timeout != 1 else ''} (--timeout)"
    if mib is not None and (now := resident_mib()) > mib:
        return f"not finished within {mib:,} MiB of memory (--max-memory-mib): {now:,.0f} MiB are in use"
    return ""


def resident_mib() -> float:
    """Memory of this process that is not paged out, in MiB; where only the most it ever was is known, that."""
    import resource  # POSIX only

    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 1024
