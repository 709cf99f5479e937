"""Division of 64-bit numbers in single steps: against wasmtime, with operands for which something could be off by one; and that
each constant of the circuit is needed."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.machine import long_division, wide_division
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.stock import in_stock_form
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.same import difference_from_source
from wasm2xformer.runtime.check.verify import options_of
from wasm2xformer.runtime.errors import DecodingError

OPERATIONS = ("div_u", "rem_u", "div_s", "rem_s")
SINGLE = "".join(
    f'(func (export "{op}") (param i64 i64) (result i64) (i64.{op} (local.get 0) (local.get 1)))' for op in OPERATIONS
)
ALL_OF_THEM = f"(module {SINGLE})"
EDGES = [0, 1, 2, 3, 10, 255, 2**63, 2**63 - 1, 2**64 - 1, 2**64 - 2, 2**32 * (2**32 - 1), 10**19]
EDGES += [2**k + d for k in (8, 15, 16, 31, 32, 33, 40, 48, 56, 62) for d in (-1, 0, 1)]


def signed(value: int) -> int:
    return (value & 2**64 - 1) - (value >> 63 & 1) * 2**64


def pairs(count: int, seed: int) -> list[tuple[int, int]]:
    """Neither a divisor 0 nor an overflow. Near-ties: multiples of the divisor and their neighbours, with digits 0 and 255."""
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        b = rng.choice([rng.choice(EDGES), rng.getrandbits(rng.randrange(1, 65)), -rng.getrandbits(rng.randrange(1, 64))])
        b %= 2**64
        digits = sum(rng.choice((0, 1, 128, 254, 255)) << 8 * i for i in range(8))
        q = rng.choice([digits, rng.getrandbits(64), rng.choice(EDGES)]) % ((2**64 - 1) // (b or 1) + 1)
        near = b * q + rng.choice((-1, 0, 1, b - 1, rng.randrange(b or 1)))
        a = rng.choice([rng.choice(EDGES), near, near, near, -b * q]) % 2**64
        if b and not (a == 2**63 and b == 2**64 - 1):
            found.append((a, b))
    return found


def program(operands: list[tuple[int, int]]) -> str:
    """All four of all pairs; verify compares each of their values with wasmtime's."""
    data = "".join(f"\\{byte:02x}" for pair in operands for byte in struct.pack("<QQ", *pair))
    operand = "(i64.load (local.get $i)) (i64.load offset=8 (local.get $i))"
    code = "".join(
        f"(local.set $s (i64.xor (i64.rotl (local.get $s) (i64.const 7)) (i64.{op} {operand})))" for op in OPERATIONS
    )
    return f"""(module (memory 1) (data (i32.const 0) "{data}")
      (func (export "all") (result i64) (local $i i32) (local $s i64)
        (loop $next {code}
          (local.set $i (i32.add (local.get $i) (i32.const 16)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const {16 * len(operands)}))))
        (local.get $s)))"""


@pytest.mark.parametrize("level", [0, 1])
def test_quotients_and_remainders(level: int):
    report = w2x.verify(program(pairs(1500, level)), "all", opt_level=level)
    assert report.ok, str(report)


def test_edges():
    edges = [(a, b) for a in EDGES for b in EDGES if b and (a, b) != (2**63, 2**64 - 1)]
    report = w2x.verify(program(edges), "all")
    assert report.ok, str(report)


def test_the_stock_form_divides():
    """Its decoding is compared with the instructions too, step by step."""
    source = program([*pairs(300, 5), *((a, b) for a in EDGES[:12] for b in EDGES[1:12])][:400])
    verifier = w2x.Verifier(source, model=in_stock_form(w2x.compile(source)))
    report = verifier.invoke("all")
    assert report.ok, str(report)


