"""Builds numbers.wasm from numbers.c: python runtime/hybrid/programs/build.py [SOURCE.c...]. Needs the ziglang package.

The committed file is what this makes; with --check nothing is written, and the exit code is 1 when one differs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = [
    "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-sanitize=undefined", "-target", "wasm32-freestanding",
    "-nostdlib", "-fno-builtin", "-mcpu=mvp+bulk_memory+sign_ext", "-fno-vectorize", "-fno-slp-vectorize",
    "-fno-unroll-loops", "-Wl,--no-entry", "-Wl,--strip-debug", "-Wl,-z,stack-size=8192",
]  # fmt: skip

# A definition that is not static, also by the macro of numbers.c.
FUNCTION = r"^(?:INTEGERS\((\w+)\)|(?:(?:int|void|char \*|void \*|unsigned char \*)\s*)(\w+)\([^;]*?\)\s*(?:\{|$))"


def build(source: Path) -> bytes:
    """The module, with every function exported that is not static."""
    names = re.findall(FUNCTION, source.read_text(), re.MULTILINE)
    exports = [f"-Wl,--export={a or b}" for a, b in names]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / source.with_suffix(".wasm").name
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *exports, str(source), "-o", str(output)]
        subprocess.run(command, check=True)
        return output.read_bytes()


def main() -> int:
    check = "--check" in sys.argv
    outdated = 0
    for source in [Path(a) for a in sys.argv[1:] if a != "--check"] or [Path(__file__).with_name("numbers.c")]:
        made, target = build(source), source.with_suffix(".wasm")
        if not check:
            target.write_bytes(made)
        elif made != target.read_bytes():
            print(f"{target}: not what its source gives")
            outdated = 1
    return outdated


if __name__ == "__main__":
    sys.exit(main())
