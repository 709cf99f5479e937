"""References as arguments and results, and how far tables grow: the same on both sides, whatever comes in."""

from __future__ import annotations

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.limits import HIDDEN_LIMIT, TABLE_ELEMENTS
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.bit_patterns import FOREIGN

LIBRARIES = {
    "lib": """(module (func $own) (elem declare func $own)
      (func (export "twice") (param i32) (result i32) (i32.add (local.get 0) (local.get 0)))
      (func (export "own") (result funcref) (ref.func $own)))"""
}
# Functions 0 and 1 are one function; the program refers to 1 (twice), 5 (square) and 4 (of another type).
PROGRAM = """(module
  (import "lib" "twice" (func (param i32) (result i32))) (import "lib" "twice" (func $twice (param i32) (result i32)))
  (import "lib" "own" (func $own (result funcref)))
  (table $t 3 funcref) (elem declare func $square $twice $other)
  (func $unused (param i32) (result i32) (i32.const 1))
  (func $other)
  (func $square (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
  (func (export "apply") (param funcref i32) (result i32)
    (table.set $t (i32.const 1) (local.get 0))
    (call_indirect (param i32) (result i32) (local.get 1) (i32.const 1)))
  (func (export "get") (param i32) (result funcref)
    (if (i32.eqz (local.get 0)) (then (return (ref.func $other))))
    (if (result funcref) (i32.eq (local.get 0) (i32.const 1)) (then (ref.func $square)) (else (ref.func $twice))))
  (func (export "swap") (param funcref externref) (result externref funcref) (local.get 1) (local.get 0))
  (func (export "null") (param externref) (result i32) (ref.is_null (local.get 0)))
  (func (export "own") (result funcref) (call $own)))"""


@pytest.mark.parametrize("level", [0, 1])
def test_references_are_numbers_of_the_module(level: int):
    verifier = w2x.Verifier(PROGRAM, opt_level=level, libraries=LIBRARIES)
    for name, args, outcome in (
        ("apply", [5, 6], [36]), ("apply", [1, 6], [12]), ("apply", [None, 6], "uninitialized element"),
        ("apply", [4, 6], "indirect call type mismatch"), ("get", [0], [4]), ("get", [1], [5]), ("get", [2], [1]),
        ("swap", [None, None], [None, None]), ("swap", [5, 0], [0, 5]), ("swap", [1, 2**30 - 2], [2**30 - 2, 1]),
        ("null", [0], [0]), ("null", [255], [0]), ("null", [None], [1]), ("own", [], [FOREIGN]),
    ):  # fmt: skip
        report = verifier.invoke(name, args)
        assert report.ok, report.divergence
        assert (report.run.trap or report.run.values) == outcome, (name, args)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("null", [-1], "argument 1 = -1: an externref is null or a number from 0 to 1,073,741,822"),
        ("null", [-5], "argument 1 = -5: an externref"),
        ("null", [2**32 - 1], "argument 1 = 4294967295: an externref"),
        ("null", ["x"], "argument 1 is 'x', expected externref"),
        ("null", [True], "argument 1 is True, expected externref"),
        ("apply", [0, 1], "argument 1 = 0 is not the index of a function that has a reference; there are: 1, 4, 5"),
        ("apply", [-1, 1], "argument 1 = -1 is not the index"),
        ("apply", [3, 1], "argument 1 = 3 is not the index"),
        ("apply", [1.0, 1], "argument 1 is 1.0, expected funcref"),
    ],
)  # fmt: skip
def test_what_is_no_reference_is_an_argument_error(name: str, args: list, message: str):
    model = w2x.compile(PROGRAM, libraries=LIBRARIES)
    vm, verifier = w2x.Instance(model), w2x.Verifier(PROGRAM, model=model, libraries=LIBRARIES)
    for call in (lambda: vm.invoke(name, *args), lambda: verifier.invoke(name, args)):
        with pytest.raises(w2x.ArgumentError) as error:
            call()
        assert message in str(error.value)
    assert vm.invoke("null", 7).values == [0] and verifier.invoke("null", [7]).ok


def test_a_wrong_function_is_found():
    """The numbers are compared, not only whether there is a reference."""
    verifier = w2x.Verifier(PROGRAM, libraries=LIBRARIES, exports=["swap", "get"])
    references = verifier.program.function_references
    references[4], references[5] = references[5], references[4]
    report = verifier.invoke("get", [1])
    assert report.divergence is not None and report.divergence.what == "result 0"
    assert (report.divergence.expected, report.divergence.actual) == ("function 5", "function 4")


GROWING = """(module (table $t {limits} funcref) {more} (elem declare func $f) (func $f (result i32) (i32.const 9))
  (func (export "grow") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
  (func (export "put") (param i32) (result i32)
    (table.set $t (local.get 0) (ref.func $f)) (call_indirect $t (result i32) (local.get 0)))
  (func (export "size") (result i32) (table.size $t)))"""


@pytest.mark.parametrize("level", [0, 1])
def test_tables_grow_far(level: int):
    verifier = w2x.Verifier(GROWING.format(limits="1", more=""), opt_level=level)
    for name, args, outcome in (
        ("grow", [5000], [1]), ("size", [], [5001]), ("put", [5000], [9]), ("grow", [9_000_000], [5001]),
        ("put", [9_005_000], [9]), ("put", [9_005_001], "undefined element: out of bounds table access"),
        ("grow", [-1], [-1]), ("size", [], [9_005_001]),
    ):  # fmt: skip
        report = verifier.invoke(name, args)
        assert report.ok, report.divergence
        assert (report.run.trap or report.run.values) == outcome, (name, args)


@pytest.mark.parametrize(
    ("limits", "more", "capacity"),
    [
        ("1", "", TABLE_ELEMENTS), ("1 30", "", 30), ("0 4294967295", "", TABLE_ELEMENTS), ("7 7", "", 7),
        ("1", "(table $u 5 90 externref)" + "".join(f"(func (export \"g{i}\") (drop (table.grow $u (ref.null extern) "
         "(i32.const 1))))" for i in range(1)), TABLE_ELEMENTS),
        ("1", "(table $u 5 externref) (func (export \"g\") (drop (table.grow $u (ref.null extern) (i32.const 1))))",
         (HIDDEN_LIMIT // 4 - 6) // 2 + 1),
    ],
)  # fmt: skip
def test_tables_share_what_room_there_is(limits: str, more: str, capacity: int):
    linked = link(load(GROWING.format(limits=limits, more=more)).module)
    assert linked.table_capacity[0] == capacity
    assert linked.hidden_bytes <= HIDDEN_LIMIT


@pytest.mark.parametrize("opt_level", (0, 1))
def test_a_null_in_a_global_after_a_call(opt_level: int):
    """wasmtime gives a null there as an object without a value."""
    source = """(module (import "m" "g" (global $imported externref)) (global $e (mut externref) (ref.null extern))
      (global $f (mut funcref) (ref.null func))
      (func (export "put") (param externref) (result i32)
        (global.set $e (local.get 0)) (global.set $f (ref.null func))
        (i32.add (ref.is_null (global.get $imported)) (ref.is_null (global.get $f)))))"""
    library = '(module (global (export "g") externref (ref.null extern)))'
    verifier = w2x.Verifier(source, opt_level=opt_level, libraries={"m": library})
    for value in (None, 7, None):
        report = verifier.invoke("put", [value])
        assert report.ok and report.run.values == [2], report.divergence
