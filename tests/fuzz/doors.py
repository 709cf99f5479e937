"""The doors by name."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

from .door import ACCEPTED, REFUSED, Door


def _module() -> Door:
    from .programs import ModuleBytes

    return ModuleBytes()


def _text() -> Door:
    from .programs import Text

    return Text()


def _checkpoint() -> Door:
    from .checkpoints import CheckpointBytes

    return CheckpointBytes()


def _metadata() -> Door:
    from .checkpoints import CheckpointMetadata

    return CheckpointMetadata()


def _folder() -> Door:
    from .folders import Folder

    return Folder()


def _cache() -> Door:
    from .cache import CacheEntry

    return CacheEntry()


class Broken:
    """Not a door: what the watcher has to see, for its tests."""

    def make(self, rng: random.Random) -> bytes:
        return rng.choice((b"accept", b"refuse", b"raise", b"crash", b"hang", b"swell"))

    def run(self, data: bytes) -> str:
        match data:
            case b"raise":
                raise KeyError("nobody foresaw this")
            case b"crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case b"hang":
                time.sleep(1000)
            case b"spin":
                while True:
                    pass
            case b"swell":
                self.kept = bytearray(b"x" * (1 << 28))
            case b"refuse":
                return REFUSED
        return ACCEPTED


def _arguments() -> Door:
    from .arguments import Arguments

    return Arguments()


def _tokens() -> Door:
    from .tokens import Tokens

    return Tokens()


DOORS: dict[str, Callable[[], Door]] = {
    "module": _module, "text": _text, "checkpoint": _checkpoint, "metadata": _metadata, "folder": _folder,
    "cache": _cache, "arguments": _arguments, "tokens": _tokens,
}  # fmt: skip
ALL = DOORS | {"broken": Broken}
