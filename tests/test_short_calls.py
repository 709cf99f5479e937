"""What a call of few tokens is spared: arrays used again, one call of generated code, samples that nobody needs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chain_engines import chains_for, instance

import wasm2xformer as w2x
from wasm2xformer.runtime import instance as instance_module
from wasm2xformer.runtime.bit_patterns import decode, encode, fits, integer_bits, integers_of
from wasm2xformer.runtime.errors import ArgumentError
from wasm2xformer.runtime.fast import FastEngine, chained, loaded_chains, samples, scratch
from wasm2xformer.runtime.fast.image import table_name

COUNT = """
(module (func (export "count") (param $n i32) (result i32) (local $i i32)
  (loop $again (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
  (local.get $i))
  (func (export "wide") (param i64) (result i64 v128 i32)
    (local.get 0) (i64x2.splat (local.get 0)) (i32.wrap_i64 (local.get 0))))
"""


@pytest.fixture(scope="module")
def model() -> w2x.Model:
    return w2x.compile(COUNT)


def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call of generated code has decoded, and its prompts, if it was not a whole call."""
    found, run = [], FastEngine._run

    def counted(self: FastEngine, code, reading: bool, *arguments) -> int:
        done = run(self, code, reading, *arguments)
        if not reading:
            found.append(done)
        return done

    monkeypatch.setattr(FastEngine, "_run", counted)
    return found


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, model: w2x.Model):
    """An instance with chains for calls of `count`, and the tokens of count(300)."""
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "1")
    monkeypatch.setattr(chained, "LEAST", 0)
    monkeypatch.setattr(chained, "EARLY", 0)
    monkeypatch.setattr(loaded_chains, "_shared", OrderedDict())
    plain, _ = instance(model, None)
    expected = plain.invoke("count", 300).tokens
    code = chains_for(plain)
    assert code is not None
    return instance(model, code)[0], expected


def test_what_was_decoded_stays(model: w2x.Model) -> None:
    """Few tokens and many: the next call writes into the same arrays."""
    vm = w2x.Instance(model)
    runs = [vm.invoke("count", n) for n in (3, 130_000, 5, 130_001, 3)]
    copies = [run.tokens.copy() for run in runs]
    assert len(copies[1]) > scratch.PART / 2
    vm.invoke("count", 130_000)
    vm.invoke("count", 3)
    for run, tokens in zip(runs, copies, strict=True):
        np.testing.assert_array_equal(run.tokens, tokens)
    np.testing.assert_array_equal(copies[0], copies[4])


