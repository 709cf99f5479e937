"""Floating-point arithmetic in the transformer against wasmtime, bit for bit; more of it: python -m tests.floats."""

from __future__ import annotations

import math
import random
from importlib.resources import files

import pytest
import wasmtime
from floats import FLOAT_ARITHMETIC, TRAPPING, difference, rows

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.link import reach
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.source import load

ROWS, TRAPS = 120, 20
GROUPS = {
    "f32": [n for n in FLOAT_ARITHMETIC if n.startswith("f32.") and "_i" not in n and "demote" not in n],
    "f64": [n for n in FLOAT_ARITHMETIC if n.startswith("f64.") and "_i" not in n and "promote" not in n],
}
GROUPS["conversions"] = [n for n in FLOAT_ARITHMETIC if not any(n in g for g in GROUPS.values())]
NAN = {"f32": 0x7FC00000, "f64": 0x7FF8000000000000}


def model(text: str) -> w2x.Instance:
    return w2x.Instance(w2x.compile(text))


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("group", GROUPS)
def test_every_value_is_wasmtimes(group: str, level: int):
    rng = random.Random(f"{group} {level}")
    operands = {name: rows(rng, name, TRAPS if name in TRAPPING else ROWS) for name in GROUPS[group]}
    assert difference(operands, level) is None


def test_the_groups_are_everything():
    assert sum(map(len, GROUPS.values())) == len(FLOAT_ARITHMETIC) == 60


@pytest.mark.parametrize(
    ("name", "constant", "changed"), [("f64.div", "0x10000000000000", "0x18000000000000"), ("f32.div", "0x800000", "0")]
)
def test_a_wrong_routine_is_found(name: str, constant: str, changed: str, monkeypatch: pytest.MonkeyPatch):
    text = files(reach.__package__).joinpath(f"{name[:3]}.wat").read_text(encoding="utf-8")
    before, function, after = text.partition(f"(func ${name} ")
    body, end, rest = after.partition("\n\n")
    spoiled = before + function + body.replace(f"const {constant})", f"const {changed})", 1) + end + rest
    assert spoiled != text
    monkeypatch.setattr(reach, "load", lambda file: decode(bytes(wasmtime.wat2wasm(spoiled))))
    found = difference({name: rows(random.Random(1), name, 60)}, 1, float_routines=True)
    assert found is not None and found.startswith(f"{name} -O1: value differs at {name}")


@pytest.mark.parametrize("type_", NAN)
def test_every_nan_is_the_canonical_one(type_: str):
    functions = [
        f'(func (export "{op}") (param {type_} {type_}) (result {type_}) ({type_}.{op} (local.get 0) (local.get 1)))'
        for op in ("add", "sub", "mul", "div", "min", "max")
    ]
    vm = model(f"(module {' '.join(functions)})")
    signalling = {"f32": 0x7F800001, "f64": 0xFFF0000000000001}[type_]
    for op in ("add", "sub", "mul", "div", "min", "max"):
        for nan in (NAN[type_], NAN[type_] + 5, -1, signalling):
            for pair in ((nan, 1.5), (1.5, nan), (nan, nan)):
                assert vm.invoke(op, *pair).bits == [NAN[type_]]


@pytest.mark.parametrize(
    ("name", "value", "trap"),
    [
        ("i32.trunc_f64_s", math.nan, "invalid conversion to integer"),
        ("i32.trunc_f64_s", 2147483648.0, "integer overflow"),
        ("i32.trunc_f64_s", -2147483649.0, "integer overflow"),
        ("i32.trunc_f64_s", -2147483648.9, None),
        ("i32.trunc_f64_u", -1.0, "integer overflow"),
        ("i32.trunc_f64_u", -0.9, None),
        ("i64.trunc_f32_u", math.inf, "integer overflow"),
        ("i64.trunc_f32_s", -(2.0**63), None),
        ("i64.trunc_f32_s", 2.0**63, "integer overflow"),
    ],
)
def test_traps_are_attributed_to_the_instruction(name: str, value: float, trap: str | None):
    header = f"(param {name[10:13]}) (result {name[:3]})"
    report = w2x.verify(f'(module (func (export "f") {header} (nop) ({name} (local.get 0))))', "f", [value])
    assert report.ok and report.run.trap == trap
    if trap:
        assert report.oracle.trap_site == (0, 2)


def test_only_what_is_reached_is_linked():
    source = load('(module (func $f (export "f") (param f64) (result f64) (f64.add (local.get 0) (local.get 0))))')
    program, _ = compile_steps(source, CompileOptions(float_routines=True))
    assert [f.name for f in program.functions.values()] == ["f", "f64.add"]
    program, _ = compile_steps(source)
    assert [f.name for f in program.functions.values()] == ["f"]


def test_the_dense_engine_computes_the_same():
    text = """(module
      (func (export "mul") (param f32 f32) (result f32) (f32.mul (local.get 0) (local.get 1)))
      (func (export "lt") (param f64 f64) (result i32) (f64.lt (local.get 0) (local.get 1))))"""
    compiled = w2x.compile(text)
    fast, dense = w2x.Instance(compiled), w2x.Instance(compiled, engine="torch")
    for call in (("mul", 1.1, -3.7), ("mul", 1e-30, 1e-15), ("lt", 0.5, 2.0), ("lt", math.nan, 1.0)):
        a, b = fast.invoke(*call), dense.invoke(*call)
        assert a.tokens.tolist() == b.tokens.tolist() and a.bits == b.bits


def test_a_float_beyond_f32_is_refused():
    vm = model('(module (func (export "f") (param f32) (result f32) (local.get 0)))')
    with pytest.raises(w2x.ArgumentError, match=r"argument 1 = 1e\+39 does not fit into f32"):
        vm.invoke("f", 1e39)
    assert vm.invoke("f", 0x7FA00001).bits == [0x7FA00001]
