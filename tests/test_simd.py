"""SIMD: every instruction against wasmtime, and what is around the instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import wasm2xformer as w2x
from tests.simd import check, immediates
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.link.routines import load as routines_of
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.halves import has_expansion
from wasm2xformer.compiler.wasm.simd import HALF_FLOATS, HALF_FUSED, HALF_INTEGERS, SIMD_SIGNATURES
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.compiler.wasm.split import split
from wasm2xformer.runtime.check.verify import Verifier
from wasm2xformer.runtime.cli.values import format_value, parse_arguments

LEVELS = pytest.mark.parametrize("level", [0, 1])
INTEGERS = [n for n in SIMD_SIGNATURES if not n.startswith("f") and "f32" not in n and "f64" not in n and has_expansion(n)]


def test_every_instruction_of_integers():
    """A few calls of each; `make simd` makes more, of floats and at -O0 too."""
    tokens, wrong = check(INTEGERS, opt_level=1, rounds=2, seed=1)
    assert not wrong and len(tokens) == sum(len(immediates(name)) for name in INTEGERS)


MODULE = """
(module
  (memory (export "memory") 1)
  (global $g (mut v128) (v128.const i32x4 1 2 3 4)) (global $n (mut i32) (i32.const 5)) (global $h v128 (v128.const i64x2 -1 7))
  (table 2 funcref) (elem (i32.const 0) $swap $halves)
  (type $vectors (func (param v128 v128) (result v128 v128)))
  (func $swap (type $vectors) (local.get 1) (local.get 0))
  (func $halves (param i64 i64 i64 i64) (result i64 i64 i64 i64) (local.get 2) (local.get 3) (local.get 0) (local.get 1))
  (func (export "state") (param v128) (result v128)
    (global.set $g (i32x4.add (global.get $g) (v128.xor (local.get 0) (global.get $h))))
    (global.set $n (i32.add (global.get $n) (i32x4.extract_lane 1 (global.get $g)))) (global.get $g))
  (func (export "indirect") (param v128 v128 i32) (result v128)
    (call_indirect (type $vectors) (local.get 0) (local.get 1) (local.get 2)) drop)
  (func (export "control") (param $v v128) (param $n i32) (result v128) (local $s v128)
    (block $out (result v128)
      (loop $next (result v128)
        (local.set $s (i8x16.add (local.tee $v (i8x16.add (local.get $v) (local.get $s))) (i8x16.splat (local.get $n))))
        (drop (br_if $out (local.get $s) (i32.eqz (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
        (if (result v128) (v128.any_true (local.get $s))
          (then (br $next))
          (else (select (result v128) (local.get $v) (local.get $s) (i8x16.all_true (local.get $v))))))))
  (func (export "store") (param i32 v128) (v128.store (local.get 0) (local.get 1)))
  (tag $t (param v128 i32))
  (func $throw (param v128 i32) (throw $t (local.get 0) (local.get 1)))
  (func (export "catch") (param v128 i32) (result v128) (local i32)
    (block $caught (result v128 i32)
      (try_table (catch $t $caught) (call $throw (i32x4.neg (local.get 0)) (local.get 1)))
      (unreachable))
    (local.set 2) (i32x4.replace_lane 3 (local.get 2)))
  (func (export "dead") (param v128) (result v128)
    (drop (i32x4.neg (local.get 0))) (return (local.get 0)) (drop) (select) (i32x4.add) (drop) (local.get 0)))
"""


@LEVELS
def test_what_is_around_the_instructions(level: int):
    verifier = Verifier(MODULE, opt_level=level)
    vector = 0x00112233445566778899AABBCCDDEEFF
    for call in (
        ("state", vector), ("state", 2**128 - 1), ("indirect", vector, 5, 0), ("control", vector, 3), ("control", 0, 1),
        ("catch", vector, 9), ("dead", vector), ("store", 65520, vector), ("store", 65521, vector), ("store", 2**32 - 8, vector),
    ):  # fmt: skip
        report = verifier.invoke(call[0], call[1:])
        assert report.ok, report.divergence
    # What is out of bounds in its high half has not written the low one.
    assert report.run.trap == "out of bounds memory access"
    assert verifier.read_memory(65520, 16) == ((vector.to_bytes(16, "little"),) * 2)


@LEVELS
def test_a_function_of_halves_is_none_of_vectors(level: int):
    report = w2x.verify(MODULE, "indirect", [1, 2, 1], opt_level=level)
    assert report.ok and report.run.trap == "indirect call type mismatch"


@LEVELS
def test_both_halves_are_compared(level: int):
    """Programs in which one half is computed otherwise are told, whichever it is."""
    source = load('(module (func (export "f") (param v128 v128) (result v128) (v128.xor (local.get 0) (local.get 1))))')
    program, module = compile_steps(source, CompileOptions(level))
    places = [i for i, step in enumerate(program.steps) if step.op == "i64.xor"]
    assert len(places) == 2
    for at in places:
        steps = list(program.steps)
        steps[at] = steps[at].but(op="i64.or")
        changed = replace(program, steps=tuple(steps))
        report = Verifier(source, opt_level=level, model=realise(changed, module)).invoke("f", [2**128 - 1, 2**128 - 1])
        assert report.divergence is not None


def test_a_program_without_vectors_stays_as_it_is():
    module = load('(module (func (export "f") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1))))').module
    assert split(module).module is module
    assert not link(module).places


def test_every_routine_has_its_instruction_and_the_other_way_round():
    for file, names in (("simd", HALF_INTEGERS), ("simd_floats", HALF_FLOATS), ("fused", HALF_FUSED)):
        assert {e.name for e in routines_of(file).exports} == set(names)


def test_vectors_as_arguments_and_results():
    instance = w2x.Instance(w2x.compile(MODULE))
    assert instance.invoke("dead", 2**127 + 5).values == [2**127 + 5]
    assert instance.invoke("dead", -1).values == [2**128 - 1]
    with pytest.raises(w2x.ArgumentError, match="does not fit into v128"):
        instance.invoke("dead", 2**128)


@LEVELS
def test_globals_of_instances_that_share_them(level: int):
    """Imported and exported vectors, also as initial values, and a global behind them."""
    library = """(module
      (global (export "c") v128 (v128.const i32x4 1 2 3 4)) (global $m (export "m") (mut v128) (v128.const i64x2 5 -6))
      (global (export "n") (mut i32) (i32.const 8))
      (func (export "set") (param v128) (global.set $m (local.get 0))))"""
    text = """(module
      (import "lib" "c" (global $c v128)) (import "lib" "n" (global $n (mut i32))) (import "lib" "m" (global $m (mut v128)))
      (import "lib" "set" (func $set (param v128)))
      (global $own (export "own") (mut v128) (global.get $c)) (global $last (export "last") (mut i32) (i32.const 3))
      (export "m" (global $m))
      (func (export "f") (param v128) (result v128)
        (call $set (i8x16.add (local.get 0) (global.get $m)))
        (global.set $last (i32.add (global.get $last) (global.get $n)))
        (global.set $own (i32x4.add (global.get $own) (global.get $m))) (global.get $own)))"""
    verifier = Verifier(text, opt_level=level, libraries={"lib": library})
    for value in (0x0102030405060708090A0B0C0D0E0F10, 2**127 + 1):
        report = verifier.invoke("f", [value])
        assert report.ok, report.divergence
    assert verifier.read_global("own") == report.run.values[0] and verifier.read_global("last") == 19
    instance = w2x.Instance(w2x.compile(text, opt_level=level, libraries={"lib": library}))
    assert instance.read_global("m") == 5 | (2**64 - 6) << 64
    assert instance.invoke("f", 0).values == [instance.read_global("own")]
    with pytest.raises(w2x.ArgumentError, match="there are: last, m, own"):
        instance.read_global("other")
    with pytest.raises(w2x.CompileError, match="incompatible import type"):
        w2x.compile('(module (import "lib" "c" (global i64)))', libraries={"lib": library})


def test_where_steps_come_from():
    """Each step of an instruction of SIMD is told as that instruction."""
    program, module = compile_steps(MODULE)
    names = {module.functions[s.site.function].body[s.site.instruction].name for s in program.steps if s.site}
    assert {"i32x4.add", "v128.xor", "i8x16.splat", "v128.store", "i8x16.all_true", "select"} <= names
    records = {s.site.record for s in program.steps if s.site}
    assert {"high_value", "high_store"} <= records


def test_vectors_on_the_command_line():
    assert parse_arguments("f", ["v128"], ["i32x4:1,-1,0x10,4"]) == [1 | (2**32 - 1) << 32 | 16 << 64 | 4 << 96]
    assert parse_arguments("f", ["v128"], ["f64x2:-0,nan:0x1"]) == [1 << 63 | 0x7FF0000000000001 << 64]
    assert parse_arguments("f", ["v128"], ["0xff"]) == [255]
    assert format_value("v128", 255) == "0x000000000000000000000000000000ff"
    for text in ("i32x4:1,2,3", "i8x16:" + ",".join(["256"] * 16), "i3x4:1,2,3,4", "i32x4:1,2,3,a", "f32x4:1,2,3,1e400x"):
        with pytest.raises(w2x.ArgumentError, match="expected v128, an integer or lanes such as"):
            parse_arguments("f", ["v128"], [text])


@LEVELS
def test_checkpoints_of_vectors(level: int, tmp_path: Path):
    """Saved and read again, a program gives the same, and `verify --model` finds nothing that differs."""
    model = w2x.compile(MODULE, opt_level=level)
    model.save(tmp_path / "vectors.safetensors")
    loaded = w2x.load(tmp_path / "vectors.safetensors")
    assert w2x.Instance(loaded).invoke("state", 5).values == w2x.Instance(model).invoke("state", 5).values
    assert loaded.program.entries == model.program.entries
    report = Verifier(MODULE, opt_level=level, model=loaded).invoke("state", [2**100])
    assert report.ok, report.divergence
