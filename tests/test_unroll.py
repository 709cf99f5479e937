"""Loops whose variables change places: their bodies stand in the program several times, without copies."""

from __future__ import annotations

import random

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import Program
from wasm2xformer.compiler.options import CompileOptions

GCD = """(func (export "f") (param i32 i32 i32) (result i32) (local $t i32)
  (block (loop
    (br_if 1 (i32.eqz (local.get 1)))
    (local.set $t (i32.rem_u (local.get 0) (local.get 1)))
    (local.set 0 (local.get 1))
    (local.set 1 (local.get $t))
    (br 0)))
  (i32.add (local.get 0) (local.get 2)))"""
FIBONACCI = """(func (export "f") (param i32 i32 i32) (result i32) (local $t i32)
  (loop
    (local.set $t (i32.add (local.get 0) (local.get 1)))
    (local.set 0 (local.get 1))
    (local.set 1 (local.get $t))
    (br_if 0 (local.tee 2 (i32.shr_u (local.get 2) (i32.const 3)))))
  (i32.sub (local.get 0) (i32.mul (local.get 1) (i32.const 10))))"""
THREE = """(func (export "f") (param i32 i32 i32) (result i32) (local $n i32) (local $t i32)
  (local.set $n (i32.and (local.get 2) (i32.const 15)))
  (loop
    (local.set $t (i32.xor (i32.add (local.get 0) (local.get 1)) (local.get 2)))
    (local.set 0 (local.get 1))
    (local.set 1 (local.get 2))
    (local.set 2 (local.get $t))
    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
    (br_if 0 (i32.gt_s (local.get $n) (i32.const 0))))
  (i32.add (i32.mul (local.get 0) (i32.const 3)) (i32.add (i32.mul (local.get 1) (i32.const 7)) (local.get 2))))"""
# Ways out in the middle, and a choice inside.
EXITS = """(func (export "f") (param i32 i32 i32) (result i32) (local $n i32) (local $t i32)
  (block $a (block $b (loop $l
    (local.set $t (i32.add (local.get 0) (i32.rotl (local.get 1) (i32.const 5))))
    (if (i32.and (local.get $t) (i32.const 4)) (then (local.set $t (i32.add (local.get $t) (local.get $n)))))
    (local.set 0 (local.get 1))
    (local.set 1 (local.get $t))
    (br_if $a (i32.eq (i32.and (local.get $t) (i32.const 15)) (i32.const 9)))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (block (br_table 0 $b $a 0 (i32.and (i32.shr_u (local.get 0) (i32.const 9)) (i32.const 7))))
    (br_if $l (i32.lt_u (local.get $n) (i32.const 20)))))
    (return (i32.sub (local.get 0) (local.get 1))))
  (i32.add (i32.mul (local.get $n) (i32.const 1000)) (i32.xor (local.get 0) (local.get 1))))"""
WIDE = (
    FIBONACCI.replace("i32", "i64")
    .replace("(br_if 0 (local.tee 2", "(br_if 0 (i64.ne (i64.const 0) (local.tee 2")
    .replace("(i64.const 3))))", "(i64.const 3)))))")
)


def rounds(text: str) -> tuple[Program, list[int]]:
    """The copies in each part between a step that something goes back to and the last one that does."""
    program = compile_steps(text)[0]
    found = []
    for at, step in enumerate(program.steps):
        if step.target is not None and step.target <= at:
            found.append(sum(s.op == "mov" and s.a.kind == "frame" for s in program.steps[step.target : at]))
    return program, found


@pytest.mark.parametrize(
    ("body", "op", "left"), [(GCD, "i32.rem_u", 0), (FIBONACCI, "i32.shr_u", 1 / 2), (THREE, "i32.xor", 3 / 2)]
)
def test_fewer_copies_are_left_in_a_round(body, op, left):
    """There were one, one and two."""
    program, copies = rounds(f"(module {body})")
    assert len(copies) == 1 and copies[0] <= left * sum(step.op == op for step in program.steps)


@pytest.mark.usefixtures("loops_once")
def test_a_loop_that_needs_no_copies_stands_there_once():
    body = FIBONACCI.replace("(local.set 0 (local.get 1))", "").replace(
        "(local.set 1 (local.get $t))", "(local.set 0 (local.get $t))"
    )
    program, copies = rounds(f"(module {body})")
    assert copies == [0] and sum(step.op == "i32.add" for step in program.steps) == 1
    calls = GCD.replace("(local.set $t", "(call $g) (local.set $t")
    program, _ = rounds(f"(module (func $g) {calls})")
    assert sum(step.op == "i32.rem_u" for step in program.steps) == 1


@pytest.mark.parametrize("body", [GCD, FIBONACCI, THREE, EXITS, WIDE])
def test_unrolled_loops_agree_with_wasmtime(body):
    verifier = w2x.Verifier(f"(module {body})")
    rng = random.Random(body)
    bits = 64 if body is WIDE else 32
    cases = [(a, b, c) for a in (0, 1, 7) for b in (0, 1, 2**bits - 1) for c in (0, 1, 9)]
    cases += [
        (rng.getrandbits(bits), rng.getrandbits(rng.randrange(1, bits)), rng.getrandbits(bits)) for _ in range(25)
    ]
    for operands in cases:
        report = verifier.invoke("f", operands)
        assert report.ok, (operands, report.divergence)


def test_o0_is_as_written():
    program = compile_steps(f"(module {GCD})", CompileOptions(0))[0]
    assert sum(step.op == "i32.rem_u" for step in program.steps) == 1
