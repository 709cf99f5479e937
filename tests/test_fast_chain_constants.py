"""Chains with the values of entries that no row writes: the same tokens, also where something has written them nevertheless."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from chain_engines import at_once, calls, compared

import wasm2xformer as w2x
from wasm2xformer.runtime.errors import DecodingError
from wasm2xformer.runtime.fast import chain_constants, chain_ends, chain_plan, chain_region
from wasm2xformer.runtime.fast.chain_constants import KnownEntries
from wasm2xformer.runtime.fast.chain_region import Region
from wasm2xformer.runtime.fast.chain_writer import ChainWriter
from wasm2xformer.runtime.fast.tokens_alike import Unchained

# `rest` reads constants and a global that only `set` writes; `counted` writes the global in its loop.
GLOBAL = """
(module (global $by (mut i32) (i32.const 7)) (global $turn (mut i32) (i32.const 13))
  (func (export "set") (param i32 i32) (global.set $by (local.get 0)) (global.set $turn (local.get 1)))
  (func (export "rest") (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (i32.rotl (local.get $sum) (global.get $turn)) (i32.rem_u (local.get $n) (global.get $by))))
      (local.set $sum (i32.xor (local.get $sum) (i32.div_u (local.get $n) (i32.const 1000003))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 70001)))
      ))
    (local.get $sum))
  (func (export "counted") (param $n i32) (result i32)
    (loop $again
      (global.set $turn (i32.add (global.get $turn) (i32.const 3)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (global.get $turn)))
"""
REST = "rest", 200 * 70001


@pytest.fixture(scope="module")
def model() -> w2x.Model:
    return w2x.compile(GLOBAL)


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[KnownEntries]]:
    """What has been taken for granted, for each of the chains that a test makes."""
    at_once(monkeypatch)
    found, real = [], chain_plan.constants

    def kept(*arguments) -> KnownEntries:
        found.append(real(*arguments))
        return found[-1]

    monkeypatch.setattr(chain_plan, "constants", kept)
    yield found


def test_constants_and_globals(model: w2x.Model, made: list[KnownEntries]) -> None:
    tokens, part = compared(model, calls(REST))
    assert part > 0.9 and len(tokens) > 2000
    assert len(made[0].values) > 1 and len(made[0].used) > 4


def test_what_some_row_writes_is_not_taken_for_granted(model: w2x.Model, made: list[KnownEntries]) -> None:
    """Whether a chain comes by there or not."""
    for session in (calls(REST), calls(("counted", 300))):
        _, part = compared(model, session)
        assert part > 0.6
    values = [{integer for entry in each.values.values() for integer in entry.values()} for each in made]
    assert 70001.0 in values[0] and 13.0 not in values[0]


@pytest.fixture
def no_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rows outside of the chain write is not looked at."""
    real = chain_constants._written
    monkeypatch.setattr(chain_constants, "_written", lambda *arguments: real(*arguments[:4], []))


@pytest.mark.usefixtures("no_writers")
@pytest.mark.parametrize("other", [(9, 13), (7, 5), (70000, 31)])
def test_written_since(model: w2x.Model, made: list[KnownEntries], other: tuple[int, int]) -> None:
    """A chain does not begin until it is what it was: then tokens that wrote it count, too."""
    first = ("set", 7, 13), REST
    _, part = compared(model, calls(*first, ("set", *other), REST, *first), trained=calls(*first))
    assert 0.5 < part < 0.7
    assert 13.0 in {integer for entry in made[0].values.values() for integer in entry.values()}


@pytest.mark.usefixtures("no_writers")
def test_without_the_comparison_it_would_be_wrong(monkeypatch: pytest.MonkeyPatch, model: w2x.Model) -> None:
    def begin(writer: ChainWriter) -> None:
        writer.plan.constants.used.clear()
        chain_ends.begin(writer)

    monkeypatch.setattr(chain_region, "begin", begin)
    with pytest.raises((AssertionError, w2x.Trap, w2x.Unfinished, DecodingError)):
        compared(model, calls(("set", 9, 5), REST), trained=calls(REST))


def test_columns_that_are_kept_together_only(monkeypatch: pytest.MonkeyPatch, model: w2x.Model) -> None:
    """Where constants ask for others, a situation, or all of a row, does without constants."""
    without: list[int] = []
    real = Region._with_constants

    def with_constants(self: Region, members: list[int], write: Callable[[list[int]], None]) -> None:
        def first(members: list[int]) -> None:
            write(members)
            if members[0] % 2 and any(self.plan.contexts[k].entries for k in members):
                without.extend(members)
                raise Unchained("a column is read that nobody keeps")

        real(self, members, first)

    monkeypatch.setattr(Region, "_with_constants", with_constants)
    _, part = compared(model, calls(REST))
    assert part > 0.9 and len(without) > 5


def test_frames_lie_behind_what_is_taken_for_granted(monkeypatch: pytest.MonkeyPatch, model: w2x.Model) -> None:
    """A chain does not begin where something that moves may be one of the keys; if it moves there, the chain ends."""
    real = chain_plan.constants

    def farther(*arguments) -> KnownEntries:
        found = real(*arguments)
        found.greatest = dict.fromkeys(found.greatest, 1 << 20)
        return found

    monkeypatch.setattr(chain_plan, "constants", farther)
    _, part = compared(model, calls(REST))
    assert part == 0.0
