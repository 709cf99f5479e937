"""Programs that throw, compiled by Emscripten in each of its ways: python -m tests.emscripten.

Every step is compared with wasmtime, and what is printed with what Emscripten's own JavaScript prints in Node. Needs emcc and
node (Debian: apt-get install --no-install-recommends emscripten). Exit status 1 when anything differs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import wasm2xformer as w2x

SOURCES = Path(__file__).parent
# source -> the ways to compile what it throws
WAYS = {
    "jumps.c": (["-sSUPPORT_LONGJMP=emscripten"], ["-sSUPPORT_LONGJMP=wasm"]),
    "throws.cpp": (["-fexceptions"], ["-fwasm-exceptions"]),
}


def check(source: str, flags: list[str], level: int, folder: Path) -> str:
    """What differs, or ""."""
    script = folder / "program.js"
    subprocess.run(["emcc", "-O1", *flags, str(SOURCES / source), "-o", str(script)], check=True)
    environment = {**os.environ, "NODE_OPTIONS": "--no-experimental-fetch"}
    wanted = subprocess.run(["node", script.name], cwd=folder, env=environment, capture_output=True).stdout
    verifier = w2x.Verifier(script.with_suffix(".wasm"), opt_level=level)
    printed = b""
    for name, args in (("__wasm_call_ctors", ()), ("main", (0, 0))):
        report = verifier.invoke(name, args)
        printed += report.run.stdout
        if not report.ok or report.run.trap:
            return str(report.divergence or report.run.trap)
    return "" if printed == wanted else f"printed {printed!r}, in Node {wanted!r}"


def main() -> int:
    if shutil.which("emcc") is None or shutil.which("node") is None:
        print("emcc or node is not there: apt-get install --no-install-recommends emscripten nodejs", file=sys.stderr)
        return 2
    problems = 0
    for source, ways in WAYS.items():
        for flags in ways:
            for level in (0, 1):
                with tempfile.TemporaryDirectory() as folder:
                    found = check(source, flags, level, Path(folder))
                problems += bool(found)
                print(f"{source} {' '.join(flags)} -O {level}: {found or 'no difference'}", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
