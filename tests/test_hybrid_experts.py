"""Experts: what the compiled transformer decodes is the result, and wasmtime agrees with every step."""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wasm2xformer.runtime import hybrid
from wasm2xformer.runtime.hybrid import ExpertError, Experts, parse, read_experts

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "experts"
SUDOKU = "530070000600195000098000060800060003400803001700020006060000280000419005000080079"
SOLVED = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"


@pytest.fixture(scope="module")
def experts() -> Experts:
    return read_experts(FOLDER / "experts.toml")


@pytest.mark.parametrize(
    ("form", "result"),
    [
        ("15 + 7 =", "22"), ("15 - 27 =", "-12"), ("12 * -12 =", "-144"), ("144 / 12 =", "12"), ("-7 / 2 =", "-3.5"),
        ("0 - 0 =", "0"), ("3 < 4 =", "true"), ("-3 >= 4 =", "false"), ("quotient(17, 5) =", "3"), ("remainder(17, 5) =", "2"),
        ("1.5 + 2.25 =", "3.75"), ("0.1 + 0.2 =", "0.30000000000000004"), ("1 / 3 =", "0.3333333333333333"), ("2.0 * 2 =", "4.0"),
        ("2.5 > 2 =", "true"), ("sum(1, 100) =", "5050"), ("sum(-3, 5) =", "9"), ("sum(5, 3) =", "0"),
        ("product(5, 10) =", "151200"),
        ("product(-5, -2) =", "120"), ("product(-5, 5) =", "0"), ("factorial(0) =", "1"), ("fib(90) =", "2880067194370816120"),
        ("power(-3, 3) =", "-27"), ("power(0, 0) =", "1"), (f'sudoku("{SUDOKU}") =', SOLVED),
        ('sha256("hello") =', hashlib.sha256(b"hello").hexdigest()), ("sort([3, -1, 2, 2]) =", "[-1, 2, 2, 3]"),
        ("sort([]) =", "[]"),
        ("gcd(48, 18) =", "6"),
    ],
)  # fmt: skip
def test_results(experts: Experts, form: str, result: str):
    assert experts.answer(parse(form)).text == result


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("1 / 0 =", "division by zero"), ("1.5 / 0 =", "division by zero"), ("1e308 * 10 =", "no finite number"),
        ("factorial(-1) =", "not for negative numbers"), ("remainder(-7, 2) =", "not for negative numbers"),
        (f"{10**4000}{10**4000}{10**4000} + 1 =", "too long"), ("100000000000000000000 / 7 =", "too long for f64"),
        ("gcd(1) =", "do not fit"),
        ("gcd(1, 4294967296) =", "do not fit"), ("nothing(1) =", "no expert 'nothing'"), ('sudoku("1") =', "81 digits"),
        (f'sudoku("11{SUDOKU[2:]}") =', "stands twice"), ("fib(100000) =", "not finished"),
        (f'sha256("{"a" * 9000}") =', "at most 8,192"),
    ],
)  # fmt: skip
def test_calls_without_a_result_are_errors(experts: Experts, form: str, reason: str):
    with pytest.raises(ExpertError) as error:
        experts.find(parse(form)).answer(parse(form).arguments, max_tokens=6_000_000)
    assert reason in str(error.value)
    assert experts.answer(parse("2 + 2 =")).text == "4"  # goes on afterwards


def test_numbers_are_those_of_python(experts: Experts):
    chosen = random.Random(7)

    def integer() -> int:
        return chosen.randint(-(10 ** (n := chosen.choice([1, 2, 5, 9, 30, 80]))), 10**n)

    for _ in range(60):
        a, b = integer(), integer()
        wanted = {"+": a + b, "-": a - b, "*": a * b, "<": str(a < b).lower(), "==": str(a == b).lower()}
        if b and (a % b == 0 or max(abs(a), abs(b)) <= 2**53):
            wanted["/"] = a // b if a % b == 0 else a / b
        for sign, result in wanted.items():
            assert experts.answer(parse(f"{a} {sign} {b} =")).text == str(result)
    for _ in range(60):
        a = float(np.uint64(chosen.getrandbits(64)).view(np.float64)) if chosen.random() < 0.3 else chosen.uniform(-1e3, 1e3)
        b = chosen.choice([1.0, 0.5, 3.0, 1e-7])
        if math.isfinite(a) and math.isfinite(a / b):
            assert experts.answer(hybrid.Call("div", (a, b))).text == repr(a / b)


