"""--timeout and --max-memory-mib: bounds of everything that a command does, from reading its input on."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click

from ..watch import NoTimerError, watched
from .errors import refusals
from .numbers import Integer, Seconds

CHAINS = "WASM2XFORMER_CHAINS"

_OPTIONS = (
    click.option("--timeout", type=Seconds(), metavar="SECONDS",
                 help="Give up when all of it together has taken so long."),
    click.option("--max-memory-mib", type=Integer(1), metavar="MIB",
                 help="Give up when this process occupies more memory than that."),
)  # fmt: skip


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options, and watches over it."""

    @functools.wraps(command)
    def wrapped(*args: Any, timeout: float | None, max_memory_mib: int | None, **options: Any) -> Any:
        with refusals(), watching(timeout, max_memory_mib):
            return command(*args, **options)

    return limit_options(wrapped)


@contextmanager
def watching(timeout: float | None, mib: int | None) -> Iterator[None]:
    """Raises Unfinished where one is passed. None: no bound."""
    if timeout is None and mib is None:
        yield
        return
    try:
        with watched(timeout, mib), _no_new_chains() if mib else nullcontext():
            yield
    except NoTimerError as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def _no_new_chains() -> Iterator[None]:
    """A bound of memory is for what a command does, not for what makes later ones faster: see docs/fast-engine.md, Chains."""
    before = os.environ.get(CHAINS)
    if before != "0":
        os.environ[CHAINS] = "ready"
    try:
        yield
    finally:
        os.environ.pop(CHAINS, None)
        if before is not None:
            os.environ[CHAINS] = before
