"""The door for cache entries: whatever stands in the cache's folder, a program computes what it computes without."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model

from .door import ACCEPTED, REFUSED
from .mutate import mutate_bytes

SOURCE = '(module (func (export "f") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3))))'
VARIABLE = "WASM2XFORMER_CACHE"


@cache
def model() -> Model:
    return w2x.compile(SOURCE)


@cache
def folder() -> Path:
    """A folder with the entries of the model as the engine writes them."""
    made = Path(tempfile.mkdtemp(prefix="fuzz-cache-"))
    os.environ[VARIABLE] = str(made)
    assert w2x.Instance(model()).invoke("f", 5).values == [15]
    return made


def entries(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*") if p.is_file() and p.stat().st_size > 1000)


class CacheEntry:
    """The first byte says what becomes of the file; the rest is its content."""

    def make(self, rng: random.Random) -> bytes:
        (entry,) = entries(folder())
        data = entry.read_bytes()
        return bytes([rng.choice((0, 0, 0, 0, 1, 2, 3, 4))]) + (mutate_bytes(rng, data) if rng.random() < 0.9 else data)

    def run(self, data: bytes) -> str:
        with tempfile.TemporaryDirectory() as name:
            shutil.copytree(folder(), Path(name, "cache"))
            root = Path(name, "cache")
            (entry,) = entries(root)
            whole = data[1:] == entry.read_bytes()
            _put(data[0], entry, data[1:])
            os.environ[VARIABLE] = str(root)
            assert w2x.Instance(model()).invoke("f", 7).values == [21]
        return ACCEPTED if whole else REFUSED


def _put(kind: int, entry: Path, content: bytes) -> None:
    mode = entry.stat().st_mode
    if kind in (1, 2, 3):
        entry.unlink()
    match kind:
        case 1:
            entry.mkdir()
        case 2:
            entry.symlink_to("/dev/zero")
        case 3:
            os.mkfifo(entry)
        case _:
            entry.chmod(0o600)
            entry.write_bytes(content)
            entry.chmod(0o666 if kind == 4 else mode & 0o777)
