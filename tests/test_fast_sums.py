"""Sums whose parts are larger than what a double holds: the fast engine computes what the matrices do, or refuses."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.graph.build import build
from wasm2xformer.compiler.graph.expr import Expr, Variable
from wasm2xformer.compiler.graph.graph import Graph
from wasm2xformer.compiler.graph.stock import StockGraph
from wasm2xformer.compiler.graph.stock_build import build_stock
from wasm2xformer.compiler.machine import float_digits
from wasm2xformer.runtime.fast import FastEngine
from wasm2xformer.runtime.fast.arithmetic import Known
from wasm2xformer.runtime.fast.code import IrValue
from wasm2xformer.runtime.fast.exact_sums import multiplied, summed
from wasm2xformer.runtime.fast.interface import Refused
from wasm2xformer.runtime.torch_engine import TorchEngine

WORD = 2.0**32
# Of each: the highest word of a number whose lower two take most of it away, and what is left.
HIGH, LEFT = (0, 3, -7, 201, 4093, -2891), 6


def agree(model: Transformer) -> None:
    """What comes behind the tokens of each number is what is left of it, for the fast engine and for the matrices."""
    ids = {name: k for k, name in enumerate(model.vocabulary)}
    engines = FastEngine(model), TorchEngine(model)
    stop = np.zeros(len(model.vocabulary), dtype=bool)
    found: list[list[int]] = [[], []]
    for h in HIGH:
        for r in range(LEFT):
            for engine, tokens in zip(engines, found, strict=True):
                engine.append(np.array([ids[name] for name in (f"high.{h}", f"rest.{h}.{r}", "here") if name in ids]))
                tokens += engine.decode(stop, 1).tolist()
    assert found[1] == list(range(LEFT)) * len(HIGH)  # the circuit is right
    assert found[0] == found[1]


class Split:
    """W_0 - 2^32 W_1 + 2^64 W_2 ..., in units, of which only a few bits are left. back: how many positions before the one at
    which `here` is 1 the highest word stands, and the others."""

    def __init__(
        self, graph: Graph, back: tuple[int, int], count: int = 3, unit: float = 1.0, rest: dict | None = None
    ):
        self.graph, self.back, self.unit, self.rest = graph, back, unit, rest or {}
        self.here, self.words = graph.feature("here"), [graph.feature(f"word {k}") for k in range(count)]

    def tokens(self) -> None:
        g, top, unit = self.graph, len(self.words) - 1, self.unit
        for r in range(LEFT):  # the first ids are what is decoded
            g.token(f"left.{r}", dict(self.rest))
        own = {self.here: 1.0} if self.back[1] == 0 else {}
        if not own:
            g.token("here", {**self.rest, self.here: 1.0})
        apart = self.back[0] != self.back[1]
        for h in HIGH:
            high = {self.words[top]: unit * h}
            if apart:
                g.token(f"high.{h}", {**self.rest, **high})
            for r in range(LEFT):
                carried = [r, *((r + k) % 3 - 1 for k in range(1, top)), h]
                words = {self.words[k]: unit * (carried[k] + WORD * carried[k + 1]) for k in range(top)}
                g.token(f"rest.{h}.{r}", {**self.rest, **own, **words, **({} if apart else high)})

    def gated(self) -> list[Variable]:
        """The words, the highest one first, where `here` is 1."""
        g, words = self.graph, []
        for k, word in enumerate(self.words):
            offset = self.back[k + 1 < len(self.words)]
            x = g.relative(offset, {f"word {k} before": word})[0] if offset else word
            words.append(g.gated(f"word {k} here", (self.here, x)))
        return words[::-1]


def stock(back: tuple[int, int], count: int = 3, unit: float = 1.0) -> Transformer:
    """The words are put together one after the other, and each sum is small."""
    g = StockGraph()
    byte, squared, off, floor = (g.feature(n) for n in ("index", "index^2", "off", "floor"))
    residues = [g.feature(f"mod8={i}") for i in range(8)]
    number = Split(g, back, count, unit, {off: 1.0})
    g.use_byte_table(byte, squared, off, floor, residues)
    # In a slot of its own: whose range is not known to be whole numbers, and whose slot would be used again.
    g.probe("in byte table", next(v for v in g._no_entry.terms if v.name == "in byte table"))
    number.tokens()
    prefix = [g.token("BOS", {floor: 1.0, off: 1.0})]
    for v in range(256):
        prefix.append(g.token(f"B.{v}", {byte: v, squared: v * v, residues[v % 8]: 1.0}))
    g.prefix = prefix + [g.token("N", {off: 1.0})] * 12
    left, *others = number.gated()
    for k, word in enumerate(others):
        left = g.declare(g.gated(f"left {k}", (1.0, word - WORD * Expr.of(left))), -8.0 * unit, 8.0 * unit)
    g.unembed(left, unit, emittable=LEFT)
    return replace(build_stock(g), certificate=())


@pytest.mark.parametrize("back", [(0, 0), (1, 1), (1, 0), (2, 1)])
def test_words_that_cancel_in_the_stock_form(back: tuple[int, int]) -> None:
    """2^64 W_2 + 2^32 W_1 + W_0 of one gate, which the matrices add up word by word."""
    agree(stock(back))


def test_so_large_that_it_is_refused() -> None:
    with pytest.raises(Refused, match="of what several slots hold"):
        FastEngine(stock((2, 1), count=5, unit=2.0**-50))


def test_what_cancels_in_the_one_file_form() -> None:
    """2^62 a - 2^62 b, of which a slot holds what is left; in one sum with a third number, doubles would be rounded."""
    g = Graph()
    number, difference = Split(g, (1, 0)), Variable("difference", g)
    number.tokens()
    high, middle, low = number.gated()
    g.add_neuron(1.0, 2.0**62 * Expr.of(high), difference)
    g.add_neuron(1.0, -(2.0**30) * Expr.of(middle), difference)
    g.unembed(g.gated("left", (1.0, Expr.of(difference) + 0.25 * Expr.of(low))), 0.25, emittable=LEFT)
    agree(build(g))


def linear(g: Graph, words: Sequence) -> tuple[Expr, Expr]:
    """float_digits._two_words without what keeps its numbers apart."""
    used = [terms for terms in words if any(Expr.of(up).terms for _, up in terms)]
    low, high, *upper = (g.gated(f"float rest.word{w}", *terms) for w, terms in enumerate(used))
    above: Expr = Expr({})
    for w, x in zip((3, 2), reversed(upper)):
        put = g.gated(f"float rest from word{w}", (1.0, x + WORD * above))
        above = Expr.of(g.declare(put, -float_digits.SMALL, float_digits.SMALL))
    return Expr.of(low), Expr.of(g.gated("float rest.high", (1.0, high + WORD * above)) if upper else high)


def test_quotients_of_words_that_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_digits, "_two_words", linear)
    text = '(module (func (export "f") (param f64 f64) (result f64) (f64.div (local.get 0) (local.get 1))))'
    vm = w2x.Instance(w2x.in_stock_form(w2x.compile(text, float_routines=False)), engine="fast")
    rng = np.random.default_rng(5)
    for a, b in rng.integers(0, 2**64, (40, 2), dtype=np.uint64).tolist():
        a, b = (struct.unpack("d", struct.pack("Q", x))[0] for x in (a, b))
        with np.errstate(all="ignore"):
            np.testing.assert_equal(vm.invoke("f", a, b).values[0], float(np.float64(a) / np.float64(b)))


def test_a_sum_is_known_once() -> None:
    """However often it is told; what differs from it by few terms, or from 0 less it, is found, and nothing that differs by
    more than it spares."""
    known, value = Known(), IrValue("i", "%v1")
    for _ in range(3):
        known.add_sum(((1, 1.0), (2, 2.0), (3, -1.0)), value)
    known.add_sum(((3, -1.0), (4, 1.0), (5, 1.0)), value)
    assert known.nearest_sum({1: 1.0, 2: 2.0, 3: -1.0, 7: 5.0}, 0) == (((1, 1.0), (2, 2.0), (3, -1.0)), 1.0)
    assert known.nearest_sum({1: -1.0, 2: -2.0, 3: 1.0}, 0) == (((1, 1.0), (2, 2.0), (3, -1.0)), -1.0)
    assert known.nearest_sum({1: 1.0, 3: -1.0, 7: 5.0}, 0) is None


# -- arrays -----------------------------------------------------------------------------------------------------------


def test_sums_of_arrays() -> None:
    one, large = np.ones(3), np.full(3, 2.0**80)
    total, exact = summed([large, one, -large], 3)
    assert exact and (total == 1.0).all()
    total, exact = summed([large, np.array([0.0, 1.0, 0.0])], 3)
    assert not exact and (total == large).all()


def test_products_of_arrays() -> None:
    most = np.array([2.0**27 - 1.0, 2.0**26])
    assert multiplied(most, np.array([2.0**26 - 1.0, 2.0**300]))
    assert not multiplied(most, np.array([2.0**27 - 1.0, 1.0]))
