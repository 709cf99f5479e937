"""SIGINT and SIGTERM of the command's own process (`main` called by other code leaves that code's handlers alone)."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_AGAIN = 1.0  # seconds


class Terminated(BaseException):
    """The process was told to end (SIGTERM). No KeyboardInterrupt: click would take it for one."""


def install() -> None:
    """Both raise, so that files that are half written go. What is raised inside a destructor, or where a library in C
    clears errors, is lost; so it is raised again until `heard`.
    """

    def handler(exception: type[BaseException]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if hasattr(signal, "setitimer"):
                signal.signal(signal.SIGALRM, handle)
                signal.setitimer(signal.ITIMER_REAL, _AGAIN)
            raise exception

        return handle

    signal.signal(signal.SIGINT, handler(KeyboardInterrupt))
    signal.signal(signal.SIGTERM, handler(Terminated))


def heard() -> None:
    """No more of it."""
    with suppress(AttributeError, ValueError):
        signal.setitimer(signal.ITIMER_REAL, 0)


def uninstall() -> None:
    """What comes now finds nothing that has to be put in order."""
    heard()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