@pytest.mark.parametrize("stock", [False, True])
def test_traps(stock: bool):
    model = w2x.compile(ALL_OF_THEM)
    verifier = w2x.Verifier(ALL_OF_THEM, model=in_stock_form(model) if stock else model)
    seen = set()
    for a, b in ((5, 0), (0, 0), (-(2**63), 0), (-(2**63), -1), (-(2**63), 1), (2**63 - 1, -1), (-1, -1)):
        for op in OPERATIONS:
            report = verifier.invoke(op, [a, b])
            assert report.ok, (op, a, b, str(report))
            seen.add((op, report.run.trap))
    zero = {(op, "integer divide by zero") for op in OPERATIONS}
    assert {s for s in seen if s[1]} == {*zero, ("div_s", "integer overflow")}


def test_tokens():
    """The digits of an unsigned quotient are those of the result; of all others they come before it, in scratch."""
    model = w2x.compile(ALL_OF_THEM)
    vm = w2x.Instance(model)

    def tokens(op: str, *operands: int) -> str:
        names = [model.transformer.vocabulary[t] for t in vm.invoke(op, *operands).tokens]
        call, back = (k for k, name in enumerate(names) if name.startswith("J"))
        return " ".join(names[call + 1 : back])

    assert tokens("div_u", 2**40 + 5, 2**24) == "D2.1 D1.0 D0.0"
    assert tokens("rem_u", 2**40 + 5, 2**24) == "S2.1 S1.0 S0.0 D0.5"
    assert tokens("div_s", -7, 3).startswith("S0.2 D7.255 D6.255")
    assert tokens("div_s", -7, -3) == "D0.2"
    assert tokens("rem_s", 7, -3) == "S0.2 D0.1"


# Of one divisor each: near-ties of many digits, large carries.
TELLING = [(2**64 - 1, 2**32 - 1), (2**64 - 2, 2**32 - 1), (0xFEFEFEFEFEFEFEFE, 0xFFFFFF), (2**63 + 2**31, 2**32 + 1)]


@pytest.mark.parametrize(
    ("name", "value"), [("CLIP", 2.0), ("CLIP", 2.0**6), ("RADICES", (4, 4, 4, 2)), ("CARRIES", 512), ("WORD", 2.0**31)]
)
def test_constants_matter(name: str, value: object, monkeypatch: pytest.MonkeyPatch):
    operands = [*TELLING, *pairs(200, 3)]
    for module in (wide_division, long_division):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)
    try:
        told = not w2x.verify(program(operands), "all", max_tokens=10**5).ok
    except (DecodingError, w2x.Unfinished):
        told = True
    assert told


@pytest.mark.parametrize("level", [0, 1])
def test_routines_on_request(level: int, tmp_path: Path):
    """Compiled with the routine, which a checkpoint says itself; the answers are the same."""
    model = w2x.compile(ALL_OF_THEM, level, division_routines=True)
    assert not any(step.op in ("i64.div_u", "i64.rem_s") for step in model.program.steps)
    assert options_of(model.program, CompileOptions()).division_routines
    verifier = w2x.Verifier(ALL_OF_THEM, model=model)
    for a, b in pairs(6, 1):
        for op in OPERATIONS:
            assert verifier.invoke(op, [signed(a), signed(b)]).ok
    native = w2x.compile(ALL_OF_THEM, level)
    assert not options_of(native.program, CompileOptions()).division_routines
    assert len(native.transformer.layers) < len(model.transformer.layers)
    source = load(ALL_OF_THEM)
    for made in (model, native):
        made.save(tmp_path / "made.safetensors")
        read = w2x.load(tmp_path / "made.safetensors")
        assert difference_from_source(read, source, options_of(read.program, CompileOptions())) == ""


def test_who_divides_no_64_bits_pays_nothing():
    wat = """(module (func (export "f") (param i64 i32) (result i64)
      (i64.mul (local.get 0) (i64.extend_i32_u (i32.rem_u (local.get 1) (i32.const 7))))))"""
    model = w2x.compile(wat)
    names = {name.partition(".")[0] for name in model.transformer.vocabulary}
    assert "S3" in names and "S4" not in names
    program, _ = compile_steps(wat, CompileOptions(division_routines=True))
    assert program == compile_steps(wat, CompileOptions())[0]
