"""Typed function references: call_ref, what asks whether one is null, types that are never null, tables that begin with one."""

from __future__ import annotations

from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.errors import CompileError
from wasm2xformer.compiler.format.types import FuncType, RefType
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.verify import Verifier

PROGRAM = """(module
  (type $t (func (param i32) (result i32)))
  (type $u (func (param i64 (ref null $t)) (result i32)))
  (type $both (func (param (ref $t) i32) (result i32)))
  (table $table 4 (ref null $t) (ref.func $double))
  (table $typed 2 (ref $t) (ref.func $next))
  (global $current (mut (ref $t)) (ref.func $next))
  (global $nothing (ref null $t) (ref.null $t))
  (elem declare func $double $next $apply $twice)
  (func $double (export "double") (type $t) (i32.shl (local.get 0) (i32.const 1)))
  (func $next (type $t) (i32.add (local.get 0) (i32.const 1)))
  (func $apply (type $u) (br_on_null 0 (i32.const -7) (local.get 1)) (drop) (drop)
    (call_ref $t (i32.wrap_i64 (local.get 0)) (local.get 1)))
  (func $twice (type $both) (local $f (ref $t)) (local.set $f (local.get 0))
    (return_call_ref $t (call_ref $t (local.get 1) (local.get $f)) (local.get $f)))
  (func $pick (param i32) (result (ref null $t))
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return (ref.func $double))))
    (if (i32.eq (local.get 0) (i32.const 2)) (then (return (global.get $current))))
    (ref.null $t))
  (func (export "call") (param i32 i32) (result i32) (call_ref $t (local.get 1) (call $pick (local.get 0))))
  (func (export "tail") (param i32 i32) (result i32) (return_call_ref $t (local.get 1) (call $pick (local.get 0))))
  (func (export "apply") (param i32 i64) (result i32)
    (call_ref $u (local.get 1) (call $pick (local.get 0)) (ref.func $apply)))
  (func (export "certain") (param i32 i32) (result i32)
    (call_ref $both (ref.as_non_null (call $pick (local.get 0))) (local.get 1) (ref.func $twice)))
  (func (export "carried") (param i32 i32) (result i32)
    (block $got (result (ref $t)) (br_on_non_null $got (call $pick (local.get 0))) (return (i32.const -1)))
    (drop) (i32.add (i32.const 100) (call_ref $t (local.get 1)
      (block $again (result (ref $t)) (br_on_non_null $again (call $pick (local.get 0))) (unreachable)))))
  (func (export "set") (param i32) (result i32)
    (block $no (global.set $current (br_on_null $no (call $pick (local.get 0)))) (return (i32.const 1))) (i32.const 0))
  (func (export "first") (param i32 i32) (result i32)
    (i32.add (call_ref $t (local.get 1) (table.get $table (local.get 0)))
      (call_indirect $typed (type $t) (local.get 1) (i32.const 1))))
  (func (export "clear") (param i32) (table.set $table (local.get 0) (global.get $nothing)))
  (func (export "is_null") (param i32) (result i32) (ref.is_null (call $pick (local.get 0)))))"""
CALLS = [
    ("call", 1, 5), ("call", 2, 5), ("call", 0, 5), ("tail", 1, 6), ("tail", 2, 6), ("tail", 3, 6), ("apply", 1, 2**32 + 9),
    ("apply", 0, 9), ("certain", 2, 9), ("certain", 1, 9), ("certain", 0, 9), ("carried", 0, 1), ("carried", 1, 7),
    ("carried", 2, 7), ("first", 3, 8), ("clear", 3), ("first", 3, 8), ("first", 4, 8),
    ("set", 0), ("set", 1), ("call", 2, 5), ("is_null", 0),
    ("is_null", 2), ("double", 4),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("single_jumps", [0, 2048])
def test_every_step_is_that_of_wasmtime(single_jumps: int, level: int) -> None:
    model = realise(*compile_steps(PROGRAM, CompileOptions(level)), single_jumps)
    verifier = Verifier(PROGRAM, model=model, opt_level=level)
    for name, *args in CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence}"


def test_null_is_told_by_its_name() -> None:
    instance = w2x.Instance(w2x.compile(PROGRAM))
    for call in (("call", 0, 5), ("tail", 0, 5), ("certain", 0, 5)):
        with pytest.raises(w2x.Trap, match="null reference"):
            instance.invoke(*call)


def test_who_cannot_meet_null_has_no_token_for_it() -> None:
    plain = w2x.compile('(module (func (export "f") (result i32) (i32.const 1)))')
    assert "T.null_access" not in plain.transformer.vocabulary
    assert "T.null_access" in w2x.compile(PROGRAM).transformer.vocabulary


def test_a_checkpoint_keeps_the_types(tmp_path: Path) -> None:
    made = w2x.compile(PROGRAM)
    made.save(tmp_path / "model.safetensors")
    read = w2x.load(tmp_path / "model.safetensors")
    assert [s.type for s in read.program.steps] == [s.type for s in made.program.steps]
    assert w2x.Instance(read).invoke("apply", 1, 21).values == [42]


def test_types_are_equal_by_their_structure() -> None:
    module = load(PROGRAM).module
    t = FuncType(("i32",), ("i32",))
    assert module.types[1].params == ("i64", RefType(True, t)) and module.types[2].params == (RefType(False, t), "i32")
    assert RefType(True, t) != RefType(False, t) and RefType(True, FuncType()) != RefType(True, t)
    again = decode(encode(module))
    assert (again.types, again.tables, again.globals) == (module.types, module.tables, module.globals)


@pytest.mark.parametrize("level", [0, 1])
def test_references_go_from_module_to_module(level: int) -> None:
    library = """(module (type $t (func (param i32) (result i32)))
      (func (export "run") (param (ref null $t) i32) (result i32) (call_ref $t (local.get 1) (local.get 0))))"""
    program = """(module (type $x (func)) (type $t (func (param i32) (result i32)))
      (import "lib" "run" (func $run (param (ref null $t) i32) (result i32))) (elem declare func $own)
      (func $own (type $t) (i32.mul (local.get 0) (i32.const 3)))
      (func (export "f") (param i32) (result i32) (call $run (ref.func $own) (local.get 0)))
      (func (export "g") (result i32) (call $run (ref.null $t) (i32.const 1))))"""
    verifier = Verifier(program, libraries={"lib": library}, opt_level=level)
    for call in (("f", 7), ("g",)):
        report = verifier.invoke(call[0], call[1:])
        assert report.ok, report.divergence


def test_what_is_refused_is_told() -> None:
    never = '(module (func (export "f") (param (ref exn)) (result i32) (i32.const 1)))'
    with pytest.raises(CompileError, match=r"the exported function 'f' has a parameter of type .* which a host cannot pass"):
        compile_steps(never)
