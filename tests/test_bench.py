"""The benchmark measures what it says. Speed itself is not tested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import wasm2xformer as w2x
from wasm2xformer.runtime.bench import checks, collection, others
from wasm2xformer.runtime.bench.bench import _at
from wasm2xformer.runtime.bench.others import NotMeasured
from wasm2xformer.runtime.bench.request import Request
from wasm2xformer.runtime.check.verify import Report
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
    assert found["others"][0]["wasmtime_seconds"] > 0 and found["scaling"] == []


def test_what_a_run_can_be_given(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """A library, bytes of memory and an export of it; the count is wasmtime's of all of it together."""
    twice = tmp_path / "twice.wat"
    twice.write_text('(module (func (export "twice") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))')
    path, data = tmp_path / "p.wat", tmp_path / "data"
    path.write_text("""(module (import "m" "twice" (func $t (param i32) (result i32))) (memory (export "memory") 1)
      (func (export "f") (result i32) (local i32)
        (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 0) (i32.load (i32.const 0)))))
        (call $t (local.get 0))))""")
    data.write_bytes(bytes([5, 0, 0, 0]))
    options = ["--library", f"m={twice}", "--write", f"0={data}", "--engine", "fast", "-O1", "--repeat", "1", "--json"]
    assert main(["bench", str(path), *options, "--invoke", "f"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["decode"][0]["instructions"] == 1 + 5 * 9 + 2 + 1 + 3 and found["decode"][0]["steps"] > 5
    (row,) = found["others"]
    assert row["fast_seconds"] > 0 and row["wasmtime_seconds"] is None and row["fast_by_wasm3"] is None
    assert row["notes"]["wasmtime"] == row["notes"]["pywasm"] == "has libraries"


def test_checking_is_measured_beside_the_call(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """With what the call finds; a long trace also says how many bytes a step takes."""
    path, data = tmp_path / "p.wat", tmp_path / "data"
    path.write_text("""(module (memory (export "memory") 1)
      (func (export "f") (param i32) (result i32) (local i32)
        (loop (local.set 1 (i32.add (i32.mul (local.get 1) (i32.const 5)) (i32.load8_u (i32.const 0))))
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1)))""")
    data.write_bytes(b"\x07")
    options = ["--write", f"0={data}", "--engine", "fast", "-O1", "--repeat", "2", "--json", "--no-others", "--checks"]
    assert main(["bench", str(path), *options, "--invoke", "f", "100", "--invoke", "f", "300000"]) == 0
    found = json.loads(capfd.readouterr().out)
    short, long = found["checks"]
    assert found["others"] == [] and short["bytes_per_step"] is None and 1 < long["bytes_per_step"] < 1000
    for row, decoded in zip((short, long), found["decode"], strict=True):
        assert row["tokens"] == decoded["tokens"] and row["steps"] == decoded["steps"] + 1  # the parameter's is in the prompt
        assert 0 < row["invoke_seconds"] < row["verify_seconds"] and row["verify_by_invoke"] > 1
        assert row["replayed_per_second"] > 0
    assert main(["bench", str(path), "--tokens-only", "--checks"]) == 2


def test_a_difference_is_no_figure(program: str, monkeypatch: pytest.MonkeyPatch):
    model = Path(program).with_suffix(".safetensors")
    w2x.compile(Path(program)).save(model)
    request = Request(program, "sum", (5,), model=str(model))
    assert checks.check(request)["steps"] > 0
    monkeypatch.setattr(Report, "ok", False)
    assert checks.check(request)["refused"].startswith("failed: ")


def test_others_are_measured_in_turns(program: str):
    """Of each as many times as turns; a reason in place of times for those that do not take part."""
    request = Request(program, "sum", (100,), repeat=3)
    with pytest.MonkeyPatch.context() as patch:
        order: list[str] = []

        def contestant(name: str, reason: str = "") -> Any:
            def make(request: Request) -> Any:
                if reason:
                    raise NotMeasured(reason)
                return lambda: order.append(name)

            return make

        names = {"one": contestant("one"), "none": contestant("none", "is not there"), "two": contestant("two")}
        patch.setattr(others, "CONTESTANTS", names)
        found = others.compare(request)
    assert order == ["one", "two"] * 3 and {k: len(v) for k, v in found["seconds"].items()} == {"one": 3, "two": 3}
    assert found["reasons"] == {"none": "is not there"}


def test_bounds(program: str, capfd: pytest.CaptureFixture[str]):
    only = ["--engine", "fast", "-O1", "--no-others", "--repeat", "1"]
    assert main(["bench", program, *only, "--max-tokens", "50", "--json", "--invoke", "sum", "1000"]) == 0
    (row,) = json.loads(capfd.readouterr().out)["decode"]
    assert row["tokens"] == 50 and row["tokens_per_instruction"] is None
    assert main(["bench", program, *only, "--max-memory-mib", "1", "--invoke", "sum", "10"]) == 0
    assert "not finished within 1 MiB" in capfd.readouterr().out
    assert main(["bench", program, *only, "--timeout", "0.2", "--invoke", "sum", "10"]) == 1
    assert "not finished after 0.2 seconds (--timeout)" in capfd.readouterr().err


def test_tokens_alone_are_those_of_the_whole_bench(program: str, capfd: pytest.CaptureFixture[str]):
    """A call that traps is counted up to there, one that is given up is not; what measures time is refused beside it."""
    call = ["--invoke", "sum", "100"]
    assert main(["bench", program, "--engine", "fast", "-O1", "--no-others", "--repeat", "1", "--json", *call]) == 0
    whole = json.loads(capfd.readouterr().out)
    assert main(["bench", program, "--tokens-only", "-O1", "--json", *call]) == 0
    found = json.loads(capfd.readouterr().out)
    same = ("program", "invocation", "level", "engine", "tokens", "steps", "instructions", "tokens_per_instruction")
    assert [{k: row[k] for k in same} for row in found["decode"]] == [{k: row[k] for k in same} for row in whole["decode"]]
    assert all(row["seconds"] is None for row in found["decode"]) and found["start"] == found["others"] == found["scaling"] == []
    Path(program).write_text('(module (func (export "f") (local i32) (local.set 0 (i32.const 1)) unreachable))')
    assert main(["bench", program, "--tokens-only", "-O0", "--json", "--invoke", "f"]) == 0
    (row,) = json.loads(capfd.readouterr().out)["decode"]
    assert row["tokens"] >= 2 and row["instructions"] == 3 and row["tokens_per_instruction"] == row["tokens"] / 3
    Path(program).write_text(WAT)
    assert main(["bench", program, "--tokens-only", "-O1", "--max-tokens", "50", *call]) == 0
    assert "50" in (out := capfd.readouterr().out) and "geometric" not in out
    for given in (["--engine", "torch"], ["--device", "cpu"], ["--longest", "100"]):
        assert main(["bench", program, "--tokens-only", *given, *call]) == 2
        assert "--tokens-only measures no time" in capfd.readouterr().err


def test_vectors_are_measured_of_ours_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """wasmtime's Python package ends the process when it is given one."""
    path = tmp_path / "v.wat"
    path.write_text('(module (func (export "f") (param v128) (result v128) (i8x16.abs (local.get 0))))')
    assert main(["bench", str(path), "--engine", "fast", "-O1", "--repeat", "1", "--json", "--invoke", "f", "5"]) == 0
    found = json.loads(capfd.readouterr().out)
    (row,), (others,) = found["decode"], found["others"]
    assert row["tokens"] > 0 and row["tokens_per_instruction"] is None and others["fast_seconds"] > 0
    assert others["notes"]["wasmtime"] == others["notes"]["pywasm"] == "takes or gives what is no number"


def test_the_collection_is_compiled_as_the_options_say(capsys: pytest.CaptureFixture[str]):
    tokens = []
    for options in (["--float-routines"], ["--float-steps"], []):
        only = ["--tokens-only", "-O1", "--only", "newton", "--json"]
        assert main(["bench", *only, *options]) == 0
        (row,) = json.loads(capsys.readouterr().out)["decode"]
        tokens.append(row["tokens"])
    assert tokens[0] > 3 * tokens[1] == 3 * tokens[2]
    for given in (["--invoke", "f"], ["--stdin", "x"], ["--seed", "3"]):
        assert main(["bench", *given]) == 2
        assert "of one program: bench PROG --invoke NAME ARG..." in capsys.readouterr().err


def test_a_picture(program: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    target = tmp_path / "bench.svg"
    options = ["--engine", "fast", "-O1", "--repeat", "1", "--plot", str(target), "--longest", "20000"]
    assert main(["bench", program, *options, "--invoke", "sum", "100"]) == 0
    drawn = target.read_text()
    for words in ("sum sum(100)", "tokens per WASM instruction", "one growing trace", "fast", "wasmtime"):
        assert words in drawn
    assert main(["bench", program, "--plot", "bench.wat", "--invoke", "sum", "1"]) == 2


def test_a_refused_program_is_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "import.wat"
    path.write_text('(module (import "env" "now" (func $now)) (func (export "f") (call $now)))')
    assert main(["bench", str(path), "--no-others", "--invoke", "f"]) == 0
    assert "import: refused: the import" in capfd.readouterr().out


def test_the_collection_is_found_and_chosen_from():
    cases = collection(["sieve", "sum", "word_count"])
    assert [case.id for case in cases] == ["sum", "sieve", "word_count"]
    assert cases[0].invocation == "sum(1000)" and cases[2].program.suffix == ".wasm" and cases[2].world.stdin
    assert main(["bench", "--only", "nothing"]) == 2


def test_times_between_two_looks_are_in_proportion():
    points = [(0, 0.0, 0.0), (100, 1.0, 0.0), (300, 2.0, 0.0)]
    assert [_at(points, n) for n in (50, 100, 200, 999)] == [0.5, 1.0, 1.5, 2.0]
