"""A sample of `make mutants`: every changed step is told, or shown to change nothing."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.mutants.changes import mutants
from tests.mutants.equivalence import EQUIVALENT, equivalent
from tests.mutants.examine import examine
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


def test_a_narrow_copy_is_the_low_half():
    """What a routine of 64 bits hands on with i32.wrap_i64, a copy of 32 bits hands on too."""
    quotient = "(i64.div_s (local.get 0) (local.get 1))"
    source = f'(module (func (export "f") (param i64 i64) (result i32) (i32.wrap_i64 {quotient})))'
    program, _ = compile_steps(source, CompileOptions(1))
    wraps = [i for i, step in enumerate(program.steps) if step.op == "i32.wrap_i64"]
    for index in wraps:
        changed = {kind: mutant for kind, mutant in mutants(program, index) if kind == "operation"}
        assert equivalent(program, changed["operation"], index) == "same value"
    assert wraps
