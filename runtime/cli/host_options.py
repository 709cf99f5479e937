"""Options of the command line for what a program gets from its host: standard input, environment, memory, ..."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ...compiler.format.files import read_file, read_stream
from ..folders import Folders
from ..world import RANDOM_BYTES, World
from .directories import host_folders, read_folder, store_folders
from .numbers import address
from .streams import decoded, standard_input


def _seeded(seed: int) -> bytes:
    """Random bytes, the same for the same seed."""
    from random import Random  # imported where it is asked for: seldom

    return Random(seed).randbytes(RANDOM_BYTES)


@dataclass(frozen=True)
class Host:
    """The values of the options. writes: ADDRESS=FILE. folders: FOLDER::NAME."""

    stdin: str | None
    env: tuple[str, ...]
    seed: int | None
    clock: float | None
    writes: tuple[str, ...]
    folders: tuple[str, ...] = ()

    def world(self, path: str, argv: Sequence[str] | None) -> World:
        """path: of the program or checkpoint, for argv[0]. Raises ArgumentError."""
        chosen = None if self.seed is None else _seeded(self.seed)
        arguments = [decoded(Path(path).name), *map(decoded, argv or [])]
        folders = {name: read_folder(top) for name, top in host_folders(self.folders).items()}
        return World(read_stdin(self.stdin), arguments, _environment(self.env), chosen, self.clock, folders)

    def store(self, before: Folders, now: Folders) -> None:
        """Puts what a program changed in its folders into those of --dir. Raises OSError."""
        store_folders(host_folders(self.folders), before, now)

    def data(self) -> list[tuple[int, bytes]]:
        """(address, bytes) of each --write."""
        found = []
        for pair in self.writes:
            at, _, path = pair.partition("=")
            if not path:
                raise click.UsageError(f"--write {pair}: ADDRESS=FILE expected")
            found.append((address(at, f"--write {pair}"), read_file(path)))
        return found


_Command = Callable[..., Any]
stdin_option = click.option(
    "--stdin", metavar="FILE", help="What a WASI program reads from stdin; - for this process's."
)
_OPTIONS = (
    stdin_option,
    click.option("--env", multiple=True, metavar="NAME=VALUE", help="For a WASI program. Repeatable."),
    click.option("--dir", "folders", multiple=True, metavar="FOLDER[::NAME]",
                 help="A folder that a WASI program finds, under NAME; `run` stores what it writes. Repeatable."),
    click.option("--seed", type=int, metavar="N", help="Makes WASI's random bytes the same each time."),
    click.option("--clock", type=float, metavar="SECONDS", help="The time that WASI tells, since 1970.  [default: now]"),
    click.option("--write", "writes", multiple=True, metavar="ADDRESS=FILE",
                 help="Put the file's bytes into the program's exported memory before the calls. Repeatable."),
)  # fmt: skip


def hosted(command: _Command) -> _Command:
    """Gives a command these options, as one argument `host`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:
        names = ("stdin", "env", "seed", "clock", "writes", "folders")
        return command(*args, host=Host(*(options.pop(name) for name in names)), **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def read_stdin(name: str | None) -> bytes:
    if name is None:
        return b""
    if name != "-":
        return read_file(name)
    stream = standard_input()
    if stream is None:
        raise click.UsageError("--stdin -: standard input is closed")
    return read_stream(getattr(stream, "read1", stream.read), "standard input")


def _environment(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.UsageError(f"--env {pair}: NAME=VALUE expected")
    return dict(decoded(pair).split("=", 1) for pair in pairs)
