"""Replay with hard attention: its lookups, its choices and its machine code against what they have to be, in plain words."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

import wasm2xformer as w2x
from wasm2xformer.compiler.format.sparse import SparseRows
from wasm2xformer.compiler.format.transformer import Layer, Transformer
from wasm2xformer.compiler.graph import Graph, build
from wasm2xformer.runtime.check.diff.native import I64, R64, NativeFunction, bits, fabs, real, rint, whole
from wasm2xformer.runtime.check.diff.translate import translated
from wasm2xformer.runtime.check.replay import Reading, ReplayError, choice_pass, hard_pass, replay
from wasm2xformer.runtime.check.replay.choices import Choices
from wasm2xformer.runtime.check.replay.hard import HardAttention, _places
from wasm2xformer.runtime.check.replay.hard_code import Written
from wasm2xformer.runtime.check.replay.matrices import Embedding, Logits
from wasm2xformer.runtime.check.replay.softmax import forward

VALUES = 40
Row = tuple[int, int, int, int]  # key, what is asked for, value, 1 where the key does not count


def nearest(rows: list[Row]) -> Transformer:
    """Each token writes its value under its key, unless it is off, and asks twice: for its query, and for the one behind it. The
    model chooses VALUES times what the first finds plus what the second finds."""
    g = Graph()
    key, query, value, off = (g.feature(name) for name in ("key", "query", "value", "off"))
    for i, row in enumerate(rows):
        g.token(f"t{i}", dict(zip((key, query, value, off), map(float, (row[0], row[1], row[2], row[3])))))
    for i in range(len(rows), VALUES**2):
        g.token(f"t{i}", {off: 1.0})
    (one,) = g.lookup("one", query, key, {"one": value}, off=off, key_bits=18)
    (two,) = g.lookup("two", query + 1.0, key, {"two": value}, off=off, key_bits=18)
    g.unembed(VALUES * one + two)
    return build(g)


def exact(rows: list[Row]) -> Transformer:
    """The same with digits on a paraboloid: nothing is found where the key is not there. The first token is the floor."""
    g = Graph()
    names = ("low", "high", "query low", "query high", "value", "off", "floor")
    low, high, query_low, query_high, value, off, floor = (g.feature(name) for name in names)
    g.token("BOS", {floor: 1.0})
    for i, row in enumerate(rows):
        features = (row[0] % 4096, row[0] // 4096, row[1] % 4096, row[1] // 4096, row[2], row[3])
        g.token(f"t{i}", dict(zip((low, high, query_low, query_high, value, off), map(float, features))))
    g.prefix = [0]
    digits = [g.product(1.0 - floor, x) for x in (low, high)]
    asked = [g.product(1.0 - floor, x) for x in (query_low, query_high)]
    (found,) = g.paraboloid(
        "exact", asked, digits, {"found": value}, floor=floor, sizes=(4096, 4096), off=off, position_bits=22
    )
    g.unembed(found)
    return build(g)


def found_by(rows: list[Row], sequence: np.ndarray, ask: Callable[[dict[int, tuple[int, int]], int], int]) -> list[list[int]]:
    """[what is found for the query, and for the one behind it] at each position."""
    known: dict[int, tuple[int, int]] = {}
    found = []
    for position, token in enumerate(sequence.tolist()):
        key, query, value, off = rows[token]
        if not off:
            known[key] = position, value
        found.append([ask(known, query), ask(known, query + 1)])
    return found


def ask_nearest(known: dict[int, tuple[int, int]], query: int) -> int:
    """Of two equally near keys the one that was written later."""
    return min(((abs(key - query), -at, value) for key, (at, value) in known.items()), default=(0, 0, 0))[2]


def choices(model: Transformer, sequence: np.ndarray, pieces: int) -> np.ndarray:
    attention = HardAttention(model)
    edges = np.linspace(0, len(sequence), pieces + 1).astype(int)
    tokens = sequence.astype(np.int32)
    return np.concatenate([attention.choices(tokens, a, b, a) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist())])


def random_rows(kind: str, count: int, rng: random.Random) -> list[Row]:
    """"dense": neighbours; "sparse": far from each other, so that most queries find no key; "colliding": the same low bits."""
    pick = {
        "dense": lambda: rng.randrange(-300, 900), "sparse": lambda: rng.randrange(-(2**17), 2**17),
        "colliding": lambda: 4096 * rng.randrange(-31, 32) + rng.randrange(2),
    }[kind]  # fmt: skip
    return [(pick(), pick(), rng.randrange(VALUES), int(rng.random() < 0.2)) for _ in range(count)]


@pytest.mark.parametrize("kind", ["dense", "sparse", "colliding"])
def test_lookups_find_what_they_should(kind: str) -> None:
    rng = random.Random(kind)
    rows = random_rows(kind, 1500, rng)
    model = nearest(rows)
    sequence = np.array([rng.randrange(len(rows)) for _ in range(2500)])
    expected = [VALUES * one + two for one, two in found_by(rows, sequence, ask_nearest)]
    assert choices(model, sequence, 3).tolist() == expected
    short = sequence[:700]
    with torch.no_grad():
        x = torch.cat(forward(model, Embedding(model)(short, 0), "cpu"), 1)
        assert Logits(model).choices(x).tolist() == expected[:700]


@pytest.mark.parametrize("kind", ["dense", "sparse", "colliding"])
def test_digits_find_their_key_or_nothing(kind: str) -> None:
    rng = random.Random(f"{kind} digits")
    rows = [(abs(row[0]), abs(row[1]), *row[2:]) for row in random_rows(kind, 1500, rng)]
    model = exact(rows)
    sequence = np.array([0, *(rng.randrange(1, len(rows) + 1) for _ in range(3000))])
    known = found_by([(0, 0, 0, 1), *rows], sequence, lambda known, query: known.get(query, (0, 0))[1])
    expected = [0, *(one for one, _ in known[1:])]
    assert choices(model, sequence, 2).tolist() == expected and len(set(expected)) >= 5


def test_keys_that_collide_are_scattered() -> None:
    """Keys with the same low bits, in an order that leads past each other."""
    rng = random.Random(5)
    rows: list[Row] = [(1024 * (i - 120), 1024 * rng.randrange(-120, 120), rng.randrange(VALUES), 0) for i in range(240)]
    model, sequence = nearest(rows), np.array([i % 240 for i in range(6000)])
    attention = HardAttention(model)
    found = attention.choices(sequence.astype(np.int32), 0, len(sequence), 0)
    assert found.tolist() == [VALUES * one + two for one, two in found_by(rows, sequence, ask_nearest)]
    assert set(attention._stores[:, hard_pass.FACTOR].tolist()) == {hard_pass.MIX}


def test_where_keys_lie() -> None:
    """Each in the first free bucket from the one it wants on, whatever the order."""
    rng = np.random.default_rng(1)
    for count in (1, 5, 40, 64):
        wanted = rng.integers(0, 64, count)
        place = _places(wanted, 64)
        taken = set(place.tolist())
        assert len(taken) == count
        for want, got in zip(wanted.tolist(), place.tolist()):
            assert all((want + k) % 64 in taken for k in range((got - want) % 64))


@pytest.mark.parametrize("shape", ["any", "parabola", "several parabolas"])
def test_the_choice_is_the_argmax(shape: str) -> None:
    """Integers, so that every sum is exact, with equal rows and equal logits among them."""
    rng = np.random.default_rng(len(shape))
    count, width = 700, 7
    rows = rng.integers(-3, 4, (count, width)).astype(float) * (rng.random((count, width)) < 0.5)
    if shape != "any":
        identity = np.arange(count) if shape == "parabola" else np.arange(count) % 230
        rows = np.zeros((count, width))
        rows[:, 0], rows[:, 2] = -(identity**2), 2 * identity
        rows[np.arange(count), 3 + np.arange(count) // 200] = -1
    rows[rng.integers(0, count, 50)] = rows[rng.integers(0, count, 50)]
    g = Graph()
    g.token("t0")
    g.unembed(g.feature("x"))
    model = replace(build(g), unembed=SparseRows.of(rows))
    x = rng.integers(-9, 10, (4000, width)).astype(float)
    x[:2000, 0], x[:2000, 2] = 1, rng.integers(-20, 800, 2000)
    x[:, 3:] *= rng.integers(0, 2, (4000, 4)) * 1000
    read = model.unembed.used_columns()
    x = x[:, read]
    assert np.array_equal(Choices(model).of(x), (x @ rows[:, read].T).argmax(1))


def test_real_bounds_leave_nothing_out() -> None:
    """Numbers of all sizes: the logit of what is chosen is the largest, up to the rounding of sums in another order."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(900, 5)) * 10.0 ** rng.integers(-8, 8, 5)
    rows[:, 0] = -((rows[:, 1] / 2) ** 2) + rng.normal(size=900)
    g = Graph()
    g.token("t0")
    g.unembed(g.feature("x"))
    model = replace(build(g), unembed=SparseRows.of(rows))
    x = rng.normal(size=(2000, 5)) * 10.0 ** rng.integers(-6, 6, (2000, 5))
    logits = x @ rows.T
    chosen = Choices(model).of(x)
    sizes = (np.abs(x) @ np.abs(rows).T).max(1)
    assert (logits[np.arange(2000), chosen] >= logits.max(1) - 1e-14 * sizes).all()
    assert len(set(chosen.tolist())) > 20 and choice_pass.ROWS < 900


