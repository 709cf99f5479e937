"""The door for folders: config.json, model.safetensors and wasm2xformer.json, each changed as what it is."""

from __future__ import annotations

import json
import random
import struct
import tempfile
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

import wasm2xformer as w2x

from .checkpoints import SOURCES, change_tensor, used_from
from .mutate import mutate_bytes, mutate_json

FILES = ("config.json", "wasm2xformer.json", "model.safetensors")


@cache
def seeds() -> list[list[bytes]]:
    """The files of a folder for each source, behind them those of a folder with experts."""
    made = []
    with tempfile.TemporaryDirectory() as parent:
        for index, (moe, source) in enumerate(product((False, True), SOURCES)):
            folder = Path(parent, str(index))
            w2x.save_folder(w2x.compile(source), folder, moe=moe)
            made.append([(folder / name).read_bytes() for name in FILES])
    return made


@cache
def tensors(index: int) -> dict[str, np.ndarray]:
    return load(seeds()[index][2])


@cache
def text(index: int, number: int) -> Any:
    return json.loads(seeds()[index][number])


class Folder:
    """Each file with its length before it."""

    def make(self, rng: random.Random) -> bytes:
        index = rng.randrange(2 * len(SOURCES))
        files = list(seeds()[index])
        for number in rng.sample(range(3), rng.choice((1, 1, 2))):
            match rng.randrange(5):
                case 0:
                    files[number] = mutate_bytes(rng, files[number])
                case 1:
                    files[number] = seeds()[rng.randrange(2 * len(SOURCES))][number]
                case _ if number == 2:
                    changed = dict(tensors(index))
                    change_tensor(rng, changed)
                    files[number] = save(changed, {"format": "pt"})
                case _:
                    files[number] = json.dumps(mutate_json(rng, text(index, number))).encode("utf-8", "surrogatepass")
        return b"".join(struct.pack("<Q", len(data)) + data for data in files)

    def run(self, data: bytes) -> str:
        with tempfile.TemporaryDirectory() as folder:
            for name in FILES:
                (size,) = struct.unpack("<Q", data[:8])
                Path(folder, name).write_bytes(data[8 : 8 + size])
                data = data[8 + size :]
            return used_from(Path(folder))


__all__ = ["Folder"]
