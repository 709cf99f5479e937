"""The fast engine against the dense one, token for token, on small transformers that have nothing to do with WebAssembly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fast_models import TOKENS, Features, compare, kinds, random_transformer, slot_of

from wasm2xformer.compiler.format.checkpoint import CheckpointError
from wasm2xformer.compiler.graph.build import build
from wasm2xformer.runtime.fast import FastEngine, engine
from wasm2xformer.runtime.torch_engine import TorchEngine


def test_sums_steps_and_tables():
    f = Features()
    g = f.graph
    (s,) = g.cumulative_sum({"s": f.small})
    hot = g.one_hot(f.small, -1, 2, "hot")
    table = g.table(s, [5, 1, 4, 1, 5, 9, 2, 6], -3)
    x = g.select(g.step(s), table + hot[0], 7 * hot[1] + 3 * hot[3] + f.label)
    model = f.finish(x)
    assert kinds(model) == []
    compare(model, probe="index")


def test_mean_as_it_is():
    """Not multiplied by n: a real number, rounded by the unembedding."""
    f = Features()
    (m,) = f.graph.mean({"m": f.label})
    compare(f.finish(m), probe="index")


def test_relative_positions_before_the_start():
    f = Features(1)
    g = f.graph
    one, three = g.relative(1, {"one": f.label})[0], g.relative(3, {"three": f.small})[0]
    (nested,) = g.relative(2, {"nested": one})
    model = f.finish(nested + three + g.relu(one - 9))
    assert kinds(model) == ["delay"]
    model.prefix = np.array([5], dtype=np.int32)
    compare(model, probe="index")


def test_latest():
    f = Features(2)
    g = f.graph
    value, position = g.latest("l", {"value": f.label, "position": g.position}, 1 - f.flag)
    (difference,) = g.latest("m", {"d": f.label - f.small}, f.flag)
    parity = g.step(g.position - position - 3)
    model = f.finish(g.select(parity, value, difference) + g.relative(1, {"one": f.small})[0])
    assert kinds(model) == ["delay", "register", "register"]
    both = [int(np.flatnonzero(model.embed.column(slot_of(model, "flag")) == v)[0]) for v in (0, 1)]
    model.prefix = np.array(both, dtype=np.int32)
    compare(model, probe="index")


@pytest.mark.parametrize("seed", range(4))
def test_nearest_latest_wins(seed):
    """Random keys of both signs, hits, misses, ties in distance, switched-off keys, two queries of one store."""
    f = Features(seed)
    g = f.graph
    (s,) = g.cumulative_sum({"s": f.small})
    (one,) = g.relative(1, {"one": f.label})
    key = g.gated("key", (1.0, one - 2 * s))
    hit, stamp, at = g.lookup("a", f.label, key, {"v": f.label, "n": g.position, "k": key}, off=f.flag, key_bits=10)
    (miss,) = g.lookup("b", f.small * 3 - s, key, {"w": f.label}, off=f.flag, key_bits=10)
    exact = g.gated("exact", (g.one_hot(at - f.label, 0, 0, "exact")[0], hit))
    old = g.step(g.position - stamp - 2)
    model = f.finish(g.select(old, exact + f.small, miss))
    assert kinds(model).count("keyed") == 1
    off = int(np.flatnonzero(model.embed.column(slot_of(model, "flag")) == 0)[0])
    model.prefix = np.array([off], dtype=np.int32)
    compare(model, seed, rounds=5, probe="index")


def test_unique_keys_by_position():
    """A gather by position: keys never repeat, no preference for the latest."""
    f = Features(3)
    g = f.graph
    (x,) = g.lookup("gather", f.label + 1, g.position, {"x": f.label}, key_squared=g.position_squared, latest=False)
    model = f.finish(x + f.small)
    assert kinds(model) == ["keyed"]
    compare(model, probe="index")


def test_square_feature():
    """A key's square that the embedding already holds."""
    f = Features(4)
    g = f.graph
    (x,) = g.lookup("table", 7 + f.small, f.label, {"x": f.small, "y": g.position}, key_squared=f.square)[:1]
    model = f.finish(x + f.label)
    assert kinds(model) == ["keyed"]
    compare(model, probe="index")