def test_other_forms_are_refused() -> None:
    rows: list[Row] = [(i, i, i, 0) for i in range(8)]
    sequence = np.array([0, 1, 2, 3, 4, 5, 6, 7, 7 * VALUES + 7])

    assert replay(nearest(rows), sequence, 7) is None
    for tensor, row, factor, words in (
        ("k", 0, 1.25, "keys are not on a parabola"), ("k", 1, 0.5, "keys are not on a parabola|no integer"),
        ("q", 0, 1.5, "a query is in the middle between two integers"),
    ):  # fmt: skip
        with pytest.raises(ReplayError, match=words):
            replay(changed(nearest(rows), tensor, row, factor), sequence, 7)


def changed(model: Transformer, tensor: str, row: int, factor: float) -> Transformer:
    """One row of one matrix of the layers with heads times a factor."""
    for layer in model.layers:
        if len(layer.q):
            getattr(layer, tensor)[row] *= factor
    return replace(model, certificate=())


@pytest.mark.parametrize(
    ("tensor", "row", "factor", "words"),
    [
        ("k", 0, 1.1, "a key or a digit is no integer"), ("k", 1, 9.0, "a digit is out of range"),
        ("k", 0, 2.0, "keys are not on a paraboloid"), ("k", 2, 1 + 2.0**-26, "the first position is no floor"),
        ("k", 3, 0.5, "the floor is not the first position"), ("v", 0, 1.0, "the first position is no floor"),
        ("q", 1, 1.1, "a key or a digit is no integer"), ("q", 0, 3.0, "a digit is out of range"),
        ("q", 3, 1.5, "what a query has of its own is not that of a paraboloid"),
    ],
)  # fmt: skip
def test_other_forms_of_digits_are_refused(tensor: str, row: int, factor: float, words: str) -> None:
    rows: list[Row] = [(4096 * i + 2048 + 7 * i, 4096 * i + 9, i, 0) for i in range(30)]
    sequence = np.array([0, *range(1, 31)])
    assert choices(exact(rows), sequence, 1)[0] == 0
    model = changed(exact(rows), tensor, row, factor)
    if tensor == "v":  # the floor carries a value
        value = int(np.flatnonzero(next(layer for layer in model.layers if len(layer.q)).v[0])[0])
        model = replace(model, embed=model.embed.changed(0, value, 1.0))
    with pytest.raises(ReplayError, match=words):
        choices(model, sequence, 1)


