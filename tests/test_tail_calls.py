"""Tail calls: the callee takes the frame's place, and its return finds the way back to whoever called the first of them."""

from __future__ import annotations

import pytest

from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.errors import CompileError
from wasm2xformer.compiler.machine.call_sites import CallSites
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.verify import Verifier

PROGRAM = """(module
  (type $t (func (param i32 i32) (result i32)))
  (type $u (func (param i64 i32 i32) (result i32)))
  (import "host" "twice" (func $twice (param i32) (result i32)))
  (table funcref (elem $even $odd $sum $wide $twice))
  (func $even (export "even") (type $t)
    (if (result i32) (i32.eqz (local.get 0)) (then (local.get 1))
      (else (return_call $odd (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (i32.const 3))))))
  (func $odd (export "odd") (type $t)
    (if (i32.eqz (local.get 0)) (then (return (i32.const -1))))
    (return_call $even (i32.sub (local.get 0) (i32.const 1)) (local.get 1)))
  (func $swap (export "swap") (type $t)
    (if (i32.gt_u (local.get 0) (i32.const 40)) (then (return (i32.sub (local.get 0) (local.get 1)))))
    (return_call $swap (i32.add (local.get 1) (i32.const 7)) (local.get 0)))
  (func $sum (type $t) (local i64) (i32.add (call $swap (local.get 0) (local.get 1)) (i32.const 1000)))
  (func $wide (type $u)
    (i32.wrap_i64 (i64.add (local.get 0) (i64.extend_i32_u (i32.mul (local.get 1) (local.get 2))))))
  (func $pick (export "pick") (param i32 i32 i32) (result i32)
    (return_call_indirect (type $t) (local.get 1) (local.get 2) (local.get 0)))
  (func $pick_wide (export "pick_wide") (param i32 i32) (result i32)
    (return_call_indirect (type $u) (i64.const 0x1234567890) (local.get 0) (local.get 1) (i32.const 3)))
  (func (export "both") (param i32 i32) (result i32)
    (i32.add (call $pick (local.get 0) (local.get 1) (i32.const 5))
      (call_indirect (type $t) (local.get 1) (i32.const 4) (local.get 0))))
  (func (export "many") (param i32) (result i32) (local i32)
    (block (loop (br_if 1 (i32.eqz (local.get 0)))
      (local.set 1 (i32.add (local.get 1) (call $pick_wide (local.get 0) (i32.const 2))))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 0)))
    (return_call $even (i32.const 4) (local.get 1)))
  (func $host (export "host") (param i32) (result i32) (return_call $twice (i32.add (local.get 0) (i32.const 1))))
  (func $host_indirect (export "host_indirect") (param i32) (result i32)
    (return_call_indirect (param i32) (result i32) (local.get 0) (i32.const 4)))
  (func (export "hosts") (param i32) (result i32)
    (i32.add (call $host (local.get 0)) (i32.mul (call $host_indirect (i32.const 8))
      (call $pick (i32.const 0) (i32.const 2) (i32.const 1)))))
  (func (export "endless") (result i32) (return_call $deeper (i32.const 0)))
  (func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0)))))"""
HOST = """(module (func $double (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
  (func (export "twice") (param i32) (result i32) (return_call $double (local.get 0))))"""
CALLS = [
    ("even", 9, 1), ("even", 10, 1), ("odd", 7, 2), ("swap", 3, 4), ("pick", 0, 4, 5), ("pick", 2, 4, 5), ("pick", 3, 1, 1),
    ("pick", 5, 1, 1), ("pick_wide", 3, 4), ("both", 1, 5), ("both", 2, 5), ("both", 0, 4), ("many", 4), ("host", 20),
    ("host_indirect", 20), ("hosts", 3),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("single_jumps", [0, 30, 2048])
def test_every_step_is_that_of_wasmtime(single_jumps: int, level: int) -> None:
    """With far jumps only, with some, and with a token for each."""
    libraries = {"host": HOST}
    model = realise(*compile_steps(PROGRAM, CompileOptions(level, None, libraries)), single_jumps)
    verifier = Verifier(PROGRAM, model=model, opt_level=level, libraries=libraries)
    for name, *args in CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence}"


def test_a_tail_call_takes_no_frame() -> None:
    """Calls nest 2^20 slots deep at most; this goes on in one."""
    loop = """(module (func $f (export "f") (param i32 i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
      (return_call $f (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (local.get 0)))))"""
    program, _ = compile_steps(loop)
    assert [step.op for step in program.steps if step.operation.calls] == ["call"]
    report = Verifier(loop).invoke("f", (300, 0))
    assert report.ok and report.run.values == [45150]
    assert set(report.trace.frame.tolist()) == {0, 1}


def test_functions_that_tail_calls_connect_are_numbered_as_one() -> None:
    program, _ = compile_steps(PROGRAM, CompileOptions(1, None, {"host": HOST}))
    sites = CallSites(program)
    index = {f.name: f.index for f in program.functions.values()}
    assert sites.of(index["even"]) == sites.of(index["odd"]) == sites.of(index["pick"]) == sites.of(index["sum"])
    assert len(sites.of(index["deeper"])) == 2 and set(sites.of(index["deeper"])) < set(range(len(program.steps)))
    for function in program.functions.values():
        assert [sites.number(site) for site in sites.of(function.index)] == list(range(sites.count(function.index)))


def test_without_tail_calls_nothing_is_connected() -> None:
    program, _ = compile_steps(PROGRAM.replace("return_call_indirect", "call_indirect").replace("return_call", "call"),
                               CompileOptions(1, None, {"host": HOST.replace("return_call", "call")}))  # fmt: skip
    sites = CallSites(program)
    index = {f.name: f.index for f in program.functions.values()}
    assert sites.of(index["swap"]) != sites.of(index["even"])


def test_results_have_to_be_the_same() -> None:
    with pytest.raises(CompileError, match="type mismatch"):
        load('(module (func $f (result i64) (i64.const 1)) (func (export "g") (result i32) (return_call $f)))')
