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
    """A byte that says what becomes of the file, and the seed of the changes to its content (0: none): the process that runs
    it has an entry of its own, which only it can sign."""

    def make(self, rng: random.Random) -> bytes:
        kind = rng.choice((0, 0, 0, 0, 1, 2, 3, 4))
        return bytes([kind]) + (rng.randrange(1, 2**32) if rng.random() < 0.9 else 0).to_bytes(4, "little")

    def run(self, data: bytes) -> str:
        kind, seed = data[0], int.from_bytes(data[1:], "little")
        with tempfile.TemporaryDirectory() as name:
            root = Path(name, "cache")
            shutil.copytree(folder(), root, copy_function=shutil.copy2)
            (entry,) = entries(root)
            content = entry.read_bytes()
            if seed:
                content = mutate_bytes(random.Random(seed), content)
            _put(kind, entry, content)
            os.environ[VARIABLE] = str(root)
            assert w2x.Instance(model()).invoke("f", 7).values == [21]
        return REFUSED if seed or kind else ACCEPTED


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