def layered(rng: np.random.Generator, one: str) -> Transformer:
    """Neurons alone, of integers: gates and ups that are constants, one slot, sums, and multiples of each other, neurons that
    erase their slot once or twice. one: "kept": slot 0 is 1; "brought": not of all tokens; "added": a layer adds to it."""
    d, count, neurons = 9, 30, 60
    embed = rng.integers(-2, 3, (count, d)).astype(float)
    embed[:, 0] = 1.0
    if one == "brought":
        embed[3, 0] = 2.0
    positions = np.zeros((2, d))
    positions[0, d - 1] = 1.0  # no two positions have the same residual stream

    def part(last: np.ndarray | None) -> np.ndarray:
        row, kind = np.zeros(d), rng.integers(6)
        if kind == 5 and last is not None:
            row = last * rng.choice([-2.0, -1.0, 0.5, 2.0, 3.0])
        elif kind:
            used = rng.choice(np.arange(1, d), int(rng.choice([1, 1, 2, 3, 7])), replace=False)
            row[used] = rng.choice([-3.0, -1.0, 1.0, 2.0], len(used))
        if kind in (0, 1, 5):
            row[0] = rng.integers(-2, 3)
        return row

    layers = []
    for at in range(2):
        gate, up = np.zeros((neurons, d)), np.zeros((neurons, d))
        for i in range(neurons):
            gate[i], up[i] = part(gate[i - 1] if i else None), part(up[i - 1] if i else None)
        down = rng.choice([0.0, 0.0, 0.0, 1.0, -1.0], (d, neurons))
        down[[0, d - 1]] = 0.0
        for slot in range(1, 6):  # one of these twice, and one by another number than itself
            for k in range(1 + (slot == 4)):
                i = 2 * slot + k
                gate[i], up[i], down[:, i] = 0.0, 0.0, 0.0
                gate[i, 0], up[i, slot] = 1.0 + (slot == 5), rng.choice([-1.0, 1.0])
                down[slot, i] = -up[i, slot]
        if one == "added" and at == 0:
            down[0, 0] = 1.0
        empty = np.zeros((0, d))
        layers.append(Layer(empty, empty, empty, np.zeros((d, 0)), gate, up, down))
    unembed = rng.integers(-3, 4, (count, d)).astype(float)
    return Transformer(
        SparseRows.of(embed), positions, layers, SparseRows.of(unembed), [str(i) for i in range(count)], np.arange(0), head_dim=16
    )


