"""Compiled programs on disk: object code and the state it begins with, by a hash of everything they are made from.

The cache only saves time, see `sealed`.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

import numpy as np

from ...compiler.format.transformer import Transformer
from .image import ChainCode, CompiledModel, Image, PackedText
from .interface import tensors
from .jit import host
from .sealed import cache_folder, opened, version

# Behind the name of a program that is brief.
BRIEF = ".brief"


def load_or_compile(
    model: Transformer, probe: str | None = None, trusting: bool = True, brief: bool = False
) -> CompiledModel:
    """The program for a model (see compile.compile_model), from the cache if it is there. brief: a brief one will do."""
    path = cache_folder()
    if path is None:
        return _compile(model, probe, trusting, brief)
    name = _name(model, probe, trusting)
    for also, each in (("", False), (BRIEF, True))[: 1 + brief]:
        with suppress(OSError, ValueError, KeyError, TypeError), opened(path) as folder:
            program = _program(*folder.read(f"{name}{also}.bin"))
            program.name, program.brief = name + also, each
            return program
    program = _compile(model, probe, trusting, brief)
    program.name = name + BRIEF * program.brief
    keep(program)
    return program


def keep(program: CompiledModel) -> None:
    """Puts it into the cache, under its name."""
    if program.name:
        _keep(program.name, *_parts(program))


def keep_chains(name: str, chains: ChainCode) -> None:
    """Puts chains for the program of that name into the cache."""
    if name:
        _keep(f"{name}.chains", chains.code, chains.tokens.tobytes(), bytes([chains.quick]))


def _keep(name: str, *parts: bytes) -> None:
    path = cache_folder()
    if path is not None:
        with suppress(OSError), opened(path) as folder:
            folder.write(f"{name}.bin", *parts)
            folder.trim()


def kept_chains(name: str) -> ChainCode | None:
    """Chains for the program of that name that were made before."""
    path = cache_folder()
    if path is not None and name:
        with suppress(OSError, ValueError, TypeError), opened(path) as folder:
            return _chains(*folder.read(f"{name}.chains.bin"))
    return None


def _chains(code: bytes, tokens: bytes, quick: bytes) -> ChainCode:
    return ChainCode(code, np.frombuffer(tokens, dtype=np.int32), quick == b"\1")


def _compile(model: Transformer, probe: str | None, trusting: bool, brief: bool) -> CompiledModel:
    from .compile import compile_model  # not needed, and not loaded, when the cache has the program

    return compile_model(model, probe, trusting, brief)


def _name(model: Transformer, probe: str | None, trusting: bool) -> str:
    place = model.probes[probe] if probe else None
    return digest(model, version() + repr((host(), place, trusting)).encode())


def digest(model: Transformer, more: bytes = b"") -> str:
    """Of all that the analysis sees of a model, and of what else it depends on."""
    found = hashlib.sha256()
    found.update(more + repr((len(model.layers), model.head_dim, model.float32_reads)).encode())
    for tensor in [*tensors(model), np.asarray(model.prefix, dtype=np.int64)]:
        found.update(repr((tensor.shape, tensor.dtype.str)).encode())
        found.update(np.ascontiguousarray(tensor).data)
    return found.hexdigest()


def _parts(program: CompiledModel) -> tuple[bytes, bytes, bytes]:
    return program.code, PackedText.pack(str(program.text)), program.image.to_bytes()


def _program(code: bytes, text: bytes, image: bytes) -> CompiledModel:
    """What `_parts` made. Raises ValueError."""
    return CompiledModel(code, Image.from_bytes(image), PackedText(text))
