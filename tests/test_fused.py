"""Fused multiplication and addition: its routine against wasmtime's, bit for bit, in wasmtime and in the transformer."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files

import pytest
import wasmtime
from floats import BIAS, BITS, FRACTION, number

from wasm2xformer.compiler.link import routines
from wasm2xformer.runtime.check.oracle.engine import configuration
from wasm2xformer.runtime.check.verify import Verifier

SHAPES = {"f32": "f32x4", "f64": "f64x2"}
TEXT = files(routines.__package__).joinpath("fused.wat").read_text(encoding="utf-8")
THEIRS = """(module
  (func (export "f32") (param i32 i32 i32) (result i32) (i32x4.extract_lane 3 (f32x4.relaxed_madd
    (i32x4.splat (local.get 0)) (i32x4.splat (local.get 1)) (i32x4.splat (local.get 2)))))
  (func (export "f64") (param i64 i64 i64) (result i64) (i64x2.extract_lane 1 (f64x2.relaxed_madd
    (i64x2.splat (local.get 0)) (i64x2.splat (local.get 1)) (i64x2.splat (local.get 2))))))"""


def operands(rng: random.Random, type_: str) -> Iterator[tuple[int, int, int]]:
    """Bit patterns a, b, c without end. Of a fifth each c is about - a b, so that most of the sum cancels out; a b is about half
    of c's last bit; often half-way between two floats, and c far smaller; about half-way between two subnormals, and c 0."""
    code = {"f32": "<fI", "f64": "<dQ"}[type_]
    fraction, bias = FRACTION[type_], BIAS[type_]
    while True:
        a, b, c = (number(rng, type_) for _ in range(3))
        kind = rng.randrange(5)
        if kind == 0:
            factors = [struct.unpack(code[:2], struct.pack(f"<{code[2]}", bits))[0] for bits in (a, b)]
            with suppress(OverflowError):
                c = struct.unpack(f"<{code[2]}", struct.pack(code[:2], -factors[0] * factors[1]))[0]
            c = (c + rng.randint(-3, 3) * rng.choice((0, 1, 1 << rng.randrange(BITS[type_] - 12)))) % 2 ** BITS[type_]
        elif kind == 1:
            exponent = rng.randint(fraction + 4, 2 * bias)
            a = (bias << fraction) + rng.randint(-3, 3)
            b = (exponent - fraction - 1 << fraction) + rng.randint(-3, 3) + (rng.getrandbits(1) << BITS[type_] - 1)
            c = exponent << fraction | rng.randrange(8)
        elif kind == 2:
            a = a & (1 << fraction) - 1 | bias << fraction
            b = bias << fraction | rng.choice((3, 5)) << fraction - 2
            c = c & ~(2 * bias + 1 << fraction) | rng.randint(0, bias - 2 * fraction) << fraction
        elif kind == 3:
            a = bias // 2 << fraction | rng.randrange(4)
            b = bias - bias // 2 - rng.randrange(fraction + 1) << fraction | rng.getrandbits(4) << fraction - 4
            c = 0
        yield a, b, c


def _signed(value: int, bits: int) -> int:
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def _wrong(text: str, type_: str, count: int) -> list[tuple[int, ...]]:
    """Operands on which this text, run by wasmtime, is not wasmtime's own."""
    engine = wasmtime.Engine(configuration(2**20))
    store = wasmtime.Store(engine)
    store.set_epoch_deadline(1)
    ours, theirs = (
        wasmtime.Instance(store, wasmtime.Module(engine, wasmtime.wat2wasm(wat)), []).exports(store) for wat in (text, THEIRS)
    )
    wrong = []
    given = operands(random.Random(type_), type_)
    for _ in range(count):
        values = next(given)
        expected = theirs[type_](store, *(_signed(v, BITS[type_]) for v in values)) % 2 ** BITS[type_]
        if type_ == "f32":
            lanes = ours["f32x2.fma"](store, *(_signed(v << 32 | v, 64) for v in values)) % 2**64
            same = lanes == expected << 32 | expected
        else:
            same = ours["f64x1.fma"](store, *(_signed(v, 64) for v in values)) % 2**64 == expected
        if not same:
            wrong.append(values)
    return wrong


@pytest.mark.parametrize("type_", SHAPES)
def test_the_routine_is_wasmtimes_instruction(type_: str) -> None:
    assert _wrong(TEXT, type_, 3000) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(i64.extend_i32_u (i64.ne (local.get $x) (i64.shl (local.get $y) (local.get $n))))", "(i64.const 0)"),  # what is lost
        ("(i64.and (local.get $q) (i64.const 1))", "(i64.const 0)"),  # ties to even
        ("(i64.gt_s (local.get $e) (local.get $largest))", "(i64.gt_s (local.get $e) (i64.const 9999))"),
        ("(i64.lt_s (local.get $e) (i64.const 1))", "(i64.lt_s (local.get $e) (i64.const -9999))"),
        ("(i64.extend_i32_u (i64.lt_u (local.get $low) (local.get $y)))", "(i64.const 0)"),
    ],
)
def test_a_wrong_routine_is_found(right: str, wrong: str) -> None:
    assert TEXT.count(right)
    assert _wrong(TEXT.replace(right, wrong), "f64", 3000)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("type_", SHAPES)
def test_every_step_is_that_of_wasmtime(type_: str, level: int) -> None:
    functions = "".join(
        f'(func (export "{name}") (param v128 v128 v128) (result v128)'
        f" ({SHAPES[type_]}.relaxed_{name} (local.get 0) (local.get 1) (local.get 2)))"
        for name in ("madd", "nmadd")
    )
    verifier = Verifier(f"(module {functions})", opt_level=level)
    given = operands(random.Random(f"{type_} {level}"), type_)
    for name in ("madd", "nmadd") * 8:
        lanes = [next(given) for _ in range(128 // BITS[type_])]
        arguments = [sum(lane[k] << BITS[type_] * i for i, lane in enumerate(lanes)) for k in range(3)]
        report = verifier.invoke(name, arguments)
        assert report.ok, f"{name} {arguments}: {report.divergence}"
