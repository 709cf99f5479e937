"""The runner of the specification's scripts: on a script of its own, and on a few of the real ones where they are."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.spec import __main__ as command
from tests.spec.report import EXPECTED, as_json, differences, failures, read_refusals, refusals, table, write_refusals
from tests.spec.run import FAILED, PASSED, REFUSED, SKIPPED, Outcome, run_script
from tests.spec.script import Value
from tests.spec.values import matches

PASSING = """
(module $counter
  (global $n (export "n") (mut i32) (i32.const 5))
  (func (export "next") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))
(assert_return (invoke "next") (i32.const 6))
(assert_return (get "n") (i32.const 6))
(register "counter" $counter)
(module
  (import "spectest" "global_i32" (global i32))
  (import "spectest" "print_i32" (func $print (param i32)))
  (func (export "divide") (param i64) (result i64) (i64.div_u (i64.const 100) (local.get 0)))
  (func (export "imported") (result i32) (call $print (i32.const 1)) (global.get 0))
  (func (export "same") (param f32) (result f32) (local.get 0))
  (func (export "none") (result externref) (ref.null extern))
  (func $forever (export "forever") (call $forever)))
(assert_return (invoke "divide" (i64.const 7)) (i64.const 14))
(assert_trap (invoke "divide" (i64.const 0)) "integer divide by zero")
(assert_return (invoke "imported") (i32.const 666))
(assert_return (invoke "same" (f32.const nan:0x200000)) (f32.const nan:0x200000))
(assert_return (invoke "none") (ref.null extern))
(assert_exhaustion (invoke "forever") "call stack exhausted")
(assert_return (invoke $counter "next") (i32.const 7))
(module $shared (table (export "t") 2 funcref)
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))
(register "shared" $shared)
(assert_trap (invoke "call" (i32.const 1)) "uninitialized element")
(module (import "shared" "t" (table 2 funcref)) (func $seven (result i32) (i32.const 7)) (elem (i32.const 1) $seven))
(assert_return (invoke $shared "call" (i32.const 1)) (i32.const 7))
(assert_invalid (module (func (result i32))) "type mismatch")
(assert_invalid (module (import "" "" (table 10 funcref)) (table 10 funcref)) "multiple tables")
(assert_malformed (module quote "(func (result i32) (i32.const nix))") "unknown operator")
(assert_malformed (module binary "\\00asm\\01\\00\\00") "unexpected end")
(assert_unlinkable (module (import "counter" "next" (func (result i64)))) "incompatible import type")
(assert_unlinkable (module (import "counter" "first" (func))) "unknown import")
(assert_trap (module (memory 1) (data (i32.const 65536) "a")) "out of bounds memory access")
"""

FAILING = """
(module (func (export "one") (result i32) (i32.const 1)) (func (export "stop") unreachable))
(assert_return (invoke "one") (i32.const 2))
(assert_return (invoke "stop"))
(assert_trap (invoke "one") "unreachable")
(assert_trap (invoke "stop") "integer overflow")
(assert_invalid (module (table 10 funcref)) "multiple tables")
"""

REFUSING = """
(module
  (func (export "bits") (result i32) (i32.popcnt (i32.const 7)))
  (func (export "one") (result i32) (i32.const 1)))
(assert_return (invoke "bits") (i32.const 3))
(assert_return (invoke "one") (i32.const 1))
(register "refused")
(module (import "refused" "one" (func (result i32))))
(assert_return (invoke "one") (i32.const 1))
(assert_malformed (module quote "(func nix)") "unknown operator")
"""

# Addresses up to 2^26, and a table below address 0.
LARGEST = """
(module
  (type $t (func (result i32)))
  (table funcref (elem $f))
  (memory 1 1024)
  (func $f (result i32) (memory.grow (i32.const 1023)))
  (func (export "grow") (result i32) (call_indirect (type $t) (i32.const 0)))
  (func (export "store") (param i32 i64) (i64.store (local.get 0) (local.get 1)))
  (func (export "load") (param i32) (result i64) (i64.load (local.get 0))))
