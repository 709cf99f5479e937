"""A small share of the random programs; the whole: python -m tests.random."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests import step_interpreter
from tests.random.case import Call, Case
from tests.random.check import Tally, run, run_steps
from tests.random.exceptions import exceptions
from tests.random.expressions import FUNCTIONS, OPERATIONS, expressions
from tests.random.structured import structured
from tests.random.together import together
from tests.random.ttf import ttf


@pytest.mark.parametrize("level", [0, 1])
def test_expressions(level: int):
    tally = run(expressions(level), level)
    assert not tally.diverged and not tally.refused and not tally.unfinished
    assert tally.invocations == 5 * FUNCTIONS and tally.compared > 0


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_structured(seed: int, level: int):
    tally = run(structured(seed), level)
    assert not tally.diverged and not tally.refused and not tally.unfinished
    assert tally.invocations == 8 and tally.compared > 0


@pytest.mark.parametrize("level", [0, 1])
def test_exceptions(level: int):
    tally = run(exceptions(level), level)
    assert not tally.diverged and not tally.refused and not tally.unfinished
    assert tally.invocations == 16 and 0 < tally.traps < 16


@pytest.mark.parametrize("generator", [expressions, structured, exceptions])
def test_without_weights(generator):
    tally = run_steps(generator(3), 1)
    assert tally.modules == 1 and tally.invocations == len(generator(3).calls) and not tally.unfinished


NEWER = """(module (type $s (struct (field $n (mut i32)))) (memory 1 1 shared) (tag $e (param i32))
  (func (export "add") (param i32 anyref) (result i32 anyref v128)
    (i32.atomic.rmw.add (i32.const 8) (local.get 0)) (struct.new $s (local.get 0)) (i32x4.splat (local.get 0)))
  (func (export "throw") (param i32) (throw $e (local.get 0))))"""


@pytest.mark.parametrize("level", [0, 1])
def test_without_weights_what_3_0_added(level: int):
    calls = (Call("add", (5, None)), Call("add", (6, -1)), Call("throw", (1,)), Call("add", (7, 3)))
    tally = run_steps(Case(NEWER, calls), level)
    assert tally.invocations == 4 and tally.traps == 1


def test_without_weights_a_start_function_that_traps():
    assert run_steps(Case('(module (func $s (unreachable)) (start $s) (func (export "f")))', (Call("f"),)), 1).traps == 1


def test_without_weights_a_wrong_step_is_seen(monkeypatch: pytest.MonkeyPatch):
    """A circuit is not asked here; the interpreter stands for it."""
    monkeypatch.setitem(step_interpreter._ARITHMETIC, "xor", lambda o, a, b: a | b)
    with pytest.raises(AssertionError):
        for seed in range(5):
            run_steps(expressions(seed), 0)


@pytest.mark.skipif(not shutil.which("wasm-opt"), reason="wasm-opt (binaryen) is not installed")
def test_binaryen():
    tally = run(ttf(0), 1)
    assert not tally.diverged


def test_every_operation_is_at_the_root_of_some_function():
    roots = {name for seed in range(4) for name in OPERATIONS if f";; {name}\n" in str(expressions(seed).source)}
    assert roots == set(OPERATIONS)


def test_a_seed_repeats_its_module():
    for generator in (expressions, structured, exceptions):
        assert generator(5) == generator(5) and generator(5).source != generator(6).source


def test_what_is_refused_and_what_does_not_finish_is_counted():
    importing = '(module (import "env" "now" (func $now)) (func (export "f") (call $now)))'
    tally = run(Case(importing, (Call("f"),)), 1)
    assert tally.modules == 0 and tally.refused.total() == 1
    endless = '(module (func (export "f") (loop (br 0))))'
    tally = run(Case(endless, (Call("f"), Call("f")), refused=Counter({"a reason": 2})), 1, max_tokens=100)
    assert (tally.unfinished, tally.invocations, tally.refused.total()) == (1, 0, 2)


def test_cases_as_one_module_are_compared_as_each_by_itself():
    """With what is rare alone, and not together, as steps in both."""
    cases = [structured(3), structured(4)]
    steps = {"float_routines": False, "division_routines": False}
    alone, one = Tally(), run(together(cases), 1, **steps)
    for case in cases:
        alone.add(run(case, 1, **steps))
    assert one.modules == 1 and not one.diverged and not alone.diverged
    assert (one.invocations, one.traps, one.steps, one.compared) == (alone.invocations, alone.traps, alone.steps, alone.compared)
