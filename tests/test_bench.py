"""The benchmark measures what it says. Speed itself is not tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wasm2xformer.runtime.bench import collection
from wasm2xformer.runtime.bench.bench import _at
from wasm2xformer.runtime.cli import main

WAT = """
(module (func (export "sum") (param $n i32) (result i32) (local $sum i32)
  (loop $again
    (local.set $sum (i32.add (local.get $sum) (local.get $n)))
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $sum)))
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "sum.wat"
    path.write_text(WAT)
    return str(path)


def test_figures_of_a_program(program: str, capfd: pytest.CaptureFixture[str]):
    options = ["--repeat", "1", "--engine", "fast", "--json", "-O1", "-O0"]
    assert main(["bench", program, *options, "--invoke", "sum", "100"]) == 0
    found = json.loads(capfd.readouterr().out)
    optimised, plain = found["decode"]
    assert (optimised["level"], plain["level"]) == (1, 0)
    # Entering the function is 1, and each turn of the loop 9, and reading the sum 1: loop and end are free.
    assert optimised["instructions"] == plain["instructions"] == 1 + 9 * 100 + 1
    assert 0 < optimised["tokens"] < plain["tokens"]
    for row in (optimised, plain):
        assert row["tokens_per_instruction"] == pytest.approx(row["tokens"] / row["instructions"])
        assert row["tokens_per_second"] == pytest.approx(row["tokens"] / row["seconds"])
        assert 10 < row["peak_mib"] < 2000
    assert all(row["first_token_cold"] > 0 and row["compile_seconds"] > 0 for row in found["start"])
    assert found["native"][0]["wasmtime_seconds"] > 0 and found["scaling"] == []


def test_a_refused_program_is_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "relaxed.wat"
    path.write_text('(module (func (export "f") (local v128) local.get 0 local.get 0 local.get 0 f32x4.relaxed_madd drop))')
    assert main(["bench", str(path), "--no-native", "--invoke", "f"]) == 0
    assert "relaxed: refused: function f" in capfd.readouterr().out


def test_the_collection_is_found_and_chosen_from():
    cases = collection(["sieve", "sum", "word_count"])
    assert [case.id for case in cases] == ["sum", "sieve", "word_count"]
    assert cases[0].invocation == "sum(1000)" and cases[2].program.suffix == ".wasm" and cases[2].stdin
    assert main(["bench", "--only", "nothing"]) == 2


def test_times_between_two_looks_are_in_proportion():
    points = [(0, 0.0, 0.0), (100, 1.0, 0.0), (300, 2.0, 0.0)]
    assert [_at(points, n) for n in (50, 100, 200, 999)] == [0.5, 1.0, 1.5, 2.0]