(assert_return (invoke "grow") (i32.const 1))
(assert_return (invoke "grow") (i32.const -1))
(assert_return (invoke "store" (i32.const 67108856) (i64.const -2)))
(assert_return (invoke "store" (i32.const 0) (i64.const 5)))
(assert_return (invoke "load" (i32.const 67108855)) (i64.const -512))
(assert_return (invoke "load" (i32.const 0)) (i64.const 5))
(assert_trap (invoke "load" (i32.const 67108857)) "out of bounds memory access")
"""


def run(tmp_path: Path, text: str, **options: int) -> list[Outcome]:
    path = tmp_path / "script.wast"
    path.write_text(text, encoding="utf-8")
    return run_script(path, **options)


@pytest.mark.parametrize("level", [0, 1])
def test_what_holds_passes(tmp_path: Path, level: int):
    outcomes = run(tmp_path, PASSING, opt_level=level)
    assert [o for o in outcomes if o.status != PASSED] == []
    assert len(outcomes) == 24


def test_the_largest_memory(tmp_path: Path):
    assert [o for o in run(tmp_path, LARGEST) if o.status != PASSED] == []


def test_what_does_not_hold_fails(tmp_path: Path):
    module, *outcomes = run(tmp_path, FAILING)
    assert module.status == PASSED
    assert [o.status for o in outcomes] == [FAILED] * 5
    texts = [o.reason for o in outcomes]
    assert texts[0] == "i32 0x1, should be i32 0x2"
    assert texts[1].startswith("trap: wasm `unreachable`") and texts[2] == "returned [1], should trap: unreachable"
    assert texts[4] == "accepted, should be: multiple tables"
    assert len(failures({"script": outcomes})) == 5


def test_what_is_refused_has_a_reason(tmp_path: Path, without_popcnt: None):
    outcomes = run(tmp_path, REFUSING)
    assert [o.status for o in outcomes] == [REFUSED] * 6 + [PASSED]
    assert outcomes[0].reason == "not supported" and {o.reason for o in outcomes[:-1]} == {"not supported"}


CHANGED = """
(module $table (table (export "t") 2 9 funcref)
  (func (export "grow") (drop (table.grow (ref.null func) (i32.const 1))))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))
(register "table" $table)
(invoke $table "grow")
(module (import "table" "t" (table 3 funcref)) (func $f (result i32) (i32.const 5)) (elem (i32.const 2) $f))
(invoke $table "grow")
(assert_return (invoke $table "call" (i32.const 2)) (i32.const 5))
(assert_unlinkable (module (import "table" "t" (table 5 funcref))) "incompatible import type")
(assert_trap (module (import "table" "t" (table 3 funcref)) (func $f (result i32) (i32.const 6)) (memory 1)
  (elem (i32.const 1) $f) (data (i32.const 65536) "x")) "out of bounds memory access")
(assert_return (invoke $table "call" (i32.const 1)) (i32.const 6))
"""


@pytest.mark.parametrize(("level", "verified"), [(0, False), (1, True)])
def test_instances_that_have_run_are_imported_as_they_are(tmp_path: Path, level: int, verified: bool):
    outcomes = run(tmp_path, CHANGED, opt_level=level, verified=verified)
    assert [o for o in outcomes if o.status != PASSED] == [] and len(outcomes) == 9


def test_a_limit_is_skipped_where_steps_are_compared(tmp_path: Path):
    text = '(module (func $f (export "f") (call $f)))(assert_exhaustion (invoke "f") "call stack exhausted")'
    assert [o.status for o in run(tmp_path, text, verified=True)] == [PASSED, SKIPPED]


COPIES = """
(module $Mt (type $r (func (result i32))) (table (export "tab") 10 funcref) (elem (i32.const 2) $g $g)
  (func $g (result i32) (i32.const 4)) (func (export "h") (result i32) (i32.const -4))
  (func (export "call") (param i32) (result i32) (call_indirect (type $r) (local.get 0))))
