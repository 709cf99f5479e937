"""A folder of files that certainly this user's engine wrote, and numbers in it that took long to prove.

It only saves time: a file that cannot be read, or is not certainly this user's own and whole, does not exist; one that
cannot be written is not written. The folder is `fast` in WASM2XFORMER_CACHE, or in the platform's place for applications' caches.
A WASM2XFORMER_CACHE that is empty or no absolute path turns the cache off.

Machine code is run, so it must be what this user's engine wrote. The folder and every file in it are opened without following
links and must, as they are open, belong to this user; nobody else may write to the folder, nor read or write the files. And each
file carries an HMAC of its name and contents; the key is 32 random bytes in a file of the same folder. Where owners and
modes mean nothing (Windows), the key alone decides.

SHA-256, for which processors have instructions, takes half the time of BLAKE2 there.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

MAGIC = b"w2xfast4"
# The oldest files are removed when the folder is larger than this, in bytes.
CAPACITY = 256 * 2**20
# A temporary file this old, in seconds, was left behind by a process that ended while it wrote.
STALE = 3600.0
KEY_FILE = "key"
DIGEST = 32
_NUMBER = struct.Struct("<d")
_POSIX = hasattr(os, "getuid")
# No links, and no waiting for the other end of a pipe.
_FLAGS = 0
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _flag, 0)


class Unusable(OSError):
    """The cache, or a file in it, cannot be trusted."""


def proved(what: object) -> float | None:
    """The number that `keep_proof` kept with `what`, which its repr tells from all else; None where there is none."""
    path = cache_folder()
    if path is not None:
        with suppress(OSError, ValueError, struct.error, TypeError), opened(path) as folder:
            return float(_NUMBER.unpack(*folder.read(_proof(what)))[0])
    return None


def keep_proof(what: object, number: float) -> None:
    """Puts it into the cache, where there is one."""
    path = cache_folder()
    if path is not None:
        with suppress(OSError), opened(path) as folder:
            folder.write(_proof(what), _NUMBER.pack(number))


def _proof(what: object) -> str:
    return hashlib.blake2b(version() + repr(what).encode(), digest_size=DIGEST).hexdigest() + ".bin"


def cache_folder() -> Path | None:
    """Where the cache is; None for no cache."""
    chosen = os.environ.get("WASM2XFORMER_CACHE")
    if chosen is None:
        with suppress(RuntimeError):  # no home directory
            base = _caches() / "wasm2xformer"
            return base / "fast" if base.is_absolute() else None
        return None
    return Path(chosen) / "fast" if Path(chosen).is_absolute() else None


def _caches() -> Path:
    """Of the platform, for all applications."""
    if sys.platform == "linux":
        return Path(os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache").expanduser()
    from platformdirs import user_cache_path  # its import takes as long as reading the cache

    return user_cache_path()


@cache
def version() -> bytes:
    """Of the engine's own source: code made by another version is never used."""
    digest = hashlib.blake2b(digest_size=DIGEST)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def _sealed(name: str, parts: Sequence[bytes], key: bytes) -> bytes:
    body = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return MAGIC + _mac(name, body, key) + body


def _parts(name: str, data: bytes, key: bytes) -> list[bytes]:
    """Raises ValueError when the data is not what `_sealed` made under that name with that key."""
    start = len(MAGIC) + DIGEST
    body = memoryview(data)[start:]
    if data[: len(MAGIC)] != MAGIC or not hmac.compare_digest(data[len(MAGIC) : start], _mac(name, body, key)):
        raise ValueError("not a file of this cache")
    parts = []
    while body:
        size = 8 + int.from_bytes(body[:8], "little")
        parts.append(bytes(body[8:size]))
        body = body[size:]
    return parts


def _mac(name: str, body: bytes | memoryview, key: bytes) -> bytes:
    mac = hmac.new(key, name.encode() + b"\0", hashlib.sha256)
    mac.update(body)
    return mac.digest()


def _check(status: os.stat_result, kind: int, others: int) -> None:
    """Of an open file or folder: this user's, and without these permissions."""
    if stat.S_IFMT(status.st_mode) != kind:
        raise Unusable("not a plain file or folder")
    if _POSIX and (status.st_uid != os.getuid() or status.st_mode & others):
        raise Unusable("open to other users")


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """The folder, made if it is not there. Raises OSError where it cannot be used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if os.open not in os.supports_dir_fd:
        yield Folder(path, None)
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        _check(os.fstat(handle), stat.S_IFDIR, 0o022)
        yield Folder(path, handle)
    finally:
        os.close(handle)


class Folder:
    """An open folder. Names in it are resolved from its handle: it stays the one that was looked at."""

    def __init__(self, path: Path, handle: int | None):
        self._path, self._handle = path, handle

    def _place(self, name: str) -> str:
        return name if self._handle is not None else str(self._path / name)

    def _bytes(self, name: str) -> bytes:
        with os.fdopen(os.open(self._place(name), os.O_RDONLY | _FLAGS, dir_fd=self._handle), "rb") as file:
            status = os.fstat(file.fileno())
            _check(status, stat.S_IFREG, 0o077)
            if status.st_size > CAPACITY:
                raise Unusable("larger than the cache")
            return file.read(status.st_size)

    def _new(self, name: str, data: bytes) -> None:
        """Under its name only when complete and on the disk."""
        temporary = f"{os.urandom(16).hex()}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
        try:
            with os.fdopen(os.open(self._place(temporary), flags, 0o600, dir_fd=self._handle), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._place(temporary), self._place(name), src_dir_fd=self._handle, dst_dir_fd=self._handle)
        except BaseException:
            with suppress(OSError):
                os.unlink(self._place(temporary), dir_fd=self._handle)
            raise

    def _key(self) -> bytes:
        key = self._bytes(KEY_FILE)
        if len(key) != DIGEST:
            raise Unusable("not a key")
        return key

    def _key_or_new(self) -> bytes:
        """Of two processes that make one at the same time, the one whose files the other's key does not fit compiles again."""
        with suppress(FileNotFoundError):
            return self._key()
        self._new(KEY_FILE, os.urandom(DIGEST))
        return self._key()

    def read(self, name: str) -> list[bytes]:
        """The parts of the file with this name. Raises OSError, ValueError."""
        found = _parts(name, self._bytes(name), self._key())
        self._used(name)
        return found

    def _used(self, name: str) -> None:
        with suppress(OSError):
            os.utime(
                self._place(name), dir_fd=self._handle, follow_symlinks=os.utime not in os.supports_follow_symlinks
            )

    def write(self, name: str, *parts: bytes) -> None:
        self._new(name, _sealed(name, parts, self._key_or_new()))

    def trim(self) -> None:
        """Removes temporary files that were left behind, and the oldest programs beyond the capacity."""
        kept = []
        for name in os.listdir(self._path if self._handle is None else self._handle):
            status = os.stat(self._place(name), dir_fd=self._handle, follow_symlinks=False)
            if name.endswith(".tmp") and status.st_mtime < time.time() - STALE:
                os.unlink(self._place(name), dir_fd=self._handle)
            elif name.endswith(".bin"):
                kept.append((status.st_mtime, status.st_size, name))
        total = sum(size for _, size, _ in kept)
        for _, size, name in sorted(kept):
            if total <= CAPACITY:
                break
            os.unlink(self._place(name), dir_fd=self._handle)
            total -= size
