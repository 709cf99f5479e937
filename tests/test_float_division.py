"""Quotients and roots of floats as single steps: what lies beside a tie, exact ones, subnormal numbers, the ends of exponents."""

from __future__ import annotations

import random
from itertools import chain, product

import numpy as np
import pytest
from floats import difference
from stock_ranges import violations
from test_float_rounding import ends, exported, signed
from test_stock_form import parts, stock_graph

import wasm2xformer as w2x
from wasm2xformer.compiler.machine.float_formats import F32, F64, FORMATS, FloatFormat

NAMES = [f"{form.name}.{name}" for form in FORMATS for name in ("div", "sqrt")]


def form_of(name: str) -> FloatFormat:
    return F32 if name[:3] == "f32" else F64


def bits_of(form: FloatFormat, significand: int, exponent: int) -> int:
    """significand, with its hidden bit or not at all, times 2^(exponent - scale); exponent from 1 on."""
    return significand if not significand >> form.fraction else significand + (exponent - 1 << form.fraction)


def any_significand(rng: random.Random, form: FloatFormat) -> int:
    one = 1 << form.fraction
    few = one | rng.getrandbits(8) << form.fraction - 8
    return rng.choice((one, one + 1, 2 * one - 1, one + (one >> 1), one | rng.getrandbits(form.fraction), few))