def test_blocks_divide():
    """Two more parabolas on top of the line, switched by penalties: quotients of G1 by G2."""
    f = Features(5)
    g = f.graph
    (s,) = g.cumulative_sum({"s": 3 + f.small})
    dividing, divisor = f.flag, 3 + g.relu(f.small)
    first = g.step(f.label - 16)
    far = 2.0**20
    numerator = g.gated("numerator", (dividing, s * 1.0))
    b = g.gated("b", (dividing, divisor))
    g1 = g.product(b, numerator - 0.5 * b + 0.5)
    g2 = g.product(b, b)
    off_low = g.relu(dividing - first) * far
    off_high = g.relu(dividing + first - 1) * far
    g.unembed_block(4, 8, g1, g2, off_high)
    g.unembed_block(20, 8, g1, g2, off_low)
    g.penalise_others(dividing * far)
    plain = g.gated("plain", (1 - dividing, f.label + f.small))
    g.unembed(plain, 1 - dividing, emittable=30)
    model = build(g)
    compare(model, rounds=6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hard", [0.3, 3.0])
def test_random_weights(seed, hard):
    model = random_transformer(seed, hard)
    assert "soft" in kinds(model)
    compare(model, seed, probe="slot")
    compare(model, seed, rounds=1, probe="middle")


def test_low_temperature_is_not_taken_for_hard():
    """The pattern of a nearest-key head with a temperature at which neighbours still count."""
    f = Features(6)
    g = f.graph
    (x,) = g.lookup("soft", f.label + 1, g.position, {"x": f.label}, key_squared=g.position_squared, latest=False)
    model = f.finish(x + f.small)
    model.certificate = ()
    for layer in model.layers:
        layer.q *= 1 / 256
    assert kinds(model) == ["soft"]
    compare(model, probe="index")


def test_decode_stops():
    f = Features(7)
    model = f.finish(f.label + f.small + f.graph.relative(1, {"one": f.label})[0])
    fast, dense = FastEngine(model), TorchEngine(model)
    stop = np.zeros(TOKENS, dtype=bool)
    fast.append(np.array([1]))
    dense.append(np.array([1]))
    stop[dense.decode(stop, 7)[-1]] = True
    assert len(fast.decode(np.zeros(TOKENS, dtype=bool), 7)) == 7
    np.testing.assert_array_equal(fast.decode(stop, 100), dense.decode(stop, 100))
    assert fast.position == dense.position
    assert len(fast.decode(stop, 0)) == 0


@pytest.mark.parametrize("changed", ["writable", "view", "another"])
def test_tokens_to_stop_at_change(changed: str) -> None:
    """What was given before is not taken for what is given now: an array may have been written to since, also by way of the one
    that it is a read-only view of."""
    f = Features(7)
    model = f.finish(f.label + f.small + f.graph.relative(1, {"one": f.label})[0])
    fast, dense = FastEngine(model), TorchEngine(model)
    stop = np.zeros(TOKENS, dtype=bool)
    given = stop[:] if changed == "view" else stop.copy() if changed == "another" else stop
    given.flags.writeable = changed == "writable"
    for reader in (fast, dense):
        reader.append(np.array([1]))
    first = fast.decode(given, 7)
    np.testing.assert_array_equal(first, dense.decode(stop, 7))
    stop[:] = True
    if changed == "another":
        given = stop.copy()
        given.flags.writeable = False
    np.testing.assert_array_equal(fast.decode(given, 7), dense.decode(stop, 7))
    assert len(first) == 7 and fast.position == dense.position == len(model.prefix) + 9


def test_refuses_unknown_tokens():
    model = random_transformer(0, 1.0)
    with pytest.raises(ValueError, match="vocabulary"):
        FastEngine(model).append(np.array([TOKENS]))


def test_distrust_repeated_keys():
    """Without a preference for the latest, equal keys share the attention: the engine notices, and starts over."""
    f = Features(8)
    (x,) = f.graph.lookup("shared", f.label, f.label, {"x": f.small}, key_squared=f.square, latest=False, key_bits=6)
    model = f.finish(x + f.label)
    for layer in model.layers:
        layer.v *= 0.5  # sums of two small numbers, so that the mean of equal ones is not one of them
    model.prefix = np.arange(TOKENS, dtype=np.int32)[::-1][:9].copy()
    assert kinds(model) == ["keyed"]
    fast = compare(model, rounds=4, probe="index")
    assert not fast._trusting


def test_distrust_negative_keys():
    """relu(a) a is the square of a for a >= 0 only."""
    f = Features(9)
    g = f.graph
    (s,) = g.cumulative_sum({"s": f.small - 1})
    key = g.gated("key", (1.0, s))
    (x,) = g.lookup("half", f.label, key, {"x": f.label}, key_squared=g.gated("key^2", (key, key)), key_bits=10)
    model = f.finish(x + f.small)
    assert kinds(model) == ["keyed"]
    fast = compare(model, rounds=4, probe="index")
    assert not fast._trusting


def test_distrust_too_late(monkeypatch):
    """A sequence that is not kept any more cannot be read again."""
    monkeypatch.setattr(engine, "HISTORY", 3)
    f = Features(8)
    (x,) = f.graph.lookup("shared", f.label, f.label, {"x": f.small}, key_squared=f.square, latest=False, key_bits=6)
    fast = FastEngine(f.finish(x + f.label))
    fast.append(np.arange(TOKENS))
    assert fast._trusting
    with pytest.raises(NotImplementedError):
        fast.append(np.arange(TOKENS))


def test_distrust_the_prefix():
    """An assumption that fails in the prefix already."""
    f = Features(8)
    (x,) = f.graph.lookup("shared", f.label, f.label, {"x": f.small}, key_squared=f.square, latest=False, key_bits=6)
    model = f.finish(x + f.label)
    model.prefix = np.array([3, 4, 3, 4, 5], dtype=np.int32)
    assert not compare(model, rounds=2, probe="index")._trusting


def test_distrust_equally_near():
    """Without a preference for the latest, two equally near keys share the attention."""
    f = Features(8)
    g = f.graph
    (x,) = g.lookup("even", f.label, 2 * g.position, {"x": f.label}, latest=False, key_bits=8)
    model = f.finish(x + f.small)
    assert kinds(model) == ["keyed"]
    assert not compare(model, probe="index")._trusting


def test_constant_query():
    """One address, written again and again; and the nearest of what is there."""
    f = Features(12)
    g = f.graph
    (s,) = g.cumulative_sum({"s": f.small})
    (x, at) = g.lookup("fixed", 3, s, {"x": f.label, "at": s}, key_bits=8)
    model = f.finish(x + at - f.small)
    assert kinds(model) == ["keyed"]
    compare(model, rounds=4, probe="index")


def test_a_constant_key_decides_nothing():
    """It adds the same to all scores, and the latest wins, unless that rounds the others' difference away."""
    found = {}
    for factor in (1.0, 2.0**30):
        f = Features(14)
        (x,) = f.graph.lookup("constant", factor * f.small, 3, {"x": f.label}, off=f.flag, key_bits=3)
        model = found[factor] = f.finish(x + f.small)
        model.prefix = np.flatnonzero(model.embed.column(slot_of(model, "flag")) == 0)[:1].astype(np.int32)
    assert [kinds(model) for model in found.values()] == [["register"], ["soft"]]
    compare(found[1.0], rounds=4, probe="index")
    with pytest.raises(CheckpointError, match="is no lookup that can be told from its weights"):
        FastEngine(found[2.0**30])
    # And so it is: the dense model finds something else than the latest.
    model = replace(found[2.0**30], certificate=())
    dense, hard = TorchEngine(model), TorchEngine(replace(model, layers=found[1.0].layers))
    tokens = np.arange(TOKENS, dtype=np.int32)
    assert any(a.tolist() != b.tolist() for a, b in zip(dense.forward(tokens), hard.forward(tokens), strict=True))


def test_numbers_beyond_integers():
    """Products with a range beyond 64 bits, stepped and switched on."""
    f = Features(13)
    g = f.graph
    s = g.position - 60
    big = g.square(g.product(g.position, s))
    cube = g.product(g.relu(s), big)
    low = g.relu(3.0 - cube)
    table = g.table(cube, [4.0, 7.0, 1.0, 9.0], 0)
    (kept,) = g.latest("kept", {"kept": low + table}, f.flag)
    model = f.finish(kept + g.step(cube - 10.0**7) + f.label)
    model.prefix = np.flatnonzero(model.embed.column(slot_of(model, "flag")) == 0)[:1].astype(np.int32)
    compare(model, rounds=4, probe="index")


def test_long_sequences_get_better_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the middle of it, and the tokens stay the same; the next engine begins with it."""
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    model = random_transformer(3, 1.0)
    never = np.zeros(len(model.embed), dtype=bool)
    dense = TorchEngine(model)
    expected = dense.decode(never, 60).tolist()
    fast = FastEngine(model)
    quick, text = fast._program.code, str(fast._program.text)
    monkeypatch.setattr(engine, "PATIENCE", (fast.position + 30.5) / len(text))
    got = [int(fast.decode(never, 1)[0]) for _ in range(30)]
    assert fast._program.code == quick
    got += [int(fast.decode(never, 1)[0]) for _ in range(30)]
    assert got == expected and fast._program.code != quick and not fast._program.text
    assert FastEngine(model)._program.code == fast._program.code


def test_quick_code_is_kept_with_what_better_code_is_made_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WASM2XFORMER_CACHE", str(tmp_path))
    model = random_transformer(4, 1.0)
    first = FastEngine(model)._program
    monkeypatch.setattr("wasm2xformer.runtime.fast.cache._compile", lambda *_: pytest.fail("compiled again"))
    second = FastEngine(model)
    assert first.text and (second._program.code, str(second._program.text)) == (first.code, first.text)
    second.improve()
    assert FastEngine(model)._program.code not in (b"", first.code)


def test_total() -> None:
    f = Features(0)
    fast = FastEngine(f.finish(f.small))
    rng = np.random.default_rng(4)
    table = rng.integers(-(2**40), 2**40, TOKENS)
    for count in (0, 1, 1000):
        tokens = rng.integers(0, TOKENS, count).astype(np.int32)
        assert fast.total(table, tokens) == table[tokens].sum()
    assert fast.total(table[::-1], np.arange(TOKENS)[::2]) == table[::-1][::2].sum()  # in any arrangement
    for token in (-1, TOKENS):
        with pytest.raises(ValueError, match="outside"):
            fast.total(table, np.array([0, token], dtype=np.int32))
