"""Chains decode the tokens that code without them does, and leave the state as it does."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from chain_engines import NEVER, at_once, calls, chains_for, compared, instance

import wasm2xformer as w2x
from programs import load_programs
from tests.random.structured import structured
from wasm2xformer.runtime.errors import DecodingError
from wasm2xformer.runtime.fast import (
    FastEngine,
    cases,
    chain_memory,
    chain_plan,
    chained,
    chains,
    joined,
    loaded_chains,
)
from wasm2xformer.runtime.fast.atoms import Relu, Table
from wasm2xformer.runtime.fast.chain_emit import ChainEmitter
from wasm2xformer.runtime.fast.chain_region import Region
from wasm2xformer.runtime.fast.chained import ALL, Chains, Wanted
from wasm2xformer.runtime.fast.image import ChainCode
from wasm2xformer.runtime.fast.linear import ONE, Form, linear
from wasm2xformer.runtime.fast.situations import Situations
from wasm2xformer.runtime.fast.stores import IndexSource
from wasm2xformer.runtime.fast.symbols import Symbols
from wasm2xformer.runtime.fast.tokens_alike import Unchained

PROGRAMS = {program.id: program for program in load_programs()}

DEEP = """
(module (func $down (export "down") (param $n i32) (result i32) (local $x i32)
  (local.set $x (i32.mul (local.get $n) (i32.const 3)))
  (if (result i32) (local.get $n)
    (then (i32.add (call $down (i32.sub (local.get $n) (i32.const 1))) (local.get $x))) (else (i32.const 7)))))
"""

MEMORY = """
(module (memory 1)
  (func (export "walk") (param $from i32) (param $to i32) (param $step i32) (result i32) (local $sum i32)
    (loop $again
      (i32.store (local.get $from) (i32.mul (local.get $from) (i32.const 2654435761)))
      (local.set $sum (i32.xor (i32.rotl (local.get $sum) (i32.const 5)) (i32.load offset=2 (local.get $from))))
      (i64.store offset=8 (local.get $from) (i64.extend_i32_s (local.get $sum)))
      (br_if $again (i32.lt_u (local.tee $from (i32.add (local.get $from) (local.get $step))) (local.get $to))))
    (local.get $sum)))
