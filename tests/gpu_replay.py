"""Real softmax on a GPU against the CPU: python -m tests.gpu_replay [--device cuda] [ID...]

1. Random heads from nearly uniform to hard ones: the CPU's results, to rounding.
2. Short traces: the final residual of both, bit for bit, in the slots that the logits read.
3. Long traces (tests.replay_all), confirmed on the GPU: tokens/s, and how much of its memory was taken.

No test suite runs this; it needs a machine with a GPU and takes a few minutes. Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_replay")
    parser.add_argument("ids", nargs="*", metavar="ID", default=["sudoku", "stack_vm"], help="programs (%(default)s)")
    parser.add_argument("--device", default="cuda", help="as torch names it (%(default)s)")
    parser.add_argument("--size", type=int, default=20_000, help="positions of the random heads (%(default)s)")
    options = parser.parse_args(arguments)
    differ = [name for name in _heads(options.size, options.device) if name]
    for program in (p for p in load_programs() if p.id in options.ids):
        model = w2x.compile(program.module(), 1)
        differ += _program(program.id, model.transformer, *trace(program, model, 100_000, 150_000), options.device)
    print("no difference" if not differ else "DIFFERENT: " + ", ".join(differ))
    return 1 if differ else 0


def _heads(size: int, device: str) -> list[str]:
    found = []
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
        print(f"random heads, scores of {scale:g}: {told}", flush=True)
        found.append("" if same else f"random heads, scores of {scale:g}")
    return found


def _program(name: str, model: Transformer, sequence: np.ndarray, start: int, device: str) -> list[str]:
    found: list[str] = []
    short = sequence[: start + 5000]
    read = model.unembed.used_columns()
    finals = [torch.cat(forward(model, Embedding(model, d)(short, 0), d), 1)[read].cpu() for d in ("cpu", device)]
    if not torch.equal(*finals):
        found.append(f"{name}: the final residual")
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    mismatch = replay(model, sequence, start, attention="softmax", device=device)
    seconds = time.perf_counter() - began
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.startswith("cuda") else 0.0
    speed = f"{len(sequence):,} tokens, {len(sequence) / seconds:,.0f} tokens/s, {memory:,.0f} MiB"
    print(f"{name}: {speed}: {mismatch or 'confirmed'}", flush=True)
    return [*found, f"{name}: position {mismatch.position}"] if mismatch else found


if __name__ == "__main__":
    sys.exit(main())
