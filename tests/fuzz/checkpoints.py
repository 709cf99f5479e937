"""Doors for checkpoints: their bytes, and their parts. What is loaded has to be usable whatever it says."""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import FORMAT, Model
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.runtime.calls import call_of, read_calls
from wasm2xformer.runtime.cli import inspect, listing
from wasm2xformer.runtime.errors import ArgumentError, DecodingError, Trap, Unfinished
from wasm2xformer.runtime.results import Run

from .door import ACCEPTED, REFUSED, one_line
from .mutate import FLOATS, mutate_bytes, mutate_json

SOURCES = (
    '(module (func (export "f")))',
    '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))',
    """(module (memory (export "memory") 1) (data (i32.const 3) "abc") (global $g (mut i32) (i32.const 4)) (table 2 funcref)
      (elem (i32.const 0) $f $g) (type $t (func (param i32) (result i32)))
      (func $f (type $t) (i32.load8_u (local.get 0))) (func $g (type $t) (global.set $g (local.get 0)) (global.get $g))
      (func (export "h") (param i32 externref) (result i32) (call_indirect (type $t) (local.get 0) (i32.const 1)))
      (func $s (global.set $g (i32.const 5))) (start $s))""",
)
PARAMETERS = {"f32": 1.5, "f64": -0.5, "funcref": None, "externref": None}
MAX_TOKENS, MAX_SECONDS = 300, 5.0
# With which a stranger's weights may end, other than with a result.
ENDINGS = (w2x.CheckpointError, Trap, Unfinished, DecodingError, ArgumentError, EnvelopeError, NotImplementedError)


@cache
def seeds() -> list[bytes]:
    made = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        for source in SOURCES:
            w2x.compile(source).save(path)
            made.append(path.read_bytes())
    return made


@cache
def parts(index: int) -> tuple[dict[str, np.ndarray], Any]:
    """Tensors, and the metadata as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        path.write_bytes(seeds()[index])
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()[FORMAT])


class CheckpointBytes:
    """Bytes of a checkpoint changed: in the header mostly, also with the length of a whole one."""

    def make(self, rng: random.Random) -> bytes:
        data = rng.choice(seeds())
        size = int.from_bytes(data[:8], "little")
        header, rest = data[8 : 8 + size], data[8 + size :]
        match rng.randrange(4):
            case 0:
                return mutate_bytes(rng, data, seeds())
            case 1:
                header = mutate_bytes(rng, header, [s[:4000] for s in seeds()])
            case 2:
                header = _header(rng, header)
            case _:
                rest = mutate_bytes(rng, rest)
        return struct.pack("<Q", len(header)) + header + rest

    def run(self, data: bytes) -> str:
        return used(data)


def _header(rng: random.Random, header: bytes) -> bytes:
    """The list of tensors changed as JSON, the metadata left alone."""
    listed = json.loads(header)
    metadata = listed.pop("__metadata__")
    changed = mutate_json(rng, listed)
    if isinstance(changed, dict):
        changed["__metadata__"] = metadata
    text = json.dumps(changed).encode("utf-8", "surrogatepass")
    return text + b" " * (-len(text) % 8)


class CheckpointMetadata:
    """A well-formed file whose metadata and tensors have changed."""

    def make(self, rng: random.Random) -> bytes:
        tensors, metadata = parts(rng.randrange(len(SOURCES)))
        tensors = dict(tensors)
        if rng.random() < 0.75:
            metadata = mutate_json(rng, metadata)
        while rng.random() < 0.4:
            change_tensor(rng, tensors)
        text = json.dumps(metadata, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.2:  # where metadata stands that is too long for a header
            tensors["wasm2xformer.json"] = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
            text = '{"version":4}'
        return save(tensors, {FORMAT: text})

    def run(self, data: bytes) -> str:
        return used(data)


def change_tensor(rng: random.Random, tensors: dict[str, np.ndarray]) -> None:
    name = rng.choice(sorted(tensors))
    a = tensors[name].copy()
    match rng.randrange(9):
        case 0:
            del tensors[name]
            return
        case 1:
            a = a[..., 1:]
        case 2:
            a = a.reshape(a.shape[::-1])
        case 3:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                a = a.astype(rng.choice((np.float32, np.int64, np.uint8)))
        case 4:
            tensors[name + "x"] = a
        case _ if a.size:
            for _ in range(rng.choice((1, 1, 5, 50))):
                at = rng.randrange(a.size)
                old = a.flat[at].item()
                scaled = old * 2.0 ** rng.uniform(-1074, 1023)  # both ends of doubles, so that products leave them
                near = (2 * old, old + 1, scaled, scaled, a.flat[rng.randrange(a.size)])
                value = rng.choice((*FLOATS, float("nan"), float("inf"), *near))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    a.flat[at] = value if a.dtype.kind == "f" else np.int64(rng.randrange(-5, 5000)).astype(a.dtype)
    tensors[name] = np.ascontiguousarray(a)


def used(data: bytes) -> str:
    """Everything that reads a checkpoint reads this one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(data)
        return used_from(path)


def used_from(path: Path) -> str:
    """The same of a checkpoint where it lies, a file or a folder."""
    try:
        model = w2x.load(path)
    except w2x.CheckpointError as error:
        one_line(error)
        assert str(error).isprintable(), error
        return REFUSED
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _show(model)
        _run(model)
        _save_again(model)
    return ACCEPTED


def _show(model: Model) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        layers = range(len(model.transformer.layers))
        inspect.show(model, "model", (), layers)
        inspect.show(model, "model", ("heads", "neurons", "slots", "vocabulary", "steps"), layers, weights=True)
        json.loads(json.dumps(inspect.to_json(model)))
    hidden = {c for c in out.getvalue() if not c.isprintable()} - {"\n"}
    assert not hidden, f"inspect prints {hidden!r}"


def _run(model: Model) -> None:
    try:
        instance = w2x.Instance(model, max_tokens=MAX_TOKENS, timeout=MAX_SECONDS)
    except ENDINGS as error:
        one_line(error)
        return
    for name, entry in model.program.entries.items():
        values = [PARAMETERS.get(type_, 2) for type_ in entry.params]
        try:
            run = instance.invoke(name, *values, max_tokens=MAX_TOKENS, timeout=MAX_SECONDS)
        except Trap as trap:
            run = trap.run
        except ENDINGS as error:
            one_line(error)
            return
        _list(model, name, values, run)


def _list(model: Model, name: str, values: list[Any], run: Run) -> None:
    call = call_of(model, name, values, run)
    list(listing.text_lines(model, call))
    list(listing.json_lines(model, call))
    ids = np.concatenate([model.transformer.prefix, run.prompt, run.tokens])
    with contextlib.suppress(ArgumentError, DecodingError):  # a stranger's prefix may hold anything
        list(read_calls(model, ids))


def _save_again(model: Model) -> None:
    """What can be read can be written, and read again."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "again"))
        w2x.load(Path(folder, "again"))
