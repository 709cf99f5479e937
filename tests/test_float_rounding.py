"""Floats rounded to integers, and as integers, as single steps: beside halves, the ends of ranges, signs, what traps."""

from __future__ import annotations

import random
from itertools import chain

import numpy as np
import pytest
from floats import TRAPPING, difference
from stock_ranges import violations
from test_float_steps import function
from test_stock_form import parts, stock_graph

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.operations import FLOAT_STEPS
from wasm2xformer.compiler.machine import float_integers, float_rounding
from wasm2xformer.compiler.machine.float_formats import F32, F64, FORMATS, FloatFormat
from wasm2xformer.compiler.options import CompileOptions

ROUNDING = sorted(f"{form.name}.{name}" for form in FORMATS for name in ("floor", "ceil", "trunc", "nearest"))
INTEGERS = sorted(name for name in FLOAT_STEPS if name.startswith("i"))


def exported(name: str) -> str:
    """An exported function of this name that is this one instruction."""
    return function(name).replace(f'"{name[4:]}"', f'"{name}"')


def invoked(instance: w2x.Instance, name: str, operands: tuple[int, ...]) -> w2x.Run:
    try:
        return instance.invoke(name, *operands)
    except w2x.Trap as trap:
        return trap.run


def signed(form: FloatFormat, magnitudes: list[int]) -> list[tuple[int]]:
    """Each with both signs."""
    top = 8 * form.size - 1
    return [(bits | sign << top,) for bits in magnitudes for sign in (0, 1)]


def ends(form: FloatFormat) -> list[int]:
    """Zero, subnormal numbers, the greatest number, infinity, NaN: quiet, signalling, and with every bit set."""
    one = 1 << form.fraction
    return [0, 1, one - 1, one, form.infinity - 1, form.infinity, form.infinity + 1, form.nan, form.infinity + one - 1]


def halves(rng: random.Random, form: FloatFormat) -> list[tuple[int]]:
    """For each number of bits behind the point: integers, halves, and what is beside; a carry through all bits; any."""
    found, bias = ends(form), form.last_exponent // 2
    for bits in range(-3, form.fraction + 4):
        base, unit = bias + form.fraction - bits << form.fraction, 1 << max(0, min(bits, form.fraction))
        last = (1 << form.fraction) - 1
        for whole in (0, unit, last + 1 - unit, rng.getrandbits(form.fraction) & -unit):
            for behind in (0, 1, unit // 2 - 1, unit // 2, unit // 2 + 1, unit - 1, rng.randrange(unit)):
                found.append(base + max(0, min(last, whole + behind)))
    return signed(form, found)


def limits(rng: random.Random, name: str) -> list[tuple[int]]:
    """The ends of the range of this conversion, with the numbers beside; every distance that bits are moved."""
    form, bits = F32 if "f32" in name else F64, int(name[1:3])
    bias, found = form.last_exponent // 2, ends(form)
    for exponent in (-1, 0, bits - 2, bits - 1, bits):
        base = bias + exponent << form.fraction
        # an integer more than the power of two, and the numbers beside
        unit = 1 << max(0, form.fraction - exponent) if exponent > 0 else 1 << form.fraction - 1
        found += [base + d for d in (-2, -1, 0, 1, 2, unit - 1, unit, unit + 1, (1 << form.fraction) - 1)]
    return signed(form, found)


def any_size(rng: random.Random, name: str) -> list[tuple[int]]:
    form, bits = F32 if "f32" in name else F64, int(name[1:3])
    exponents = range(-2, bits - 1)
    found = [form.last_exponent // 2 + e << form.fraction | rng.getrandbits(form.fraction) for e in exponents for _ in (0, 1)]
    return [(v | (name.endswith("_s") and rng.getrandbits(1)) << 8 * form.size - 1,) for v in found]


@pytest.mark.parametrize("level", [0, 1])
def test_rounding_is_wasmtimes(level: int):
    rng = random.Random(level)
    operands = {name: halves(rng, F32 if name[:3] == "f32" else F64) for name in ROUNDING}
    assert len(ROUNDING) == 8 and difference(operands, level) is None


@pytest.mark.parametrize("level", [0, 1])
def test_integers_are_wasmtimes(level: int):
    """What traps is invoked one by one: on every end of its range at one level, on a few operands at the other."""
    rng = random.Random(level)
    operands = {name: limits(rng, name) + any_size(rng, name) for name in INTEGERS if name not in TRAPPING}
    assert len(INTEGERS) == 16 and difference(operands, level) is None
    trapping = {name: rng.sample(limits(rng, name), 50 if level else 10) for name in TRAPPING}
    assert difference(trapping, level) is None


def test_integers_of_any_size_that_do_not_trap():
    rng = random.Random(3)
    for name in TRAPPING:
        verifier = w2x.Verifier(f"(module {exported(name)})")
        for operands in rng.sample(any_size(rng, name), 8):
            report = verifier.invoke(name, operands)
            assert report.ok and report.run.returned


def test_all_of_them_are_steps():
    for name in (*ROUNDING, *INTEGERS):
        program, _ = compile_steps(f"(module {exported(name)})", CompileOptions())
        assert name in {step.op for step in program.steps}


def test_the_routines_are_right_too():
    rng = random.Random(5)
    operands = {name: rng.sample(halves(rng, F32 if name[:3] == "f32" else F64), 60) for name in ROUNDING}
    operands |= {name: rng.sample(limits(rng, name), 8 if name in TRAPPING else 40) for name in INTEGERS}
    assert difference(operands, 1, float_routines=True) is None


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_the_stock_form_and_the_dense_matrices_compute_the_same(form: FloatFormat):
    """And every slot of the stock form holds what it may hold."""
    rng, names = random.Random(4), [n for n in (*ROUNDING, *INTEGERS) if n[:3] == form.name or form.name in n]
    text = f"(module {' '.join(map(exported, names))})"
    made = w2x.compile(text, float_routines=False)
    fast, stock, dense = w2x.Instance(made), w2x.Instance(w2x.in_stock_form(made)), w2x.Instance(made, engine="torch")
    runs = []
    for name in names:
        rows = halves(rng, form) if name in ROUNDING else limits(rng, name) + any_size(rng, name)
        for operands in rng.sample(rows, 9):
            run = invoked(fast, name, operands)
            runs.append(run)
            for other in (stock, dense):
                assert invoked(other, name, operands).tokens.tolist() == run.tokens.tolist()
    tokens = np.array([*made.transformer.prefix, *chain.from_iterable((*run.prompt, *run.tokens) for run in runs)])
    assert violations(tokens, *parts(stock_graph(text))) == []


@pytest.mark.parametrize(
    ("module", "changed", "name"),
    [
        (float_rounding, "round.lost", "f64.ceil"),
        (float_rounding, "round.second", "f64.nearest"),
        (float_integers, "integer of.upper", "i32.trunc_f64_s"),
        (float_integers, "integer of.>=1", "i64.trunc_sat_f32_u"),
    ],
)
def test_a_step_that_is_left_out_is_seen(module, changed: str, name: str, monkeypatch: pytest.MonkeyPatch):
    """One comparison that always says no."""
    original = w2x.compiler.graph.graph.Graph.step

    def step(g, x, name="step"):
        return original(g, -1.0 if name.endswith(changed) else x, name)

    monkeypatch.setattr(w2x.compiler.graph.graph.Graph, "step", step)
    rng = random.Random(1)
    rows = halves(rng, F64) if name in ROUNDING else limits(rng, name)
    found = difference({name: rows}, 1)
    assert found is not None and found.startswith(f"{name} -O1: ")
