"""Real softmax over whole traces on a GPU against the CPU.

1. Random heads from nearly uniform to hard ones: the CPU's results, to rounding.
2. Short traces: the final residual of both, bit for bit, in the slots that the logits read.
3. Long traces (tests.replay_all), confirmed on the GPU: tokens/s, and how much of its memory was taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

import wasm2xformer as w2x
from tests.programs import load_programs
from tests.replay_all import trace
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.runtime.check.replay import replay
from wasm2xformer.runtime.check.replay.attention import Lead, SoftmaxAttention
from wasm2xformer.runtime.check.replay.matrices import Embedding
from wasm2xformer.runtime.check.replay.softmax import forward

Told = tuple[bool, str]


def replays(device: str, quick: bool) -> Iterator[Told]:
    yield from _heads(2_000 if quick else 20_000, device)
    for program in (p for p in load_programs() if p.id in (("gcd",) if quick else ("sudoku", "stack_vm"))):
        model = w2x.compile(program.module(), 1)
        yield from _program(program.id, model.transformer, *trace(program, model, 100_000, 150_000), device)


def _heads(size: int, device: str) -> Iterator[Told]:
    for scale in (0.1, 1.0, 100.0, 1e5):
        g = torch.Generator().manual_seed(0)
        parts = [torch.randn((size, c), dtype=torch.float64, generator=g) for c in (6, 6, 16)]
        parts[0] *= scale
        results, leads, seconds = [], [], []
        for where in ("cpu", device):
            lead, began = Lead(), time.perf_counter()
            results.append(SoftmaxAttention(*(p.to(where) for p in parts), lead).result().cpu())
            seconds.append(time.perf_counter() - began)
            leads.append(lead)
        error = float((results[0] - results[1]).abs().max())
        same = error < 1e-9 and abs(leads[0].least - leads[1].least) <= 1e-9 * scale
        told = f"{seconds[0]:.1f} s and {seconds[1]:.1f} s, largest error {error:.2g}"
        yield same, f"random heads, {size:,} positions, scores of {scale:g}: {told}"


def _program(name: str, model: Transformer, sequence: np.ndarray, start: int, device: str) -> Iterator[Told]:
    short = sequence[: start + 5000]
    read = model.unembed.used_columns()
    finals = [torch.cat(forward(model, Embedding(model, d)(short, 0), d), 1)[read].cpu() for d in ("cpu", device)]
    yield torch.equal(*finals), f"{name}: final residual of {len(short):,} tokens, bit for bit"
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    mismatch = replay(model, sequence, start, attention="softmax", device=device)
    seconds = time.perf_counter() - began
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.startswith("cuda") else 0.0
    speed = f"{len(sequence):,} tokens, {len(sequence) / seconds:,.0f} tokens/s, {memory:,.0f} MiB"
    yield mismatch is None, f"{name}: {speed}: {mismatch or 'confirmed'}"
