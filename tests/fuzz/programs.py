"""Doors for programs: module bytes and WAT. What is compiled has to do what wasmtime does, as far as it is decoded."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import wasmtime

import wasm2xformer as w2x
from tests.programs import FOLDER
from tests.random.kinds import KINDS
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.compiler.format.types import is_reference
from wasm2xformer.compiler.wasm.source import Source, load
from wasm2xformer.runtime.errors import MissingPackage, OracleError

from .door import ACCEPTED, REFUSED, one_line
from .mutate import mutate_bytes, mutate_text

LARGEST = 6_000  # bytes of a program that is taken as a seed
MAX_TOKENS, MAX_SECONDS, CALLS = 3_000, 5.0, 2


@cache
def texts() -> list[str]:
    files = (p for p in sorted(FOLDER.rglob("*.wat")) if p.stat().st_size < LARGEST)
    return [p.read_text(encoding="utf-8") for p in files]


@cache
def modules() -> list[bytes]:
    files = (p for p in sorted(FOLDER.rglob("*.wasm")) if p.stat().st_size < LARGEST)
    return [p.read_bytes() for p in files] + [bytes(wasmtime.wat2wasm(text)) for text in texts()]


def random_module(rng: random.Random) -> str | bytes:
    return KINDS[rng.choice(("expressions", "structured"))](rng.randrange(2**30)).source


# Operations of the same type: exchanged for one another, a module stays valid.
GROUPS = (range(0x6A, 0x79), range(0x46, 0x50), range(0x7C, 0x8B), range(0x51, 0x5B), range(0x92, 0x99), range(0xA0, 0xA7),
          range(0x67, 0x6A), range(0x8B, 0x92), range(0x99, 0xA0))  # fmt: skip


def exchange(rng: random.Random, data: bytes) -> bytes:
    """Some bytes in the second half, where the code is, that may be operations."""
    out = bytearray(data)
    places = [i for i in range(len(out) // 3, len(out)) if any(out[i] in group for group in GROUPS)]
    for at in rng.sample(places, min(len(places), rng.randint(1, 4))):
        out[at] = rng.choice(next(group for group in GROUPS if out[at] in group))
    return bytes(out)


class ModuleBytes:
    """Bytes of modules: changed, and with operations exchanged."""

    def make(self, rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            made = random_module(rng)
            data = bytes(wasmtime.wat2wasm(made)) if isinstance(made, str) else made
        else:
            data = rng.choice(modules())
        return exchange(rng, data) if rng.random() < 0.5 else mutate_bytes(rng, data, modules())

    def run(self, data: bytes) -> str:
        return compiled(lambda: load(data))


class Text:
    """WAT, its tokens changed."""

    def make(self, rng: random.Random) -> bytes:
        made = random_module(rng) if rng.random() < 0.3 else rng.choice(texts())
        text = mutate_text(rng, made if isinstance(made, str) else rng.choice(texts()), texts())
        return text.encode("utf-8", "surrogatepass")

    def run(self, data: bytes) -> str:
        return compiled(lambda: load(data.decode("utf-8", "replace")))


def compiled(read: Callable[[], Source]) -> str:
    """Compiles a program, and calls what it exports in the model and in wasmtime."""
    try:
        verifier = w2x.Verifier(source := read(), max_tokens=MAX_TOKENS, timeout=MAX_SECONDS)
    except w2x.CompileError as error:
        for reason in error.reasons:  # a syntax error shows its place in further lines
            one_line(Exception(str(reason).partition("\n     -->")[0]))
        return REFUSED
    except (w2x.Unfinished, OracleError, EnvelopeError, NotImplementedError, MissingPackage) as error:
        one_line(error)
        return REFUSED
    if verifier.started is not None:
        assert verifier.started.ok, verifier.started.divergence
        if not verifier.started.run.returned:
            return ACCEPTED
    rng = random.Random(len(source.wasm))
    entries = list(verifier.program.entries.values())
    for entry in rng.sample(entries, min(CALLS, len(entries))):
        values = [_argument(rng, type_) for type_ in entry.params]
        try:
            report = verifier.invoke(entry.name, values, max_tokens=MAX_TOKENS, timeout=MAX_SECONDS)
        except (w2x.Unfinished, OracleError, NotImplementedError) as error:
            one_line(error)
            break
        assert report.ok, f"{entry.name}{values}: {report.divergence}"
    return ACCEPTED


def _argument(rng: random.Random, type_: str) -> int | float | None:
    if is_reference(type_):
        return None
    if type_.startswith("f"):
        return rng.choice((0.0, -1.5, float("inf"), 1e30))
    return rng.choice((0, 1, 7, 2**31 - 1, -1, rng.randrange(-(2**31), 2**31)))
