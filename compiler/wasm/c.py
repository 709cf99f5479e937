"""C -> WASM bytes, by clang with a WASI sysroot if there is one, else by the C compiler in the `ziglang` package."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..format.errors import CompileError
from ..format.files import read_file
from ..format.printable import printable
from .opcodes import MAGIC
from .reader import Reader

TARGET = "wasm32-wasi"
STACK_BYTES = 64 * 1024
# zig's default stack of 16 MiB is a quarter of the memory there is.
FLAGS = ["-O2", f"-Wl,--gc-sections,-z,stack-size={STACK_BYTES}"]
# Without main there is no _start: a library, of which every function that is not static is exported.
LIBRARY_FLAGS = ["-mexec-model=reactor", "-fvisibility=default", "-Wl,--export-dynamic"]

NO_COMPILER = (
    "no C compiler that targets wasm32-wasi was found: pip install 'wasm2xformer[c]', "
    "or put a clang with a WASI sysroot on PATH"
)


def compile_c(path: Path, show: Callable[[str], None] | None = None, debug: bool = False) -> bytes:
    """Compiles one C file. With main it becomes a WASI command (export `_start`), else a library.

    show: called with the exact command line before it runs. debug: with debug information (line numbers), which otherwise is
    dropped.
    Raises CompileError with the compiler's messages, or when there is no compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.wasm"
        command = [*c_command(path, output), *(["-g"] if debug else [])]
        if show is not None:
            show(shlex.join(command))
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise CompileError(f"{printable(str(path))} does not compile:\n{(done.stderr or done.stdout).strip()}")
        return output.read_bytes() if debug else _without_debug_info(output.read_bytes())


def c_command(path: Path, output: Path) -> list[str]:
    """The command line that compiles `path` to `output`. Raises CompileError when there is no compiler."""
    source = read_file(path).decode(errors="replace")
    library = [] if re.search(r"\bmain\s*\(", source) else LIBRARY_FLAGS
    return [*_compiler(), *FLAGS, *library, str(path), "-o", str(output)]


def _compiler() -> list[str]:
    clang = shutil.which("clang")
    if clang:
        # clang prints the full path of a file that the target's sysroot has, else the name alone.
        query = [clang, f"--target={TARGET}", "-print-file-name=libc.a"]
        libc = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
        if Path(libc).is_absolute() and Path(libc).exists() and shutil.which("wasm-ld"):
            # The stack at the bottom, where overflowing it traps; zig does so and does not know the flag.
            return [clang, f"--target={TARGET}", "-Wl,--stack-first"]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", TARGET]
    raise CompileError(NO_COMPILER)


def _without_debug_info(wasm: bytes) -> bytes:
    """Drops custom sections except function names: the C library's debug info is a megabyte.

    Done here because the linkers differ in what their --strip-debug leaves.
    """
    reader = Reader(wasm)
    out = [reader.take(len(MAGIC) + 4)]
    while reader.position < reader.end:
        start = reader.position
        section, content = reader.byte(), reader.part()
        if section != 0 or content.name() == "name":
            out.append(wasm[start : reader.position])
    return b"".join(out)