"""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)


@pytest.mark.parametrize(
    ("id", "invocation", "part"),
    [
        ("fibonacci_recursive", ("fib", 16), 0.97),
        ("sieve", ("count_primes", 700), 0.96),
        ("crc32", ("crc32", 0, 600), 0.98),
    ],
)
@pytest.mark.parametrize("quick", [False, True])
def test_same_tokens(id: str, invocation: tuple, part: float, quick: bool) -> None:
    session = calls(invocation, invocation)
    assert compared(w2x.compile(PROGRAMS[id].module()), session, quick=quick)[1] > part


def test_other_arguments_than_those_it_was_made_for() -> None:
    """Numbers with more digits, other branches."""
    model = w2x.compile(PROGRAMS["collatz"].module())
    export = PROGRAMS["collatz"].runs[0].export
    session = calls((export, 27), (export, 837799), (export, 6))
    assert compared(model, session, trained=calls((export, 703), (export, 97)))[1] > 0.25


def test_frames_beyond_a_page_of_slots() -> None:
    """A frame that does not lie on one page is left to the code without chains."""
    _, part = compared(w2x.compile(DEEP), calls(("down", 3000), ("down", 200)))
    assert part > 0.3


def test_memory_across_pages() -> None:
    session = calls(("walk", 3900, 4300, 1), ("walk", 8000, 12400, 7), ("walk", 40, 1500, 4))
    assert compared(w2x.compile(MEMORY), session)[1] > 0.975


def test_a_trap_inside() -> None:
    def session(vm: w2x.Instance) -> list[np.ndarray]:
        with pytest.raises(w2x.Trap, match="out of bounds") as trap:
            vm.invoke("walk", 64000, 70000, 4)
        return [vm.invoke("walk", 0, 2000, 4).tokens, trap.value.run.tokens]

    assert compared(w2x.compile(MEMORY), session)[1] > 0.5


def test_in_pieces() -> None:
    """However few tokens are asked for at a time, and wherever decoding stops."""
    model = w2x.compile(DEEP)
    plain, _ = instance(model, None)
    expected = plain.invoke("down", 900)
    chained, special = instance(model, chains_for(plain))
    decoder = chained._engine
    decoder.append(np.asarray(expected.prompt))
    never = np.zeros(len(decoder.model.embed), dtype=bool)
    got: list[int] = []
    for count in [*range(1, 130), *[300] * 100]:
        got += decoder.decode(never, min(count, len(expected.tokens) - len(got))).tolist()
    np.testing.assert_array_equal(got, expected.tokens[: len(got)])
    assert len(got) == len(expected.tokens) and special.tokens < len(got)


def test_a_token_that_stops_stops() -> None:
    """Chains do not look at flags, so they are not used where one of their tokens has one."""
    model = w2x.compile(DEEP)
    plain, _ = instance(model, None)
    run = plain.invoke("down", 100)
    code = chains_for(plain)
    chained, _ = instance(model, code)
    chained._engine.append(np.asarray(run.prompt))
    stops = np.zeros(len(chained._engine.model.embed), dtype=bool)
    often = np.bincount(run.tokens[100:]).argmax()
    assert often in code.tokens
    stops[often] = True
    got = chained._engine.decode(stops, 10_000)
    assert got.tolist() == run.tokens[: 1 + int(np.flatnonzero(run.tokens == often)[0])].tolist()


def test_probe() -> None:
    model = w2x.compile(MEMORY)
    (probe,) = model.transformer.probes
    found = []
    code = None
    for _ in range(2):
        vm, special = instance(model, code, probe=probe)
        run = vm.invoke("walk", 0, 2000, 4)
        found.append(run.probed)
        code = code or chains_for(vm, probe)
    np.testing.assert_array_equal(found[0], found[1])
    assert special.tokens < len(run.tokens) / 2


def test_wide_numbers() -> None:
    """64-bit numbers take up to eight digits."""
    model = w2x.compile(PROGRAMS["siphash"].module())
    run = PROGRAMS["siphash"].runs[0]
    assert compared(model, calls(*[(run.export, *run.args)] * 12), quick=True)[1] > 0.1


def _wrong_successor(patch: pytest.MonkeyPatch) -> None:
    """Of a digit behind which others of its value come."""
    follow = Situations._follow

    def wrong(self, situation, ids):
        there = follow(self, situation, ids)
        wraps = there is not None and there.row + 1 < len(self.static.keys)
        return there._replace(row=there.row + 1) if wraps and there.row == situation.row else there

    patch.setattr(Situations, "_follow", wrong)


def _nothing_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ChainEmitter, "keep", lambda self, store, column: None)


def _sums_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Region, "_move", lambda self, emitter: {})


def _wrong_threshold(patch: pytest.MonkeyPatch) -> None:
    real = cases.step

    def wrong(graph, atom):
        found = real(graph, atom)
        return found and dataclasses.replace(found, at=found.at + 1)

    patch.setattr(cases, "step", wrong)


@pytest.mark.parametrize("fault", [_wrong_successor, _nothing_stored, _sums_stay, _wrong_threshold])
def test_a_fault_in_chains_is_seen(monkeypatch: pytest.MonkeyPatch, fault: Callable) -> None:
    """What these tests compare depends on the chains. Branches have rows of their own: steps alone decide then."""
    monkeypatch.setattr("wasm2xformer.compiler.optimise.optimise.join", lambda code: None)
    model = w2x.compile(DEEP)
    plain, _ = instance(model, None)
    expected = plain.invoke("down", 300).tokens
    with monkeypatch.context() as changed:
        fault(changed)
        changed.setattr(chains, "ENOUGH", 2.0)
        code = chains_for(plain)
    assert code is not None
    chained, _ = instance(model, code)
    try:
        got = chained.invoke("down", 300, max_tokens=len(expected)).tokens
    except (w2x.Unfinished, w2x.Trap, NotImplementedError, DecodingError):
        return
    assert not np.array_equal(got, expected)


def test_stock_form() -> None:
    """Which positions follow which is read off the stock form as well, or it has no chains."""
    model = w2x.in_stock_form(w2x.compile(DEEP))
    plain, _ = instance(model, None)
    expected = plain.invoke("down", 100).tokens
    code = chains_for(plain)
    if code is not None:
        chained, _ = instance(model, code)
        np.testing.assert_array_equal(chained.invoke("down", 100).tokens, expected)


def decoding(made: Chains, by_chains: float, quick: bool = True) -> None:
    """Some chains, that have decoded so many tokens."""
    if made.shared.loaded is None or made.shared.loaded.quick != quick:
        made.shared.loaded = SimpleNamespace(tokens=np.zeros(0, dtype=np.int64), quick=quick)
    made._count.value = int(by_chains)


def in_the_background(vm: w2x.Instance) -> Chains:
    """The chains of an instance, when the thread that makes them is done."""
    made = vm._engine._chains
    assert made.shared.thread is not None
    made.shared.thread.join(60)
    assert not made.making
    return made


def test_made_in_the_background_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    monkeypatch.setattr(chained, "FIRST", 1000)
    monkeypatch.setattr(chained, "EACH", 10)
    model = w2x.compile(DEEP)
    vm = w2x.Instance(model)
    expected = vm.invoke("down", 400).tokens
    made = in_the_background(vm)
    np.testing.assert_array_equal(vm.invoke("down", 400).tokens, expected)
    assert made._loaded is not None and made.decoded > 100
    assert len(list((tmp_path / "fast").glob("*.chains.bin"))) == 1
    monkeypatch.setattr(chained, "FIRST", NEVER)
    used = []
    for switch in ("1", "ready", "0"):
        monkeypatch.setenv("WASM2XFORMER_CHAINS", switch)
        second = w2x.Instance(model)
        np.testing.assert_array_equal(second.invoke("down", 400).tokens, expected)
        used.append(second._engine._chains._loaded is not None)
    assert used == [True, True, False]


def test_engines_of_one_program_share_chains_and_what_they_have_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short sequences come to chains together, and the next one has them from its first token on."""
    model = w2x.compile(DEEP)
    expected = instance(model, None)[0].invoke("down", 200).tokens
    loaded_chains._shared.clear()
    monkeypatch.setattr(chained, "FIRST", 2 * len(expected))
    monkeypatch.setattr(chained, "EACH", 1)
    made, used = [], []
    for _ in range(5):
        vm = w2x.Instance(model)
        np.testing.assert_array_equal(vm.invoke("down", 200).tokens, expected)
        made.append(vm._engine._chains.shared.thread is not None)
        used.append(vm._engine.by_chains > 100)
        if made[-1]:
            in_the_background(vm)
    assert (made[0], made[-1]) == (False, True)
    assert (used[0], used[-1]) == (False, True)
    monkeypatch.setattr(chained, "EARLY", NEVER)  # a call of a few tokens, too
    vm = w2x.Instance(model)
    vm.invoke("down", 5)
    assert vm._engine._chains._loaded is vm._engine._chains.shared.loaded is not None


