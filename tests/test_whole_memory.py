"""A memory of 65,536 pages: its last byte is there, the one behind it is not, as in wasmtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import wasmtime

import wasm2xformer as w2x
from wasm2xformer.compiler.format.limits import pages_of, size_register
from wasm2xformer.compiler.stock import in_stock_form

BODY = """
  (data $d "0123456789abcdefghijklmnopqrstuvwxyz")
  (func (export "grow") (param i32) (result {i}) (memory.grow ({i}{c} (local.get 0))))
  (func (export "size") (result {i}) (memory.size))
  (func (export "store") (param {i} i64) (i64.store (local.get 0) (local.get 1)))
  (func (export "load") (param {i}) (result i64) (i64.load (local.get 0)))
  (func (export "next") (param {i}) (result i32) (i32.load8_u offset=1 (local.get 0)))
  (func (export "fill") (param {i} i32 {i}) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param {i} {i} {i}) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param {i} i32 i32) (memory.init $d (local.get 0) (local.get 1) (local.get 2))))"""
NARROW = '(module (memory (export "memory") 1)' + BODY.replace("({i}{c} (local.get 0))", "(local.get 0)").format(i="i32")
WIDE = '(module (memory (export "memory") i64 1 65536)' + BODY.format(i="i64", c=".extend_i32_s")
END = 2**32
CALLS: list[tuple[Any, ...]] = [
    ("size",), ("grow", 65535), ("size",), ("grow", 0), ("grow", 1), ("size",),
    ("store", END - 8, 0x1122334455667788), ("load", END - 8), ("load", END - 7), ("store", END - 7, 1), ("next", END - 2),
    ("next", END - 1), ("fill", END - 100, 7, 100), ("load", END - 8), ("fill", END - 100, 9, 101), ("fill", END - 1, 5, 1),
    ("fill", END - 1, 5, 2), ("fill", END - 1, 5, 0), ("load", END - 8), ("copy", END - 50, END - 100, 50),
    ("copy", END - 100, END - 50, 51), ("init", END - 36, 0, 36), ("load", END - 8), ("init", END - 35, 0, 36),
    ("init", END - 1, 35, 1), ("copy", END - 43, END - 44, 43), ("load", END - 8), ("load", END - 43),
    ("copy", END - 44, END - 43, 43), ("load", END - 12), ("copy", END - 9, END - 20, 9), ("load", END - 9),
    ("copy", END - 8, END - 30, 8), ("load", END - 8), ("copy", END - 90, END - 99, 90), ("load", END - 90), ("load", END - 50),
    ("copy", 3, 0, 20), ("copy", END - 1, 0, 2), ("copy", 0, END - 1, 2), ("copy", END - 1, 5, 0), ("copy", 5, END - 1, 1),
    ("load", 0),
]  # fmt: skip
# What an address of 64 bits can say besides: nothing at the end, everything onto itself, one byte too many.
MORE: list[tuple[Any, ...]] = [
    ("fill", END, 1, 0), ("fill", END, 1, 1), ("fill", END + 1, 1, 0), ("copy", END, 7, 0), ("copy", 0, 0, END),
    ("copy", 1, 0, END), ("init", END, 0, 0), ("init", END, 0, 1), ("load", END - 8),
]  # fmt: skip


class Original:
    """wasmtime's instance."""

    def __init__(self, text: str):
        config = wasmtime.Config()
        config.wasm_memory64 = True
        engine = wasmtime.Engine(config)
        self.store = wasmtime.Store(engine)
        self.exports = wasmtime.Instance(self.store, wasmtime.Module(engine, text), []).exports(self.store)

    def __call__(self, name: str, *args: int) -> list[int] | str:
        function = self.exports[name]
        types = function.type(self.store).params
        given = [_signed(a, 32 if str(t) == "i32" else 64) for a, t in zip(args, types, strict=True)]
        try:
            result = function(self.store, *given)
        except wasmtime.Trap:
            return "out of bounds memory access"
        return [] if result is None else [result % 2**64]


def _signed(value: int, bits: int) -> int:
    return value - (value >> bits - 1 << bits) if value >= 0 else value


def called(vm: w2x.Instance, name: str, *args: int) -> list[int] | str:
    try:
        return [value % 2**64 for value in vm.invoke(name, *args).values]
    except w2x.Trap as trap:
        return str(trap)


@pytest.mark.parametrize(
    ("text", "level", "stock"), [(NARROW, 0, False), (NARROW, 1, False), (NARROW, 1, True), (WIDE, 1, False), (WIDE, 0, False)]
)
def test_the_last_byte_is_there(text: str, level: int, stock: bool) -> None:
    model = w2x.compile(text, level)
    vm, original = w2x.Instance(in_stock_form(model) if stock else model), Original(text)
    for call in [*CALLS, *(MORE if text is WIDE else [])]:
        assert called(vm, *call) == original(*call), call
    theirs = np.ctypeslib.as_array(original.exports["memory"].data_ptr(original.store), (END,))
    assert vm.read_memory(END - 4, 4) == bytes(theirs[-4:])


@pytest.mark.parametrize("level", [0, 1])
def test_wasmtime_has_the_same_memory(level: int) -> None:
    verifier = w2x.Verifier(NARROW, opt_level=level)
    for name, *args in (("grow", 65535), ("size",), ("store", END - 8, 77), ("copy", END - 43, END - 44, 43), ("load", END - 7)):
        report = verifier.invoke(name, args)
        assert report.ok, report.divergence


def test_a_memory_may_begin_with_all_pages() -> None:
    text = """(module (memory 65536) (data (i32.const 0xffffffff) "z")
      (func (export "f") (param i32) (result i32) (i32.load8_u (local.get 0))))"""
    vm = w2x.Instance(w2x.compile(text))
    assert called(vm, "f", END - 1) == [ord("z")] and called(vm, "f", 0) == [0]


@pytest.mark.parametrize(("most", "read"), [(65535, "c.low"), (65536, "c.low, c.byte")])
def test_a_smaller_maximum_costs_nothing(most: int, read: str) -> None:
    """The lowest byte of the size is looked up for programs only whose memory may have so many pages."""
    model = w2x.compile(f"""(module (memory 1 {most})
      (func (export "f") (result i32) (drop (memory.grow (i32.const 1))) (i32.load (i32.const 0))))""")
    names = [name for layer in model.transformer.layers for name in layer.head_names]
    assert [name for name in names if name.startswith("operand c")] == [f"operand c -> {read}"]


@pytest.mark.parametrize("pages", [0, 1, 2, 65534, 65535, 65536])
def test_the_register(pages: int) -> None:
    assert pages_of(size_register(pages)) == pages
    assert size_register(pages) == (pages * 65536 if pages < 65536 else 1)
