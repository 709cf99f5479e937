"""What the commands print: lines for people, JSON for machines, the program's own bytes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import click

from ...compiler.format.files import words
from ...compiler.format.printable import printable
from ..bit_patterns import Reference
from .streams import write_bytes

LONGEST_LINE = 2000  # characters, of an error


class OutputError(click.ClickException):
    """A standard stream takes no more."""


def say(text: str) -> None:
    """A line, or several, on stdout."""
    with _writing("standard output"):
        click.echo(printable(text, lines=True))


def complain(text: str) -> None:
    """On stderr. Where that is closed or full, nobody is told."""
    with suppress(OSError, ValueError):
        click.echo("\n".join(map(_shortened, printable(text, lines=True).split("\n"))), err=True)


def _shortened(line: str) -> str:
    """Without the middle of what nobody reads: names and numbers may have any length."""
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 200]} ... {line[-200:]}"


def write_output(stream: str, data: bytes) -> None:
    """The program's own bytes, unchanged, on "stdout" or "stderr"."""
    if data:
        with _writing(f"standard {stream.removeprefix('std').replace('out', 'output').replace('err', 'error')}"):
            write_bytes(sys.stdout if stream == "stdout" else sys.stderr, data)


@contextmanager
def _writing(what: str) -> Iterator[None]:
    """Raises OutputError, or BrokenPipeError where nobody reads the stream any more."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{what}: {words(error)}") from None


def to_json(value: Any) -> str:
    """One line of JSON. It has no infinities and no NaN: these become "inf", "-inf", "nan"; a reference is a text, too."""
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, Reference) else value


def dump(data: bytes, address: int) -> str:
    """Sixteen bytes a line: address, hexadecimal, characters."""
    lines = []
    for i in range(0, len(data), 16):
        part = data[i : i + 16]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        lines.append(f"{address + i:08x}  {part.hex(' '):<47}  {shown}")
    return "\n".join(lines)
