"""Floating-point operations that are single steps, where rounding, carries, cancellation and the ends of exponents are hard."""

from __future__ import annotations

import operator
import random
import struct
from itertools import product

import pytest
from floats import TRAPPING, difference, rows

import wasm2xformer as w2x
from wasm2xformer.compiler.format.operations import FLOAT_RELATIONS, FLOAT_STEPS
from wasm2xformer.compiler.machine import floating_point, floats
from wasm2xformer.compiler.machine.float_formats import F32, F64, FORMATS, FloatFormat
from wasm2xformer.compiler.wasm.opcodes import SIGNATURES

OPERATORS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}
CONVERTED = {"f32": "f32.demote_f64", "f64": "f64.convert_i64_s"}
ORDER = sorted(f"{form.name}.{name}" for form in FORMATS for name in (*FLOAT_RELATIONS, "min", "max"))
CONVERSIONS = sorted(name for name in FLOAT_STEPS if "convert" in name or "mote" in name)


def fractions(rng: random.Random, form: FloatFormat) -> int:
    """One at which rounding turns, or any."""
    last = (1 << form.fraction) - 1
    edges = (0, 1, 2, 3, last, last - 1, last >> 1, (last >> 1) + 1, (last >> 1) + 2)
    return rng.choice((rng.choice(edges), rng.getrandbits(form.fraction)))


def sums(rng: random.Random, form: FloatFormat) -> list[tuple[int, int]]:
    """Every distance of exponents; half a unit and a little more or less; differences of a few units; both ends."""
    pairs, sign, top, middle = [], 8 * form.size - 1, form.last_exponent - 1, form.last_exponent // 2
    one = 1 << form.fraction
    for distance in range(form.fraction + 18):
        for high in (1 + distance, middle, top):
            a, b = (max(0, high - i * distance) << form.fraction | fractions(rng, form) for i in (0, 1))
            pairs.append((a | rng.getrandbits(1) << sign, b | rng.getrandbits(1) << sign))
    for distance in (form.fraction, form.fraction + 1, form.fraction + 2):
        for first, second in product((0, 1, one - 1), (0, 1, 2, one - 1)):
            b = middle - distance << form.fraction | second
            pairs += [(middle * one + first, b), (middle * one + first, b | 1 << sign)]
    for base in (0, 1, one - 1, one, middle * one, middle * one + one - 1, form.infinity - 1):
        for units in (-3, -2, -1, 0, 1, 2, 3, one >> 5, one - 1):
            if 0 <= base + units < form.infinity:
                pairs += [(base, base + units), (base | 1 << sign, base + units)]
    return pairs + [(b, a) for a, b in pairs[::2]]


def products(rng: random.Random, form: FloatFormat) -> list[tuple[int, int]]:
    """Results around the least and the greatest exponents, subnormal operands, products half-way between two numbers."""
    pairs, fraction, top, bias = [], form.fraction, form.last_exponent - 1, form.last_exponent // 2
    for exponents in (*range(bias - fraction - 4, bias + 3), *range(bias + top - 3, bias + top + 2)):
        for _ in range(3):
            first = rng.randint(max(0, exponents - top), min(top, exponents))
            a, b = (e << fraction | fractions(rng, form) for e in (first, exponents - first))
            pairs.append((a | rng.getrandbits(1) << 8 * form.size - 1, b))
    for bits in range(2, fraction - 1):  # exact products, or of one bit more, a tie
        a, b = (bias << fraction | (2 * rng.getrandbits(n - 1) + 1) << (fraction - n) for n in (bits, fraction - bits))
        pairs.append((a, b))
        pairs.append((rng.getrandbits(bits), (bias + rng.randint(0, fraction)) << fraction | rng.getrandbits(fraction)))
    return pairs


def hard(seed: int, formats: tuple[FloatFormat, ...] = FORMATS) -> dict[str, list[tuple[int, int]]]:
    rng, found = random.Random(seed), {}
    for form in formats:
        added = sums(rng, form)
        found |= {f"{form.name}.add": added, f"{form.name}.sub": added, f"{form.name}.mul": products(rng, form)}
    return found


def ordered(seed: int) -> dict[str, list[tuple[int, int]]]:
    """Every pair of numbers where words, signs, zeros, infinities and NaN begin or end."""
    found, rng = {}, random.Random(seed)
    for form in FORMATS:
        sign, inf, word = 1 << 8 * form.size - 1, form.infinity, 1 << 4 * form.size
        numbers = [0, 1, word - 1, word, word + 1, inf - 1, inf, inf + 1, form.nan, form.nan + 1, sign - 1]
        numbers += [rng.getrandbits(60) % inf]
        numbers += [sign | number for number in numbers]
        found |= {name: list(product(numbers, numbers)) for name in ORDER if name.startswith(form.name)}
    return found


