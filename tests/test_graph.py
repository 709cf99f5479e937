"""The machine library: every primitive against its formula, in the dense model, through probes."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from wasm2xformer.compiler.graph import Expr, Graph, Variable, build
from wasm2xformer.runtime.torch_engine import TorchEngine


def sequence_of(
    values: list[dict[str, float]], circuit: Callable[[Graph, dict[str, Variable]], Expr | Variable]
) -> np.ndarray:
    """The circuit's value at every position, for a sequence of tokens with these features."""
    g = Graph()
    features = {name: g.feature(name) for name in values[0]}
    for i, row in enumerate(values):
        g.token(f"t{i}", {features[name]: value for name, value in row.items()})
    result = circuit(g, features)
    g.probe("result", g.gated("result", (1.0, result)))
    g.unembed(0.0)
    engine = TorchEngine(build(g), probe="result")
    engine.append(np.arange(len(values)))
    return np.concatenate(engine.probed)


def column(name: str, values: list[float]) -> list[dict[str, float]]:
    return [{name: v} for v in values]


INTEGERS = [0, 1, -1, 2, 7, -8, 255, 256, 65535, -65536, 2**31, 2**32 - 1, -(2**40), 2**50]


def test_step_is_one_from_zero_on() -> None:
    got = sequence_of(column("x", INTEGERS), lambda g, f: g.step(f["x"]))
    assert got.tolist() == [float(x >= 0) for x in INTEGERS]


def test_product_of_a_non_negative_and_any_value() -> None:
    pairs = [(a, b) for a in (0, 1, 3, 65535, 2**20) for b in (-(2**30), -1, 0, 5, 2**32 - 1)]
    got = sequence_of([{"a": a, "b": b} for a, b in pairs], lambda g, f: g.product(f["a"], f["b"]))
    assert got.tolist() == [float(a * b) for a, b in pairs]


def test_square_of_either_sign() -> None:
    values = [0, 1, -1, 12345, -12345, 2**26 - 1, 1 - 2**26]
    got = sequence_of(column("x", values), lambda g, f: g.square(f["x"]))
    assert got.tolist() == [float(x * x) for x in values]


def test_select_and_relu() -> None:
    rows = [{"c": c, "a": 7, "b": -9} for c in (0, 1)]
    assert sequence_of(rows, lambda g, f: g.select(f["c"], f["a"], f["b"])).tolist() == [-9.0, 7.0]
    assert sequence_of(column("x", [-3, 0, 4]), lambda g, f: g.relu(f["x"])).tolist() == [0.0, 0.0, 4.0]


@pytest.mark.parametrize("k", range(-2, 4))
def test_one_hot_is_one_at_its_integer_only(k: int) -> None:
    values = list(range(-6, 9))
    got = sequence_of(column("x", values), lambda g, f: g.one_hot(f["x"], -2, 3, "hot")[k + 2])
    assert got.tolist() == [float(x == k) for x in values]


def test_table_is_constant_outside_its_range() -> None:
    table = [3.0, 1.0, 4.0, 1.0, 5.0, -9.0]
    values = list(range(-3, 10))
    got = sequence_of(column("x", values), lambda g, f: g.table(f["x"], table, low=1))
    assert got.tolist() == [table[min(max(x - 1, 0), 5)] for x in values]


def test_cumulative_sum_to_rounding() -> None:
    rng = random.Random(1)
    values = [rng.randint(-1000, 1000) for _ in range(300)]
    got = sequence_of(column("x", values), lambda g, f: g.cumulative_sum({"sum": f["x"]})[0])
    assert np.abs(got - np.cumsum(values)).max() < 1e-9


def test_a_sum_of_sums() -> None:
    values = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]

    def circuit(g: Graph, f: dict[str, Variable]) -> Variable:
        (inner,) = g.cumulative_sum({"inner": f["x"]})
        return g.cumulative_sum({"outer": inner})[0]

    got = sequence_of(column("x", values), circuit)
    assert np.abs(got - np.cumsum(np.cumsum(values))).max() < 1e-9


@pytest.mark.parametrize("offset", [1, 2, 5])
def test_relative_reads_back_and_stops_at_the_start(offset: int) -> None:
    values = [float(v) for v in range(10, 40)]
    got = sequence_of(column("x", values), lambda g, f: g.relative(offset, {"before": f["x"]})[0])
    assert got.tolist() == [values[max(t - offset, 0)] for t in range(len(values))]


def test_latest_skips_what_is_off() -> None:
    rows = [{"x": v, "off": off} for v, off in [(1, 0), (2, 1), (3, 1), (4, 0), (5, 1), (6, 0)]]
    got = sequence_of(rows, lambda g, f: g.latest("latest", {"value": f["x"]}, off=f["off"])[0])
    assert got.tolist() == [1, 1, 1, 4, 4, 6]


def nearest(rows: list[dict[str, float]]) -> list[float]:
    """The specification of Graph.lookup: of the keys so far that count the nearest, of equally near ones the latest."""
    out = []
    for t, row in enumerate(rows):
        seen = [(abs(r["key"] - row["query"]), -s, r["value"]) for s, r in enumerate(rows[: t + 1]) if not r["off"]]
        out.append(min(seen)[2])
    return out