@pytest.mark.parametrize("one", ["kept", "brought", "added"])
@pytest.mark.parametrize("seed", range(4))
def test_neurons_give_what_the_matrices_give(seed: int, one: str) -> None:
    """The final residual stream, bit for bit."""
    rng = np.random.default_rng(seed)
    model = layered(rng, one)
    sequence = rng.integers(0, 30, 150).astype(np.int32)
    attention = HardAttention(model)
    chosen = attention.choices(sequence, 0, len(sequence), 0)
    with torch.no_grad():
        x = torch.cat(forward(model, Embedding(model)(sequence, 0), "cpu"), 1)
        assert chosen.tolist() == Logits(model).choices(x).tolist()
    read = model.unembed.used_columns()
    np.testing.assert_array_equal(attention._memo.reshape(-1, len(read))[: len(sequence)], x.numpy()[read].T)


def erased(model: Transformer) -> int:
    """How many slots are, in all layers."""
    code = np.array(Written(model).code).reshape(-1, hard_pass.OP_WIDTH)
    return int((code[:, 2] - code[:, 1])[code[:, 0] == hard_pass.ERASE].sum())


def test_a_slot_that_erases_itself_is_not_computed() -> None:
    """Only where the constant slot is 1 everywhere."""
    rng = np.random.default_rng(0)
    assert [erased(layered(rng, one)) for one in ("kept", "brought", "added")] == [8, 0, 0]


def test_gates_that_let_nothing_through_are_left_out_where_numbers_are_finite() -> None:
    """A neuron whose gate is 0 at first, and one that closes; numbers that grow are refused."""
    model = layered(np.random.default_rng(0), "kept")
    layer = model.layers[0]
    for tensor in (layer.gate, layer.up, layer.down):
        tensor[:] = 0.0
    last = model.width - 1
    layer.gate[0, [0, last]], layer.up[0, 0], layer.down[1, 0] = (-70.0, 1.0), 2.0, 1.0  # from position 70 on
    layer.gate[1, [0, last]], layer.up[1, [1, 2]], layer.down[2, 1] = (100.0, -1.0), (1.0, 1.0), 1.0  # up to position 99
    model.layers[1:] = []
    sequence = np.arange(200, dtype=np.int32) % 30
    attention = HardAttention(model)
    attention.choices(sequence, 0, 200, 0)
    read = model.unembed.used_columns()
    with torch.no_grad():
        x = torch.cat(forward(model, Embedding(model)(sequence, 0), "cpu"), 1).numpy()[read].T
    np.testing.assert_array_equal(attention._memo.reshape(-1, len(read))[:200], x)
    layer.up[0, 0] = 2.0**299
    with pytest.raises(ReplayError, match=r"numbers of 2\^300 or more"):
        HardAttention(model).choices(sequence, 0, 200, 0)
    layer.up[0, 0] = 2.0**300
    with pytest.raises(ReplayError, match=r"weights of 2\^300 or more"):
        HardAttention(model)


