"""SIMD: every instruction against wasmtime, and what is around the instructions."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

import wasm2xformer as w2x
from tests.simd import check, immediates
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.link.link import link
from wasm2xformer.compiler.link.routines import load as routines_of
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.halves import has_expansion
from wasm2xformer.compiler.wasm.simd import HALF_FLOATS, HALF_INTEGERS, SIMD_SIGNATURES
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.compiler.wasm.split import split
from wasm2xformer.runtime.check.verify import Verifier

LEVELS = pytest.mark.parametrize("level", [0, 1])
INTEGERS = [n for n in SIMD_SIGNATURES if not n.startswith("f") and "f32" not in n and "f64" not in n and has_expansion(n)]


def test_every_instruction_of_integers():
    """A few calls of each; `make simd` makes more, of floats and at -O0 too."""
    tokens, wrong = check(INTEGERS, opt_level=1, rounds=2, seed=random.randrange(2**32))
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
        steps[at] = replace(steps[at], op="i64.or")
        changed = replace(program, steps=tuple(steps))
        report = Verifier(source, opt_level=level, model=realise(changed, module)).invoke("f", [2**128 - 1, 2**128 - 1])
        assert report.divergence is not None


def test_a_program_without_vectors_stays_as_it_is():
    module = load('(module (func (export "f") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1))))').module
    assert split(module).module is module
    assert not link(module).places


def test_every_routine_has_its_instruction_and_the_other_way_round():
    for file, names in (("simd", HALF_INTEGERS), ("simd_floats", HALF_FLOATS)):
        assert {e.name for e in routines_of(file).exports} == set(names)


def test_vectors_as_arguments_and_results():
    instance = w2x.Instance(w2x.compile(MODULE))
    assert instance.invoke("dead", 2**127 + 5).values == [2**127 + 5]
    assert instance.invoke("dead", -1).values == [2**128 - 1]
    with pytest.raises(w2x.ArgumentError, match="does not fit into v128"):
        instance.invoke("dead", 2**128)


def test_where_steps_come_from():
    """Each step of an instruction of SIMD is told as that instruction."""
    program, module = compile_steps(MODULE)
    names = {module.functions[s.site.function].body[s.site.instruction].name for s in program.steps if s.site}
    assert {"i32x4.add", "v128.xor", "i8x16.splat", "v128.store", "i8x16.all_true", "select"} <= names
    records = {s.site.record for s in program.steps if s.site}
    assert {"high value", "high store"} <= records