def test_improve_makes_chains_for_a_short_sequence_or_takes_those_that_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    monkeypatch.setattr(chained, "LEAST", 1 << 17)
    model = w2x.compile(DEEP)
    vm = w2x.Instance(model)
    expected = vm.invoke("down", 400).tokens
    assert vm._engine.by_chains == 0
    vm._engine.improve()
    loaded_chains._shared.clear()  # as in another process
    monkeypatch.setattr(chains, "compile_chains", None)
    vm = w2x.Instance(model)
    vm._engine.improve()
    np.testing.assert_array_equal(vm.invoke("down", 400).tokens, expected)
    assert vm._engine.by_chains > 0.7 * len(expected)


def test_a_program_that_nobody_uses_any_more_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_chains, "PROGRAMS", 2)
    first = loaded_chains.shared("a")
    assert loaded_chains.shared("a") is first and loaded_chains.shared("") is not loaded_chains.shared("")
    for name in "bc":
        loaded_chains.shared(name)
    assert loaded_chains.shared("a") is not first


def test_others_are_made_where_those_that_are_there_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Wanted] = []
    made = Chains(lambda samples, wanted: asked.append(wanted), lambda: None, lambda code: None)
    made.samples.kept = [(0, [], np.zeros(1, dtype=np.int32))]
    flags = np.zeros(1, dtype=np.uint8)
    monkeypatch.setattr(chained, "PAYING", 0.0)

    def after(position: int, by_chains: int, quick: bool = False) -> list[int]:
        if by_chains:
            decoding(made, by_chains, quick)
        made.usable(position, flags)
        if made.shared.thread is not None:
            made.shared.thread.join(60)
        return [wanted.most * chained.EACH // chained.FIRST for wanted in asked]

    first = chained.FIRST
    assert after(first - 1, 0) == []
    assert after(first, 0) == [1]
    assert after(3 * first, 0) == [1]  # not due yet
    assert after(4 * first, 4 * first) == [1]  # all of it is by chains
    assert after(16 * first, 9 * first) == [1, 16]  # half of it is
    assert after(64 * first, 57 * first) == [1, 16]
    assert after(256 * first, 249 * first, quick=True) == [1, 16, 256]
    assert [wanted.quick for wanted in asked] == [True, False, False]


def test_what_was_made_quickly_does_not_replace_what_was_made_better_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """`improve` while a thread still makes chains of its own: those are for fewer situations, and would be kept for others."""
    made: Chains
    kept: list[ChainCode] = []
    monkeypatch.setattr(loaded_chains.LoadedChains, "__init__", lambda self, code: vars(self).update(quick=code.quick))

    def make(samples: list, wanted: Wanted) -> ChainCode:
        if wanted.quick:
            made.improve()  # in the other thread
        return ChainCode(b"", np.zeros(0, dtype=np.int32), wanted.quick)

    made = Chains(make, lambda: None, kept.append)
    made.samples.kept = [(0, [], np.zeros(1, dtype=np.int32))]
    for quick in (True, False):
        made._finish(made.samples.kept, Wanted(ALL, 1, quick))
    made.shared.load()
    assert [code.quick for code in kept] == [False, False]
    assert made.shared.loaded is not None and not made.shared.loaded.quick


def test_those_of_an_earlier_run_are_used_until_it_is_worth_making_better_ones() -> None:
    asked: list[Wanted] = []
    made = Chains(lambda samples, wanted: asked.append(wanted), lambda: None, lambda code: None)
    made.samples.kept = [(0, [], np.zeros(1, dtype=np.int32))]
    first, flags = chained.FIRST, np.zeros(1, dtype=np.uint8)
    for position, by_chains in ((first, 0.6 * first), (3 * first, 2.6 * first), (4 * first, 3.6 * first)):
        decoding(made, by_chains)
        made.usable(position, flags)
        assert bool(asked) == (position == 4 * first)


def test_those_that_decode_little_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Chains(lambda samples, wanted: None, lambda: None, lambda code: None)
    monkeypatch.setattr(chained, "TRIAL", 1000)
    flags, each = np.zeros(1, dtype=np.uint8), 1000
    for position, by_chains, used in ((each, each, True), (2 * each, 1.7 * each, True), (3 * each, 2.2 * each, False)):
        decoding(made, by_chains)
        assert (made.usable(position, flags) is not None) == used


def test_none_are_made_where_they_would_decode_little() -> None:
    model = w2x.compile(MEMORY)
    vm, _ = instance(model, None)
    vm.invoke("walk", 4, 1004, 4)
    assert chains_for(vm, wanted=Wanted(1, 1, quick=True)) is None
    assert chains_for(vm, wanted=Wanted(ALL, 1, quick=True)) is not None


def test_code_without_end_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the situations is left to `special`."""
    monkeypatch.setattr(chains, "LINES", 6000)
    _, part = compared(w2x.compile(MEMORY), calls(("walk", 4, 1004, 4)))
    assert 0.01 < part < 0.8


def test_none_are_made_for_short_sequences_or_where_they_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    model = w2x.compile(MEMORY)
    vm = w2x.Instance(model)
    vm.invoke("walk", 4, 3004, 4)
    assert vm._engine._chains.shared.thread is None
    monkeypatch.setattr(chained, "FIRST", 1000)
    for switch in ("0", "ready"):
        monkeypatch.setenv("WASM2XFORMER_CHAINS", switch)
        vm = w2x.Instance(model)
        vm.invoke("walk", 4, 3004, 4)
        assert vm._engine._chains.shared.thread is None


def test_now(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Chains while decoding waits; the next engine has them."""
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "now")
    monkeypatch.setattr(chained, "LEAST", 500)
    monkeypatch.setattr(Chains, "_begin", None)
    model = w2x.compile(DEEP)
    vm = w2x.Instance(model)
    expected = vm.invoke("down", 400).tokens
    np.testing.assert_array_equal(vm.invoke("down", 400).tokens, expected)
    assert vm._engine._chains._loaded is not None and not vm._engine._chains._loaded.quick and vm._engine.by_chains > 100
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "ready")
    second = w2x.Instance(model)
    np.testing.assert_array_equal(second.invoke("down", 400).tokens, expected)
    assert second._engine._chains._loaded is not None


