"""Numbers on the command line, with messages that say what would be one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import click


class Integer(click.ParamType):
    """least to most; most None: no end."""

    name = "integer"

    def __init__(self, least: int, most: int | None = None):
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if number < self._least or (self._most is not None and number > self._most):
            end = f"from {self._least:,} to {self._most:,}" if self._most is not None else f"of {self._least:,} or more"
            self.fail(f"{value!r} is no integer {end}", param, ctx)
        return number


class _AboveZero(click.ParamType):
    """A finite number above 0."""

    what = ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is no number{self.what} above 0", param, ctx)
        return number


class Seconds(_AboveZero):
    name = "seconds"
    what = " of seconds"


class Size(_AboveZero):
    name = "size"


def address(text: str, where: str) -> int:
    """An address or length, decimal or hexadecimal (0x...). Raises UsageError; where: the option, as it was written."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 2**32:
        raise click.UsageError(f"{where}: {text!r} is no number from 0 to 2^32 - 1")
    return value


def format_call(name: str, values: Sequence[Any]) -> str:
    """A call with its arguments. What has more bits than a number is a vector, in hexadecimal."""
    shown = (f"0x{v:032x}" if isinstance(v, int) and v.bit_length() > 64 else str(v) for v in values)
    return f"{name}({', '.join(shown)})"
