"""Modules that binaryen makes from random bytes (`wasm-opt -ttf`). What of them can be compiled is compiled."""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from wasm2xformer import CompileError
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.wasm.source import load

from .case import Call, Case, argument

DISABLED = "threads gc exception-handling tail-call reference-types relaxed-simd memory64 extended-const"
ENABLED = "multivalue bulk-memory sign-ext mutable-globals nontrapping-float-to-int simd"
FLAGS = [*(f"--disable-{f}" for f in DISABLED.split()), *(f"--enable-{f}" for f in ENABLED.split())]
# What the modules import: hooks that log a value.
SUPPORT = "fuzzing-support"
HOOKS = " ".join(f'(func (export "log-{t}") (param {t}))' for t in ("i32", "i64", "f32", "f64", "v128"))
LIBRARIES = {SUPPORT: f"(module {HOOKS})"}
RESET = "hangLimitInitializer"  # the export that allows the next call so many iterations again
CALLS = 2


def ttf(seed: int) -> Case:
    """The exports of one module that are accepted as they are."""
    return _case(seed, translate(seed))


def translate(seed: int) -> bytes:
    """wasm-opt's translation of the seed's bytes."""
    return run_wasm_opt(["wasm-opt"], FLAGS, random.Random(f"ttf {seed}"))


def run_wasm_opt(
    command: list[str], flags: list[str], rng: random.Random, sizes: Sequence[int] = (60, 200, 600, 1500)
) -> bytes:
    """A module from random bytes, as many as one of `sizes`; every other one is optimised, which makes other shapes."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out.wasm")
        source.write_bytes(rng.randbytes(rng.choice(sizes)))
        optimise = ["-O1"] if rng.random() < 0.5 else []
        subprocess.run(
            [*command, "-ttf", *flags, *optimise, source, "-o", target], check=True, capture_output=True, timeout=60
        )
        return target.read_bytes()


def _case(seed: int, wasm: bytes) -> Case:
    rng = random.Random(f"ttf calls {seed}")
    module = load(wasm).module
    libraries = {name: load(text).module for name, text in LIBRARIES.items()}
    exports, refused = [], Counter[str]()
    for export in module.exports:
        if export.kind == "func":
            try:
                link(module, libraries, [export.name])
                exports.append(export)
            except CompileError as error:
                refused[error.reasons[0].message] += 1
    calls = []
    for export in exports:
        params = module.functions[export.index].type.params
        for _ in range(CALLS if params else 1):
            if export.name != RESET:
                calls += [Call(RESET)] if any(e.name == RESET for e in exports) else []
                calls.append(Call(export.name, tuple(argument(rng, t) for t in params)))
    return Case(wasm, tuple(calls), tuple(e.name for e in exports), LIBRARIES, refused)
