"""Whole calls in one call of generated code: the same tokens as in turns, and what others must look at is told."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from chain_engines import at_once, chains_for, instance

import wasm2xformer as w2x
from programs import load_programs
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.runtime.errors import DecodingError, InstanceError
from wasm2xformer.runtime.fast import FastEngine, engine, samples
from wasm2xformer.runtime.fast.interface import BUDGET
from wasm2xformer.runtime.results import Results, Run

PROGRAMS = {program.id: program for program in load_programs()}
MIXED = """
(module (memory (export "memory") 1)
  (global $kept (mut i64) (i64.const 5))
  (func (export "keep") (param i64) (result i64)
    (global.set $kept (i64.add (global.get $kept) (local.get 0))) (global.get $kept))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "same") (param f64) (result f64) (local.get 0))
  (func (export "sum") (param $n i32) (result i32) (local $s i32)
    (loop $again
      (local.set $s (i32.add (local.get $s) (i32.mul (local.get $n) (local.get $n))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $s)))
"""
SESSION: list[tuple] = [
    ("keep", 3), ("keep", -1), ("keep", 2**62), ("store", 8, -5), ("load", 8), ("load", 65533), ("same", -7.5), ("sum", 1),
    ("sum", 300), ("same", 3), ("load", 2**32 - 1), ("sum", 40), ("keep", -(2**63)),
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> w2x.Model:
    return w2x.compile(MIXED)


def called(vm: w2x.Instance, name: str, *args: Any) -> Run:
    try:
        return vm.invoke(name, *args)
    except w2x.Trap as trap:
        return trap.run


def told(vm: w2x.Instance, session: list[tuple]) -> list[tuple]:
    """All that calls say, in a form that can be compared."""
    runs = [called(vm, *call) for call in session]
    kinds = {(run.prompt.dtype, run.tokens.dtype) for run in runs}
    assert kinds == {(np.dtype(np.int32),) * 2}
    return [
        (run.values, run.bits, run.trap, run.exit_code, run.steps, run.stdout, run.prompt.tolist(), run.tokens.tolist())
        for run in runs
    ]


def in_turns(vm: w2x.Instance) -> w2x.Instance:
    vm._respond = None
    return vm


def history(vm: w2x.Instance) -> list[int]:
    assert vm._engine._history is not None
    return np.concatenate(vm._engine._history).tolist()


@pytest.mark.parametrize("chains", ["0", "1", "always"])
@pytest.mark.parametrize("code", ["", "whole"])
def test_the_same_runs_and_the_same_history(monkeypatch: pytest.MonkeyPatch, model: w2x.Model, chains: str, code: str) -> None:
    monkeypatch.setenv("WASM2XFORMER_CHAINS", chains)
    monkeypatch.setenv("WASM2XFORMER_CODE", code)
    one, other = w2x.Instance(model), in_turns(w2x.Instance(model))
    assert told(one, SESSION) == told(other, SESSION)
    assert one._engine.position == other._engine.position and history(one) == history(other)
    assert one.read_memory(0, 16) == other.read_memory(0, 16)


@pytest.mark.parametrize("soon", [1, 30, 200])
def test_where_the_code_changes(monkeypatch: pytest.MonkeyPatch, model: w2x.Model, soon: int) -> None:
    monkeypatch.setattr(engine, "SOON", soon)
    monkeypatch.setenv("WASM2XFORMER_CODE", "")
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    one, other = w2x.Instance(model), in_turns(w2x.Instance(model))
    assert one._engine._program.brief and told(one, SESSION) == told(other, SESSION)
    assert not one._engine._program.brief


@pytest.mark.parametrize("chunk", [1, 2, 7, 100])
def test_calls_that_take_several_blocks(monkeypatch: pytest.MonkeyPatch, model: w2x.Model, chunk: int) -> None:
    monkeypatch.setattr(engine, "LAST_CHUNK", chunk)
    one, other = w2x.Instance(model), in_turns(w2x.Instance(model))
    one._engine._chunk = chunk
    assert told(one, SESSION) == told(other, SESSION)


def test_with_chains_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of whole calls are samples of the same sequence: chains for them fit, and decode what turns do."""
    at_once(monkeypatch)
    model, session = w2x.compile(PROGRAMS["sieve"].module()), [("count_primes", n) for n in (300, 17, 500)]
    plain, other = instance(model, None)[0], in_turns(instance(model, None)[0])
    expected = told(plain, session)
    assert expected == told(other, session)
    kept = plain._engine._chains.samples
    assert kept.size > 0.9 * sum(len(run[-1]) for run in expected)
    tokens = np.array(history(plain))
    for _, before, block in kept.kept:  # each stands where it was
        whole = np.concatenate([before, block])
        assert any((tokens[at : at + len(whole)] == whole).all() for at in np.flatnonzero(tokens == whole[0]))
    made, special = instance(model, chains_for(plain))
    assert told(made, session) == expected
    assert special.tokens < 0.1 * sum(len(run[-1]) for run in expected)


def test_samples_only_where_they_are_due() -> None:
    kept = samples.Samples(2)
    kept._stride = 3
    for n in range(9):
        kept.interrupt()
        kept.call(n, np.arange(10 * n, 10 * n + 10, dtype=np.int32), kept.before if kept.due else 0, 8 if kept.due else 0)
    assert [row for row, _, _ in kept.kept] == [0, 3, 6]
    assert [(before, block.tolist()) for _, before, block in kept.kept][1] == ([30, 31], list(range(32, 40)))


def test_a_sum_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch, model: w2x.Model) -> None:
    """The comparisons above tell it."""
    vm, other = w2x.Instance(model), in_turns(w2x.Instance(model))
    real = vm._engine._code.respond

    def wrong(address: int) -> int:
        done = real(address)
        vm._engine._prepared.call.sum += 1
        return done

    monkeypatch.setattr(vm._engine._code, "respond", wrong)
    with suppress(DecodingError):
        assert told(vm, SESSION) != told(other, SESSION)


