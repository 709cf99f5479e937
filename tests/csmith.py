"""Random C programs by csmith, compiled with mixed flags and compared with wasmtime: python -m tests.csmith --count N --seed S.
With --simd every program is compiled with vectors.

Needs csmith and its headers (Debian: apt-get install csmith libcsmith-dev) and the C compiler of the ziglang wheel. A program
that is not finished after --tokens tokens is compared so far and counted as unfinished. Exit status 1 when anything differs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import wasm2xformer as w2x

FLAGS = (["-O0"], ["-O1"], ["-O2"], ["-Os"], ["-O3", "-fno-inline"], ["-O2", "-mbulk-memory"], ["-Oz", "-msign-ext"])
VECTORS = (["-O3", "-msimd128"], ["-O2", "-msimd128", "-ftree-vectorize"])
SMALL = "--max-funcs 5 --max-block-depth 3 --max-expr-complexity 6 --max-array-dim 2 --max-array-len-per-dim 6".split()
TOKENS = 5_000_000


def compiled(seed: int, flags: list[str], folder: Path) -> bytes:
    source, wasm = folder / "program.c", folder / "program.wasm"
    text = subprocess.run(["csmith", "--seed", str(seed), *SMALL], check=True, cwd=folder, capture_output=True, text=True).stdout
    source.write_text(text)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-w", "-I", "/usr/include/csmith"]
    command += ["-fno-sanitize=undefined"]  # zig would have -O0 trap where C leaves the behaviour open
    subprocess.run([*command, *flags, str(source), "-o", str(wasm)], check=True, capture_output=True)
    return wasm.read_bytes()


def check(seed: int, flags: list[str], tokens: int) -> str:
    """How it ended: "same", "unfinished", or what differs."""
    with tempfile.TemporaryDirectory() as folder:
        wasm = compiled(seed, flags, Path(folder))
    try:
        report = w2x.verify(wasm, "_start", opt_level=seed % 2, max_tokens=tokens)
    except w2x.Unfinished as error:
        return "unfinished" if "DIFFERENT" not in str(error) else str(error)
    if not report.ok:
        return str(report.divergence or report.limit)
    return "same" if b"checksum" in report.run.stdout else f"no checksum: {report.run.stdout[:80]!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--simd", action="store_true")
    options = parser.parse_args()
    ways = VECTORS if options.simd else FLAGS
    if shutil.which("csmith") is None:
        print("csmith is not there: apt-get install csmith libcsmith-dev", file=sys.stderr)
        return 2
    counts = {"same": 0, "unfinished": 0, "different": 0}
    for seed in range(options.seed, options.seed + options.count):
        ended = check(seed, ways[seed // 2 % len(ways)], options.tokens)
        counts[ended if ended in counts else "different"] += 1
        print(f"seed {seed}: {ended}", flush=True)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
