"""f64.add, sub and mul as single steps, where rounding, carries, cancellation and the ends of the exponents are hard."""

from __future__ import annotations

import operator
import random
import struct

import pytest
from floats import difference, rows

import wasm2xformer as w2x
from wasm2xformer.compiler.machine import floats, machine

OPERATORS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}
LAST = 2**52 - 1
FRACTIONS = (0, 1, 2, 3, LAST, LAST - 1, LAST >> 1, (LAST >> 1) + 1, (LAST >> 1) + 2)
SIGN = 2**63


def sums(rng: random.Random) -> list[tuple[int, int]]:
    """Every distance of exponents, with fractions at which rounding turns; differences of a few units; both ends."""
    pairs = []
    for distance in range(70):
        for high in (1 + distance, 1030, 2046):
            fractions = (rng.choice(FRACTIONS), rng.choice((rng.choice(FRACTIONS), rng.getrandbits(52))))
            a, b = ((high - i * distance) << 52 | f for i, f in enumerate(fractions))
            pairs.append((a | rng.getrandbits(1) << 63, b | rng.getrandbits(1) << 63))
    for base in (0, 1, LAST, LAST + 1, 1030 << 52, 1030 << 52 | LAST, 2046 << 52 | LAST):
        for units in (-3, -2, -1, 0, 1, 2, 3, 1 << 30, LAST):
            if 0 <= base + units < 2047 << 52:
                pairs += [(base, base + units), (base | SIGN, base + units)]
    return pairs + [(b, a) for a, b in pairs[::2]]


def products(rng: random.Random) -> list[tuple[int, int]]:
    """Results around the least and the greatest exponents, subnormal operands, products half-way between two numbers."""
    pairs = []
    for exponents in (*range(960, 1026), 1100, 3067, 3068, 3069, 3070):
        for _ in range(3):
            first = rng.randint(max(0, exponents - 2046), min(2046, exponents))
            a, b = (e << 52 | rng.choice((rng.choice(FRACTIONS), rng.getrandbits(52))) for e in (first, exponents - first))
            pairs.append((a | rng.getrandbits(1) << 63, b))
    for bits in range(2, 51):  # significands of n + 1 and 53 - n bits: 53 bits, exact, or 54, a tie
        a, b = (1030 << 52 | (2 * rng.getrandbits(n - 1) + 1) << (52 - n) for n in (bits, 52 - bits))
        pairs.append((a, b))
        pairs.append((rng.getrandbits(bits + 1), (1023 + rng.randint(0, 60)) << 52 | rng.getrandbits(52)))
    return pairs


def hard(seed: int) -> dict[str, list[tuple[int, int]]]:
    rng = random.Random(seed)
    added = sums(rng)
    return {"f64.add": added, "f64.sub": added, "f64.mul": products(rng)}


@pytest.mark.parametrize("level", [0, 1])
def test_hard_cases_are_wasmtimes(level: int):
    assert difference(hard(level), level) is None


def test_the_routines_are_right_too():
    rng = random.Random(5)
    assert difference({name: rows(rng, name, 120) for name in hard(0)}, 1, float_routines=True) is None


def test_steps_and_routines_are_told_apart():
    text = '(module (func (export "f") (param f64) (result f64) (f64.mul (local.get 0) (f64.const 3))))'
    for routines, steps in ((True, 0), (False, 1)):
        made = w2x.compile(text, float_routines=routines)
        assert sum(step.op == "f64.mul" for step in made.program.steps) == steps
        assert w2x.Verifier(text, model=made).invoke("f", [1.1]).ok


@pytest.mark.parametrize("name", ["f64.add", "f64.mul"])
def test_what_is_lost_matters(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(floats, "any_of", lambda g, count, name: floats.Expr({}) if "sticky" in name else g.step(count - 1.0))
    found = difference({name: hard(1)[name]}, 1)
    assert found is not None and found.startswith(f"{name} -O1: value differs at {name}")


def test_even_matters(monkeypatch: pytest.MonkeyPatch):
    rounded = floats.rounded

    def away(s, x):
        """Ties away from zero: something is always lost."""
        return rounded(s, floats.Unrounded(x.digits, x.exponent, x.negative, x.lost + s.field("float"), x.infinite, x.nan))

    monkeypatch.setattr(machine, "rounded", away)
    assert difference({"f64.add": hard(1)["f64.add"]}, 1) is not None


def test_the_stock_form_and_the_dense_matrices_compute_the_same():
    functions = [
        f'(func (export "{op}") (param f64 f64) (result f64) (f64.{op} (local.get 0) (local.get 1)))' for op in OPERATORS
    ]
    made = w2x.compile(f"(module {' '.join(functions)})")
    fast, stock = w2x.Instance(made), w2x.Instance(w2x.in_stock_form(made))
    dense = w2x.Instance(made, engine="torch")
    rng, looked_at = random.Random(3), 0
    for name, pairs in hard(2).items():
        chosen = rng.sample(pairs, 60)
        for pair in chosen:
            run = fast.invoke(name[4:], *pair)
            a, b = struct.unpack("<2d", struct.pack("<2Q", *pair))
            assert run.bits == [struct.unpack("<Q", struct.pack("<d", OPERATORS[name[4:]](a, b)))[0]]
            assert stock.invoke(name[4:], *pair).tokens.tolist() == run.tokens.tolist()
            looked_at += 1
        for pair in chosen[: name != "f64.sub"]:
            assert dense.invoke(name[4:], *pair).tokens.tolist() == fast.invoke(name[4:], *pair).tokens.tolist()
    assert looked_at == 180