def numbers(sizes: I64, x: R64, y: R64, found: I64) -> int:
    """Everything that is said of real numbers."""
    i = 0
    total = 0.0
    while i < sizes[0]:
        a = x[i] * 0.5 - 1.0
        if a != a:
            found[i] = -1
        elif fabs(a) >= 3.0 or -a > 2.5:
            found[i] = whole(a)
        else:
            found[i] = bits(rint(a) / real(i + 1))
        total = total + a
        y[i] = total
        i = i + 1
    return i


def test_machine_code_of_real_numbers() -> None:
    x = np.array([1.0, -7.3, 2.5, np.nan, 5.0, -0.0, 1e9, 3.0, 9.99, -3.2])
    made = [np.zeros(10), np.zeros(10, np.int64)]
    told = [np.zeros(10), np.zeros(10, np.int64)]
    assert NativeFunction(numbers)(np.array([10]), x, *made) == numbers(np.array([10]), x, *told) == 10
    np.testing.assert_array_equal(made[0], told[0])
    np.testing.assert_array_equal(made[1], told[1])


def mixed_sum(sizes: I64, x: R64) -> int:
    return whole(x[0] + sizes[0])  # type: ignore[operator]


def mixed_variable(sizes: I64, x: R64) -> int:
    a = sizes[0]
    a = x[0]
    return a


def real_result(sizes: I64, x: R64) -> int:
    return x[0]  # type: ignore[return-value]


def shifted(sizes: I64, x: R64) -> int:
    a = x[0] * 2.0
    return whole(a << a)  # type: ignore[operator]


@pytest.mark.parametrize("function", [mixed_sum, mixed_variable, real_result, shifted])
def test_numbers_of_two_kinds_are_not_mixed(function: Callable[..., int]) -> None:
    with pytest.raises(NotImplementedError, match=r"integers and real numbers together|LShift"):
        translated(function)


MEMORY = """
(module (memory (export "memory") 1)
  (func (export "set") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "sum") (param i32) (result i32) (i32.add (i32.load (local.get 0)) (i32.load offset=4 (local.get 0)))))
"""
CALLS = (("set", (8, 1000)), ("set", (12, 7)), ("sum", (8,)), ("set", (8, 1)), ("sum", (8,)), ("sum", (4,)))


def test_a_sequence_that_grows_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where some calls were not replayed: what they have left behind is found."""
    blocks: list[tuple[int, int, int]] = []
    real = HardAttention.choices
    monkeypatch.setattr(
        HardAttention, "choices", lambda self, tokens, *block: blocks.append(block) or real(self, tokens, *block)
    )  # fmt: skip
    verifier = w2x.Verifier(MEMORY)
    for k, (name, args) in enumerate(CALLS):
        verifier.write_memory(100, b"host")
        assert verifier.invoke(name, args, replay=k != 1).ok
    ends = [stop for _, stop, _ in blocks]
    assert [start for start, _, _ in blocks] == [0, *ends[:-1]] and len(blocks) == len(CALLS) - 1
    assert all(start <= first < stop for start, stop, first in blocks)


def test_a_wrong_token_is_seen_behind_what_was_read() -> None:
    vm = w2x.Instance(w2x.compile(MEMORY))
    model = vm.model.transformer
    parts = [model.prefix]
    for name, args in CALLS:
        run = vm.invoke(name, *args)
        parts += [run.prompt, run.tokens]
    ends = np.cumsum([len(part) for part in parts])
    tokens, reading = np.concatenate(parts), Reading(model)
    for prompt, end in zip(ends[1:-2:2], ends[2:-2:2], strict=True):
        assert replay(model, tokens[:end], prompt - 1, reading=reading) is None
    wrong = tokens.copy()
    wrong[-2] = tokens[-3]
    assert replay(model, wrong, ends[-2] - 1, reading=reading) == replay(model, wrong, ends[-2] - 1) is not None


def test_what_was_cut_off_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    vm = w2x.Instance(w2x.compile(MEMORY))
    run = vm.invoke("set", 8, 5)
    model, reading = vm.model.transformer, Reading(vm.model.transformer)
    tokens, start = np.concatenate([model.prefix, run.prompt, run.tokens]), len(model.prefix) + len(run.prompt) - 1
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(Choices, "of", _interrupted)
        replay(model, tokens, start, reading=reading)
    assert replay(model, tokens, start, reading=reading) is None
    tokens[start + 1] = tokens[start + 2]
    assert replay(model, tokens, start, reading=reading) == replay(model, tokens, start) is not None


def _interrupted(self: Choices, x: np.ndarray) -> np.ndarray:
    raise KeyboardInterrupt
