"""Chains hand positions with long circuits over to `special`, and go on with what these have kept."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from chain_engines import at_once, calls, chains_for, compared, instance

import wasm2xformer as w2x
from wasm2xformer.runtime.errors import DecodingError
from wasm2xformer.runtime.fast import chain_plan, chain_region
from wasm2xformer.runtime.fast.again import KeptNumber
from wasm2xformer.runtime.fast.atoms import Kept
from wasm2xformer.runtime.fast.chain_again import ChainAgain, ChainRepeats, ChainWithin, Rest, register
from wasm2xformer.runtime.fast.chain_region import Region
from wasm2xformer.runtime.fast.chained import ALL, Wanted
from wasm2xformer.runtime.fast.linear import Form
from wasm2xformer.runtime.fast.symbols import Symbols

# The logistic map, whose values differ in all digits, in sign with a large factor; each is stored where no page may be yet.
CHAOS = w2x.compile("""
(module (memory 8)
  (func (export "chaos") (param $n i32) (param $at i32) (param $factor f64) (param $x f64) (result f64)
    (loop $next
      (f64.store (local.get $at) (local.get $x))
      (local.set $x (f64.mul (f64.mul (local.get $factor) (local.get $x)) (f64.sub (f64.const 1) (local.get $x))))
      (local.set $at (i32.add (local.get $at) (i32.const 520)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (f64.add (local.get $x) (f64.load offset=16 (i32.const 0)))))
""")
CHAOTIC = "chaos", 60, 0, 3.9, 0.3


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


@functools.cache
def sampled() -> tuple[w2x.Instance, np.ndarray]:
    """What has decoded the same call twice, and the tokens."""
    plain, _ = instance(CHAOS, None)
    return plain, np.concatenate(calls(CHAOTIC, CHAOTIC)(plain))


def test_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """With arguments that they were made for, and with zeros, infinities, NaN and subnormal numbers. Each product and difference
    begins in `special`, and its other digits are in the chain."""
    regions: list[Region] = []
    real = Region.text
    monkeypatch.setattr(Region, "text", lambda region: regions.append(region) or real(region))
    code = chains_for(sampled()[0])
    assert code is not None
    lines = "\n".join(regions[0].code.lines)
    handed, again = lines.count("ptr %handed.v") - 1, sum(regions[0].plan.again)
    assert handed >= 3 and again > 3 * handed
    assert sum(regions[0].plan.inside) > 6
    others = [(9, at, factor, x) for at, factor, x in ((7, 2.0, math.inf), (300_000, -3.0, 1e-310), (16, 3.0, -0.0))]
    others += [(30, 400_000, -1.9, 0.7), (200, 8, 3.99, 0.123), (3, 0, math.nan, 0.5), (40, 77, 4.0, 1e300)]
    session = calls(CHAOTIC, *(("chaos", *each) for each in others), CHAOTIC)
    plain, chain = instance(CHAOS, None)[0], instance(CHAOS, code)[0]
    for expected, got in zip(session(plain), session(chain), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert chain._engine.trusted and chain._engine.by_chains > 0.4 * chain._engine.position


def _wrong_place(patch: pytest.MonkeyPatch) -> None:
    real = ChainAgain._taken

    def wrong(emitter, key: tuple, same):
        emitter.numbers = {k: number._replace(place=number.place ^ 1) for k, number in emitter.numbers.items()}
        return real(emitter, key, same)

    patch.setattr(ChainAgain, "_taken", wrong)


def _first_digits_too(patch: pytest.MonkeyPatch) -> None:
    """What is kept is taken where the row before was another one, and whatever has been written."""
    real = chain_plan.ChainPlan.__init__

    def wrong(plan, *arguments) -> None:
        real(plan, *arguments)
        plan.again = [long and bool(plan.kept(k)) for k, long in enumerate(plan.long)]
        plan.contexts = [plan.situations.context(s) for s in plan.chosen]
        plan.rests = {k: plan._rest(k) for k in range(len(plan.chosen))}

    patch.setattr(chain_plan.ChainPlan, "__init__", wrong)
    patch.setattr(ChainRepeats, "form", lambda self, form: False)
    patch.setattr(ChainRepeats, "atom", lambda self, atom: False)
    patch.setattr(chain_region, "MOST_AGAIN", 10_000)
    patch.setattr(chain_region, "MOST_WITHIN", 10_000)


def _another_register(patch: pytest.MonkeyPatch) -> None:
    def wrong(emitter: ChainWithin, number: KeptNumber) -> str:
        other = next(each for each in emitter.numbers.values() if each.value.type == number.value.type)
        return emitter.code.op(f"load {number.value.type}, ptr {register(other)}")

    patch.setattr(ChainWithin, "taken", wrong)


def _nothing_at_the_beginning(patch: pytest.MonkeyPatch) -> None:
    """A chain begins also where registers should hold what has not been computed."""
    real = chain_plan.ChainPlan.__init__

    def wrong(plan, *arguments) -> None:
        real(plan, *arguments)
        plan.entries = sorted(range(len(plan.chosen)), key=lambda k: plan.chosen[k].row)

    patch.setattr(chain_plan.ChainPlan, "__init__", wrong)
    patch.setattr(Region, "_kept_by", lambda region, k: True)


@pytest.mark.parametrize("fault", [_wrong_place, _first_digits_too, _another_register, _nothing_at_the_beginning])
def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch, fault: Callable) -> None:
    plain, expected = sampled()
    with monkeypatch.context() as changed:
        fault(changed)
        code = chains_for(plain, wanted=Wanted(ALL, 1, quick=True, part=0.0))
    assert code is not None
    other, _ = instance(CHAOS, code)
    try:
        got = np.concatenate([other.invoke(*CHAOTIC, max_tokens=len(expected)).tokens for _ in range(2)])
    except (w2x.Unfinished, w2x.Trap, NotImplementedError, DecodingError):
        return
    # Generated code itself may come upon numbers that cannot be.
    assert not np.array_equal(got, expected) or not other._engine.trusted


QUOTIENTS = w2x.compile("""
(module (func (export "run") (param $n i32) (param $x f64) (result f64)
  (loop $next
    (local.set $x (f64.div (f64.sqrt (local.get $x)) (f64.sub (local.get $x) (f64.const 1.3))))
    (local.set $x (f64.mul (local.get $x) (local.get $x)))
    (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $x)))
""")


def test_quotients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains take what is kept where a quotient is complete; its own digits they hand over."""
    regions: list[Region] = []
    real = Region.text
    monkeypatch.setattr(Region, "text", lambda region: regions.append(region) or real(region))
    session = calls(*(("run", 6, x) for x in (0.7, 7.0, 1e-310, -0.0, math.inf)))
    plain = instance(QUOTIENTS, None)[0]
    expected = np.concatenate(session(plain))
    few = Wanted(200, 1, quick=True, part=0.0)
    chain = instance(QUOTIENTS, chains_for(plain, wanted=few))[0]
    np.testing.assert_array_equal(np.concatenate(session(chain)), expected)
    assert chain._engine.trusted and chain._engine.by_chains > 0.1 * chain._engine.position
    assert re.search(r"br i1 %v\d+, label %h\d+, label %go", "\n".join(regions[0].code.lines))
    monkeypatch.setattr(ChainAgain, "unsettled", lambda self: "false")
    wrong = instance(QUOTIENTS, chains_for(plain, wanted=few))[0]
    with pytest.raises((AssertionError, w2x.Unfinished, w2x.Trap, NotImplementedError, DecodingError)):
        np.testing.assert_array_equal(np.concatenate(session(wrong)), expected)
        assert wrong._engine.trusted


PRODUCTS = """
(module (func (export "run") (param $n i32) (param $x i32) (result i32)
  (loop $next
    (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
    (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $x)))
"""


def test_carries_between_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carry that is written between the digits of a value: what is made of it is not what it was."""
    model, session = w2x.compile(PRODUCTS), calls(("run", 60, 3), ("run", 20, -7))
    assert compared(model, session, quick=True)[1] > 0.5
    monkeypatch.setattr(Rest, "covers", lambda rest, other: True)
    with pytest.raises((AssertionError, w2x.Unfinished, w2x.Trap, NotImplementedError, DecodingError)):
        compared(model, session, quick=True)


def test_nobody_looks_into_numbers_that_are_kept() -> None:
    graph = Symbols(16)
    form = graph.table(graph.token, np.arange(16.0)).scaled(3.0)
    kept = graph.atom(Kept(form))
    assert graph.atom_bounds(kept) == graph.bounds(form)
    assert list(graph.atoms_within(Form({kept: 1.0}))) == [kept]
