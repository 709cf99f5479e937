"""python -m tests.large [--steps 1000000] [--calls 2000] [--opt-level 0|1]

A module as large as one likes is compiled, saved, loaded, run and verified, with what that takes: processor seconds, the most
memory there was so far, and how large the checkpoint is. Some 6 GB of memory for a million steps. Exit status 1 when anything
differs from wasmtime.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import wasm2xformer as w2x

# Steps that a function becomes, about.
STEPS = 78


def module(functions: int, seed: int = 0) -> str:
    """WAT: that many functions with loops, branches, memory and calls, no two alike, and `run` (calls, first), which calls one
    after the other through a table, each chosen by what those before it returned."""
    rng = random.Random(seed)
    bodies = "\n".join(_function(i, rng) for i in range(functions))
    names = " ".join(f"$f{i}" for i in range(functions))
    return f"""(module (memory (export "memory") 4) (table {functions} funcref) (elem (i32.const 0) func {names})
{bodies}
(func (export "run") (param $calls i32) (param $x i32) (result i32)
  (loop $again
    (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1103515245)) (call_indirect (param i32 i32) (result i32)
      (local.get $x) (local.get $calls) (i32.rem_u (i32.shr_u (local.get $x) (i32.const 3)) (i32.const {functions})))))
    (br_if $again (local.tee $calls (i32.sub (local.get $calls) (i32.const 1)))))
  (local.get $x)))"""


def _function(index: int, rng: random.Random) -> str:
    """Locals 0 and 1 are parameters, 2 to 5 others."""
    lines = [f"(local.set {local} (i32.const {rng.randrange(2**rng.randrange(1, 32))}))" for local in range(2, 6)]
    while len(lines) < STEPS // 2:
        a, b, c = (rng.randrange(6) for _ in range(3))
        op = rng.choice(("add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "rotl"))
        constant = rng.randrange(2 ** rng.randrange(1, 32))
        address = f"(i32.and (local.get {b}) (i32.const 65535))"
        lines.append(rng.choice((
            f"(local.set {a} (i32.{op} (local.get {b}) (i32.const {constant})))",
            f"(local.set {a} (i32.{op} (local.get {b}) (local.get {c})))",
            f"(local.set {a} (i32.load offset={rng.randrange(2**16)} {address}))",
            f"(i32.store offset={rng.randrange(2**16)} {address} (local.get {a}))",
            f"(if (i32.lt_u (local.get {a}) (i32.const {constant}))"
            f" (then (local.set {b} (i32.{op} (local.get {c}) (local.get 1)))))",
            f"(if (i32.and (local.get {a}) (i32.const {1 << rng.randrange(9)})) (then (return (local.get {b}))))",
        )))  # fmt: skip
    if index:
        lines.insert(rng.randrange(4, len(lines)), f"(local.set 0 (call $f{rng.randrange(index)} (local.get 2) (local.get 0)))")
    loop = f"(local.set 5 (i32.const {rng.randrange(1, 4)}))"
    end = "(br_if $l (local.tee 5 (i32.shr_u (local.get 5) (i32.const 1))))"
    inner = " ".join(line.replace("(local.set 5", "(local.set 4") for line in lines[4:10])
    body = " ".join([*lines[:4], loop, f"(loop $l {inner} {end})", *lines[10:]])
    return f"(func $f{index} (param i32 i32) (result i32) (local i32 i32 i32 i32) {body} (local.get {rng.randrange(6)}))"


class Stopwatch:
    """Prints what has passed since the line before: a name, processor seconds, and the most memory so far."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def __call__(self, what: str, more: str = "") -> None:
        now = time.process_time()
        print(f"{what:<14}{now - self._last:>9.2f} s{_peak():>11,.0f} MiB   {more}", flush=True)
        self._last = now


def _peak() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def goes_through(wat: str, calls: int, opt_level: int, path: Path) -> bool:
    """Everything that is done with a program, one after the other."""
    took = Stopwatch()
    model = w2x.compile(wat, opt_level)
    took("compile", f"{len(model.program.steps):,} steps, prefix of {len(model.transformer.prefix):,} tokens")
    model.save(path)
    del model
    took("save", f"{path.stat().st_size / 2**20:,.1f} MiB")
    model = w2x.load(path)
    took("load")
    vm = w2x.Instance(model)
    took("start")
    run = vm.invoke("run", calls, 12345)
    took("run", f"run({calls}, 12345) = {run.values[0]}: {len(run.tokens):,} tokens, {run.steps:,} steps")
    del vm
    verifier = w2x.Verifier(wat, model=model)
    report = verifier.invoke("run", [calls, 12345])
    took("verify", f"{report.steps:,} steps, {'no difference' if report.ok else report.divergence}")
    return report.ok and report.run.values == run.values


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.large")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--opt-level", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wat = module(options.steps * 51 // (50 * STEPS) + 1)  # a few steps more than asked for
        return 0 if goes_through(wat, options.calls, options.opt_level, Path(folder) / "large.safetensors") else 1


if __name__ == "__main__":
    sys.exit(main())
