"""Programs decoded on a GPU beside the fast engine, every token."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import wasm2xformer as w2x
from tests.hf import CASES, Stranger, compare
from tests.programs import load_programs
from wasm2xformer.compiler.stock import in_stock_form
from wasm2xformer.runtime.hf_engine import HFEngine
from wasm2xformer.runtime.mixture_engine import MixtureEngine
from wasm2xformer.runtime.torch_engine import TorchEngine

Told = tuple[bool, str]
IDS = ("gcd", "sieve", "siphash", "matrix_f32", "statistics", "hello")
GCD = """(module (func (export "gcd") (param i32 i32) (result i32)
  (block (loop (br_if 1 (i32.eqz (local.get 1)))
    (local.get 1) (local.set 1 (i32.rem_u (local.get 0) (local.get 1))) (local.set 0) (br 0)))
  (local.get 0)))"""


def engines(device: str, quick: bool) -> Iterator[Told]:
    programs = {program.id: program for program in load_programs()}
    limit = 40 if quick else 200
    for name in IDS[:1] if quick else IDS:
        module, run = programs[name].module(), programs[name].runs[CASES[name]]
        model = w2x.compile(module, 1)
        reference = w2x.Instance(model, stdin=run.stdin, random=bytes(256), clock=0.0).invoke(run.export, *run.args)
        stock = in_stock_form(model)
        found = {
            "torch": lambda model=model: TorchEngine(model.transformer, device=device),
            "torch, stock form": lambda stock=stock: TorchEngine(stock.transformer, device=device),
            "hf": lambda stock=stock: HFEngine(stock.transformer, device=device),
        }
        if name in ("gcd", "siphash"):
            mixture = w2x.to_hf(model, moe=True).mixture
            found |= {
                "torch, mixture of experts": lambda m=mixture: MixtureEngine(m, device=device),
                "hf, mixture of experts": lambda m=mixture: HFEngine(m, device=device),
            }
        for kind, made in found.items():
            engine = made()
            engine.append(run_prompt := np.asarray(reference.prompt))
            began = time.perf_counter()
            tokens = engine.decode(np.zeros(len(model.transformer.vocabulary), bool), min(limit, len(reference.tokens)))
            seconds = time.perf_counter() - began
            same = tokens.tolist() == reference.tokens[:limit].tolist()
            yield same, f"{name}, {kind}: {len(tokens)} tokens behind {len(run_prompt)}, {len(tokens) / seconds:.1f} tokens/s"


def generate(device: str, quick: bool) -> Iterator[Told]:
    programs = {program.id: program for program in load_programs()}
    with Stranger() as stranger, tempfile.TemporaryDirectory() as folder:
        for name in IDS[:1] if quick else IDS:
            static = {"bounded": True, "cache_implementation": "static"}
            kinds: dict[str, dict[str, Any]] = {"": {}, ", static cache": {**static, "disable_compile": True}}
            if not quick and name == "gcd":
                kinds[", static cache, compiled (its time included)"] = static
            for kind, more in kinds.items():
                found = compare(stranger, programs[name], CASES[name], "sdpa", 1, device, **more)
                speed = f"{found['tokens']:,} tokens, {found['tokens'] / found['seconds']:.1f} tokens/s"
                yield found["wrong"] is None, f"{name}{kind}: {speed}"
        model = w2x.compile(GCD)
        w2x.save_folder(model, Path(folder, "gcd"))
        names = model.transformer.vocabulary
        for size in (4,) if quick else (1, 32, 256, 1024):
            # Fibonacci numbers take the most iterations; others end earlier and are filled up.
            pairs = [(1134903170 - 7 * k, 701408733 + k) for k in range(size)]
            runs = [w2x.Instance(model).invoke("gcd", *pair) for pair in pairs]
            prompts = [" ".join(names[t] for t in run.prompt) for run in runs]
            found = stranger.generate(Path(folder, "gcd"), prompts, device=device)
            same = all(
                _within(row, [*model.transformer.prefix, *run.prompt, *run.tokens])
                for row, run in zip(found["tokens"], runs, strict=True)
            )
            tokens = sum(len(run.tokens) for run in runs)
            yield same, f"gcd, a batch of {size}: {tokens:,} tokens, {tokens / found['seconds']:,.0f} tokens/s"


def _within(row: list[int], whole: list[int]) -> bool:
    """Whether the row is that sequence, filled up with one token before and behind."""
    for start in range(len(row) - len(whole) + 1):
        if row[start : start + len(whole)] == whole:
            return len({*row[:start], *row[start + len(whole) :]}) <= 1
    return False
