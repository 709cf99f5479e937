"""One reachability analysis over program and libraries: what only a library can reach is part of the program too."""

from __future__ import annotations

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.wasm.source import load

# A library with a table, a global and nothing else that could name a function of the program.
HOLDER = """(module
  (type $t (func (param i32) (result i32)))
  (table (export "table") 4 20 funcref) (global $g (export "callback") (mut funcref) (ref.null func))
  (func (export "call") (param i32 i32) (result i32)
    (call_indirect (type $t) (local.get 1) (local.get 0)))
  (func (export "put") (param i32) (table.set (local.get 0) (global.get $g))))"""
SQUARE = "(func $square (param i32) (result i32) (i32.mul (local.get 0) (call $one (local.get 0))))"
ONE = "(func $one (param i32) (result i32) (local.get 0))"
IMPORTS = """(import "lib" "call" (func $call (param i32 i32) (result i32)))
  (import "lib" "put" (func $put (param i32)))
  (import "lib" "table" (table $t 4 20 funcref)) (import "lib" "callback" (global $g (mut funcref)))"""

# How a function of the program gets where the library finds it at element 2.
WAYS = {
    "active segment": ("(elem (i32.const 2) $square)", ""),
    "table.set": ("(elem declare func $square)", "(table.set $t (i32.const 2) (ref.func $square))"),
    "table.init": (
        "(elem $e func $one $square)",
        "(table.init $t $e (i32.const 1) (i32.const 0) (i32.const 2))",
    ),
    "table.fill": (
        "(elem declare func $square)",
        "(table.fill $t (i32.const 1) (ref.func $square) (i32.const 2))",
    ),
    "table.grow": (
        "(elem declare func $square)",
        """(drop (table.grow $t (ref.func $square) (i32.const 3)))
        (table.copy $t $t (i32.const 2) (i32.const 5) (i32.const 1))""",
    ),
    "table.copy": (
        "(table $own 3 funcref) (elem (table $own) (i32.const 1) func $square)",
        "(table.copy $t $own (i32.const 1) (i32.const 0) (i32.const 2))",
    ),
    "global": (
        "(global $mine funcref (ref.func $square))",
        "(global.set $g (global.get $mine)) (call $put (i32.const 2))",
    ),
    "global.set": (
        "(elem declare func $square)",
        "(global.set $g (ref.func $square)) (call $put (i32.const 2))",
    ),
}


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("way", WAYS)
def test_a_library_calls_what_the_program_gave_it(way: str, level: int):
    fields, code = WAYS[way]
    text = f"""(module {IMPORTS} {SQUARE} {ONE} {fields}
      (func (export "f") (param i32) (result i32) {code} (call $call (i32.const 2) (local.get 0))))"""
    report = w2x.verify(text, "f", [7], opt_level=level, libraries={"lib": HOLDER}, exports=["f"])
    assert report.ok, report.divergence
    assert report.run.values == [49]
    # What stands in the program is compared there, too, though a library called it.
    assert report.compared >= 3


@pytest.mark.parametrize("level", [0, 1])
def test_types_that_only_the_program_has(level: int):
    """The call_indirect stands in a library of the library; the types are equal by their structure."""
    libraries = {
        "outer": """(module (import "inner" "apply" (func $apply (param i32 i64) (result i64)))
          (func (export "twice") (param i32 i64) (result i64)
            (call $apply (local.get 0) (call $apply (local.get 0) (local.get 1)))))""",
        "inner": """(module (table (export "t") 8 funcref) (type $other (func)) (type $f (func (param i64) (result i64)))
          (func (export "apply") (param i32 i64) (result i64)
            (call_indirect (type $f) (local.get 1) (local.get 0))))""",
    }
    text = """(module (import "outer" "twice" (func $twice (param i32 i64) (result i64)))
      (import "inner" "t" (table 8 funcref))
      (func $add (param i64) (result i64) (i64.add (local.get 0) (i64.const 5)))
      (func $wrong (param i32) (result i32) (unreachable))
      (elem (i32.const 3) $add $wrong)
      (func (export "f") (param i32 i64) (result i64) (call $twice (local.get 0) (local.get 1))))"""
    verifier = w2x.Verifier(text, opt_level=level, libraries=libraries)
    for args, outcome in (
        ([3, 10], [20]), ([4, 10], "indirect call type mismatch"), ([5, 10], "uninitialized element"), ([3, -7], [3]),
        ([8, 1], "undefined element: out of bounds table access"),
    ):  # fmt: skip
        report = verifier.invoke("f", args)
        assert report.ok, report.divergence
        assert (report.run.trap or report.run.values) == outcome


@pytest.mark.parametrize("level", [0, 1])
def test_a_library_starts_with_a_function_of_another(level: int):
    """A global of reference type, initialised from an imported one that refers to a function of its own library."""
    libraries = {
        "a": """(module (func $seven (result i32) (i32.const 7)) (global (export "f") funcref (ref.func $seven)))""",
        "b": """(module (import "a" "f" (global $f funcref)) (table 2 funcref)
          (func (export "call") (result i32)
            (table.set (i32.const 1) (global.get $f)) (call_indirect (result i32) (i32.const 1))))""",
    }
    text = '(module (import "b" "call" (func $c (result i32))) (func (export "f") (result i32) (call $c)))'
    report = w2x.verify(text, "f", opt_level=level, libraries=libraries)
    assert report.ok and report.run.values == [7]


def test_callbacks_count_for_refusals(without_popcnt: None):
    """What a library can call back is refused like what the exports call themselves; what nothing reaches is not."""
    refused_code = "i32.const 1 i32.popcnt drop"
    text = f"""(module {IMPORTS} (elem (i32.const 0) $counts $never)
      (func $counts (param i32) (result i32) {refused_code} (local.get 0))
      (func $never (param f32) (result f32) {refused_code} (local.get 0))
      (func $nothing {refused_code})
      (func (export "f") (param i32) (result i32) (call $call (i32.const 0) (local.get 0)))
      (func (export "g") (result i32) (i32.const 3)))"""
    with pytest.raises(w2x.CompileError) as refused:
        w2x.compile(text, exports=["f"], libraries={"lib": HOLDER})
    assert [(r.function, r.instruction) for r in refused.value.reasons] == [("counts", "i32.popcnt")]
    assert w2x.Instance(w2x.compile(text, exports=["g"], libraries={"lib": HOLDER})).invoke("g").values == [3]


def test_what_has_a_reference_and_cannot_be_called_is_no_part_of_the_program():
    text = """(module (table 2 funcref) (elem (i32.const 0) $a $b)
      (func $a (result i32) (i32.const 1)) (func $b (param i32) (result i32) (i32.const 2))
      (func (export "f") (result i32) (call_indirect (result i32) (i32.const 0))))"""
    linked = link(load(text).module)
    bodies = {f.name: [i.name for i in f.body] for f in linked.module.functions}
    assert bodies["a"] == ["i32.const", "end"] and bodies["b"] == ["unreachable", "end"]
