"""Folders that are written: as a whole or not at all, and never over anything but an earlier one of the same kind.

The files go into a new folder beside, whose name nobody can guess, are on the disk before it gets its own name, and what was
there before goes last. A link is not followed, and a folder in which anything else lies is not replaced.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence

from .output_file import sync_folder


def check_output_folder(
    path: str | os.PathLike[str], files: Sequence[str], inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:  # fmt: skip
    """Raises OSError when the folder `path` cannot be written: its parent is missing or read-only, or it is there and is a
    link, a file, or a folder that holds anything but some of `files`, or not the first of them, which tells whose it is, or one
    of the files `inputs`."""
    path = os.fspath(path)
    target = _without_slash(path)
    parent = os.path.dirname(target) or "."
    if not os.path.isdir(parent):
        raise FileNotFoundError(errno.ENOENT, f"{parent}: no such folder", path)
    if not os.access(parent, os.W_OK):
        raise PermissionError(errno.EACCES, f"{parent}: the folder cannot be written to", path)
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise NotADirectoryError(errno.ENOTDIR, f"{parent}: no such folder", path) from None
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.EINVAL, str(error), path) from None
    if not stat.S_ISDIR(mode):
        what = "a link; name the folder itself" if stat.S_ISLNK(mode) else "a file, not a folder"
        raise NotADirectoryError(errno.ENOTDIR, what, path)
    if os.path.ismount(target) or os.path.samefile(target, "."):
        raise PermissionError(errno.EACCES, "the folder that commands run in, or a file system, is not replaced", path)
    entries = list(os.scandir(target))
    if entries and not any(entry.name == files[0] for entry in entries):
        raise FileExistsError(errno.EEXIST, f"the folder is not empty, and holds no {files[0]}; choose another", path)
    for entry in entries:
        if entry.name not in files or not entry.is_file(follow_symlinks=False):
            raise FileExistsError(errno.EEXIST, f"the folder holds something else: {entry.name}; choose another", path)
        if any(os.path.exists(name) and os.path.samefile(entry, name) for name in inputs):
            raise FileExistsError(errno.EEXIST, f"{entry.name} in it is an input, which would be lost", path)


def replace_folder(path: str | os.PathLike[str], files: Sequence[str], fill: Callable[[str], None]) -> None:
    """Makes the folder `path`, or replaces one that holds nothing but `files`. fill(name): writes the files into the folder
    of this name. Raises OSError with the name `path`."""
    check_output_folder(path, files)
    path = os.fspath(path)
    target = _without_slash(path)
    parent = os.path.dirname(target) or "."
    partial, old = (os.path.join(parent, f".{secrets.token_hex(16)}.partial") for _ in range(2))
    try:
        os.mkdir(partial)
        mode = stat.S_IMODE(os.stat(partial).st_mode)
        os.chmod(partial, 0o700)  # nobody else's until it is complete
        fill(partial)
        os.chmod(partial, mode)
        sync_folder(partial)
        if os.path.lexists(target):
            os.rename(target, old)
        os.rename(partial, target)
        sync_folder(parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), path) from None
    finally:
        if os.path.lexists(old) and not os.path.lexists(target):
            os.rename(old, target)
        for folder in (partial, old):
            shutil.rmtree(folder, ignore_errors=True)


def _without_slash(path: str) -> str:
    return path.rstrip(os.sep + (os.altsep or "")) or path
