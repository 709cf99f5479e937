"""What is going on, on a terminal; nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...compiler.format.printable import printable
from .output import write_output


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal, nothing in a pipe; the value changes its text."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(printable(text))) as status:
        yield lambda text: status.update(Text(printable(text)))


class TokenProgress:
    """Tokens so far, on a terminal, until the program writes something itself."""

    def __init__(self, name: str):
        self._name = name
        self._display: Any = None
        self._task: Any = None

    def tokens(self, count: int) -> None:
        if self._display is not None:
            self._display.update(self._task, completed=count)

    def output(self, stream: str, data: bytes) -> None:
        self.stop()
        write_output(stream, data)

    def start(self) -> None:
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        text = TextColumn("{task.description}: {task.completed:,} tokens", markup=False)
        columns = (SpinnerColumn(), text, TimeElapsedColumn())
        self._display = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._display.add_task(printable(self._name), total=None)
        self._display.start()

    def stop(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None


@contextmanager
def progress_of(name: str) -> Iterator[TokenProgress]:
    progress = TokenProgress(name)
    progress.start()
    try:
        yield progress
    finally:
        progress.stop()
