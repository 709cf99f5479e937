"""Files that somebody else chose, read within a bound: a name may be that of a device that never ends."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

# No program of that size fits into the memory that there is for one.
FILE_LIMIT = 64 << 20
_PART = 1 << 20


def read_file(path: str | Path, limit: int = FILE_LIMIT) -> bytes:
    """The content of a file of at most `limit` bytes, or of a pipe or a device that ends before that.

    Raises OSError, with the name in `filename` and what is wrong in `strerror`; a larger file is not read to its end.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size > limit:
                raise _too_large(str(path), limit)
            return read_stream(file.read, str(path), limit)
    except ValueError as error:  # a zero byte in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from None


def read_stream(read: Callable[[int], bytes | None], name: str, limit: int = FILE_LIMIT) -> bytes:
    """The same for something open: read(n) gives up to n bytes, none at the end."""
    parts: list[bytes] = []
    size = 0
    while part := read(_PART):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(name, limit)
    return b"".join(parts)


def words(error: OSError | ValueError) -> str:
    """What is wrong, without number and name: "no such file or directory"."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def _too_large(name: str, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {limit >> 20} MiB, more than is read", name)
