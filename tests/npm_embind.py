"""Modules whose functions are registered with embind: a module of our own calls them as JavaScript would. See `tests.npm`."""

from __future__ import annotations

import bz2
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.npm_session import Session
from wasm2xformer.compiler.link.aliases import aliases
from wasm2xformer.compiler.link.glue import imports_in
from wasm2xformer.compiler.wasm.source import load

TEXT = b"the quick brown transformer jumps over the lazy dog, " * 3

# The program: it takes memory and table of the module, and calls elements of the table.
DRIVER = """(module (import {memory}) (import "it" "{table}" (table 0 funcref))
  (import "it" "{ctors}" (func $ctors)) (import "it" "{malloc}" (func $malloc (param i32) (result i32)))
  (import "env" "embind_count" (func $count (result i32)))
  (import "env" "embind_registered" (func $registered (param i32) (result i32 i32 i32 i32))) {imports}
  (export "memory" (memory 0))
  (func (export "ctors") (call $ctors))
  (func (export "malloc") (param i32) (result i32) (call $malloc (local.get 0)))
  (func (export "count") (result i32) (call $count))
  (func (export "registered") (param i32) (result i32 i32 i32 i32) (call $registered (local.get 0))) {functions})"""


def _call(count: int) -> str:
    """A function that calls an invoker with a function of C++ and so many arguments behind it."""
    parameters, arguments = "i32 " * (count + 2), " ".join(f"(local.get {k})" for k in range(1, count + 2))
    return (f'(func (export "call{count}") (param {parameters}) (result i32) '
            f"(call_indirect (param {'i32 ' * (count + 1)}) (result i32) {arguments} (local.get 0)))")  # fmt: skip


class Bound(Session):
    """A module with embind. calls: with how many arguments its functions are called."""

    def __init__(self, name: str, wasm: bytes, calls: set[int], names: Mapping[str, str], values: str = "(module)",
                 imports: str = "", functions: str = "", script: str = "", memory: str = ""):  # fmt: skip
        """names: of memory, table, ctors and malloc. values: a library for "env". script: Emscripten's, with shortened names."""
        module = load(wasm).module
        text = DRIVER.format(
            memory=memory or f'"it" "{names["memory"]}" (memory 0)', table=names["table"], ctors=names["ctors"],
            malloc=names["malloc"], imports=imports, functions=functions + " ".join(map(_call, calls)),
        )  # fmt: skip
        meant = aliases(module, imports_in(script, module)) if script else {}
        super().__init__(name, text.encode(), libraries={"it": wasm, "env": values, **meant})
        self.call("ctors")
        self._bound: dict[tuple[int, bytes], tuple[int, int]] = {}
        for place in range(self.call("count")):
            kind, at, invoker, function = self.results("registered", place)
            self._bound[kind, self.text(at) if at else b""] = invoker, function

    def text(self, at: int) -> bytes:
        return self.read(at, 32).partition(b"\0")[0]

    def put(self, data: bytes) -> int:
        address = self.call("malloc", len(data))
        self.write(address, data)
        return address

    def bound(self, name: bytes, *args: int, kind: int = 0) -> int:
        """A function, or a method of a class."""
        return int(self.call(f"call{len(args)}", *self._bound[kind, name], *args))

    def kind_with(self, method: bytes) -> int:
        return next(kind for kind, name in self._bound if name == method)


# An object is what was set in it last, strings and numbers are themselves.
OBJECTS = """(module (import "w2x" "memory" (memory 0))
  (global $key (mut i32) (i32.const 0)) (global $value (mut i32) (i32.const 0))
  (func (export "_emval_new_object") (result i32) (i32.const 1))
  (func (export "_emval_new_cstring") (param i32) (result i32) (local.get 0))
  (func (export "_emval_take_value") (param i32 i32) (result i32) (i32.load (local.get 1)))
  (func (export "_emval_set_property") (param i32 i32 i32) (global.set $key (local.get 1)) (global.set $value (local.get 2)))
  (func (export "key") (result i32) (global.get $key)) (func (export "value") (result i32) (global.get $value)))"""
PROPERTY = """(func (export "key") (result i32) (call $key)) (func (export "value") (result i32) (call $value))"""


