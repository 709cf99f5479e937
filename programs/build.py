"""Builds the C programs of the collection, checks that what is committed is up to date, and writes README's table.

    python programs/build.py                 rebuild every .wasm
    python programs/build.py sudoku huffman  rebuild these
    python programs/build.py --check         rebuild into a temporary folder and compare (exit code 1: a difference)
    python programs/build.py --readme        write the table of programs/README.md

Needs Python 3.11 and `pip install ziglang` (the version that made the committed files is ZIG_VERSION below); for programs in
MoonBit node and npm.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ZIG_VERSION = "0.17.1"
# Where npm puts the MoonBit compiler, see `compile_moonbit`.
MOONBIT = FOLDER.parent / "build" / "moonbit"
MOONBIT_PACKAGE = "@moonbit/moonc-worker@0.1.202605123"

# "mvp" leaves out everything after WebAssembly 1.0: no sign extension, bulk memory, multi-value or SIMD opcodes.
COMMON = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-sanitize=undefined"]
FREESTANDING = [*COMMON, "-target", "wasm32-freestanding", "-nostdlib", "-fno-builtin", "-Wl,--no-entry"]
WASI = ["-target", "wasm32-wasi", "-mcpu=mvp+bulk_memory+sign_ext"]

CPP = [
    "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-command-line-argument",
    "-target", "wasm32-wasi", "-mcpu=generic+exception_handling", "-fwasm-exceptions", "-mllvm", "-wasm-use-legacy-eh=false",
]  # fmt: skip

# What the `build` key of a program names: the flags of `python -m ziglang cc`; one -Wl,--export per export follows.
PROFILES = {
    # i32 and nothing else: MVP, and no vectorizer, which would merge neighbouring stores into i64 ones
    "i32": [
        *FREESTANDING, "-mcpu=mvp", "-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops",
        "-Wl,-z,stack-size=4096", "-Wl,--initial-memory=65536",
    ],
    "integer": [
        *FREESTANDING, "-mcpu=mvp+bulk_memory+sign_ext", "-Wl,-z,stack-size=16384",
    ],
    # floating point; a square root is the instruction, and takes no errno
    "float": [
        *FREESTANDING, "-mcpu=mvp+bulk_memory+sign_ext", "-fno-math-errno", "-fno-vectorize", "-fno-slp-vectorize",
        "-Wl,-z,stack-size=16384",
    ],
    # SIMD as it is written in the source
    "simd": [
        *FREESTANDING, "-mcpu=mvp+bulk_memory+sign_ext+simd128", "-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops",
        "-Wl,-z,stack-size=16384",
    ],
    # an ordinary C program with the C library as it comes
    "wasi": [*COMMON, *WASI, "-Wl,-z,stack-size=65536"],
    # the same with a printf that knows no floating-point numbers: half the size, and no float instruction is left
    "wasi_no_float": [*COMMON, *WASI, "-Wl,-z,stack-size=65536"],
    # C++ with exceptions that are WebAssembly's own
    "cpp": [*CPP, "-Wl,-z,stack-size=65536"],
}  # fmt: skip

# The C library's own switch for that printf, whose source is in the ziglang package. It is compiled apart, with the
# library's internal headers, and must come before the program on the command line, or the linker takes the other one.
PRINTF_SOURCE = "wasi/libc-top-half/musl/src/stdio/vfprintf.c"
PRINTF_FLAGS = [
    "-O2", "-w", "-D__wasilibc_printscan_no_floating_point",
    '-D__wasilibc_printscan_floating_point_support_option="build it with the profile wasi"',
]  # fmt: skip
PRINTF_INCLUDES = [
    "wasi/libc-top-half/musl/src/include", "wasi/libc-top-half/musl/src/internal",
    "wasi/libc-top-half/musl/arch/wasm32", "wasi/libc-top-half/musl/arch/generic",
    "wasi/libc-top-half/headers/private", "musl/src/include", "musl/src/internal", "musl/arch/generic",
]  # fmt: skip


# The ziglang package has the C++ library for WASI without what throws and catches; these sources of it are compiled besides, and
# the tag that C++ throws with is defined.
THROWING = {
    "libcxxabi/src/cxa_exception.cpp": ["-D_LIBCXXABI_BUILDING_LIBRARY", "-D_LIBCPP_BUILDING_LIBRARY"],
    "libcxxabi/src/cxa_personality.cpp": ["-D_LIBCXXABI_BUILDING_LIBRARY", "-D_LIBCPP_BUILDING_LIBRARY"],
    "libunwind/src/Unwind-wasm.c": ["-fms-extensions", "-D_LIBUNWIND_HAS_NO_THREADS"],
}
THROWING_INCLUDES = ["libcxxabi/include", "libcxxabi/src", "libcxx/src", "libunwind/include", "libunwind/src"]
CPP_TAG = "\t.tagtype\t__cpp_exception i32\n\t.globl\t__cpp_exception\n__cpp_exception:\n"


def load() -> list[dict]:
    return tomllib.loads((FOLDER / "programs.toml").read_text(encoding="utf-8"))["program"]


def exports(program: dict) -> list[str]:
    """The functions to export from a freestanding program: the ones its invocations call, in their order."""
    return list(dict.fromkeys(run["export"] for run in program["run"] if run["export"] != "_start"))


def compile_c(*arguments: str) -> None:
    """Runs `zig cc` in this folder, for C++ `zig c++`."""
    cpp = any(a.endswith(".cpp") for a in arguments)
    subprocess.run([sys.executable, "-m", "ziglang", "c++" if cpp else "cc", *arguments], cwd=FOLDER, check=True)


def ziglang() -> Path:
    """The folder of what comes with the compiler."""
    package = importlib.util.find_spec("ziglang")
    if package is None or package.origin is None:
        raise SystemExit("the ziglang package is missing: pip install ziglang")
    return Path(package.origin).parent / "lib"


def throwing_objects(folder: Path) -> list[str]:
    """Compiles what C++ programs throw and catch with; the paths of the object files."""
    target = CPP[CPP.index("-target") :]
    includes = [f"-I{ziglang() / include}" for include in THROWING_INCLUDES]
    tag = folder / "tag.S"
    tag.write_text(CPP_TAG)
    objects = []
    for source, flags in {**{str(ziglang() / s): f for s, f in THROWING.items()}, str(tag): []}.items():
        objects.append(str(folder / f"{Path(source).stem}.o"))
        compile_c(*target, "-O2", "-w", *includes, *flags, "-c", source, "-o", objects[-1])
    return objects


def compile_moonbit(program: dict, output: Path) -> None:
    """Compiles MoonBit by its compiler from npm, which is installed the first time. Needs node and npm."""
    compiler = MOONBIT / "node_modules" / "@moonbit" / "moonc-worker" / "moonc-worker.js"
    if not compiler.exists():
        quietly = ["--silent", "--no-fund", "--no-audit"]
        subprocess.run(["npm", "install", *quietly, "--prefix", MOONBIT, MOONBIT_PACKAGE], check=True)
    names = exports(program)
    subprocess.run(["node", FOLDER / "gc" / "moonc.js", compiler, FOLDER / program["source"], output, *names], check=True)


def printf_object(folder: Path) -> str:
    """Compiles the printf without floating-point numbers; the path of the object file."""
    libc = ziglang() / "libc"
    includes = [f"-I{libc / include}" for include in PRINTF_INCLUDES]
    output = str(folder / "vfprintf.o")
    compile_c(*WASI, *PRINTF_FLAGS, *includes, "-c", str(libc / PRINTF_SOURCE), "-o", output)
    return output


def build(program: dict, output: Path) -> None:
    """Compiles the program; keeps the name section, drops debug information (and with it the build machine's paths)."""
    with tempfile.TemporaryDirectory() as folder:
        # the linker writes the output file's name into the name section
        raw = Path(folder) / output.name
        if program["build"] == "moonbit":
            compile_moonbit(program, raw)
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_bytes(strip(raw.read_bytes()))
            return
        objects = [printf_object(Path(folder))] if program["build"] == "wasi_no_float" else []
        objects += throwing_objects(Path(folder)) if program["build"] == "cpp" else []
        names = [f"-Wl,--export={name}" for name in exports(program)]
        compile_c(*PROFILES[program["build"]], *names, *objects, program["source"], "-o", str(raw))
        module = strip(raw.read_bytes())
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(module)


def strip(module: bytes) -> bytes:
    """The module without its custom sections, except the names of functions and globals."""
    kept, position = bytearray(module[:8]), 8
    while position < len(module):
        size, body = _leb128(module, position + 1)
        end = body + size
        if module[position] != 0 or _custom_name(module, body) == b"name":
            kept += module[position:end]
        position = end
    return bytes(kept)


def _custom_name(module: bytes, position: int) -> bytes:
    length, position = _leb128(module, position)
    return module[position : position + length]


def _leb128(module: bytes, position: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the position behind it."""
    value = shift = 0
    while True:
        byte = module[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def outdated(programs: list[dict]) -> list[str]:
    """The .wasm files that differ from what the sources give now."""
    different = []
    with tempfile.TemporaryDirectory() as folder:
        for program in programs:
            fresh, committed = Path(folder) / program["wasm"], FOLDER / program["wasm"]
            build(program, fresh)
            if not committed.exists() or committed.read_bytes() != fresh.read_bytes():
                different.append(program["wasm"])
    return different


def table(programs: list[dict]) -> str:
    """The programs as a Markdown table."""
    lines = ["| program | group | source | shows | size |", "|---|---|---|---|---|"]
    for program in programs:
        sizes = sorted({run["size"] for run in program["run"]}, key=["small", "medium", "large"].index)
        lines.append(
            f"| {program['id']} | {program['group']} | [{program['source']}]({program['source']}) "
            f"| **{program['title']}.** {program['shows']} | {', '.join(sizes)} |"
        )
    return "\n".join(lines) + "\n"


def readme(programs: list[dict], text: str) -> str:
    """README's text with the table between its two marks renewed."""
    before, _, rest = text.partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- end of table -->\n")
    return f"{before}<!-- table -->\n{table(programs)}<!-- end of table -->\n{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the C programs.")
    parser.add_argument("ids", nargs="*", help="programs to build (default: all)")
    parser.add_argument("--check", action="store_true", help="compare with the committed files and write nothing")
    parser.add_argument("--readme", action="store_true", help="renew the table in README.md and build nothing")
    arguments = parser.parse_args()
    programs = load()
    if arguments.readme:
        path = FOLDER / "README.md"
        path.write_text(readme(programs, path.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    chosen = [p for p in programs if "wasm" in p and (not arguments.ids or p["id"] in arguments.ids)]
    if arguments.check:
        different = outdated(chosen)
        print("\n".join(f"{name}: not what its source gives" for name in different) or "up to date")
        return 1 if different else 0
    for program in chosen:
        print(program["wasm"])
        build(program, FOLDER / program["wasm"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
