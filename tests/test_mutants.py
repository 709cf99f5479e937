"""A sample of `make mutants`: every changed step is told, or shown to change nothing."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.mutants.changes import mutants
from tests.mutants.equivalence import EQUIVALENT, equivalent
from tests.mutants.examine import examine
from tests.mutants.subject import Subject
from tests.programs import load_programs
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.options import CompileOptions


@pytest.mark.parametrize(
    ("name", "level"), [("gcd", 0), ("gcd", 1), ("fibonacci_recursive", 1), ("siphash", 1), ("bulk", 1)]
)
def test_every_mutant_is_told_or_the_same_program(name: str, level: int):
    (case,) = (p for p in load_programs() if p.id == name)
    tally = examine(case, level, limit=6, full=1, rng=random.Random(f"{name} {level}"))
    assert tally.left == []
    assert tally.made.total() == tally.told.total() + tally.equivalent.total() > 30
    assert set(tally.equivalent) <= set(EQUIVALENT)


def test_each_half_of_a_vector_is_answered_for():
    """A step that gives the high half and does not say so is told, although the half is copied on the way to the next one."""
    (case,) = (p for p in load_programs() if p.id == "image_filter")
    subject = Subject(case, 1)
    halves = [i for i in subject.steps if (site := subject.program.steps[i].site) and site.record == "high_value"]
    for index in halves:
        (mutant,) = (m for kind, m in mutants(subject.program, index) if kind == "no site")
        assert subject.statically(mutant, index) or equivalent(subject.program, mutant, index), index
    assert len(halves) > 9


def test_a_narrow_copy_is_the_low_half():
    """What a routine of 64 bits hands on with i32.wrap_i64, a copy of 32 bits hands on too."""
    quotient = "(i64.div_s (local.get 0) (local.get 1))"
    source = f'(module (func (export "f") (param i64 i64) (result i32) (i32.wrap_i64 {quotient})))'
    program, _ = compile_steps(source, CompileOptions(1, division_routines=True))
    wraps = [i for i, step in enumerate(program.steps) if step.op == "i32.wrap_i64"]
    for index in wraps:
        changed = {kind: mutant for kind, mutant in mutants(program, index) if kind == "operation"}
        assert equivalent(program, changed["operation"], index) == "same value"
    assert wraps


@pytest.mark.parametrize(("level", "kind"), [(0, "call"), (1, "call"), (0, "call_indirect"), (1, "call_indirect")])
def test_a_frame_through_which_nothing_goes_may_begin_higher(level: int, kind: str):
    """And not one that takes an argument, or lies over what is read later."""
    call = {"call": "(call $g)", "call_indirect": "(call_indirect (i32.load (i32.const 8)))"}[kind]
    with_argument = {
        "call": "(call $h (local.get 0))",
        "call_indirect": "(call_indirect (param i32) (local.get 0) (local.get 0))",
    }
    source = f"""(module (memory 1) (table 2 funcref) (elem (i32.const 0) $g $h)
      (func $g (call $k (i32.const 3))) (func $k (param i32) (i32.store (i32.const 0) (local.get 0)))
      (func $h (param i32) (call $k (local.get 0)) (call $k (i32.const 1)))
      (func (export "f") (param i32) (result i32) {call} {with_argument[kind]} {call}
        (i32.add (local.get 0) (i32.load (i32.const 0)))))"""
    program, _ = compile_steps(source, CompileOptions(level))
    shown = []
    for index, step in enumerate(program.steps):
        if step.op == kind:
            (higher,) = (mutant for what, mutant in mutants(program, index) if what == "imm")
            callee = step.type or program.functions[step.callee].type
            shown.append((bool(callee.params), equivalent(program, higher, index)))
            lower = step.but(imm=step.imm - 1)
            assert not equivalent(
                program, replace(program, steps=[*program.steps[:index], lower, *program.steps[index + 1 :]]), index
            )
    assert (False, "frame") in shown and (True, "") in shown and {s for p, s in shown if p} == {""}