def wasm_bz2(package: Path) -> Iterator[Session]:
    """C++ by Emscripten: what Python's bz2 has packed is unpacked."""
    names = {"memory": "memory", "table": "__indirect_function_table", "ctors": "__wasm_call_ctors", "malloc": "malloc"}
    session = Bound("@foxglove/wasm-bz2", (package / "wasm/module.wasm").read_bytes(), {5}, names, OBJECTS,
                    """(import "env" "key" (func $key (result i32))) (import "env" "value" (func $value (result i32)))""",
                    PROPERTY)  # fmt: skip
    packed = bz2.compress(TEXT)
    to, source = session.call("malloc", 4096), session.put(packed)
    session.bound(b"decompress", to, 4096, source, len(packed), 0)
    session.expect("property", session.text(session.call("key")), b"buffer")
    session.expect("length", session.call("value"), len(TEXT))
    session.expect_bytes(to, TEXT)
    yield session


# new Uint8Array(view): a view is a size and an address; its bytes are copied behind all else, at a page of their own.
ARRAYS = """(module (import "w2x" "memory" (memory 0)) (global $size (mut i32) (i32.const 0))
  (func (export "_emval_get_global") (param i32) (result i32) (i32.const 1))
  (func (export "_emval_new") (param i32 i32 i32) (param $view i32) (result i32) (local $to i32)
    (global.set $size (i32.load (local.get $view)))
    (local.set $to (i32.shl (memory.grow (i32.const 1)) (i32.const 16)))
    (memory.copy (local.get $to) (i32.load offset=4 (local.get $view)) (global.get $size)) (local.get $to))
  (func (export "size") (result i32) (global.get $size)))"""


def webp(package: Path) -> Iterator[Session]:
    """C++ by Emscripten, whose names are shortened: 64 red pixels become a WebP, without loss."""
    folder = package / "codec/enc"
    session = Bound("@jsquash/webp", (folder / "webp_enc.wasm").read_bytes(), {4},
                    {"memory": "x", "table": "D", "ctors": "y", "malloc": "z"}, ARRAYS,
                    '(import "env" "size" (func $size (result i32)))', '(func (export "size") (result i32) (call $size))',
                    (folder / "webp_enc.js").read_text())  # fmt: skip
    pixels = bytes((255, 0, 0, 255)) * 64
    config = (1, 75.0, 0, 0, 0, 0.0, 1, 50, 60, 0, 1, 0, 1, 1, 100, 1, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 100)
    options = session.put(struct.pack("<ifiiif23i", *config))
    at = session.bound(b"encode", session.put(struct.pack("<I", len(pixels)) + pixels), 8, 8, options)
    image = session.read(at, session.call("size"))
    session.expect("RIFF", (image[:4], struct.unpack("<I", image[4:8])[0], image[8:16]), (b"RIFF", len(image) - 8, b"WEBPVP8L"))
    bits = int.from_bytes(image[21:25], "little")
    session.expect("a picture", (image[20], bits % 2**14 + 1, (bits >> 14) % 2**14 + 1), (0x2F, 8, 8))
    yield session


# What re2 imports besides; its locks have nobody to wait for.
LOCKS = """(module (memory (export "memory") 256 256) (func $no (param i32) (result i32) (i32.const 0))
  (func (export "__cxa_atexit") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "pthread_rwlock_init") (param i32 i32) (result i32) (i32.const 0))
  (export "pthread_rwlock_destroy" (func $no)) (export "pthread_rwlock_rdlock" (func $no))
  (export "pthread_rwlock_unlock" (func $no)) (export "pthread_rwlock_wrlock" (func $no)))"""


def re2(package: Path) -> Iterator[Session]:
    """C++ by Emscripten, a class: a regular expression is compiled, and one that is none is told."""
    names = {"table": "__indirect_function_table", "ctors": "__wasm_call_ctors", "malloc": "malloc"}
    session = Bound("re2-wasm", (package / "build/wasm/re2.wasm").read_bytes(), {1, 4}, names, LOCKS,
                    memory='"env" "memory" (memory 256 256)')  # fmt: skip
    kind = session.kind_with(b"ok")
    for pattern, valid in ((b"a(b|c)*d", 1), (b"a(b", 0)):
        text = session.put(struct.pack("<I", len(pattern)) + pattern)
        expression = session.word(session.bound(b"", text, 0, 0, 0, kind=kind))  # of what a shared_ptr has
        session.expect(f"ok of {pattern!r}", session.bound(b"ok", expression, kind=kind), valid)
    yield session