def test_threads_have_arrays_of_their_own(model: w2x.Model) -> None:
    expected, found = w2x.Instance(model).invoke("count", 20_000).tokens, []

    def decode(vm: w2x.Instance) -> None:
        found.extend(vm.invoke("count", 20_000).tokens for _ in range(20))

    threads = [threading.Thread(target=decode, args=(w2x.Instance(model),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    for tokens in found:
        np.testing.assert_array_equal(tokens[: len(expected)], expected)


def test_a_short_call_with_chains_is_one_block(monkeypatch: pytest.MonkeyPatch, trained) -> None:
    vm, expected = trained
    vm.invoke("count", 300)  # loads them
    assert vm._engine._chains.there and vm._engine.pace >= chained.SAMPLED
    found = blocks(monkeypatch)
    np.testing.assert_array_equal(vm.invoke("count", 300).tokens, expected)
    assert found == []  # neither the prompt nor the tokens in turns of Python's
    assert vm._engine.by_chains > len(expected)


def test_without_chains_blocks_begin_small(monkeypatch: pytest.MonkeyPatch, model: w2x.Model) -> None:
    """Nothing is known of how long a token takes."""
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "0")
    vm, found = w2x.Instance(model), blocks(monkeypatch)
    assert vm._engine.pace == 1
    vm.invoke("count", 300, progress=lambda count: None)
    assert found[0] <= 8 < len(found) + 8 and sum(found[:2]) < 600


def test_limits_hold_where_blocks_are_long(trained) -> None:
    vm, expected = trained
    vm.invoke("count", 300)
    with pytest.raises(w2x.Unfinished) as unfinished:
        vm.invoke("count", 300, max_tokens=100)
    np.testing.assert_array_equal(unfinished.value.tokens[1], expected[:100])


@pytest.mark.parametrize(("part", "sampling"), [(0.9, False), (0.3, True)])
def test_samples_are_for_sequences_that_chains_do_not_fit(trained, part: float, sampling: bool) -> None:
    """While they are short: a long one always has some."""
    vm, _ = trained
    vm.invoke("count", 300)
    chains = vm._engine._chains
    chains.shared.since, chains.shared.tokens, chains.shared.by_chains = (0, 0), 1000, int(1000 * part)
    assert chains.sampling == sampling
    kept, vm._engine._prepared = len(chains.samples.kept), None
    vm.invoke("count", 300)
    assert (len(chains.samples.kept) > kept) == sampling
    chains._first = chains._told[0] - chained.SAMPLED
    assert chains.sampling


def test_the_first_look_decodes_nothing(model: w2x.Model) -> None:
    vm = w2x.Instance(model)
    before = vm.position
    assert len(vm._engine.decode(vm._tokens.stops, 0)) == 0 and vm.position == before
    with pytest.raises(ValueError, match="one entry per token id"):
        vm._engine.decode(vm._tokens.stops[1:], 0)


INTEGERS = [
    0,
    1,
    -1,
    255,
    256,
    2**31 - 1,
    2**31,
    -(2**31),
    -(2**31) - 1,
    2**32 - 1,
    2**32,
    2**63,
    -(2**63),
    -(2**63) - 1,
    2**64 - 1,
    2**64,
]


@pytest.mark.parametrize("type_", ["i32", "i64"])
@pytest.mark.parametrize("value", INTEGERS)
def test_plain_integers_are_encoded_alike(type_: str, value: int) -> None:
    try:
        expected = [encode("f", 0, type_, value)]
    except ArgumentError:
        expected = None
    assert integer_bits([type_], [value]) == expected


@pytest.mark.parametrize(
    ("type_", "value"), [("i32", True), ("i32", 1.0), ("i32", np.int32(1)), ("f32", 1), ("v128", 1), ("i32", None)]
)
def test_anything_else_is_for_others(type_: str, value: object) -> None:
    assert integer_bits([type_], [value]) is None
    assert integer_bits(["i32", type_], [1, value]) is None


@pytest.mark.parametrize("type_", ["i32", "i64", "f32", "f64", "v128", "funcref"])
@pytest.mark.parametrize("pattern", [n for n in INTEGERS if n >= 0])
def test_plain_integers_are_decoded_alike(type_: str, pattern: int) -> None:
    plain = type_ in ("i32", "i64") and fits(type_, pattern)
    assert integers_of([type_], [pattern]) == ([decode(type_, pattern)] if plain else None)


@pytest.mark.parametrize("value", [0, 255, 256, 2**40 + 7, 2**63 - 1, -1])
def test_results_of_several_slots(model: w2x.Model, value: int) -> None:
    """Digits are read from the end; values of one digit and of eight, a vector between."""
    low, whole = (value + 2**31) % 2**32 - 2**31, value % 2**64
    run = w2x.Instance(model).invoke("wide", value)
    assert run.values == [value, whole << 64 | whole, low]


@pytest.mark.parametrize(("tokens", "often"), [(100, chained.FEW_TIMES), (chained.LEAST, chained.OFTEN)])
def test_improve_makes_chains_for_what_short_samples_have_twice(tokens: int, often: int) -> None:
    wanted: list[chained.Wanted] = []
    chains = chained.Chains(lambda samples, wish: wanted.append(wish), lambda: None, lambda code: None)
    chains.samples.add(0, np.zeros(1, dtype=np.int32))
    for _ in range(1 + tokens // samples.LONGEST):
        chains.samples.add(0, np.zeros(min(tokens, samples.LONGEST), dtype=np.int32))
    chains.improve()
    assert [wish.often for wish in wanted] == [often]


@pytest.mark.parametrize(("length", "before"), [(1, 1), (5, 3), (40, 8), (samples.LONGEST + 7, 2)])
def test_samples_are_blocks_evenly_spread_and_what_stands_before_them(length: int, before: int) -> None:
    """Many short ones or few long ones, each behind the tokens that stand before it, whichever the block has to move to."""
    kept, count = samples.Samples(before), max(3 * samples.BLOCKS // 2, 3 * samples.ROOM // (2 * min(length, samples.LONGEST)))
    tokens, at = np.arange(before + count * length, dtype=np.int32), 0
    while at < len(tokens):
        done = kept.first(length)
        kept.add(at, tokens[at : at + done])
        at += done
    assert len(kept.kept) > samples.BLOCKS // 4 or kept.size > samples.ROOM // 4
    assert len(kept.kept) < samples.BLOCKS and kept.size == sum(len(block) for _, _, block in kept.kept) <= samples.ROOM
    for row, last, block in kept.kept:
        assert row - before in range(len(tokens)) or row == before
        np.testing.assert_array_equal(last, tokens[row - before : row])
        np.testing.assert_array_equal(block, tokens[row : row + length][: samples.LONGEST])
    starts = np.array([row for row, _, _ in kept.kept])
    assert starts[0] == before and len(set(np.diff(starts).tolist())) <= 2


def test_samples_have_all_of_a_sequence_that_there_is_room_for() -> None:
    kept, length = samples.Samples(1), 4 * samples.LONGEST
    blocks = [np.full(length, k, dtype=np.int32) for k in range(2 * samples.ROOM // length)]
    kept.add(0, blocks[0][:1])
    whole = samples.ROOM // length - 1
    for number, block in enumerate(blocks):
        kept.add(number, block)
        size = length if number < whole else samples.LONGEST
        assert {len(tokens) for _, _, tokens in kept.kept} == {size}
    assert [(row, set(tokens.tolist())) for row, _, tokens in kept.kept] == [(k, {k}) for k in range(len(blocks))]


def test_chains_are_for_a_short_call_from_its_first_tokens_to_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for them before the call gets most of it, in any cut of it into blocks."""
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "ready")
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    model = w2x.compile(COUNT)
    for first in (1, 8, 1000):
        monkeypatch.setattr(instance_module, "FIRST_CHUNK", first)
        vm = w2x.Instance(model)
        vm._engine.improve()
        tokens = vm.invoke("count", 300).tokens
        assert vm._engine.by_chains == 0
        vm._engine.improve()
        before = vm._engine.by_chains
        np.testing.assert_array_equal(vm.invoke("count", 300).tokens, tokens)
        assert vm._engine.by_chains - before >= len(tokens) - 32


@pytest.mark.parametrize("chained_too", [False, True])
def test_what_running_sums_have_grown_by_is_not_added_up_again(model: w2x.Model, trained, chained_too: bool) -> None:
    """Where a call ended is known from them, by chains and without: of what has been decoded last, and of that alone."""
    vm = trained[0] if chained_too else instance(model, None)[0]
    vm.invoke("count", 300)
    engine, table = vm._engine, vm._tokens.ip_delta
    assert isinstance(engine, FastEngine)
    added_up, real = [], engine._code.total
    engine._code.total = lambda *arguments: added_up.append(arguments[1]) or real(*arguments)
    parts: list[np.ndarray] = []
    for count in (300, 1000):
        tokens = vm.invoke("count", count).tokens
        assert not added_up
        engine.append(np.array(vm._prompts.tokens(model.program.entries["count"], [count]), dtype=np.int32))
        parts = [engine.decode(vm._tokens.stops, 700)]
        while not vm._tokens.stops[parts[-1][-1]]:
            parts.append(engine.decode(vm._tokens.stops, 700))
        np.testing.assert_array_equal(np.concatenate(parts), tokens)
        assert [engine.total(table, part) for part in parts] == [table[part].sum() for part in parts] and not added_up
    assert engine.by_chains > 1000 or not chained_too
    other = np.arange(len(table))
    assert engine.total(other, parts[-1]) == other[parts[-1]].sum()
    copied = parts[-1].copy()
    copied[-1] = 0
    assert engine.total(table, copied) == table[copied].sum()
    assert added_up == [len(copied)] * 2


def test_tokens_of_which_running_sums_say_nothing_are_added_up(model: w2x.Model) -> None:
    """`general` also decodes ids from `Image.decodable` on, of which a table may say something else than what sums add up."""
    vm = instance(model, None)[0]
    tokens = vm.invoke("count", 300).tokens
    engine, table, end = vm._engine, vm._tokens.ip_delta, int(np.median(tokens))
    assert isinstance(engine, FastEngine)
    image = engine._image
    added = [table_name(table[:end]) if name == table_name(table[: image.decodable]) else "" for name in image.added]
    assert any(added)
    engine._image, engine._summed = replace(image, decodable=end, added=added), None
    other = np.where(np.arange(len(table)) < end, table, 7)
    engine.append(np.array(vm._prompts.tokens(model.program.entries["count"], [300]), dtype=np.int32))
    again = engine.decode(vm._tokens.stops, len(tokens))
    np.testing.assert_array_equal(again, tokens)
    assert engine.total(other, again) == other[again].sum()


def test_a_long_call_without_chains_is_sampled_as_a_whole_and_good_chains_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the first tokens are made of is not what the last ones are: numbers grow."""
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "ready")
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    monkeypatch.setattr(loaded_chains, "_shared", OrderedDict())
    vm = w2x.Instance(w2x.compile(COUNT))
    vm._engine.improve()
    tokens = vm.invoke("count", 90_000).tokens
    kept = vm._engine._chains.samples
    assert len(tokens) > 8 * samples.LONGEST and kept.size > len(tokens) - 2 * samples.LONGEST
    vm._engine.improve()
    loaded = vm._engine._chains.shared.loaded
    assert loaded is not None
    again = w2x.Instance(vm.model)
    again._engine.improve()
    np.testing.assert_array_equal(again.invoke("count", 90_000).tokens, tokens)
    assert again._engine.by_chains > chained.MUCH * len(tokens)
    again._engine.improve()
    assert again._engine._chains.shared.loaded is loaded
