"""One call at a time on a sequence that grows: threads wait for each other, and nothing goes on from half a call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from .errors import ArgumentError, InstanceError, Trap


class _Inside:
    """The call that is about to be made, for whoever holds the lock."""

    def __init__(self, owner: Exclusive):
        self._owner, self.name = owner, ""

    def __enter__(self) -> None:
        self._owner.inside, self._owner.thread = self.name, threading.get_ident()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        if kind is None or issubclass(kind, (Trap, ArgumentError)):
            self._owner.inside = None
        self._owner.thread = None


class Exclusive:
    """Lets one call at a time in. what: as the error messages name the object whose calls they are.

    A call that ends in any other way than with a result, Trap or ArgumentError has left the tokens somewhere in the
    middle: no further one is let in.
    """

    def __init__(self, what: str):
        self._what = what
        self._lock = threading.Lock()
        self.thread: int | None = None  # that is inside
        self.inside: str | None = None  # the call that is, or that was cut off
        self._call = _Inside(self)

    @property
    def broken(self) -> bool:
        """A call was cut off. Asked from outside of calls."""
        return self.inside is not None

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Holds all other threads off. Raises InstanceError for a call from within a call, and after one was cut off."""
        with self.lock(name), self.entered(name):
            yield

    def lock(self, name: str) -> threading.Lock:
        """The same in two steps, for short calls: `with lock(name), entered(name)`."""
        if self.thread == threading.get_ident():
            raise InstanceError(f"{name}: this {self._what} is in the middle of {self.inside}; a callback cannot call it")
        return self._lock

    def entered(self, name: str) -> _Inside:
        if self.inside is not None:
            raise InstanceError(f"{name}: this {self._what} stopped in the middle of {self.inside}; make a new one")
        self._call.name = name
        return self._call
