"""What a program sees of the world outside, as one value: both sides of a comparison are given the same."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..compiler.format.limits import RANDOM_BYTES
from .bit_patterns import show
from .errors import ArgumentError
from .folders import Folders, checked


@dataclass(frozen=True)
class World:
    """stdin: bytes on standard input. argv: arguments, the program's name first. env: environment variables.

    Text stands for its UTF-8; a byte that is none for itself, as `os.fsdecode` has it (the surrogate U+DC00 + byte).
    random: RANDOM_BYTES bytes that every invocation gets (None: new ones each time). clock: seconds since 1970 that the
    program is told (None: the time at which the invocation begins). folders: what a program that opens files finds when it
    begins, by the path under which it finds it: the contents of files, by their paths in the folder joined by "/" (None: a
    folder, which may be empty). Raises ArgumentError for what a prompt cannot hold.
    """

    stdin: bytes = b""
    argv: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    random: bytes | None = None
    clock: float | None = None
    folders: Folders = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("stdin", "random"):
            if (data := getattr(self, name)) is not None:
                object.__setattr__(self, name, plain_bytes(name, data))
        if self.random is not None and len(self.random) != RANDOM_BYTES:
            raise ArgumentError(f"random: {len(self.random)} bytes; an invocation has {RANDOM_BYTES}")
        if self.clock is not None and not 0 <= self.clock < 2**32 - 1:
            raise ArgumentError(f"clock: {self.clock} is no time from 0 to 2^32 seconds")
        object.__setattr__(self, "folders", checked(self.folders))
        for argument in self.argv:
            _encode("args", argument)
        for name in self.env:
            if name == "" or "=" in name:
                raise ArgumentError(f"env: {show(name)} is no name of an environment variable")
            _encode("env", f"{name}={self.env[name]}")

    def fixed(self) -> World:
        """The same with nothing left to chance: what is None is decided now."""
        random = os.urandom(RANDOM_BYTES) if self.random is None else self.random
        return replace(self, random=random, clock=time.time() if self.clock is None else self.clock)

    def arguments(self) -> list[bytes]:
        """argv as the program gets it, without the zero at the end of each."""
        return [_encode("args", argument) for argument in self.argv]

    def environment(self) -> list[bytes]:
        """NAME=VALUE of each variable, likewise."""
        return [_encode("env", f"{name}={value}") for name, value in self.env.items()]


def plain_bytes(what: str, data: Any) -> bytes:
    """bytes, bytearray, memoryview or anything else that lies in memory as bytes. Raises ArgumentError."""
    try:
        return memoryview(data).tobytes()
    except TypeError:
        raise ArgumentError(f"{what}: {show(data)} is no bytes") from None


def _encode(what: str, text: str) -> bytes:
    if not isinstance(text, str):
        raise ArgumentError(f"{what}: {show(text)} is no text")
    if "\0" in text:
        raise ArgumentError(f"{what}: {show(text)} holds a zero byte, where it would end")
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise ArgumentError(f"{what}: {show(text)} is no text") from None