def test_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains at once, for the tests that run with them; they are not kept."""
    model = w2x.compile(DEEP)
    expected = w2x.Instance(model).invoke("down", 1000).tokens
    monkeypatch.setenv("WASM2XFORMER_CHAINS", "always")
    monkeypatch.setattr(Chains, "_begin", None)
    vm = w2x.Instance(model)
    for _ in range(8):
        np.testing.assert_array_equal(vm.invoke("down", 1000).tokens, expected)
    made = vm._engine._chains
    assert made._loaded is not None and made.decoded > 100


def test_what_has_no_rows_has_no_chains() -> None:
    from fast_models import Features

    f = Features(0)
    (s,) = f.graph.cumulative_sum({"s": f.small})
    fast = FastEngine(f.finish(s + f.small))
    fast.append(np.array([5, 7, 9]))
    never = np.zeros(len(fast.model.embed), dtype=bool)
    for _ in range(9):
        fast.decode(never, 300)
    assert chains.compile_chains(fast.model, None, True, fast._chains.samples.kept, Wanted(600, 1, True)) is None
    with pytest.raises(Unchained):
        from wasm2xformer.runtime.fast.compile import analyse

        chains.situations_of(analyse(fast.model))


BITS = """
(module (memory 1)
  (func (export "mix") (param $n i32) (result i32) (local $x i32) (local $y i64) (local $at i32)
    (local.set $x (i32.const 0x9e3779b9))
    (loop $again
      (local.set $x (i32.xor (i32.shl (local.get $x) (i32.and (local.get $n) (i32.const 15)))
        (i32.rotr (local.get $x) (local.get $n))))
      (local.set $x (i32.or (i32.and (local.get $x) (i32.const 0x7fffeffd))
        (i32.shr_s (local.get $x) (local.get $at))))
      (local.set $y (i64.xor (i64.shl (local.get $y) (i64.extend_i32_u (local.get $at)))
        (i64.and (i64.shr_u (local.get $y) (i64.const 7)) (i64.extend_i32_s (local.get $x)))))
      (local.set $y (i64.or (local.get $y) (i64.extend_i32_u (i32.rem_u (local.get $x) (i32.const 1009)))))
      (local.set $at (i32.and (i32.add (local.get $at) (i32.const 5)) (i32.const 31)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.add (local.get $x) (i32.wrap_i64 (i64.shr_u (local.get $y) (i64.const 21))))))
"""


def test_bits_and_shifts() -> None:
    model = w2x.compile(BITS)
    assert compared(model, calls(("mix", 150), ("mix", 77)), trained=calls(("mix", 200)))[1] > 0.5


@pytest.mark.parametrize("fault", ["both", "picked"])
def test_a_fault_in_what_two_sources_say_together_is_seen(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    real = chain_memory.joined

    def wrong(graph, form):
        found = real(graph, form)
        if found is not None and fault == "both":
            found.both[:] = [each._replace(right=each.left) for each in found.both]
        elif found is not None:
            found.picked[:] = [each._replace(tables={a: t[::-1] for a, t in each.tables.items()}) for each in found.picked]
        return found

    monkeypatch.setattr(chain_memory, "joined", wrong)
    with pytest.raises((AssertionError, w2x.Unfinished, w2x.Trap, NotImplementedError, DecodingError)):
        compared(w2x.compile(BITS), calls(("mix", 150)))


def test_whole_numbers_that_code_has_as_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load behind a conversion: the sum that its next token depends on has a part that is too large for an integer."""
    monkeypatch.setattr(chain_plan, "STRIDE", 1)  # code begins anywhere
    case = structured(4)
    model = w2x.compile(case.source, exports=["e1"])
    arguments = next(call.args for call in case.calls if call.export == "e1")

    def session(vm: w2x.Instance) -> list[np.ndarray]:
        try:
            return [vm.invoke("e1", *arguments).tokens]
        except w2x.Trap as trap:
            return [trap.run.tokens]

    _, part = compared(model, session, quick=True)
    assert part > 0.1


def test_what_two_sources_say_together() -> None:
    """The sums are what their terms are, for all values of the sources."""
    rng = np.random.default_rng(3)
    graph = Symbols(10)
    a, b, z = (graph.source(IndexSource((name,), size)) for name, size in (("a", 16), ("b", 16), ("z", 6)))
    bit = lambda source, k: graph.table(source, (np.arange(16) >> k & 1).astype(float))  # noqa: E731
    atom = lambda gate, up=ONE: Form({graph.atom(Relu(gate, up)): 1.0})  # noqa: E731
    both = [(-2.0 * 2**k, atom(bit(a, k).plus(bit(b, (k + 1) % 4)).shifted(-1.0))) for k in range(4)]
    without = [(0.5 * 4**k, atom(bit(a, k).plus(bit(b, k), -1.0))) for k in range(3)]
    flags = [graph.table(z, (np.arange(6) == j).astype(float)) for j in range(4)]
    some = lambda source: graph.table(source, rng.integers(0, 9, 16).astype(float))  # noqa: E731
    picked = [(1.0, atom(f, some(a).plus(some(b), 3.0).shifted(float(j)))) for j, f in enumerate(flags)]
    other = [(1.0, atom(bit(a, 0).plus(bit(b, 0)).shifted(-1.0), bit(a, 1)))]
    form = linear([*both, *without, *picked, *other, (1.0, Form({}, 7.0))])
    found = joined.joined(graph, form)
    assert found is not None and len(found.both) == 2 and len(found.picked) == 1 and len(found.rest.terms) == 1
    for values in itertools.product(range(16), range(16), range(6)):
        at = dict(zip((a, b, z), values))
        whole = _at(graph, form, at)
        rows = [int(_at(graph, each.row, at)) for each in found.picked]
        for each in found.both:
            whole -= each.factor * (int(_at(graph, each.left, at)) & int(_at(graph, each.right, at)))
        for row, each in zip(rows, found.picked):
            whole -= each.constants[row] + sum(table[row, at[source]] for source, table in each.tables.items())
        assert whole == _at(graph, found.rest, at)
    # Flags of which two may be 1, or bits that count twice, are left as they are.
    two = graph.table(z, (np.arange(6) < 2).astype(float))
    assert joined.joined(graph, linear([*picked, (1.0, atom(two, bit(a, 1)))])) is None
    assert joined.joined(graph, linear([(3.0 * (k + 1), term) for k, (_, term) in enumerate(both)])) is None


def _at(graph: Symbols, form: Form, values: dict[int, int]) -> float:
    total = form.constant
    for atom, c in form.terms.items():
        match graph.atoms[atom]:
            case Table(source, vector):
                total += c * graph.vectors[vector][values[source]]
            case Relu(gate, up):
                total += c * max(_at(graph, gate, values), 0.0) * _at(graph, up, values)
    return total
