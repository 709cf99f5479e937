"""--dir: folders of this machine that a program finds, and what it writes put back into them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from ...compiler.format.files import read_file
from ...compiler.format.printable import printable
from ..folders import Contents, Folders, differences
from .streams import decoded


def host_folders(pairs: Sequence[str]) -> dict[str, Path]:
    """The folder on this machine, by the path under which the program finds it. Raises UsageError."""
    found: dict[str, Path] = {}
    for pair in pairs:
        here, separator, there = decoded(pair).partition("::")
        there = there if separator else here
        if not here or not there:
            raise click.UsageError(f"--dir {pair}: FOLDER or FOLDER::NAME expected")
        if not os.path.isdir(here):
            raise click.UsageError(f"--dir {pair}: {printable(here)} is no folder")
        if there in found:
            raise click.UsageError(f"--dir {pair}: there is another {printable(there)} already")
        found[there] = Path(here)
    return found


def read_folder(top: Path) -> dict[str, bytes | None]:
    """What is in a folder. A link to a file is taken for that file. Raises UsageError for what else is no file or folder."""
    found: dict[str, bytes | None] = {}
    for where, folders, files in os.walk(top, onerror=_give_up):
        for name in (*folders, *files):
            path = Path(where) / name
            within = path.relative_to(top).as_posix()
            if path.is_dir() and not path.is_symlink():
                found[within] = None
            elif path.is_file():
                found[within] = read_file(str(path))
            else:
                raise click.UsageError(f"--dir: {printable(str(path))} is neither a file nor a folder; leave it out")
    return found


def store_folders(places: dict[str, Path], before: Folders, now: Folders) -> None:
    """Puts what changed into the folders on this machine. Raises OSError."""
    for name, top in places.items():
        _store(top, before.get(name, {}), now.get(name, {}))


def _store(top: Path, before: Contents, now: Contents) -> None:
    changed = differences(before, now)
    for path in reversed(changed):  # what is in a folder goes before it does
        if path in before and (path not in now or (before[path] is None) != (now[path] is None)):
            (top / path).rmdir() if before[path] is None else (top / path).unlink()
    for path in changed:
        if path in now:
            data = now[path]
            (top / path).mkdir() if data is None else (top / path).write_bytes(data)


def _give_up(error: OSError) -> None:
    raise error
