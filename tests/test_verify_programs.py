"""The programs of the collection in the transformer, each step compared with wasmtime. Long ones: make verify-all."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

import wasm2xformer as w2x

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.programs import ProgramCase, load_programs
from tests.verify_all import unexpected, verify_program
from wasm2xformer.runtime.fast.lift import lift

PROGRAMS = load_programs()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_optimised(program: ProgramCase):
    total = verify_program(program, 1, ("small", "medium"))
    assert not total.problems and (total.steps > 0 or all("large" in [r.size for r in s] for s in program.sessions()))


@pytest.mark.parametrize("program", load_programs("i32"), ids=lambda program: program.id)
def test_unoptimised(program: ProgramCase):
    assert not verify_program(program, 0, ("small",)).problems


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_the_fast_engine_sees_what_every_head_is(program: ProgramCase):
    """A head that it took for softmax over all positions would be right, and slow beyond use."""
    for level in (0, 1):
        graph = lift(w2x.compile(program.module(), level).transformer).graph
        assert graph.exact_for >= 2**26 - 1 and "soft" not in {store.kind for store in graph.stores}


def test_a_wrong_expectation_is_seen():
    (program,) = (p for p in PROGRAMS if p.id == "sum")
    wrong = dataclasses.replace(program.runs[0], results=(56,))
    problems = verify_program(dataclasses.replace(program, runs=(wrong,)), 1).problems
    assert problems == ["  sum -O1 sum(10): results [55], expected [56]"]
    run = w2x.Instance(w2x.compile(program.module())).invoke("sum", 10)
    assert unexpected(program.runs[0], run) == ""
    assert "exit code" in unexpected(dataclasses.replace(program.runs[0], exit_code=3), run)


TABLES = {
    "an indirect call": '(func (export "f") (param i32) (result i32) (call_indirect (type $t) (i32.const 5) (local.get 0)))',
    "a size": '(func (export "f") (param i32) (result i32) (table.size))',
    "an element": '(func (export "f") (param i32) (result i32) (ref.is_null (table.get (local.get 0))))',
    "data": '(memory 1) (data (i32.const 3) "abc") (func (export "f") (param i32) (result i32) (i32.load8_u (local.get 0)))',
    "data that nobody reads": '(memory 1) (data (i32.const 3) "abc") (func (export "f") (param i32) (result i32) (memory.size))',
}


@pytest.mark.parametrize("code", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("level", [0, 1])
def test_state_that_no_step_writes_is_as_it_began(code: str, level: int):
    module = f"""(module (type $t (func (param i32) (result i32))) (table 2 funcref) (elem (i32.const 0) $a $b)
      (func $a (type $t) (local.get 0)) (func $b (type $t) (i32.const 3)) {code})"""
    assert w2x.verify(module, "f", [1], opt_level=level).ok
