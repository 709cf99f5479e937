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

PROGRAMS = load_programs()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.id)
def test_optimised(program: ProgramCase):
    total, problems = verify_program(program, 1, ("small", "medium"))
    assert not problems and (total.steps > 0 or all("large" in [r.size for r in s] for s in program.sessions()))


@pytest.mark.parametrize("program", load_programs("i32"), ids=lambda program: program.id)
def test_unoptimised(program: ProgramCase):
    _, problems = verify_program(program, 0, ("small",))
    assert not problems


def test_a_wrong_expectation_is_seen():
    (program,) = (p for p in PROGRAMS if p.id == "sum")
    wrong = dataclasses.replace(program.runs[0], results=(56,))
    _, problems = verify_program(dataclasses.replace(program, runs=(wrong,)), 1)
    assert problems == ["  sum -O1 sum(10): results [55], expected [56]"]
    run = w2x.Instance(w2x.compile(program.module())).invoke("sum", 10)
    assert unexpected(program.runs[0], run) == ""
    assert "exit code" in unexpected(dataclasses.replace(program.runs[0], exit_code=3), run)