def quotients(rng: random.Random, form: FloatFormat) -> list[tuple[int, int]]:
    """Of significands c = a b or nearly so, with a of one bit more than a significand, c / b is nearly a tie; exact ones; every
    pair of ends; subnormal operands of every size; results that are subnormal, half the least number, or too large."""
    one, last, middle = 1 << form.fraction, form.last_exponent - 1, form.last_exponent // 2
    pairs = list(product((bits for bits, in signed(form, ends(form))), repeat=2))
    for _ in range(60):
        b, q = any_significand(rng, form), any_significand(rng, form)
        tie = (2 * q + 1) * b >> form.fraction + 1  # rounded down: c / b is a little less than a tie, or with 1 more, more
        for c in (tie, tie + 1, q * b >> form.fraction):
            if one <= c < 2 * one:
                pairs.append((bits_of(form, c, middle), bits_of(form, b, middle + rng.randint(-3, 3))))
        few = rng.getrandbits(form.fraction // 2) | 1 << form.fraction // 2
        exact = few * (rng.getrandbits(form.fraction // 2) | 1)
        pairs.append((bits_of(form, exact << form.fraction + 1 - exact.bit_length(), middle),
                      bits_of(form, few << form.fraction + 1 - few.bit_length(), middle)))  # fmt: skip
    for bits in range(1, form.fraction + 1):  # subnormal numbers
        small, other = 1 << bits - 1 | rng.getrandbits(bits - 1), rng.getrandbits(rng.randint(1, form.fraction))
        normal = bits_of(form, any_significand(rng, form), rng.randint(1, last))
        near = bits_of(form, any_significand(rng, form), middle - rng.randint(0, form.fraction))
        pairs += [(small, normal), (normal, small), (small, other), (other, small), (small, near), (small, 1 << bits - 1)]
    for lower in range(-3, form.fraction + 4):  # results from the least normal number downwards, and at the other end
        for a, b in ((one + 1, one), (any_significand(rng, form), any_significand(rng, form)), (one, one + one // 2)):
            first = rng.randint(1, middle)
            pairs.append((bits_of(form, a, first), bits_of(form, b, min(last, first + middle - 1 + lower))))
            pairs.append((bits_of(form, a, last - max(0, lower)), bits_of(form, b, middle - max(0, lower) + rng.randint(-2, 1))))
    sign = 1 << 8 * form.size - 1
    return [(a ^ rng.getrandbits(1) * sign, b) for a, b in pairs]


def roots(rng: random.Random, form: FloatFormat) -> list[tuple[int]]:
    """Squares and the numbers beside; squares of ties; every exponent there is, subnormal numbers of every size, the ends."""
    one, middle = 1 << form.fraction, form.last_exponent // 2
    found = signed(form, ends(form))
    for _ in range(60):
        square = (rng.getrandbits(rng.randint(3, form.fraction // 2)) | 1) ** 2
        square <<= form.fraction + 1 - square.bit_length()
        near = (0, -1 if square > one else 1, rng.getrandbits(form.fraction // 2))
        found += [(bits_of(form, square + more, middle + rng.randint(-9, 9)),) for more in near]
        tie, odd = 2 * any_significand(rng, form) + 1, rng.getrandbits(1)
        for c in (tie * tie >> form.fraction + 2, (tie * tie >> form.fraction + 2) + 1):
            c = c >> (c.bit_length() - form.fraction - 1)
            found.append((bits_of(form, c, middle + odd),))
    for exponent in range(1, form.last_exponent, 3 if form is F32 else 17):
        found.append((bits_of(form, any_significand(rng, form), exponent),))
    for bits in range(1, form.fraction + 1):
        small = 1 << bits - 1 | rng.getrandbits(bits - 1)
        found += [(small,), (1 << bits - 1,), (small | 1 << 8 * form.size - 1,)]
    return found


def hard(seed: int, name: str) -> list[tuple[int, ...]]:
    rng = random.Random(f"{name} {seed}")
    return [*(quotients if name.endswith("div") else roots)(rng, form_of(name))]


@pytest.mark.parametrize("level", [0, 1])
def test_hard_cases_are_wasmtimes(level: int):
    assert difference({name: hard(level, name) for name in NAMES}, level) is None


def test_the_routines_are_right_too():
    assert difference({name: random.Random(1).sample(hard(2, name), 80) for name in NAMES}, 1, float_routines=True) is None


@pytest.mark.parametrize("name", NAMES)
def test_alone(name: str):
    """In a program without anything else; one of f32 has values of four bytes."""
    verifier = w2x.Verifier(f"(module {exported(name)})", float_routines=False)
    for operands in random.Random(2).sample(hard(3, name), 40):
        assert verifier.invoke(name, operands).ok


@pytest.mark.parametrize("name", NAMES)
def test_how_many_tokens(name: str):
    """The digits of the quotient or root, then those of the result, which an integer has too."""
    made = w2x.compile(f"(module {exported(name)})", float_routines=False)
    usual = {"f32.div": 8, "f32.sqrt": 8, "f64.div": 15, "f64.sqrt": 15}[name]
    run = w2x.Instance(made).invoke(name, *(3.7, 1.3)[: 1 + name.endswith("div")])
    names = [made.transformer.vocabulary[t] for t in run.tokens]
    scratch = [n for n in names if n.startswith("S")]
    assert len(scratch) == usual - form_of(name).size and scratch[-1].startswith("S0.")
    assert sum(step.op == name for step in made.program.steps) == 1


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_the_stock_form_and_the_dense_matrices_compute_the_same(form: FloatFormat):
    """And every slot of the stock form holds what it may hold."""
    names = [name for name in NAMES if form_of(name) is form]
    text = f"(module {' '.join(map(exported, names))})"
    made = w2x.compile(text, float_routines=False)
    fast, stock, dense = w2x.Instance(made), w2x.Instance(w2x.in_stock_form(made)), w2x.Instance(made, engine="torch")
    runs = []
    for name in names:
        for operands in random.Random(4).sample(hard(4, name), 8):
            run = fast.invoke(name, *operands)
            runs.append(run)
            for other in (stock, dense):
                assert other.invoke(name, *operands).tokens.tolist() == run.tokens.tolist()
    tokens = np.array([*made.transformer.prefix, *chain.from_iterable((*run.prompt, *run.tokens) for run in runs)])
    assert violations(tokens, *parts(stock_graph(text))) == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ("float rest>0", "f64.div"), ("float rest>0", "f32.sqrt"), ("float digit>=1", "f64.sqrt"),
        ("float digit>=192", "f64.div"), ("quotient.subnormal", "f64.div"), ("quotient.b.byte>=3", "f64.div"),
        ("root.byte>=6", "f64.sqrt"), ("quotient.less", "f32.div"), ("quotient.less", "f64.div"), ("root.carry1", "f32.sqrt"),
    ],
)  # fmt: skip
def test_a_step_that_is_left_out_is_seen(changed: str, name: str, monkeypatch: pytest.MonkeyPatch):
    """One comparison that always says no."""
    original = w2x.compiler.graph.graph.Graph.step

    def step(g, x, name="step"):
        return original(g, -1.0 if name.endswith(changed) else x, name)

    monkeypatch.setattr(w2x.compiler.graph.graph.Graph, "step", step)
    found = difference({name: hard(5, name)}, 1)
    assert found is not None and found.startswith(f"{name} -O1: ")
