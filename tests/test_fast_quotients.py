"""Where the maximum of the logits is at a quotient, as that of a digit of a division, the fast engine divides integers."""

from __future__ import annotations

import numpy as np
import pytest

from wasm2xformer.compiler.graph.build import build
from wasm2xformer.compiler.graph.expr import Expr
from wasm2xformer.compiler.graph.graph import Graph
from wasm2xformer.runtime.fast import FastEngine
from wasm2xformer.runtime.torch_engine import TorchEngine

IDS, PART = 200, 16
SMALL = [
    (n, d)
    for d in (-3, 0, 1, 2, 7, 97, 1000)
    for n in (-1000, -d, -1, 0, 1, d - 1, d, 2 * d - 1, 150 * d, 199 * d + 1, 10**6)
]
LARGE = [(n, d) for d in (1, 1023) for n in (0, 12345, 100 * d, 100 * d - 1, 2**40 - 1)]


def quotients(pairs: list[tuple[int, int]], less: float, times: int, code: str) -> list[tuple[int, int]]:
    """Of each pair the token behind its three tokens, by the fast engine and by the matrices: the integer nearest to
    times (n - less d + 1/2) / d, of 0 .. IDS - 1. code: what is in the fast engine's."""
    g = Graph()
    dividend, divisor = g.feature("dividend"), g.feature("divisor")
    for k in range(IDS):
        g.token(f"q.{k}", {})
    low = {d: g.token(f"low.{d}", {divisor: float(d % PART)}) for d in {d for _, d in pairs}}
    high = {d: g.token(f"high.{d}", {divisor: float(d // PART * PART)}) for d in low}
    given = [(high[d], low[d], g.token(f"n.{k}", {dividend: float(n)})) for k, (n, d) in enumerate(pairs)]
    parts = [g.relative(back, {f"divisor {back} before": divisor})[0] for back in (2, 1)]
    over, under = g.gated("dividend here", (1.0, dividend)), Expr.of(parts[0]) + parts[1]
    index = g.gated("index", (under, times * over - times * less * under + 0.5 * times))
    g.unembed(index, g.gated("scale", (under, under)), emittable=IDS)
    engines = FastEngine(model := build(g)), TorchEngine(model)
    assert code in str(engines[0]._program.text)
    stop, found = np.zeros(len(model.vocabulary), dtype=bool), []
    for prompt in given:
        tokens: list[int] = []
        for engine in engines:
            engine.append(np.array(prompt))
            tokens += engine.decode(stop, 1).tolist()
        found.append((tokens[0], tokens[1]))
    return found


@pytest.mark.parametrize("less", [0.5, 0.0, 1.5])
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("pairs, code", [(SMALL, "udiv i32"), (LARGE, "udiv i64")])
def test_quotients(pairs: list[tuple[int, int]], code: str, less: float, times: int) -> None:
    found = quotients(pairs, less, times, code)
    assert [fast for fast, _ in found] == [dense for _, dense in found]
    if less == 0.5 and times == 1:
        assert [fast for fast, _ in found] == [min(max(n // d, 0), IDS - 1) if d > 0 else 0 for n, d in pairs]
    assert len({fast for fast, _ in found}) >= 3
