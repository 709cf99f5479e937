"""Files that are written: as a whole or not at all, under a name that nobody can guess before, never over an input.

A new file gets the mode that the umask leaves; one that is replaced keeps its mode, and its owner where that may be set. A
link stays one: what it points to is replaced. A file that nobody may write to is not replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress


def check_output(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raises OSError when `path` cannot be written: a folder, in none, read-only, a circle of links; or when it is one of
    the files `inputs`, under whatever name."""
    path = os.fspath(path)
    try:
        target, old = _target(path)
    except NotADirectoryError:
        raise NotADirectoryError(errno.ENOTDIR, f"{os.path.dirname(path)}: no such folder", path) from None
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.EINVAL, str(error), path) from None
    if old is None:
        folder = os.path.dirname(target)
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, f"{folder}: no such folder", path)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "the folder cannot be written to", path)
    for name in inputs:
        if old is not None and os.path.exists(name) and os.path.samestat(old, os.stat(name)):
            raise FileExistsError(errno.EEXIST, f"that is {os.fspath(name)} itself, which would be lost", path)


def replace_file(path: str | os.PathLike[str], fill: Callable[[str], None], whole: Callable[[], bytes]) -> None:
    """Replaces the file `path`, or makes it. fill(name): writes the content as the file of this name. whole(): the content,
    asked for instead where there is nothing to replace: a pipe or a device. Raises OSError with the name `path`."""
    path = os.fspath(path)
    try:
        target, old = _target(path)
        if old is not None and not stat.S_ISREG(old.st_mode):
            with open(target, "wb") as file:
                file.write(whole())
            return
        _replace(target, old, fill)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), path) from None


def _target(path: str) -> tuple[str, os.stat_result | None]:
    """Where the links end, and what is there now."""
    target = os.path.realpath(path)
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return target, None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file", path)
    if stat.S_ISREG(old.st_mode) and not (old.st_mode & 0o222 and os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, "read-only; remove it or choose another name", path)
    return target, old


def _replace(target: str, old: os.stat_result | None, fill: Callable[[str], None]) -> None:
    folder = os.path.dirname(target)
    partial = os.path.join(folder, f".{os.urandom(16).hex()}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(partial, flags, 0o666)
    try:
        mode = stat.S_IMODE((old or os.fstat(descriptor)).st_mode) & 0o777
        os.close(descriptor)
        os.chmod(partial, 0o600)  # nobody else's until it is complete and has its mode
        fill(partial)
        _settle(partial, old, mode)
        os.replace(partial, target)
        sync_folder(folder)
    finally:
        with suppress(OSError):
            os.unlink(partial)


def _settle(partial: str, old: os.stat_result | None, mode: int) -> None:
    """The content is on the disk before the name is its own, so that after a crash there is the old file or the new one."""
    descriptor = os.open(partial, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if old is not None and hasattr(os, "fchown"):
            with suppress(OSError):
                os.fchown(descriptor, old.st_uid, old.st_gid)
        os.chmod(partial, mode) if not hasattr(os, "fchmod") else os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: str) -> None:
    """The names in it are on the disk. Not every system can open a folder, and not every file system can wait for one."""
    flag = getattr(os, "O_DIRECTORY", None)
    if flag is None:
        return
    with suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY | flag)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
