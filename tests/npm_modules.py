"""More published modules, each driven by one real call: see `tests.npm`."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.npm_session import Session


def png(pixels: bytes, width: int) -> bytes:
    """RGBA."""
    rows = b"".join(b"\0" + pixels[at : at + 4 * width] for at in range(0, len(pixels), 4 * width))
    header = struct.pack(">IIBBBBB", width, len(pixels) // (4 * width), 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


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