def test_long_loops(experts: Experts):
    assert experts.answer(parse("factorial(200) =")).text == str(math.factorial(200))
    assert experts.answer(parse("power(7, 300) =")).text == str(7**300)
    answer = experts.answer(parse("sum(1, 20000) ="))
    assert answer.text == str(sum(range(20001))) and answer.steps > 5 * 20000  # the loop is run, not a formula


@pytest.mark.parametrize("form", ["15 + 7 =", "0.1 + 0.2 =", 'sha256("hello") =', "sort([3, -1, 2]) =", "gcd(48, 18) ="])
def test_an_answer_is_verified_and_a_false_one_found_out(experts: Experts, form: str):
    answer = experts.answer(parse(form))
    verification = answer.verify()
    assert verification.ok and verification.compared > 0 and verification.tokens == answer.tokens
    tokens = answer.outcome.run.tokens.copy()
    tokens[len(tokens) // 2] += 1
    changed = replace(answer, outcome=replace(answer.outcome, run=replace(answer.outcome.run, tokens=tokens)))
    assert "tokens of the answer" in changed.verify().difference
    assert not replace(answer, text="23").verify().ok


def test_arguments_and_results_in_memory(tmp_path: Path):
    (tmp_path / "text.wat").write_text(
        """(module (memory (export "memory") 1)
          (func (export "shout") (param $at i32) (param $n i32) (result i32) (local $i i32)
            (block $done (loop $next
              (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
              (i32.store8 (i32.add (local.get $at) (local.get $i))
                (i32.sub (i32.load8_u (i32.add (local.get $at) (local.get $i))) (i32.const 32)))
              (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $next)))
            (local.get $n))
          (func (export "third") (param $at i32) (result f64) (f64.load (i32.add (local.get $at) (i32.const 16)))))"""
    )
    told = {
        "built_in": False,
        "expert": [
            {"name": "shout", "program": "text.wat", "arguments": [{"name": "text", "type": "string", "at": 512}],
             "result": {"type": "string", "at": 512}},
            {"name": "third", "program": "text.wat", "result": "f64",
             "arguments": [{"name": "numbers", "type": "f64[]", "at": 64, "passed": ["pointer"]}]},
        ],
    }  # fmt: skip
    (tmp_path / "experts.json").write_text(json.dumps(told))
    experts = read_experts(tmp_path / "experts.json")
    assert experts.names == ["shout", "third"]
    answer = experts.answer(parse('shout("abc") ='))
    assert answer.text == "ABC" and answer.verify().ok
    assert experts.answer(parse("third([1, 2, 0.1]) =")).text == "0.1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("expert = 3", "nothing else"),
        ("experts = []", "nothing else"),
        ("[[expert]]\nname = 'a'\nresult = 'i32'", "'program' is missing"),
        ("[[expert]]\nname = 'a b'\nprogram = 'p.wat'\nresult = 'i32'", "a name has letters"),
        ("[[expert]]\nname = 'a'\nprogram = 'p.wat'\nresult = 'i32'", "no such file"),
        ("[[expert]]\nname = 'a'\nprogram = 'm.safetensors'\nresult = 'i32'", "`source`"),
        ("[[expert]]\nname = 'a'\nprogram = 'p.wat'\nresult = 'i33'", "no type 'i33'"),
        ("[[expert]]\nname = 'a'\nprogram = 'p.wat'\nresult = 'i32'\nsignature = 1", "no field 'signature'"),
        ("[[expert]]\nname = 'a'\nprogram = 'p.wat'\nresult = {type = 'hex', at = 'b'}", "no argument in memory"),
        ("[[expert]]\nname = 'a'\nprogram = 'p.wat'\nresult = 'i32'\narguments = [{name = 'x', type = 'int'}]", "no type 'int'"),
        ("[[expert", "experts.toml: "),
    ],
)
def test_a_wrong_experts_file_is_refused(tmp_path: Path, text: str, reason: str):
    (tmp_path / "experts.toml").write_text(text)
    with pytest.raises(ExpertError) as error:
        read_experts(tmp_path / "experts.toml")
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_two_experts_of_one_name_need_different_types():
    experts = hybrid.built_in()
    with pytest.raises(ExpertError):
        experts.add(experts.all[0])