def giving_up(vm: w2x.Instance, read: int, done: int) -> Callable[[int], int]:
    """Code that gives up on a position once, when it has read and decoded so many tokens."""
    real = vm._engine._code.respond

    def respond(address: int) -> int:
        fast = vm._engine
        call = fast._prepared.call
        call.limit, count, call.count = min(done, call.limit), call.count, min(read, call.count)
        got = real(address)
        if call.count < count:
            got = 0
        call.done, fast._state.status.value, fast._code.respond = got, engine.UNEXPECTED, real
        return engine.FAILED

    return respond


@pytest.mark.parametrize(("read", "done"), [(9, 3), (9, 20), (2, 0)])
def test_an_assumption_that_fails_in_the_middle(model: w2x.Model, read: int, done: int) -> None:
    """What has been read and decoded is read again, and the rest is done by other code."""
    one, other = w2x.Instance(model), in_turns(w2x.Instance(model))
    assert told(one, SESSION[:4]) == told(other, SESSION[:4])
    one._engine._code.respond = giving_up(one, read, done)
    assert told(one, [("sum", 300), *SESSION]) == told(other, [("sum", 300), *SESSION])
    assert not one._engine.trusted and history(one) == history(other)


def test_no_memory_left(model: w2x.Model) -> None:
    """A page of keys that is made in a call."""
    vm = w2x.Instance(model)
    vm._engine._state.words[BUDGET] = 0
    with pytest.raises(MemoryError):
        vm.invoke("store", 40000, 1)
    with pytest.raises(InstanceError):
        vm.invoke("load", 0)


def test_a_certificate_ends_a_call(model: w2x.Model) -> None:
    """Also where running sums have become so large that rounded ones would be off."""
    for break_ in (lambda fast: setattr(fast, "_envelope", fast.position + 20), _large_sum):
        one, other = w2x.Instance(model), in_turns(w2x.Instance(model))
        for vm in (one, other):
            break_(vm._engine)
            vm._engine._prepared = None
            with pytest.raises(EnvelopeError, match="the sequence would reach"):
                vm.invoke("sum", 300)


def _large_sum(fast: FastEngine) -> None:
    field, unit = fast._state._sums[-1]
    field.value = type(field.value)(2.0**49 / unit)


def test_tokens_that_need_a_look(model: w2x.Model) -> None:
    """Ids outside the vocabulary; one that may stand at the first position only, behind which code assumes nothing."""
    vm, other = w2x.Instance(model), in_turns(w2x.Instance(model))
    fast, stops, table = vm._engine, vm._tokens.stops, vm._tokens.ip_delta
    for wrong in (-1, len(table)):
        with pytest.raises(ValueError, match="outside the vocabulary"):
            fast.respond(array("i", [0, wrong]), stops, 5, table)
    assert fast.position == other._engine.position
    (floor,) = fast._image.floors
    call = [floor, *vm._prompts.plain("sum", (3,))[1]]
    tokens, total = fast.respond(array("i", call), stops, 500, table)
    other._engine.append(np.array(call))
    np.testing.assert_array_equal(tokens, other._engine.decode(stops, 500))
    assert total is None and not fast.trusted


def test_an_interrupted_call_is_the_last_one(monkeypatch: pytest.MonkeyPatch, model: w2x.Model) -> None:
    vm = w2x.Instance(model)

    def interrupted(address: int) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(vm._engine._code, "respond", interrupted)
    with pytest.raises(KeyboardInterrupt):
        vm.invoke("sum", 3)
    monkeypatch.undo()
    with pytest.raises(InstanceError, match="in the middle of sum"):
        vm.invoke("sum", 3)
    with pytest.raises(RuntimeError, match="interrupted"):
        vm._engine.respond(array("i", [0]), vm._tokens.stops, 5, vm._tokens.ip_delta)


def test_short_runs_have_the_fields_of_all() -> None:
    run = Run([], lambda: np.zeros(1), lambda: np.zeros(1), lambda: 0)
    assert Run.returning([], [], lambda: np.zeros(1), lambda: np.zeros(1), lambda: 0).__dict__.keys() == run.__dict__.keys()


@pytest.mark.parametrize("value", [0, 1, 255, 256, 2**31 - 1, -(2**31), -1, 2**40, 2**63 - 1, -(2**63)])
def test_results_of_short_calls_are_read_alike(model: w2x.Model, value: int) -> None:
    vm = w2x.Instance(model)
    run = vm.invoke("keep", value)
    entry = model.program.entries["keep"]
    long = Results(model, vm._tokens).run(entry, "keep", run.prompt, [run.tokens])
    assert (long.values, long.bits, long.steps) == (run.values, run.bits, run.steps)
    assert run.values == [(5 + value + 2**63) % 2**64 - 2**63]