def halves(seed: int) -> dict[str, list[tuple[int]]]:
    """Numbers half-way between two f32, and beside, with every exponent that an f32 has; integers of both signs likewise."""
    rng = random.Random(seed)
    demoted = []
    for exponent in range(1023 - 152, 1023 + 130):
        fraction = (rng.getrandbits(23) << 29) + rng.choice((0, 1 << 28)) + rng.choice((-1, 0, 1))
        demoted.append((rng.getrandbits(1) << 63 | exponent << 52 | fraction % 2**52,))
    found: dict[str, list[tuple[int]]] = {"f32.demote_f64": demoted}
    for name in CONVERSIONS:
        found.setdefault(name, rows(rng, name, 150))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("level", [0, 1])
def test_hard_cases_are_wasmtimes(level: int):
    assert difference(hard(level), level) is None


@pytest.mark.parametrize("level", [0, 1])
def test_conversions_are_wasmtimes(level: int):
    assert len(CONVERSIONS) == 10 and difference(halves(level), level) is None


@pytest.mark.parametrize("level", [0, 1])
def test_comparisons_are_wasmtimes(level: int):
    assert len(ORDER) == 16 and difference(ordered(level), level) is None


@pytest.mark.parametrize("name", ["f64.promote_f32", "f32.demote_f64"])
def test_a_conversion_alone(name: str):
    """Where nothing else is rounded, much of the rounding is constant."""
    vm = w2x.Instance(w2x.compile(f"(module {function(name)})"))
    assert vm.invoke(name[4:], -1.5).values == [-1.5]


def test_the_routines_are_right_too():
    rng = random.Random(5)
    operands = {name: rows(rng, name, 5 if name in TRAPPING else 60) for name in sorted(FLOAT_STEPS)}
    assert difference(operands, 1, float_routines=True) is None


def test_steps_and_routines_are_told_apart():
    text = '(module (func (export "f") (param f64) (result f64) (f64.mul (local.get 0) (f64.const 3))))'
    for routines, steps in ((True, 0), (False, 1)):
        made = w2x.compile(text, float_routines=routines)
        assert sum(step.op == "f64.mul" for step in made.program.steps) == steps
        assert w2x.Verifier(text, model=made).invoke("f", [1.1]).ok


@pytest.mark.parametrize(("name", "form"), [("f64.add", F64), ("f32.mul", F32)])
def test_what_is_lost_matters(name: str, form: FloatFormat, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(floats, "any_of", lambda g, count, name: floats.Expr({}) if "sticky" in name else g.step(count - 1.0))
    found = difference({name: hard(1, (form,))[name]}, 1)
    assert found is not None and found.startswith(f"{name} -O1: value differs at {name}")


def test_even_matters(monkeypatch: pytest.MonkeyPatch):
    rounded = floats.rounded

    def away(s, form, x):
        """Ties away from zero: something is always lost."""
        lost = x.lost + s.field(form.name)
        return rounded(s, form, floats.Unrounded(x.digits, x.exponent, x.negative, lost, x.infinite, x.nan))

    monkeypatch.setattr(floating_point, "rounded", away)
    assert difference({"f64.add": hard(1, (F64,))["f64.add"]}, 1) is not None


def function(name: str) -> str:
    """An exported function that is one instruction."""
    operands, (result,) = SIGNATURES[name]
    gets = " ".join(f"(local.get {i})" for i in range(len(operands)))
    return f'(func (export "{name[4:]}") (param {" ".join(operands)}) (result {result}) ({name} {gets}))'


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_the_stock_form_and_the_dense_matrices_compute_the_same(form: FloatFormat):
    name, pack = form.name, {4: ("<f", "<I"), 8: ("<d", "<Q")}[form.size]
    names = [*(f"{name}.{o}" for o in (*OPERATORS, "lt", "min")), CONVERTED[name]]
    made = w2x.compile(f"(module {' '.join(map(function, names))})")
    fast, stock = w2x.Instance(made), w2x.Instance(w2x.in_stock_form(made))
    dense = w2x.Instance(made, engine="torch")
    rng = random.Random(3)
    others = {f"{name}.{o}": ordered(2)[f"{name}.{o}"] for o in ("lt", "min")} | {CONVERTED[name]: halves(2)[CONVERTED[name]]}
    for instruction, pairs in others.items():
        for operands in rng.sample(pairs, 40):
            run = fast.invoke(instruction[4:], *operands)
            assert stock.invoke(instruction[4:], *operands).tokens.tolist() == run.tokens.tolist()
    for instruction, pairs in hard(2, (form,)).items():
        op, chosen = instruction[4:], rng.sample(pairs, 60)
        for pair in chosen:
            run = fast.invoke(op, *pair)
            a, b = (struct.unpack(pack[0], struct.pack(pack[1], bits))[0] for bits in pair)
            if form is F64:
                assert run.bits == [struct.unpack("<Q", struct.pack("<d", OPERATORS[op](a, b)))[0]]
            assert stock.invoke(op, *pair).tokens.tolist() == run.tokens.tolist()
        for pair in chosen[: op != "sub"]:
            assert dense.invoke(op, *pair).tokens.tolist() == fast.invoke(op, *pair).tokens.tolist()
