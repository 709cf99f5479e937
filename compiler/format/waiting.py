"""Long calls of libraries in C, which Python cannot interrupt by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def interruptible(function: Callable[[], T]) -> T:
    """The function's result, or what it raises. It runs in a thread of its own; when the one that waits is interrupted
    (KeyboardInterrupt, or whatever else a signal's handler raises), that thread is left behind and ends with the process.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
