"""Random circuits of the machine library: the fast engine against the dense one."""

from __future__ import annotations

import numpy as np
import pytest
from fast_models import TOKENS, Features, compare

from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.graph.expr import Expr

# Lookups need small keys: softmax over larger ones is not exact for long.
KEY_BITS = 7
LIMIT = 2**KEY_BITS


class Circuit:
    """A pool of integer expressions with known bounds, and random operations that add to it."""

    def __init__(self, rng: np.random.Generator):
        self.rng, self.features = rng, Features(int(rng.integers(1000)))
        self.graph, f = self.features.graph, self.features
        self.pool = [(Expr.of(f.label), TOKENS), (Expr.of(f.small), 4), (Expr.of(f.flag), 1)]
        self.flags = [Expr.of(f.flag), 1.0 - f.flag]

    def pick(self, bound: float = 1e6) -> tuple[Expr, float]:
        fitting = [p for p in self.pool if p[1] <= bound]
        return fitting[self.rng.integers(len(fitting))]

    def flag(self) -> Expr:
        return self.flags[self.rng.integers(len(self.flags))]

    def add(self, value, bound: float) -> None:
        self.pool.append((Expr.of(value), bound))

    def combine(self) -> None:
        (a, x), (b, y) = self.pick(), self.pick()
        m, n = self.rng.integers(-3, 4, 2)
        self.add(float(m) * a + float(n) * b + float(self.rng.integers(-5, 6)), abs(m) * x + abs(n) * y + 5)

    def step(self) -> None:
        a, _ = self.pick()
        self.flags.append(Expr.of(self.graph.step(a - float(self.rng.integers(-9, 10)))))
        self.add(self.flags[-1], 1)

    def select(self) -> None:
        (a, x), (b, y) = self.pick(), self.pick()
        self.add(self.graph.select(self.flag(), a, b), max(x, y))

    def product(self) -> None:
        (a, x), (b, y) = self.pick(1000), self.pick(1000)
        self.add(self.graph.product(a, b), x * y)

    def one_hot(self) -> None:
        a, _ = self.pick()
        self.flags += [Expr.of(v) for v in self.graph.one_hot(a, 0, 2, "hot")]

    def table(self) -> None:
        a, _ = self.pick()
        self.add(self.graph.table(a, self.rng.integers(-9, 10, 6).astype(float).tolist(), -2), 9)

    def total(self) -> None:
        a, x = self.pick(10)
        self.add(self.graph.cumulative_sum({"sum": a})[0], 300 * x)

    def relative(self) -> None:
        a, x = self.pick()
        self.add(self.graph.relative(int(self.rng.integers(1, 5)), {"back": a})[0], x)

    def latest(self) -> None:
        (a, x), (b, y) = self.pick(), self.pick()
        off = self._off()
        values = self.graph.latest("latest", {"a": a, "b": b, "n": self.graph.position}, off)
        for value, bound in zip(values, (x, y, 300)):
            self.add(value, bound)

    def lookup(self) -> None:
        (q, _), (k, _) = self.pick(LIMIT), self.pick(LIMIT)
        (a, x), (b, y) = self.pick(), self.pick()
        values = {"a": a, "b": b, "k": k, "n": self.graph.position}
        found = self.graph.lookup("lookup", q, k, values, off=self._off(), key_bits=KEY_BITS)
        for value, bound in zip(found, (x, y, LIMIT, 300)):
            self.add(value, bound)

    def _off(self):
        """Sometimes off, but never at the first token of the prefix."""
        return self.graph.product(self.flag(), self.graph.step(self.graph.position - 2.0), "off")

    def model(self, operations: int) -> Transformer:
        kinds = [self.combine, self.combine, self.step, self.select, self.product, self.one_hot, self.table]
        kinds += [self.total, self.relative, self.latest, self.lookup, self.lookup]
        for _ in range(operations):
            kinds[self.rng.integers(len(kinds))]()
        index, bound = Expr.of(self.features.label), float(TOKENS)
        for a, x in self.pool[-6:]:
            if bound + x < 3 * TOKENS:
                index, bound = index + a, bound + x
            else:
                index, bound = (
                    index + self.graph.table(a, self.rng.integers(-4, 5, 4).astype(float).tolist()),
                    bound + 4,
                )
        model = self.features.finish(self.graph.gated("index", (1.0, index)))
        model.prefix = np.array([5, 1], dtype=np.int32)
        return model


@pytest.mark.parametrize("seed", range(12))
def test_random_circuits(seed):
    rng = np.random.default_rng(seed)
    model = Circuit(rng).model(int(rng.integers(5, 25)))
    compare(model, seed, rounds=2, probe="index")
