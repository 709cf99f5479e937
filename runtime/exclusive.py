"""One call at a time on a sequence that grows: threads wait for each other, and nothing goes on from half a call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import ArgumentError, InstanceError, Trap


class Exclusive:
    """Lets one call at a time in. what: as the error messages name the object whose calls they are.

    A call that ends in any other way than with a result, Trap or ArgumentError has left the tokens somewhere in the
    middle: no further one is let in.
    """

    def __init__(self, what: str):
        self._what = what
        self._lock = threading.Lock()
        self._thread: int | None = None  # that is inside
        self._inside: str | None = None  # the call that is, or that was cut off

    @property
    def broken(self) -> bool:
        """A call was cut off. Asked from outside of calls."""
        return self._inside is not None

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Holds all other threads off. Raises InstanceError for a call from within a call, and after one was cut off."""
        if self._thread == threading.get_ident():
            raise InstanceError(f"{name}: this {self._what} is in the middle of {self._inside}; a callback cannot call it")
        with self._lock:
            if self._inside is not None:
                raise InstanceError(f"{name}: this {self._what} stopped in the middle of {self._inside}; make a new one")
            self._inside, self._thread = name, threading.get_ident()
            try:
                yield
            except (Trap, ArgumentError):
                self._inside = None
                raise
            else:
                self._inside = None
            finally:
                self._thread = None
