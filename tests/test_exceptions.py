"""Exceptions: thrown, caught where the specification says, handed on as values, and gone from the invocation when nobody does."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, link_source, realise
from wasm2xformer.compiler.format.isa import Program, Slot, Step
from wasm2xformer.compiler.link.linked import LinkedModule
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.translation import TranslationCheck
from wasm2xformer.runtime.check.verify import Verifier

HOST = """(module (tag $e (export "error") (param i32)) (tag $other (param i32))
  (func (export "may") (param i32) (result i32)
    (if (i32.eq (local.get 0) (i32.const 7)) (then (throw $e (i32.const 70))))
    (if (i32.eq (local.get 0) (i32.const 8)) (then (throw $other (i32.const 80))))
    (block $h (result i32)
      (try_table (catch $e $h) (if (i32.eq (local.get 0) (i32.const 9)) (then (throw $e (i32.const 90)))))
      (local.get 0))))"""
PROGRAM = """(module
  (type $t (func (param i32) (result i32)))
  (import "host" "error" (tag $host (param i32)))
  (import "host" "may" (func $may (type $t)))
  (memory 1) (global $g (mut i32) (i32.const 5)) (global $kept (export "kept") (mut exnref) (ref.null exn))
  (table $kept 4 exnref) (table $functions funcref (elem $down $fine $may))
  (tag $none) (tag $one (param i32)) (tag $many (param i64 f32 i32 f64))
  (func $down (export "down") (type $t)
    (if (i32.eqz (local.get 0)) (then (global.set $g (i32.add (global.get $g) (i32.const 1))) (throw $one (global.get $g))))
    (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
  (func $fine (type $t) (i32.mul (local.get 0) (i32.const 3)))
  (func (export "deep") (param i32) (result i32) (local i32)
    (local.set 1 (i32.const 4))
    (i32.sub (local.get 0) (block $h (result i32) (try_table (result i32) (catch $one $h) (call $down (local.get 0))))))
  (func $what (param i32)
    (block $3 (block $2 (block $1 (block $0 (br_table $0 $1 $2 $3 (local.get 0)))
      (throw $none)) (throw $one (i32.const 11)))
      (throw $many (i64.const -0x123456789abc) (f32.const 1.5) (i32.const -3) (f64.const -2.25))))
  (func (export "which") (param i32) (result i32) (local i64 f32 i32 f64)
    (block $all
      (block $none
        (block $many (result i64 f32 i32 f64)
          (block $one (result i32)
            (try_table (catch $one $one) (catch $many $many) (catch $none $none) (call $what (local.get 0)))
            (return (i32.const 1)))
          (return))
        (local.set 4) (local.set 3) (local.set 2) (local.set 1)
        (i64.store (i32.const 8) (local.get 1)) (f32.store (i32.const 16) (local.get 2)) (f64.store (i32.const 24) (local.get 4))
        (return (local.get 3)))
      (return (i32.const 2)))
    (i32.const 3))
  (func (export "values") (param i32) (result i64 f32 i32 f64) (local exnref)
    (block $many (result i64 f32 i32 f64)
      (try_table (catch $many $many)
        (block $h (result exnref) (try_table (catch_all_ref $h) (call $what (local.get 0))) (ref.null exn))
        (local.set 1)
        (block $h (try_table (catch_all $h) (call $what (i32.const 1))))
        (throw_ref (local.get 1)))
      (unreachable)))
  (func (export "loop") (param i32) (result i32) (local $n i32)
    (loop $again (result i32)
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (try_table (catch_all $again)
        (if (i32.lt_u (local.get $n) (local.get 0)) (then (call $what (i32.rem_u (local.get $n) (i32.const 3))))))
      (local.get $n)))
  (func (export "carried") (param i32) (result i32)
    (local.get 0)
    (loop $again (param i32) (result i32)
      (local.set 0)
      (if (i32.gt_u (local.get 0) (i32.const 2)) (then
        (try_table (catch $one $again) (throw $one (i32.sub (local.get 0) (i32.const 2))))))
      (local.get 0)))
  (func $inner (param i32) (result i32) (local exnref)
    (block $h (result i32 exnref)
      (try_table (catch_ref $one $h) (call $what (local.get 0)))
      (return (i32.const 100)))
    (local.set 1) (global.set $g) (throw_ref (local.get 1)))
  (func (export "rethrown") (param i32) (result i32)
    (i32.add (i32.const 1000) (i32.add (global.get $g)
      (block $h (result i32)
        (block $all (try_table (catch $one $h) (catch_all $all) (return (call $inner (local.get 0)))))
        (i32.const 500)))))
  (func (export "keep") (param i32) (result i32)
    (block $h (result exnref)
      (try_table (catch_all_ref $h) (call $what (local.get 0)))
      (ref.null exn))
    (global.set $kept)
    (table.set $kept (local.get 0) (global.get $kept))
    (ref.is_null (table.get $kept (i32.const 1))))
  (func (export "again") (param i32) (result i32)
    (block $h (result i32)
      (try_table (catch $one $h) (throw_ref (table.get $kept (local.get 0)))) (unreachable)))
  (func (export "indirect") (param i32 i32) (result i32)
    (block $h (result i32)
      (try_table (result i32) (catch $one $h) (catch $host $h)
        (call_indirect $functions (type $t) (local.get 0) (local.get 1)))))
  (func (export "hosts") (param i32) (result i32) (local i32)
    (local.set 1 (i32.const 3))
    (block $all
      (block $h (result i32)
        (i32.add (local.get 1) (try_table (result i32) (catch $host $h) (catch_all $all) (call $may (local.get 0)))) (return))
      (return (i32.add (i32.const 1) (i32.add (local.get 1)))))
    (i32.const -1))
  (func $tail (type $t) (return_call $down (local.get 0)))
  (func (export "tail") (param i32) (result i32)
    (block $h (result i32)
      (try_table (result i32) (catch $one $h) (return_call $tail (local.get 0)))))
  (func (export "own") (param i32) (result i32)
    (block $h (result i32)
      (try_table (catch $one $h)
        (try_table (catch $none 0) (if (local.get 0) (then (throw $one (i32.const 6)))))
        (return (i32.const 5)))
      (i32.const 4))
    (i32.store (i32.const 64)) (i32.load (i32.const 64)))
  (func (export "function") (param i32) (result i32)
    (try_table (result i32) (catch $one 0) (call $down (local.get 0)))))"""
CALLS = [
    ("deep", 4), ("down", 3), ("deep", 0), ("which", 0), ("which", 1), ("which", 2), ("which", 3), ("values", 2), ("values", 1),
    ("loop", 7), ("carried", 9), ("rethrown", 0), ("rethrown", 1), ("rethrown", 3), ("again", 0), ("keep", 1), ("keep", 3),
    ("again", 1), ("again", 1), ("again", 3), ("indirect", 3, 0), ("indirect", 3, 1), ("indirect", 7, 2), ("indirect", 8, 2),
    ("indirect", 1, 2), ("hosts", 7), ("hosts", 8), ("hosts", 9), ("hosts", 2), ("tail", 2), ("own", 0), ("own", 1),
    ("function", 2), ("down", 1), ("deep", 2),
]  # fmt: skip


PENDING = Slot("hidden", "exception")


@pytest.mark.parametrize("level", [0, 1])
def test_every_step_is_wasmtimes(level: int):
    verifier = Verifier(PROGRAM, opt_level=level, libraries={"host": HOST})
    outcomes = []
    for name, *arguments in CALLS:
        report = verifier.invoke(name, arguments)
        assert report.ok, f"{name}{tuple(arguments)}: {report.divergence or report.limit or report.oracle}"
        outcomes.append(report.run.trap or report.run.values)
    assert outcomes[0] == [4 - 6] and outcomes[1] == "thrown Wasm exception" and outcomes[2] == [-8]
    assert [outcomes[k] for k in (3, 4, 5, 6)] == [[2], [11], [-3], [1]]
    assert outcomes[7] == [-0x123456789ABC, 1.5, -3, -2.25] and outcomes[8] == "thrown Wasm exception"
    assert outcomes[14] == outcomes[19] == "null reference" and outcomes[17] == outcomes[18] == [11]
    assert outcomes[23] == outcomes[33] == "thrown Wasm exception"


def test_who_does_not_throw_pays_nothing():
    """No register, no token, no step; and in a program that throws, only calls of what may throw are followed by a branch."""
    plain = "(module (func $f (export \"f\") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))){})"
    tag = "(tag $t (param i32))"
    alone, with_tag = (w2x.compile(plain.format(more)) for more in ("", tag))
    assert with_tag.transformer.vocabulary == alone.transformer.vocabulary
    assert with_tag.program.steps == alone.program.steps
    throws = steps(PROGRAM, 1)[0]
    assert any(s.op == "trap" and s.trap == "uncaught_exception" for s in throws.steps)
    fine = next(f for f in throws.functions.values() if f.name == "fine")
    asked = [at for at, s in enumerate(throws.steps) if s.op == "br.i32.ne" and (s.a, s.b) == (PENDING, Slot("const", 0))]
    assert asked and not any(fine.entry <= at < fine.end for at in asked)
    assert all(throws.steps[at - 1].operation.calls and throws.steps[at - 1].callee != fine.index for at in asked)


def test_deep_calls_find_their_frames_again():
    """What an exception has passed is off the call stack, for both sides."""
    source = """(module (tag $t)
      (func $down (param i32) (if (i32.eqz (local.get 0)) (then (throw $t))) (call $down (i32.sub (local.get 0) (i32.const 1))))
      (func $up (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
        (i32.add (i32.const 1) (call $up (i32.sub (local.get 0) (i32.const 1)))))
      (func $caught (param i32) (try_table (catch_all 0) (call $down (local.get 0))))
      (func (export "f") (param i32 i32) (result i32)
        (loop $l (block $h (try_table (catch_all $h) (call $down (local.get 0))))
          (call $caught (local.get 0))
          (br_if $l (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
        (call $up (i32.const 200000))))"""
    verifier = Verifier(source)
    assert verifier.invoke("f", [30, 3]).run.values == [200001]
    assert verifier.invoke("f", [300, 2]).ok


def test_exceptions_without_end_are_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("wasm2xformer.compiler.link.exceptions.EXCEPTION_BYTES", 1200)
    source = """(module (tag $t (param i64)) (global $e (mut exnref) (ref.null exn))
      (func (export "f") (param i32) (result i32)
        (loop $l
          (block $h (result i64 exnref) (try_table (catch_ref $t $h) (throw $t (i64.const 1))) (unreachable))
          (global.set $e) (drop)
          (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (i32.const 1)))"""
    verifier = Verifier(source)
    assert verifier.invoke("f", [100]).ok
    report = verifier.invoke("f", [1])
    assert report.limit == "exceptions that are values take 4 MiB at most" and report.run.trap == "exceptions exhausted"


def test_values_that_nobody_keeps_cost_nothing():
    """Only what a handler hands on is stored, and once."""
    source = """(module (tag $t (param i32))
      (func (export "f") (result i32) (local exnref)
        (block $h (result exnref) (try_table (catch_all_ref $h)
          (block $h (result exnref) (try_table (catch_all_ref $h) (throw $t (i32.const 5))) (unreachable))
          (throw_ref)) (unreachable))
        (local.set 0)
        (block $h (result i32) (try_table (catch $t $h) (throw_ref (local.get 0))) (unreachable)))
      (func (export "g") (result i32)
        (block $h (result i32) (try_table (catch $t $h) (throw $t (i32.const 6))) (unreachable))))"""
    verifier = Verifier(source)
    stores = []
    for name in ("f", "g"):
        report = verifier.invoke(name)
        assert report.ok
        stores.append(sum(verifier.model.program.steps[s].op == "hidden.store32" for s in report.trace.step.tolist()))
    assert stores == [2, 0]


def test_what_exceptions_cost(loops_once):
    """Tokens of one round of a loop: docs/machine.md says the same."""
    rounds = "(br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))"
    caught = "(drop (block $h (result i32) (try_table (catch $t $h) {}) (i32.const 0)))"
    kept = "(block $h (result exnref) (try_table (catch_all_ref $h) (call $may (i32.const 0))) (unreachable))"
    long = "(global.set $g (i64.mul (global.get $g) (i64.const 3)))" * 16  # too long to be inlined
    source = f"""(module (tag $t (param i32)) (global $g (mut i64) (i64.const 1))
      (func $may (param i32) (if (i32.eqz (local.get 0)) (then (throw $t (i32.const 5)))))
      (func $not (param i32) (if (i32.eqz (local.get 0)) (then {long} (unreachable))))
      (func (export "plain") (param i32) (loop $l (call $not (i32.const 1)) {rounds})
      (func (export "calls") (param i32) (loop $l (call $may (i32.const 1)) {rounds})
      (func (export "caught") (param i32) (loop $l {caught.format("(call $may (i32.const 0))")} {rounds})
      (func (export "kept") (param i32) (loop $l (drop {kept}) {rounds})
      (func (export "again") (param i32) (loop $l {caught.format(f"(throw_ref {kept})")} {rounds}))"""
    vm = w2x.Instance(w2x.compile(source))
    costs = {}
    for name in ("plain", "calls", "caught", "kept", "again"):
        few, more = (len(vm.invoke(name, times).tokens) for times in (100, 200))
        costs[name] = (more - few) / 100
    assert costs["plain"] == costs["calls"] and costs["caught"] == costs["calls"] + 5, costs
    assert costs["kept"] - costs["calls"] < 40 and costs["again"] - costs["kept"] < 20, costs


def test_modules_survive_encoding():
    wasm = load(PROGRAM).wasm
    module = decode(wasm)
    again = decode(encode(module))
    assert again.tags == module.tags and again.imports == module.imports
    assert len(again.tags) == 4 and again.tags[0].imported is not None
    bodies = [[(i.name, i.args) for i in f.body] for f in module.functions]
    assert [[(i.name, i.args) for i in f.body] for f in again.functions] == bodies
    exported = decode(load(HOST).wasm)
    assert [e.kind for e in decode(encode(exported)).exports] == ["tag", "func"]


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("(module)", 'the import "host" "error" (tag) is not provided'),
        ('(module (tag (export "error") (param i64)))', 'incompatible import type for "host" "error" (tag)'),
    ],
)
def test_tags_have_to_be_there(host: str, message: str):
    text = '(module (import "host" "error" (tag (param i32))) (func (export "f") (throw 0 (i32.const 1))))'
    with pytest.raises(w2x.CompileError, match=re.escape(message)):
        w2x.compile(text, libraries={"host": host})


def steps(text: str, level: int) -> tuple[Program, LinkedModule]:
    source, options = load(text), CompileOptions(level, None, {"host": HOST})
    return compile_steps(source, options)[0], link_source(source, options)


def faults(program: Program, linked: LinkedModule) -> list[str]:
    return [str(fault) for fault in TranslationCheck(program, linked, load(PROGRAM).module).all()]


def changes(program: Program) -> dict[str, Program]:
    """One thing about exceptions done otherwise in each."""

    def with_step(at: int, step: Step) -> Program:
        return replace(program, steps=(*program.steps[:at], step, *program.steps[at + 1 :]))

    own = [at for f in program.functions.values() if not f.internal for at in range(f.entry, f.end)]
    found = {}
    for at in own:
        step = program.steps[at]
        if step.op == "br.i32.ne" and step.a == PENDING and step.b == Slot("const", 0):
            nobody = with_step(at, Step("jump", target=at + 1))
            behind = nobody.steps[at + 1].but(joined=False)
            nobody = replace(nobody, steps=(*nobody.steps[: at + 1], behind, *nobody.steps[at + 2 :]))
            found.setdefault("nobody asks", nobody)
            found.setdefault("asked the other way", with_step(at, step.but(op="br.i32.eq")))
        elif step.op.startswith("br.") and step.a == PENDING:
            found.setdefault("another tag is caught", with_step(at, step.but(b=Slot("const", int(step.b.index) % 3 + 1))))  # type: ignore[union-attr]
        elif step.dest == PENDING and step.site is not None and step.a is not None and step.a.kind == "const":
            other = Slot("const", 4 if step.a.index != 4 else 1)
            found.setdefault("another tag is thrown", with_step(at, step.but(a=other)))
            found.setdefault("a throw without a site", with_step(at, step.but(site=None)))
        elif step.dest == PENDING and step.site is None:
            found.setdefault("still in flight", with_step(at, step.but(a=Slot("const", 1))))
        elif step.op == "mov" and step.dest == Slot("hidden", "exception_value0"):
            found.setdefault("another value", with_step(at, step.but(a=Slot("const", 12345))))
        elif step.op == "mov" and step.dest == Slot("hidden", "exception_reference"):
            found.setdefault("an old value of the exception", with_step(at, step.but(a=Slot("const", 12))))
        elif step.op == "mov" and step.a == Slot("hidden", "exception_value0") and step.dest != step.a:
            found.setdefault("another value is taken", with_step(at, step.but(a=Slot("hidden", "exception_value1"))))
    for at in range(len(program.steps)):
        if program.steps[at].trap == "uncaught_exception":
            found.setdefault("nobody asks at the end", with_step(at - 2, Step("jump", target=at + 1)))
            found.setdefault("in flight at the end", with_step(at - 1, program.steps[at - 1].but(a=Slot("const", 2))))
    return found


@pytest.mark.parametrize("level", [0, 1])
def test_what_is_done_otherwise_is_told(level: int):
    program, linked = steps(PROGRAM, level)
    assert faults(program, linked) == []
    changed = changes(program)
    assert len(changed) == 11
    for name, other in changed.items():
        assert faults(other, linked), name


def test_a_function_that_is_said_not_to_throw_must_not():
    """Who may throw is not believed: the walk finds the exception that leaves."""
    program, linked = steps(PROGRAM, 1)
    assert linked.exceptions is not None
    for function in linked.exceptions.functions:
        less = replace(linked.exceptions, functions=linked.exceptions.functions - {function})
        assert faults(program, replace(linked, exceptions=less)), function


def test_the_model_itself_is_watched():
    """A program that looks for no exception is told by what it does, too."""
    source = load(PROGRAM)
    program, _ = steps(PROGRAM, 1)
    changed = changes(program)["nobody asks"]
    model = realise(changed, source.module)
    verifier = Verifier(PROGRAM, libraries={"host": HOST}, model=model)
    assert not verifier.invoke("deep", [2]).ok


@pytest.mark.parametrize("level", [0, 1])
def test_an_exception_carries_a_vector(level: int):
    source = """(module (tag $t (param v128 i32))
      (func $f (param i32) (throw $t (i32x4.splat (local.get 0)) (i32.const 3)))
      (func (export "g") (param i32) (result v128) (local $n i32)
        (block $h (result v128 i32)
          (try_table (catch $t $h) (call $f (local.get 0)))
          (return (v128.const i64x2 1 2)))
        (local.set $n) (i32x4.add (i32x4.splat (local.get $n)))))"""
    report = w2x.Verifier(source, opt_level=level).invoke("g", (7,))
    assert report.ok and report.compared > 5
    assert report.run.values == [0x0000000A_0000000A_0000000A_0000000A]
