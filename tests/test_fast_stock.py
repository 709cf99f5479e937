"""The fast engine reads the stock form: the tokens of real softmax and float32 reads, or a refusal."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import wasm2xformer as w2x
from tests.stock_models import random_weights
from tests.test_stock_form import CASES, calls
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.errors import EnvelopeError
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.graph.stock import LAST, StockGraph
from wasm2xformer.compiler.graph.stock_build import build_stock
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.stock_form import stock_form
from wasm2xformer.runtime.engines import AutoEngine, FellBack, new_engine
from wasm2xformer.runtime.errors import MissingPackage
from wasm2xformer.runtime.fast import FastEngine
from wasm2xformer.runtime.fast.cache import _name
from wasm2xformer.runtime.fast.counting import ALL, Counting, counter
from wasm2xformer.runtime.fast.engine import _Unexpected
from wasm2xformer.runtime.fast.interface import Refused
from wasm2xformer.runtime.fast.linear import ONE, Form
from wasm2xformer.runtime.fast.reads import float32
from wasm2xformer.runtime.fast.symbols import Symbols
from wasm2xformer.runtime.torch_engine import TorchEngine

TWICE = """(module (func $next (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func (export "f") (param i32) (result i32) (call $next (call $next (local.get 0)))))"""


@cache
def made(name: str) -> tuple[w2x.Model, Transformer]:
    model = w2x.compile(CASES[name][0])
    return model, stock_form(model)


def decoded(engine: FastEngine, tokens: np.ndarray, chosen: np.ndarray, start: int) -> np.ndarray:
    """The same sequence again, each decoded token from the engine."""
    out = [tokens[:start]]
    stop = np.zeros(len(engine.model.vocabulary), dtype=bool)
    edges = np.flatnonzero(np.diff(chosen[start:].astype(int))) + 1
    for part in np.split(np.arange(start, len(tokens)), edges):
        if chosen[part[0]]:
            out.append(engine.decode(stop, len(part)))
        else:
            engine.append(tokens[part])
            out.append(tokens[part])
    return np.concatenate(out)


@pytest.mark.parametrize("name", ["i32.rem_s", "i64.mul", "memory", "table"])
def test_it_decodes_the_same_tokens(name: str) -> None:
    model, form = made(name)
    tokens, chosen = calls(model, CASES[name][1])
    engine = FastEngine(form)
    assert np.array_equal(decoded(engine, tokens, chosen, len(form.prefix)), tokens)
    assert engine.trusted and engine.position == len(tokens)


def changed(form: Transformer, neuron: str, factor: float) -> Transformer:
    """With another weight of what the first neuron of that name adds."""
    layers = list(form.layers)
    index, f = next((i, y.neuron_names.index(neuron)) for i, y in enumerate(layers) if neuron in y.neuron_names)
    down = layers[index].down.copy()
    down[:, f] *= factor
    layers[index] = replace(layers[index], down=down)
    return replace(form, layers=layers)


@pytest.mark.parametrize(
    ("neuron", "factor"), [("left below 256^2", 1.0 + 2.0**-20), ("left below 256^1", 0.5), ("in byte table", 0.5)]
)
def test_what_does_not_count_is_refused(neuron: str, factor: float) -> None:
    _, form = made("i32.rem_s")
    with pytest.raises(Refused, match="no lookup that it knows"):
        FastEngine(changed(form, neuron, factor))


def test_a_table_elsewhere_in_the_prefix_is_refused() -> None:
    _, form = made("i32.rem_s")
    prefix = form.prefix.copy()
    prefix[[5, 6]] = prefix[[6, 5]]
    with pytest.raises(Refused):
        FastEngine(replace(form, prefix=prefix))
    with pytest.raises(Refused, match="too short"):
        FastEngine(replace(form, prefix=form.prefix[:ALL]))


def test_a_first_token_that_comes_again_is_not_followed() -> None:
    """Then the mean of "is the first" is no longer 1/n."""
    _, form = made("i32.rem_s")
    engine = FastEngine(form)
    with pytest.raises(NotImplementedError, match="torch engine"):
        engine.append(form.prefix[:1])


def test_it_ends_where_positions_have_no_digits_left() -> None:
    _, form = made("i32.rem_s")
    for model in (form, replace(form, certificate=())):
        engine = FastEngine(model)
        engine.position = LAST - 1
        engine.append(form.prefix[-1:])
        with pytest.raises(EnvelopeError):
            engine.append(form.prefix[-1:])


def test_what_fast_refuses_is_for_torch() -> None:
    model = random_weights(made("i32.rem_s")[0])
    with pytest.raises(Refused):
        new_engine("fast", model.transformer)
    found = [new_engine("auto", t) for t in (model.transformer, made("i32.rem_s")[1])]
    assert [engine.name for engine in found if isinstance(engine, AutoEngine)] == ["torch", "fast"]


def test_where_fast_stops_torch_goes_on() -> None:
    """In a prompt, with the first token again (nobody's program has that). No token is lost or comes twice."""
    model, form = made("i32.rem_s")
    tokens, chosen = calls(model, CASES["i32.rem_s"][1][:1])
    start, stop = len(form.prefix), np.zeros(len(form.vocabulary), dtype=bool)
    first = start + int(np.flatnonzero(chosen[start:])[0])
    engine = new_engine("auto", form, probe="memory.key" if "memory.key" in form.probes else None)
    engine.append(tokens[start:first])
    assert engine.decode(stop, 2).tolist() == tokens[first : first + 2].tolist()
    with pytest.warns(FellBack, match=f"at token {first + 2:,};"):
        engine.append(form.prefix[:1])
    dense = TorchEngine(form)
    dense.append(np.concatenate([tokens[start : first + 2], form.prefix[:1]]))
    assert engine.position == dense.position == first + 3
    assert engine.decode(stop, 3).tolist() == dense.decode(stop, 3).tolist()


@pytest.mark.parametrize("limit", [2, 3, 9])
def test_also_while_it_decodes(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    model, form = made("i32.rem_s")
    tokens, chosen = calls(model, CASES["i32.rem_s"][1][:1])
    first = len(form.prefix) + int(np.flatnonzero(chosen[len(form.prefix) :])[0])
    engine, run = new_engine("auto", form), FastEngine._decode

    def failing(self: FastEngine, stops: np.ndarray, count: int, out: np.ndarray) -> None:
        run(self, stops, min(count, 2), out)
        self._settled = False  # as if it had been `general` that gives up: there is nothing else to try
        raise _Unexpected

    monkeypatch.setattr(FastEngine, "_decode", failing)
    engine.append(tokens[len(form.prefix) : first])
    with pytest.warns(FellBack, match=f"at token {first + 2:,};"):
        found = engine.decode(np.zeros(len(form.vocabulary), dtype=bool), limit)
    assert found.tolist() == tokens[first : first + limit].tolist() and engine.position == first + limit


def test_without_torch_it_says_what_fast_says(monkeypatch: pytest.MonkeyPatch) -> None:
    _, form = made("i32.rem_s")
    engine = new_engine("auto", form)

    def missing(name: str) -> type:
        raise MissingPackage(name)

    monkeypatch.setattr("wasm2xformer.runtime.engines.engine_class", missing)
    with pytest.raises(NotImplementedError, match="try the torch engine"):
        engine.append(form.prefix[:1])


@pytest.mark.parametrize("level", [0, 1])
def test_far_returns(level: int) -> None:
    """The floor of the lookup of calls has nothing, as every floor has."""
    model = realise(*compile_steps(TWICE, CompileOptions(level)), 0)
    tokens, chosen = calls(model, [(5,), (7,)])
    form = stock_form(model)
    assert np.array_equal(decoded(FastEngine(form), tokens, chosen, len(form.prefix)), tokens)


def test_the_cache_tells_the_forms_apart() -> None:
    _, form = made("i32.rem_s")
    assert _name(form, None, True) != _name(replace(form, float32_reads=False), None, True)


# -- reads ------------------------------------------------------------------------------------------------------------


def symbols() -> Symbols:
    return Symbols(4, size=2**20)


def test_reads_of_one_token_are_rounded_beforehand() -> None:
    graph = symbols()
    exact = graph.table(graph.token, np.array([0.0, 1.0, 2.0**24, -5.0]))
    assert float32(graph, exact) is exact
    rounded = float32(graph, graph.table(graph.token, np.array([0.0, 2.0**24 + 1, 2.0**24 + 3, 0.1])))
    assert graph.evaluate(rounded, graph.token).tolist() == [0.0, 2.0**24, 2.0**24 + 4, float(np.float32(0.1))]


def test_the_two_pieces_of_a_number_give_it_back() -> None:
    graph = symbols()
    x = graph.table(graph.token, np.array([0.0, 1.0, 2.0**23, 3.0])).scaled(4096.0).plus(Form({graph.n: 1.0}))
    high = float32(graph, x)
    assert high != x and float32(graph, high) == high  # rounded once more it stays
    low = x.plus(high, -1.0)
    assert float32(graph, low) == low  # at most half a unit in the last place of x
    assert high.plus(low) == x
    assert graph.bounds(low).magnitude <= 2.0**12


def test_a_cut_by_an_offset_is_a_multiple() -> None:
    """x + C, C = 1.5 * 2^(k + 23), rounded to float32 is C and a multiple of 2^k, here with k = 12."""
    graph = symbols()
    x = Form({graph.n: 1.0})
    offset = 1.5 * 2.0**35
    high = float32(graph, x.plus(ONE, offset)).plus(ONE, -offset)
    bounds = graph.bounds(high)
    assert bounds.exponent == 12 and bounds.low >= -(2.0**12) and bounds.high <= 2.0**32 + 2**12
    low = x.plus(high, -1.0)
    assert graph.bounds(low).magnitude <= 2.0**11 and float32(graph, low) == low


def test_the_counter_counts() -> None:
    n = np.arange(1, 600)
    assert counter(n)[ALL - 1 :].tolist() == n[ALL - 1 :].tolist() and counter(n)[:4].tolist() == [0, 0, 1, 2]
    assert (np.diff(counter(n))[1:] > 0).all()


def test_digits_that_are_decided_too_closely_are_none() -> None:
    graph = Symbols(4, size=2**20)
    counting = Counting(graph, np.zeros(300, dtype=np.int32))
    lowest = Form({graph.n: 1.0}).plus(counting.digit(2), -(2.0**16)).plus(counting.digit(1), -256.0)
    assert counting.place(lowest.scaled(64.0), ONE.scaled(64.0), 0, 2, 30.0) == 0
    assert counting.place(lowest.scaled(8.0), ONE.scaled(8.0), 0, 2, 30.0) is None  # leads by 8
    assert counting.place(lowest.shifted(0.4).scaled(64.0), ONE.scaled(64.0), 0, 2, 30.0) is None  # by 12.8
    assert counting.place(lowest.shifted(1.0).scaled(64.0), ONE.scaled(64.0), 0, 2, 30.0) is None  # counts wrongly


# -- numbers that are not read exactly --------------------------------------------------------------------------------


def by_hand(value: float, twice: bool) -> Transformer:
    """Tokens x.k with a feature value + k; the next token's number is what a read of the feature, or of its sum with that of
    the token before, is above `value`, or twice that. What its range is said to be is wrong."""
    g = StockGraph()
    names = ("index", "index^2", "off", "floor", "big")
    byte, squared, off, floor, big = (g.feature(n) for n in names)
    residues = [g.feature(f"mod8={i}") for i in range(8)]
    g.declare(big, 0.0, 2.0**20)
    g.use_byte_table(byte, squared, off, floor, residues)
    for k in range(6):
        g.token(f"x.{k}", {off: 1.0, big: value + k})
    prefix = [g.token("BOS", {floor: 1.0, off: 1.0})]
    for v in range(256):
        prefix.append(g.token(f"B.{v}", {byte: v, squared: v * v, residues[v % 8]: 1.0}))
    prefix += [g.token("N", {off: 1.0})] * 12
    g.prefix = prefix
    read = g.declare(g.gated("read", (1.0, big)), 0.0, 2.0**20)
    if twice:
        (before,) = g.relative(1, {"before": big})
        g.add_neuron(1.0, before, read)
    g.unembed(read - (2.0 * value if twice else value), emittable=6)
    return build_stock(g)


@pytest.mark.parametrize("value", [1024.0, 2.0**24])
def test_reads_are_rounded_as_torch_rounds_them(value: float) -> None:
    form = by_hand(value, twice=False)
    fast, dense = FastEngine(form), TorchEngine(form)
    stop = np.zeros(len(form.vocabulary), dtype=bool)
    found = []
    for token in range(6):
        fast.append(np.array([token]))
        dense.append(np.array([token]))
        found.append((int(fast.decode(stop, 1)[0]), int(dense.decode(stop, 1)[0])))
    expected = [int(np.float32(value + k) - np.float32(value)) for k in range(6)]
    assert found == [(min(k, 5), min(k, 5)) for k in expected]


def test_what_is_assumed_of_a_read_is_checked() -> None:
    """24 bits of a sum are assumed; where it has more, code takes over that rounds what it reads."""
    value = 2**24 - 9
    form = by_hand(float(value), twice=True)
    fast, dense = FastEngine(form), TorchEngine(form)
    stop = np.zeros(len(form.vocabulary), dtype=bool)
    assert fast._trusting
    for engine in (fast, dense):
        engine.append(np.array([1, 0]))
    assert not fast._trusting
    found = fast.decode(stop, 4).tolist()
    assert found == dense.decode(stop, 4).tolist()
    assert found[0] == int(np.float32(2 * value + 1)) - 2 * value == 2  # exactly, it would be 1


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("(param f32) (result f64) (f64.promote_f32 (local.get 0))", [1.5, -0.0, 1e-40]),
        ("(param f64) (result f32) (f32.demote_f64 (local.get 0))", [1.1, 1e-40]),
        ("(param i32) (result f64) (f64.convert_i32_s (local.get 0))", [-7, 2**31 - 1]),
    ],
)
def test_a_rounding_of_what_is_constant(operation: str, given: list) -> None:
    """Some conversions alone leave nothing to round: the query of that lookup is a constant."""
    model = w2x.in_stock_form(w2x.compile(f'(module (func (export "f") {operation}))', float_routines=False))
    fast, dense = (w2x.Instance(model, engine=engine) for engine in ("fast", "torch"))
    for x in given:
        np.testing.assert_array_equal(fast.invoke("f", x).tokens, dense.invoke("f", x).tokens)


def test_what_cuts_a_number_is_followed() -> None:
    """f64.add whose result is truncated: what is known of a sum of its parts is too little for the rounding that cuts it."""
    operation = "(param f64) (result i32) (i32.trunc_f64_s (f64.add (local.get 0) (f64.const 2.75)))"
    model = w2x.in_stock_form(w2x.compile(f'(module (func (export "f") {operation}))', float_routines=False))
    vm = w2x.Instance(model, engine="fast")
    for x in (3.0, 1e9 / 7, -5.5, 2e9):
        assert vm.invoke("f", x).values == [int(x + 2.75)]
    assert vm._engine.trusted  # type: ignore[union-attr]
