"""Two computations in one step: what may move to its use, and that the one step gives what two gave."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, link_source
from wasm2xformer.compiler.format.isa import Program, Step
from wasm2xformer.compiler.format.operations import OPERATIONS, SUMS
from wasm2xformer.compiler.link.linked import LinkedModule
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.opcodes import ACCESS_WIDTH
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.translation import FunctionCheck, Mistranslation, TranslationCheck

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.random.case import EDGES
from tests.random.loops import loops

MEMORY = r"""(memory 1) (data (i32.const 0) "\01\82\f3\74\05\e6\07\98") (data (i32.const 65528) "\91\02\a3\04\85\06\f7\08")"""
# Sums of two that are within memory, around its ends, and around 2^32, where they wrap around.
PLACES = [
    (0, 0), (2, 2), (65530, 0), (0, 65528), (65531, 0), (32768, 32767), (65536, 0), (2**32 - 1, 0), (2**32 - 1, 1),
    (2**32 - 8, 8), (2**32 - 65536, 65528), (2**31, 2**31),
    (2**31, 2**31 + 65535), (2**32 - 1, 2**32 - 1), (255, 1), (65280, 255),
    (2**24 - 1, 1), (2**32 - 256, 255), (2**32 - 2**16, 2**16 - 1),
]  # fmt: skip


def ops(text: str, opt_level: int = 1) -> list[str]:
    program: Program = compile_steps(text, CompileOptions(opt_level))[0]
    function = program.functions[0]
    return [step.op for step in program.steps[function.entry : function.end] if step.op not in ("mov", "return")]


def wat(body: str, signature: str = "(param i32 i32 i32) (result i32) (local i32)") -> str:
    return f'(module (memory 1) (global $g (mut i32) (i32.const 5)) (func (export "f") {signature} {body}) (func $h))'


# --- what becomes one step, and what does not ---

SUM = "(i32.add (local.get 0) (local.get 1))"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (f"(i32.load {SUM})", ["i32.load.indexed"]),
        (f"(i32.load16_s offset=70 {SUM})", ["i32.load16_s.indexed"]),
        (f"(i32.store8 {SUM} (local.get 2)) (i32.const 1)", ["i32.store8.indexed"]),
        (f"(local.set 3 {SUM}) (i32.store (local.get 3) (i32.load (local.get 3))) (i32.const 1)",
         ["i32.load.indexed", "i32.store.indexed"]),
        (f"(local.set 3 {SUM}) (i32.store (local.get 3) (local.get 3)) (i32.const 1)", ["i32.add", "i32.store"]),
        (f"(local.set 3 {SUM}) (drop (i32.load (local.get 3))) (local.get 3)", ["i32.add", "i32.load"]),
        (f"(local.set 3 {SUM}) (local.set 0 (i32.const 9)) (i32.add (i32.load (local.get 3)) (local.get 0))",
         ["i32.add", "i32.load", "i32.add"]),
        ("(local.set 3 (i32.add (local.get 0) (global.get $g))) (call $h) (i32.load (local.get 3))",
         ["i32.add", "call", "i32.load"]),
        (f"(local.set 3 {SUM}) (call $h) (i32.load (local.get 3))", ["call", "i32.load.indexed"]),
        (f"(local.set 3 {SUM}) (if (local.get 2) (then (return (local.get 3)))) (i32.load (local.get 3))",
         ["i32.add", "br.i32.eq", "i32.load"]),
        (f"(local.set 3 {SUM}) (if (local.get 2) (then (return (i32.const 7)))) (i32.load (local.get 3))",
         ["i32.add", "br.i32.eq", "i32.load"]),
        (f"(local.set 3 {SUM}) (loop (drop (i32.load (local.get 3))) (br_if 0 (local.get 2))) (i32.const 7)",
         ["i32.add", "i32.load", "br.i32.ne"]),
        (f"(i32.add {SUM} (local.get 2))", ["i32.add.add"]),
        (f"(i32.add (local.get 2) {SUM})", ["i32.add.add"]),
        (f"(i32.sub {SUM} (local.get 2))", ["i32.add.sub"]),
        (f"(i32.sub (local.get 2) {SUM})", ["i32.add", "i32.sub"]),
        ("(i32.sub (local.get 2) (i32.mul (local.get 0) (local.get 1)))", ["i32.mul.rsub"]),
        ("(i32.sub (i32.mul (local.get 0) (local.get 1)) (local.get 2))", ["i32.mul.sub"]),
        ("(i32.add (i32.sub (local.get 0) (local.get 1)) (local.get 2))", ["i32.sub.add"]),
        ("(i32.sub (i32.sub (local.get 0) (local.get 1)) (local.get 2))", ["i32.sub.sub"]),
        ("(local.set 3 (i32.mul (local.get 0) (local.get 1))) (i32.add (local.get 3) (local.get 3))", ["i32.mul", "i32.add"]),
        (f"(local.set 3 {SUM}) (local.set 1 (i32.const 3)) (i32.add (local.get 3) (local.get 1))", ["i32.add", "i32.add"]),
        (f"(i32.mul {SUM} (local.get 2))", ["i32.add", "i32.mul"]),
        # A load may trap, and where it does says its step.
        ("(i32.add (i32.load (local.get 0)) (local.get 1))", ["i32.load", "i32.add"]),
    ],
)  # fmt: skip
def test_what_is_fused(body, wanted, loops_once):
    assert ops(wat(body)) == wanted
    assert not any(".indexed" in op or op.count(".") > 1 for op in ops(wat(body), 0) if not op.startswith("br."))


def test_addresses_of_64_bits_are_not_sums_of_i64():
    module = '(module (memory i64 1) (func (export "f") (param {0} {0}) (result i32) (i32.load {1})))'
    assert ops(module.format("i64", "(i64.add (local.get 0) (local.get 1))")) == ["i64.add", "i32.load"]
    text = module.format("i32", f"(i64.extend_i32_u {SUM})")
    assert ops(text) == ["i32.load.indexed"]
    verifier = w2x.Verifier(text)
    assert (
        verifier.invoke("f", [-1, 5]).ok and verifier.invoke("f", [65532, 0]).ok and verifier.invoke("f", [65532, 1]).ok
    )


# What stands behind a branch has, where loops are repeated or tails copied, more than one way in.
BEHIND_BRANCHES = {
    "tested first": """(block $out (loop $l
        (local.set 2 (i32.add (local.get 0) (local.get 1)))
        (br_if $out (i32.eqz (local.get 1)))
        (local.set 3 (i32.xor (local.get 3) (i32.add (local.get 2) (local.get 3))))
        (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
        (br $l))) (local.get 3)""",
    "tested last": """(loop $l
        (local.set 4 (i32.rotl (i32.const 15054130) (local.get 3)))
        (local.set 3 (i32.or (local.get 4) (local.get 1)))
        (local.set 2 (i32.add (local.get 3) (local.get 0)))
        (br_if $l (local.tee 1 (i32.shr_u (local.get 1) (i32.const 1)))))
        (i32.add (local.get 2) (local.get 4))""",
    "an address": """(block $out (loop $l
        (local.set 2 (i32.add (local.get 0) (local.get 1)))
        (br_if $out (i32.eqz (local.get 1)))
        (local.set 3 (i32.xor (local.get 3) (i32.load8_u (local.get 2))))
        (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
        (br $l))) (local.get 3)""",
}


@pytest.mark.parametrize("body", BEHIND_BRANCHES.values(), ids=BEHIND_BRANCHES.keys())
def test_nothing_moves_behind_a_branch(body):
    verifier = w2x.Verifier(wat(body, "(param i32 i32) (result i32) (local i32 i32 i32)"))
    for n in (0, 1, 5, 200):
        report = verifier.invoke("f", [7, n])
        assert report.ok, (n, report.divergence)
    found = ops(wat(body, "(param i32 i32) (result i32) (local i32 i32 i32)"))
    assert not [op for op in found if op.count(".") > 1 and not op.startswith("br.")]


@pytest.mark.parametrize("seed", range(4))
def test_all_steps_of_random_loops_are_as_the_instructions_want(seed):
    source = load(loops(seed, 400).source)
    program = compile_steps(source, CompileOptions())[0]
    linked = link_source(source, CompileOptions())
    assert [str(fault) for fault in TranslationCheck(program, linked, source.module).all()] == []


# --- that it computes the same ---


def accesses() -> str:
    """A function for each access, of an address that is a sum, with and without an offset."""
    functions = []
    for name in ACCESS_WIDTH:
        if name[0] != "i" or "atomic" in name:
            continue
        type_ = name[:3]
        for offset in (0, 3, 70000):
            access = f"{name} offset={offset} (i32.add (local.get 0) (local.get 1))"
            if "load" in name:
                functions.append(f'(func (export "{name} {offset}") (param i32 i32) (result {type_}) ({access}))')
            else:
                functions.append(
                    f'(func (export "{name} {offset}") (param i32 i32) (result i64) '
                    f"({access} ({type_}.const -2)) (i64.load (i32.const 2)) (i64.load (i32.const 65526)) i64.add)"
                )
    return f"(module {MEMORY} {' '.join(functions)})"


@pytest.mark.parametrize("stock", [False, True])
def test_every_access_at_a_sum_agrees_with_wasmtime(stock):
    text = accesses()
    model = w2x.compile(text)
    used = {step.op for step in model.program.steps}
    assert used >= {name for name, o in OPERATIONS.items() if o.index}
    verifier = w2x.Verifier(text, model=w2x.in_stock_form(model) if stock else model)
    rng = random.Random("indexed")
    for name in model.program.entries:
        for a, b in rng.sample(PLACES, 3 if stock else 8):
            report = verifier.invoke(name, [a, b])
            assert report.ok, (name, a, b, report.divergence)


def sums() -> str:
    functions = []
    for t in ("i32", "i64"):
        for first, second in SUMS:
            inner = f"({t}.{first} (local.get 0) (local.get 1))"
            outer = (inner, "(local.get 2)") if second != "rsub" else ("(local.get 2)", inner)
            body = f"({t}.{second.removeprefix('r')} {' '.join(outer)})"
            functions.append(f'(func (export "{t} {first} {second}") (param {t} {t} {t}) (result {t}) {body})')
    return f"(module {' '.join(functions)})"


@pytest.mark.parametrize("stock", [False, True])
def test_every_sum_of_three_agrees_with_wasmtime(stock):
    text = sums()
    model = w2x.compile(text)
    assert {step.op for step in model.program.steps} >= {f"{t}.{a}.{b}" for t in ("i32", "i64") for a, b in SUMS}
    verifier = w2x.Verifier(text, model=w2x.in_stock_form(model) if stock else model)
    rng = random.Random("sums")
    for name in model.program.entries:
        bits = int(name[1:3])
        most = [(2**bits - 1,) * 3, (0, 2**bits - 1, 2**bits - 1), (2**bits - 1, 2**bits - 1, 0), (0, 0, 2**bits - 1)]
        for operands in most + [tuple(rng.choice(EDGES[bits]) for _ in range(3)) for _ in range(4 if stock else 16)]:
            report = verifier.invoke(name, operands)
            assert report.ok, (name, operands, report.divergence)


def test_the_dense_model_agrees_on_sums_and_addresses():
    text = wat(
        f"(i32.store8 offset=1 {SUM} (local.get 2)) (i32.sub (local.get 2) (i32.mul (local.get 1) (i32.load8_s {SUM})))"
    )
    verifier = w2x.Verifier(text)
    for a, b, c in ((2**32 - 3, 60, 2**32 - 1), (7, 9, 130)):
        report = verifier.invoke("f", [a, b, c], replay=True)
        assert report.ok, (report.divergence, report.mismatch)


# --- that a wrong one is seen without running it ---


def fused(text: str, op: str) -> tuple[Program, LinkedModule, list[Step], int]:
    """The program, what it was made of, its steps, and the number of the first one with this operation."""
    program, linked = compile_steps(text)[0], link_source(load(text), CompileOptions())
    steps = list(program.steps)
    return program, linked, steps, next(i for i, step in enumerate(steps) if step.op == op)


@pytest.mark.parametrize(
    ("op", "becomes"),
    [("i32.load.indexed", "i32.load"), ("i32.load.indexed", "i32.load8_u.indexed"), ("i32.mul.rsub", "i32.mul.sub"),
     ("i32.mul.rsub", "i32.add.sub"), ("i32.add.sub", "i32.add.add")],
)  # fmt: skip
def test_another_operation_is_seen(op, becomes):
    product = f"(i32.mul (i32.load {SUM}) (local.get 1))"
    text = wat(f"(i32.sub (i32.add (local.get 1) (i32.const 3)) (i32.sub (local.get 2) {product}))")
    program, linked, steps, at = fused(text, op)
    steps[at] = steps[at].but(op=becomes, **{"b": None} if becomes == "i32.load" else {})
    FunctionCheck(program, linked, 0)
    with pytest.raises(Mistranslation):
        FunctionCheck(replace(program, steps=tuple(steps)), linked, 0)


@pytest.mark.parametrize(("op", "name"), [("i32.load.indexed", "b"), ("i32.store.indexed", "d"), ("i32.add.add", "d")])
def test_another_operand_is_seen(op, name):
    text = wat(f"(i32.store {SUM} (i32.load {SUM})) (i32.add {SUM} (local.get 2))")
    program, linked, steps, at = fused(text, op)
    slot = getattr(steps[at], name)
    steps[at] = steps[at].but(**{name: slot.but(index=slot.index ^ 1)})
    FunctionCheck(program, linked, 0)
    with pytest.raises(Mistranslation):
        FunctionCheck(replace(program, steps=tuple(steps)), linked, 0)
