"""Compiled programs on disk: object code and the state it begins with, by a hash of everything they are made from.

The cache only saves time: a file that cannot be read, or whose checksum is wrong, does not exist; one that cannot be written
is not written. The folder is `fast` in WASM2XFORMER_CACHE, or in the platform's place for an application's cache; an
empty WASM2XFORMER_CACHE turns it off.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from ...compiler.format.transformer import Transformer
from .image import Image, Program
from .interface import tensors
from .jit import host

MAGIC = b"w2xfast1"
# The oldest files are removed when the folder is larger than this, in bytes.
CAPACITY = 256 * 2**20
_DIGEST = 32


def load_or_compile(model: Transformer, probe: str | None = None, trusting: bool = True) -> Program:
    """The program for a model (see compile.compile_model), from the cache if it is there."""
    folder = _folder()
    if folder is None:
        return _compile(model, probe, trusting)
    path = folder / f"{_key(model, probe, trusting)}.bin"
    with suppress(OSError, ValueError, KeyError, TypeError):
        program = _decode(_read(path))
        os.utime(path)
        return program
    program = _compile(model, probe, trusting)
    with suppress(OSError):
        _write(path, _encode(program))
        _trim(folder)
    return program


def _compile(model: Transformer, probe: str | None, trusting: bool) -> Program:
    from .compile import compile_model  # not needed, and not loaded, when the cache has the program

    return compile_model(model, probe, trusting)


def _folder() -> Path | None:
    chosen = os.environ.get("WASM2XFORMER_CACHE")
    if chosen is not None:
        return Path(chosen) / "fast" if chosen else None
    with suppress(RuntimeError):  # no home directory
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return base / "wasm2xformer" / "fast"
    return None


@cache
def _version() -> bytes:
    """Of the engine's own source: code made by another version is never used."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def _key(model: Transformer, probe: str | None, trusting: bool) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    place = model.probes[probe] if probe else None
    digest.update(_version() + repr((host(), place, trusting, len(model.layers))).encode())
    for tensor in [*tensors(model), np.asarray(model.prefix, dtype=np.int64)]:
        digest.update(repr((tensor.shape, tensor.dtype.str)).encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _encode(program: Program) -> bytes:
    body = len(program.code).to_bytes(8, "little") + program.code + program.image.to_bytes()
    return MAGIC + hashlib.blake2b(body, digest_size=_DIGEST).digest() + body


def _decode(data: bytes) -> Program:
    """Raises ValueError when the data is damaged."""
    start = len(MAGIC) + _DIGEST
    body = data[start:]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : start] != hashlib.blake2b(body, digest_size=_DIGEST).digest():
        raise ValueError("damaged cache file")
    size = int.from_bytes(body[:8], "little")
    return Program(body[8 : 8 + size], Image.from_bytes(body[8 + size :]))


def _read(path: Path) -> bytes:
    """Code is taken from files of this user only, and from nothing but files: no links, pipes or devices that never end."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > CAPACITY:
            raise ValueError("not a file, or larger than the cache")
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            raise ValueError("a file that other users may have written")
        return file.read(CAPACITY)


def _write(path: Path, data: bytes) -> None:
    """Under its name only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            file.write(data)
            file.close()
            os.replace(file.name, path)
        except OSError:
            with suppress(OSError):
                os.unlink(file.name)
            raise


def _trim(folder: Path) -> None:
    files = sorted(((f.stat().st_mtime, f.stat().st_size, f) for f in folder.glob("*.bin")), key=lambda x: x[0])
    total = sum(size for _, size, _ in files)
    for _, size, file in files:
        if total <= CAPACITY:
            break
        file.unlink()
        total -= size
