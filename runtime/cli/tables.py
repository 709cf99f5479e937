"""Tables on stdout: with rules on a terminal, plain columns as wide as they need in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...compiler.format.printable import printable


def make_console() -> Console:
    """For stdout. In a pipe nothing is cut or wrapped."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=10_000, no_color=True)


def print_line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(printable(text, lines=True), style=style))


def print_table(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Columns whose name begins with # are aligned right; no header when the first name is empty."""
    columns = list(columns)
    table = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_header=columns[0] != "")
    for column in columns:
        table.add_column(column.lstrip("#"), justify="right" if column.startswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else printable(str(cell))) for cell in row))
    print_line(console, f"\n{title}", "bold")
    # A table pads every line to its width; in a pipe that is noise.
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")