def test_lookup_finds_the_nearest_key_and_the_latest_of_equals() -> None:
    rng = random.Random(2)
    rows: list[dict[str, float]] = [{"key": 0, "query": 0, "value": 99, "off": 0}]
    rows += [
        {"key": rng.choice([-500, -3, 0, 4, 9, 10, 77, 1000]), "query": rng.randint(-600, 1100),
         "value": rng.randint(-(2**40), 2**40), "off": rng.random() < 0.3} for _ in range(400)
    ]  # fmt: skip

    def circuit(g: Graph, f: dict[str, Variable]) -> Variable:
        return g.lookup("memory", f["query"], f["key"], {"found": f["value"]}, off=f["off"], key_bits=11)[0]

    assert sequence_of(rows, circuit).tolist() == nearest(rows)


def test_unembedding_takes_the_nearest_token_and_never_one_that_only_prompts_hold() -> None:
    g = Graph()
    x = g.feature("x")
    for i in range(8):
        g.token(f"t{i}", {x: i})
    g.unembed(x * 1.25 - 0.5, emittable=6)
    engine = TorchEngine(build(g))
    stop = np.zeros(8, dtype=bool)
    for i in range(8):
        engine.append(np.array([i]))
        assert engine.decode(stop, 1)[0] == min(max(round(i * 1.25 - 0.5), 0), 5), i


def test_slots_are_reused_and_exact_after_reuse() -> None:
    """A long chain of products needs few slots, and an erased slot leaves nothing behind."""

    def chain(g: Graph, f: dict[str, Variable]) -> Variable:
        x = g.product(1.0, f["x"])
        for k in range(30):
            x = g.product(1.0, 2.0**20 * x - (2.0**20 - 1.0) * x + k, f"link{k}")
        return x

    got = sequence_of(column("x", [5, -7]), chain)
    assert got.tolist() == [5.0 + sum(range(30)), -7.0 + sum(range(30))]
    g = Graph()
    x = g.feature("x")
    g.token("t", {x: 1})
    g.unembed(chain(g, {"x": x}))
    assert build(g).width < 12


def test_what_is_always_0_takes_no_part() -> None:
    def circuit(g: Graph, f: dict[str, Variable]) -> Expr:
        nothing = g.feature("nothing")
        (moved,) = g.relative(1, {"moved": g.product(f["x"], nothing)})
        (found,) = g.lookup("found", f["x"], f["x"], {"value": moved + nothing}, key_bits=8)
        closed = g.gated("closed", (nothing - 1.0, f["x"]), (f["x"], nothing), (moved, 1.0))
        return found + closed + g.step(f["x"] - 2.0 + nothing, "step")

    g = Graph()
    x = g.feature("x")
    g.token("t", {x: 1})
    g.unembed(circuit(g, {"x": x}))
    model = build(g)
    assert [name for layer in model.layers for name in layer.neuron_names] == ["step", "step"]
    assert not any(layer.head_names for layer in model.layers) and model.width == 5
    assert sequence_of(column("x", [1, 2, 3]), circuit).tolist() == [0.0, 1.0, 1.0]
    assert sequence_of(column("x", [1, 2]), lambda g, f: g.product(f["x"], g.feature("no"))).tolist() == [0.0, 0.0]


def test_an_embedding_may_be_filled_in_by_hand() -> None:
    def circuit(g: Graph, f: dict[str, Variable]) -> Expr:
        by_hand = g.feature("by hand")
        by_hand.embedding[1] = 7.0
        return f["x"] + by_hand

    assert sequence_of(column("x", [1, 2]), circuit).tolist() == [1.0, 9.0]
    g = Graph()
    g.token("t")
    x = g.feature("x")
    x.embedding[1] = 7.0
    g.unembed(x)
    with pytest.raises(ValueError, match="token 1, which does not exist"):
        build(g)


def test_a_cycle_and_a_foreign_variable_are_refused() -> None:
    g, other = Graph(), Graph()
    foreign = other.feature("elsewhere")
    other.token("t", {foreign: 1})
    g.token("t")
    g.unembed(g.product(1.0, foreign))
    with pytest.raises(ValueError, match="another graph"):
        build(g)
    g = Graph()
    g.token("t")
    loop = g.gated("loop", (1.0, 1.0))
    g.add_neuron(1.0, loop, loop)
    g.unembed(loop)
    with pytest.raises(ValueError, match="cycle"):
        build(g)


def test_two_variables_cannot_be_multiplied_by_a_linear_form() -> None:
    g = Graph()
    with pytest.raises(TypeError, match=r"Graph\.product"):
        g.feature("a") * g.feature("b")  # type: ignore[operator]


def test_a_circuit_may_be_deeper_than_the_interpreter_recurses() -> None:
    g = Graph()
    x = g.feature("x")
    g.token("t", {x: 1})
    y: Variable = x
    for k in range(2000):
        y = g.product(1.0, y + k % 2, f"link{k}")
    g.unembed(y)
    assert len(build(g).layers) == 2000


def test_rounding_to_a_position_takes_noise_off() -> None:
    values = [1.0, 2.0, 1.24, 3.0, 2.76, 4.2, 1.0, 7.75, 100.0, -3.0]
    got = sequence_of(column("x", values), lambda g, f: g.rounded("r", f["x"]))
    assert got.tolist() == [1, 2, 1, 3, 3, 4, 1, 8, 9, 1]
    # The upper digit of 100 t + 0 .. 99, in units of 100, half a unit off the ties.
    numbers = [100 * (t // 2) + 99 * (t % 2) for t in range(40)]
    got = sequence_of(column("x", numbers), lambda g, f: g.rounded("r", 0.01 * (f["x"] + 0.5) + 0.5, 0.01) - 1.0)
    assert got.tolist() == [x // 100 for x in numbers]