(register "Mt" $Mt)
(module $Nt (func $f (import "Mt" "call") (param i32) (result i32)) (export "Mt.call" (func $f)))
(assert_return (invoke $Nt "Mt.call" (i32.const 2)) (i32.const 4))
(module $Ot (func $h (import "Mt" "h") (result i32)) (table (import "Mt" "tab") 5 funcref)
  (elem (i32.const 1) $i $h) (func $i (result i32) (i32.const 6)))
(assert_return (invoke $Mt "call" (i32.const 1)) (i32.const 6))
(assert_return (invoke $Mt "call" (i32.const 2)) (i32.const -4))
(assert_return (invoke $Nt "Mt.call" (i32.const 1)) (i32.const 6))
(assert_return (invoke $Nt "Mt.call" (i32.const 2)) (i32.const -4))
"""


def test_what_only_hands_on_sees_what_has_changed(tmp_path: Path):
    assert [o for o in run(tmp_path, COPIES) if o.status != PASSED] == []


def test_the_dense_engine_follows(tmp_path: Path):
    counts = Counter(o.status for o in run(tmp_path, PASSING, dense_tokens=100))
    assert counts == {PASSED: 23, SKIPPED: 1}  # the exhaustion takes more tokens than that


def test_a_script_that_cannot_be_read_fails(tmp_path: Path):
    assert [o.status for o in run(tmp_path, "(module")] == [FAILED]


def test_nan_patterns():
    canonical, arithmetic = Value("f32", pattern="nan:canonical"), Value("f32", pattern="nan:arithmetic")
    assert [matches(canonical, v) for v in (0x7FC0_0000, 0xFFC0_0000, 0x7FC0_0001, 0x7F80_0000)] == [
        True,
        True,
        False,
        False,
    ]
    assert [matches(arithmetic, v) for v in (0x7FC0_0001, 0xFFE0_0000, 0x7FA0_0000)] == [True, True, False]
    assert matches(Value("externref"), None) and not matches(Value("externref", pattern="any"), None)


def test_refusals_are_compared_both_ways(tmp_path: Path):
    path = tmp_path / "refused.toml"
    results = {"a": [Outcome("assert_return", 1, REFUSED, 'a "quoted" reason'), Outcome("module", 1, PASSED)], "b": []}
    found = refusals(results)
    write_refusals(found, path)
    assert read_refusals(path) == found == {"a": {'a "quoted" reason': 1}}
    assert differences(found, found, ["a", "b"]) == []
    assert len(differences({}, found, ["a", "b"])) == len(differences(found, {}, ["a", "b"])) == 1
    assert differences({}, found, ["b"]) == []
    assert "total" in table(results) and '"passed": 1' in as_json(results)


def test_without_the_scripts_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command.main([str(tmp_path / "nowhere")]) == command.MISSING
    assert "no such folder" in capsys.readouterr().err
    assert command.main([str(tmp_path)]) == command.MISSING


def test_refusals_in_other_folders_are_not_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    results = {"imports": [Outcome("module", 1, REFUSED, "some reason")] * 5}
    monkeypatch.setattr(command, "read_refusals", lambda: {"imports": {"some reason": 5}})
    for folder, code in ((command.FOLDER, 0), (tmp_path, 1)):
        assert command._report(command._options([str(folder)]), results, 1.0) == code
    assert "imports: 5 refused, 0 expected: some reason" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), "--update"])


@pytest.mark.skipif(not command.FOLDER.is_dir(), reason="the specification's scripts are not there")
@pytest.mark.parametrize("name", ["forward", "switch", "local_get"])
def test_specification(name: str):
    results = {name: run_script(command.FOLDER / f"{name}.wast")}
    assert failures(results) == []
    assert differences(refusals(results), read_refusals(EXPECTED), [name]) == []
