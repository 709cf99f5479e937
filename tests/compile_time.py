"""python -m tests.compile_time [--sizes 1000 10000 100000] [--kind K] [--passes] [--opt-level 0|1]

Seconds from module to step program for modules that are large in one respect, by size: near linear is what they should be.
The growth is the exponent between the last two sizes. --passes: also by pass, for the largest size.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import load


def _function(body: str, signature: str = "(param $n i32) (result i32)", before: str = "") -> str:
    return f'(module {before} (func $f (export "f") {signature} {body}))'


def blocks(n: int) -> str:
    return _function("block local.get $n br_if 0 i32.const 1 local.set $n end " * n + "local.get $n")


def loops(n: int) -> str:
    return _function("loop local.get $n i32.const 1 i32.sub local.tee $n br_if 0 end " * n + "local.get $n")


def ifs(n: int) -> str:
    body = "local.get $n if (result i32) local.get $n i32.const 3 i32.add else i32.const 7 end local.set $n "
    return _function(body * n + "local.get $n")


def nested_blocks(n: int) -> str:
    return _function("block " * n + "local.get $n br_if 0 " + "end " * n + "local.get $n")


def nested_loops(n: int) -> str:
    return _function("loop " * n + "local.get $n br_if 0 end " * n + "local.get $n")


def nested_ifs(n: int) -> str:
    return _function("local.get $n if " * n + "else i32.const 1 local.set $n end " * n + "local.get $n")


def jumps(n: int) -> str:
    return _function("block br 0 end block block br 1 end end " * n + "local.get $n")


def backward_jumps(n: int) -> str:
    """Jumps to jumps, each to the one before."""
    body = "block block block " + "block br 1 end " * n + "end end end "
    return _function(body + "local.get $n")


def table_of_few(n: int) -> str:
    return _function(f"block block local.get $n br_table {'0 1 ' * (n // 2)} 1 end end local.get $n")


def table_of_many(n: int) -> str:
    labels = " ".join(map(str, range(n)))
    return _function(f"{'block ' * n} local.get $n br_table {labels} {'end i32.const 1 local.set $n ' * n} local.get $n")


def straight(n: int) -> str:
    return _function("local.get $n i32.const 3 i32.mul i32.const 5 i32.xor local.set $n " * (n // 2) + "local.get $n")


def copies(n: int) -> str:
    """Copies between many locals."""
    locals_ = 1000
    body = " ".join(f"local.get {i * 7 % locals_} local.set {i * 11 % locals_}" for i in range(n))
    return _function(body + " local.get $n", f"(param $n i32) (result i32) (local {'i32 ' * locals_})")


def branching_copies(n: int) -> str:
    """Copies between many locals, and branches between them."""
    locals_ = 1000
    body = " ".join(
        f"block local.get {i % locals_} br_if 0 local.get {i * 7 % locals_} local.set {i * 11 % locals_} end"
        for i in range(n)
    )
    return _function(body + " local.get $n", f"(param $n i32) (result i32) (local {'i32 ' * locals_})")


def addresses(n: int) -> str:
    body = "local.get $n i32.const 255 i32.and i32.const 9 i32.add i32.load local.set $n "
    return _function(body * n + "local.get $n", before="(memory 1)")


def stores(n: int) -> str:
    """Additions whose use stands far behind them."""
    deep = 1000
    push = "local.get $n i32.const 255 i32.and i32.const 9 i32.add " * deep
    return _function((push + "i32.const 1 i32.store " + "drop " * (deep - 1)) * (n // deep) + "local.get $n", before="(memory 1)")


def calls(n: int) -> str:
    body = "local.get $n call $g local.set $n " * n + "local.get $n"
    return _function(body, before="(func $g (param i32) (result i32) local.get 0)")


def functions(n: int) -> str:
    return "(module " + " ".join(f"(func (param i32) (result i32) local.get 0 i32.const {i} i32.add)" for i in range(n)) + (
        f'(func (export "f") (param i32) (result i32) local.get 0 {" ".join(f"call {i}" for i in range(n))}))'
    )


def references(n: int) -> str:
    return "(module " + " ".join(f"(func $f{i})" for i in range(n)) + (
        f"(elem declare func {' '.join(f'$f{i}' for i in range(n))})"
        f'(func (export "f") (result i32) (local funcref) '
        f"{' '.join(f'ref.func $f{i} local.set 0' for i in range(n))} local.get 0 ref.is_null))"
    )


def results(n: int) -> str:
    """Blocks with many results that change places."""
    wide = 100
    block = f"block (result {'i32 ' * wide}) {' '.join(f'local.get {i}' for i in range(wide))} local.get 0 br_if 0 end "
    back = " ".join(f"local.set {(i + 1) % wide}" for i in range(wide))
    return _function((block + back + " ") * (n // wide) + "local.get 0", f"(param i32) (result i32) (local {'i32 ' * wide})")


KINDS: dict[str, Callable[[int], str]] = {
    f.__name__: f
    for f in (
        blocks, loops, ifs, nested_blocks, nested_loops, nested_ifs, jumps, backward_jumps, table_of_few, table_of_many,
        straight, copies, branching_copies, addresses, stores, calls, functions, references, results,
    )
}  # fmt: skip


def measure(source: Any, opt_level: int) -> dict[str, float]:
    """Seconds by pass."""
    passes: dict[str, float] = {}
    last = time.perf_counter()

    def watch(name: str, value: Any) -> None:
        nonlocal last
        now = time.perf_counter()
        passes[name] = now - last
        last = time.perf_counter()

    compile_steps(source, CompileOptions(opt_level), watch)
    return passes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compile_time")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--kind", action="append", choices=tuple(KINDS))
    parser.add_argument("--opt-level", type=int, default=1)
    parser.add_argument("--passes", action="store_true")
    options = parser.parse_args()
    print(f"{'kind':<18}" + "".join(f"{n:>12,}" for n in options.sizes) + f"{'growth':>10}")
    for kind in options.kind or KINDS:
        seconds, passes = [], {}
        for size in options.sizes:
            passes = measure(load(KINDS[kind](size)), options.opt_level)
            seconds.append(sum(passes.values()))
        growth = math.log(seconds[-1] / seconds[-2], options.sizes[-1] / options.sizes[-2]) if len(seconds) > 1 else 0
        print(f"{kind:<18}" + "".join(f"{s:>12.2f}" for s in seconds) + f"{growth:>10.2f}", flush=True)
        if options.passes:
            print("    " + ", ".join(f"{name} {s:.2f}" for name, s in passes.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
