"""A limit of the model's own is told as that: neither as agreement nor as a difference."""

from __future__ import annotations

from dataclasses import replace

import pytest

import wasm2xformer as w2x

GROWS = """(module (memory 1) (memory $other 1) (table $t 1 funcref)
  (func (export "other") (result i32) (i32.load8_u $other (i32.const 0)))
  (func (export "pages") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "elements") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
  (func $deep (export "deep") (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0)))))"""
RANDOM = """(module (import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))
  (memory (export "memory") 1) (func (export "f") (param i32) (result i32) (call $r (i32.const 16) (local.get 0))))"""


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(
    ("name", "within", "beyond", "limit"),
    [
        # Several memories have 65,535 pages together.
        ("pages", 3, 65_534, "memory grows to 65,534 pages at most"),
        ("elements", 5000, 12_000_000, "this table grows to 10,000,000 elements at most"),
        # For so many wasmtime is given no room either.
        ("elements", 5000, 2**31, "this table grows to 10,000,000 elements at most"),
        ("deep", 10, 1_100_000, "calls nest to 1,048,576 slots at most"),
    ],
)
def test_a_limit_is_told(level: int, name: str, within: int, beyond: int, limit: str):
    assert w2x.verify(GROWS, name, [within], opt_level=level).ok
    report = w2x.verify(GROWS, name, [beyond], opt_level=level)
    if name == "pages" and report.oracle.results == [-1]:
        pytest.skip("wasmtime has no room for it either")
    assert not report.ok and report.limit.startswith(limit), report.divergence


def test_the_last_calls_within_the_limit():
    """Where a callee's steps stand in the place of a call, model and oracle meet the limit a call apart: no difference."""
    reports = [w2x.verify(GROWS, "deep", [n]) for n in range(1_048_573, 1_048_577)]
    assert reports[0].ok and not reports[-1].ok
    assert all(report.ok or report.limit.startswith("calls nest to") for report in reports)


def test_random_bytes():
    """Those of the prompt, and more than that."""
    assert all(w2x.verify(RANDOM, "f", [count]).ok for count in (256, 257, 1000))


def test_a_limit_that_was_chosen_or_declared_is_none_of_ours():
    assert w2x.verify(GROWS, "pages", [3], max_memory_pages=2).run.values == [-1]
    assert w2x.verify(GROWS, "pages", [3], max_memory_pages=2).ok
    declared = GROWS.replace("(memory 1)", "(memory 1 3)").replace("$t 1 funcref", "$t 1 9 funcref")
    for name, beyond in (("pages", 3), ("elements", 9)):
        report = w2x.verify(declared, name, [beyond])
        assert report.ok and report.run.values == [-1]


def test_a_growth_that_fails_within_the_limit_is_a_difference():
    """Only what is beyond the limit is one."""
    model = w2x.compile(GROWS)
    model.program = replace(model.program, memory_maximum=2000)
    report = w2x.Verifier(GROWS, model=model).invoke("pages", [1024])
    assert not report.ok and not report.limit
