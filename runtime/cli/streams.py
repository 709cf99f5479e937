"""This process's standard streams and arguments, whatever state whoever started it left them in."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any


def prepare_streams() -> None:
    """Every later write to stdout and stderr has somewhere to go, and no character is one that they cannot show."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)
        with suppress(AttributeError, ValueError, OSError):  # replaced by something else that can be written to
            getattr(sys, name).reconfigure(errors="backslashreplace")


def discard(stream: Any) -> None:
    """What is still to be written to a stream that takes nothing more goes nowhere: Python would complain at exit."""
    with suppress(OSError, ValueError, AttributeError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def write_bytes(stream: Any, data: bytes) -> None:
    """Raises OSError."""
    stream.flush()
    if hasattr(stream, "buffer"):
        stream.buffer.write(data)
        stream.buffer.flush()
    else:  # a text stream in the place of the real one
        stream.write(data.decode(errors="replace"))


def standard_input() -> io.BufferedIOBase | None:
    """stdin as bytes; None where it is closed."""
    if sys.stdin is None or sys.stdin.closed:
        return None
    return getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode(errors="surrogateescape"))


def decoded(argument: str) -> str:
    """An argument of this process as text that stands for the same bytes in UTF-8, whatever the locale's encoding is."""
    try:
        return os.fsencode(argument).decode(errors="surrogateescape")
    except UnicodeEncodeError:  # it does not come from a command line
        return argument
