"""What does not change from one digit of a step to the next is computed once: the tokens are the dense engine's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from fast_models import TOKENS, Features, compare

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.runtime.errors import DecodingError, InstanceError
from wasm2xformer.runtime.fast import loop
from wasm2xformer.runtime.fast.again import Again, AgainSettled
from wasm2xformer.runtime.fast.arithmetic import Known
from wasm2xformer.runtime.fast.compile import analyse
from wasm2xformer.runtime.fast.repeats import Repeats, TokenRepeats

# Steps with several tokens: floats; products with carries, stores, loads, rotations, divisions.
FLOATS = """
(module (memory 1) (func (export "f") (param $x f64) (param $n i32) (result f64)
  (loop $again
    (local.set $x (f64.sub (f64.mul (local.get $x) (f64.const 3.7)) (f64.mul (local.get $x) (local.get $x))))
    (f64.store offset=3 (local.get $n) (local.get $x))
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (f64.load offset=3 (local.get $n))))
"""
INTEGERS = """
(module (memory 1) (func (export "f") (param $x i64) (param $n i32) (result i64)
  (loop $again
    (i64.store offset=1 (local.get $n) (i64.mul (local.get $x) (i64.const 0x9E3779B97F4A7C15)))
    (local.set $x (i64.xor (i64.rotl (i64.load (local.get $n)) (local.get $x)) (i64.div_u (local.get $x) (i64.const 1000003))))
    (i32.store (i32.const 300) (i32.wrap_i64 (local.get $x)))
    (local.set $x (i64.add (local.get $x) (i64.extend_i32_u (i32.rotr (i32.load (i32.const 301)) (local.get $n)))))
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $x)))
"""
SMALL = """
(module (func (export "f") (param $x f32) (param $n i32) (result f32)
  (loop $again
    (local.set $x (f32.sub (f32.mul (local.get $x) (f32.const 3.7)) (f32.mul (local.get $x) (local.get $x))))
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $x)))
"""
QUOTIENTS = """
(module (func (export "f") (param $x f64) (param $n i32) (result f64)
  (loop $again
    (local.set $x (f64.div (f64.sqrt (f64.add (local.get $x) (f64.const 1.7))) (f64.mul (local.get $x) (local.get $x))))
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $x)))
"""
STARTS = {FLOATS: 0.7, INTEGERS: 0x123456789ABCDEF, SMALL: 0.7, QUOTIENTS: 0.7}
MADE: dict[tuple[str, int], Model] = {}


def made(text: str, level: int = 1) -> Model:
    if (text, level) not in MADE:
        MADE[text, level] = w2x.compile(text, opt_level=level, float_routines=False, division_routines=False)
    return MADE[text, level]


def tokens(text: str, rounds: int, level: int = 1, stock: bool = False, **world) -> np.ndarray:
    model = made(text, level)
    vm = w2x.Instance(w2x.in_stock_form(model) if stock else model, **world)
    found = vm.invoke("f", STARTS[text], rounds).tokens
    assert getattr(vm._engine, "trusted", True)  # else it was found out, and decoded again without
    return found


@pytest.mark.parametrize(("text", "level"), [(FLOATS, 1), (INTEGERS, 1), (SMALL, 0), (QUOTIENTS, 1)])
def test_same_tokens_as_the_dense_engine(text: str, level: int) -> None:
    np.testing.assert_array_equal(tokens(text, 2, level), tokens(text, 2, level, engine="torch"))


def test_the_same_in_the_stock_form() -> None:
    np.testing.assert_array_equal(tokens(SMALL, 100, stock=True), tokens(SMALL, 100))


@pytest.mark.parametrize("text", [FLOATS, INTEGERS])
def test_the_same_for_all_groups_of_rows_and_for_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    expected = tokens(text, 100)
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    for long in (0, 10**9):
        with monkeypatch.context() as changed:
            changed.setattr(loop, "LONG", long)
            changed.setattr(loop, "SHORT", 2.0)
            assert ("label %again" in analyse(made(text).transformer).text) == (long == 0)
            np.testing.assert_array_equal(tokens(text, 100), expected)


def test_in_pieces() -> None:
    """Wherever decoding stops, and whether the next token is decoded or read."""
    model = made(FLOATS)
    expected = w2x.Instance(model).invoke("f", 0.7, 40)
    engine = w2x.Instance(model)._engine
    engine.append(np.asarray(expected.prompt))
    never = np.zeros(len(model.transformer.embed), dtype=bool)
    got: list[int] = []
    for count in range(1, 1000):
        if count % 3:
            got += engine.decode(never, min(count % 23, len(expected.tokens) - len(got))).tolist()
        else:
            known = expected.tokens[len(got) : len(got) + count % 5]
            engine.append(known)
            got += known.tolist()
    np.testing.assert_array_equal(got, expected.tokens[: len(got)])
    assert len(got) == len(expected.tokens) > 1000


def machine(seed: int) -> Transformer:
    """Tokens that leave the row, another sum and what is stored as they are, and tokens that do not."""
    rng = np.random.default_rng(seed)
    f = Features(seed)
    g = f.graph
    moves, counts, writes = (g.feature(n) for n in ("moves", "counts", "writes"))
    index, squared, off, number, flag = (g.feature(f"row.{n}") for n in ("index", "index^2", "off", "number", "flag"))
    for token in range(TOKENS):
        moves.embedding[token] = [0, 0, 1, -1][token % 4]
        counts.embedding[token] = int(token % 7 == 0) - int(token % 7 == 1)
        writes.embedding[token] = int(token % 5 == 0)
        off.embedding[token] = 1.0
    for k in range(6):
        g.token(f"R{k}", {index: k, squared: k * k, number: rng.integers(0, 4), flag: k % 2})
    g.prefix = [*range(TOKENS, TOKENS + 6), 5, 1, 10]  # something is stored
    (row,) = g.cumulative_sum({"row": moves})
    (count,) = g.cumulative_sum({"count": counts})
    names = {"number": number, "flag": flag}
    n, is_set = g.lookup("fetch", row, index, names, off=off, key_squared=squared, key_bits=10, latest=False)
    (seen,) = g.lookup("memory", n, f.small, {"seen": f.label}, off=1 - writes, key_bits=8)
    (last,) = g.latest("last", {"last": f.label}, off=1 - writes)
    far = sum((g.step(seen + count * k - 5 * k) for k in range(1, 6)), start=0.0 * n)
    return f.finish(g.gated("total", (is_set, seen + 2 * far + f.label), (1 - is_set, last + far - f.label)))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_of_webassembly(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(loop, "LONG", 0)
    monkeypatch.setattr(loop, "SHORT", 2.0)
    assert "label %again" in analyse(machine(seed)).text
    assert compare(machine(seed), seed, rounds=5, probe="index", below=TOKENS).trusted


def _nothing_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Again, "keep_all", lambda self, numbers: None)


def _nothing_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TokenRepeats, "_penalties", lambda self, number: np.ones(len(self.quiet)))


def _nothing_added(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TokenRepeats, "_added", lambda self, form: np.zeros(len(self.quiet)))


def _every_token_quiet(patch: pytest.MonkeyPatch) -> None:
    remember = loop._Module._remember

    def wrong(self, emitter, key, repeats, following):
        repeats.quiet = np.ones(len(repeats.quiet), dtype=bool)
        remember(self, emitter, key, repeats, following)

    patch.setattr(loop._Module, "_remember", wrong)


def _past_alike(patch: pytest.MonkeyPatch) -> None:
    found = Repeats._found

    def wrong(self, number: int) -> bool:
        return self._graph.stores[self._graph.lookups[number].store].kind != "delay" and found(self, number)

    patch.setattr(Repeats, "_found", wrong)


def _another_sum(patch: pytest.MonkeyPatch) -> None:
    add = Known.add_sum
    patch.setattr(Known, "add_sum", lambda self, terms, value: add(self, terms, next(iter(self.sums.values()), value)))


@pytest.mark.parametrize("fault", [_nothing_kept, _every_token_quiet, _past_alike, _another_sum])
@pytest.mark.parametrize("text", [FLOATS, INTEGERS])
def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch, fault: Callable, text: str) -> None:
    """What these tests compare depends on what is kept, and on what is taken to change."""
    expected = tokens(text, 12)
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    monkeypatch.setattr(loop, "LONG", 0)
    fault(monkeypatch)
    with pytest.raises((AssertionError, w2x.Trap, NotImplementedError, DecodingError, InstanceError)):
        np.testing.assert_array_equal(tokens(text, 12), expected)


def _always_settled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop._Module, "_is_settled", lambda self, again, settled: "true")


def _nothing_kept_where_it_settles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AgainSettled, "keep_all", lambda self, numbers: None)


def test_quotients_settle() -> None:
    """Digits of a quotient take one way, and those of the value that is made of it another."""
    assert analyse(made(QUOTIENTS).transformer).text.count("\nsettled:") == 2
    vm = w2x.Instance(made(QUOTIENTS))
    numbers = np.random.default_rng(0).lognormal(0, 9, 20)
    with np.errstate(all="ignore"):
        for x in (0.0, -0.0, 1e-310, 1e-160, math.inf, math.nan, -3.0, 1e300, 2.3, 4.0, *map(float, numbers)):
            expected = np.sqrt(np.float64(x) + 1.7) / (np.float64(x) * x)
            np.testing.assert_equal(vm.invoke("f", x, 1).values[0], float(expected))
    assert vm._engine.trusted


@pytest.mark.parametrize("fault", [_always_settled, _nothing_kept_where_it_settles])
def test_a_fault_in_what_settles_is_seen(monkeypatch: pytest.MonkeyPatch, fault: Callable) -> None:
    expected = tokens(QUOTIENTS, 12)
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    fault(monkeypatch)
    with pytest.raises((AssertionError, w2x.Trap, NotImplementedError, DecodingError, InstanceError)):
        np.testing.assert_array_equal(tokens(QUOTIENTS, 12), expected)


@pytest.mark.parametrize("fault", [_nothing_kept, _nothing_written, _nothing_added, _every_token_quiet])
def test_a_fault_is_seen_where_nothing_is_of_webassembly(monkeypatch: pytest.MonkeyPatch, fault: Callable) -> None:
    monkeypatch.setenv("WASM2XFORMER_CACHE", "")
    monkeypatch.setattr(loop, "LONG", 0)
    monkeypatch.setattr(loop, "SHORT", 2.0)
    fault(monkeypatch)
    with pytest.raises((AssertionError, NotImplementedError)):
        for seed in range(3):
            assert compare(machine(seed), seed, rounds=5, below=TOKENS).trusted
