"""Imported functions that nobody provides: refused, or made to trap."""

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.wasm.source import load

PROGRAM = """
(module
  (import "env" "surprise" (func $abort (param i32)))
  (import "lib" "seven" (func $seven (result i32)))
  (import "lib" "eight" (func $eight (result i32)))
  (import "wasi_snapshot_preview1" "sock_connect" (func $shutdown (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "guarded") (param i32) (result i32)
    (if (local.get 0) (then (call $abort (i32.const 3))))
    (call $seven))
  (func (export "eight") (result i32) (call $eight))
  (func (export "shutdown") (result i32) (call $shutdown (i32.const 0) (i32.const 4))))
"""
LIBRARY = {"lib": '(module (func (export "seven") (result i32) (i32.const 7)))'}


def test_they_are_refused_by_name():
    with pytest.raises(w2x.CompileError) as refusal:
        w2x.compile(PROGRAM, libraries=LIBRARY)
    names = ('"env" "surprise"', '"lib" "eight"', '"wasi_snapshot_preview1" "sock_connect"')
    assert [reason.message for reason in refusal.value.reasons] == [
        f"the import {name} (func) is not provided" for name in names
    ]


@pytest.mark.parametrize("level", [0, 1])
def test_or_calling_them_traps_and_nothing_else_changes(level: int):
    verifier = w2x.Verifier(PROGRAM, opt_level=level, libraries=LIBRARY, unknown_imports_trap=True)
    for name, args, values in (
        ("guarded", [0], [7]), ("guarded", [1], []), ("eight", [], []), ("shutdown", [], []), ("guarded", [0], [7]),
    ):  # fmt: skip
        report = verifier.invoke(name, args)
        assert report.ok and report.run.values == values
        assert report.run.trap == (None if values else "wasm `unreachable` instruction executed")
        assert (report.oracle.trap_site is None) == bool(values)


@pytest.mark.parametrize("level", [0, 1])
def test_the_trap_says_which_import(level: int):
    model = w2x.compile(PROGRAM, opt_level=level, libraries=LIBRARY, unknown_imports_trap=True)
    vm = w2x.Instance(model)
    for name, args, missing in (
        ("guarded", [1], '"env" "surprise"'), ("eight", [], '"lib" "eight"'),
        ("shutdown", [], '"wasi_snapshot_preview1" "sock_connect"'),
    ):  # fmt: skip
        with pytest.raises(w2x.Trap) as trap:
            vm.invoke(name, *args)
        function = next(f for f in load(PROGRAM).module.functions if f.body and f.name.partition("[")[0] == name)
        call = next(i for i in function.body if i.name == "call")
        assert str(trap.value) == f"the import {missing} is not provided (called in {function.name}+0x{call.offset:x})"
        assert trap.value.run.trap == "wasm `unreachable` instruction executed"


def test_an_unreachable_of_the_programs_own_is_none():
    vm = w2x.Instance(w2x.compile('(module (func (export "f") (unreachable)))', unknown_imports_trap=True))
    with pytest.raises(w2x.Trap, match=r"^wasm `unreachable` instruction executed$"):
        vm.invoke("f")


def test_a_library_may_lack_an_import_too():
    libraries = {"lib": '(module (import "x" "y" (func $y)) (func (export "seven") (result i32) (call $y) (i32.const 1)))'}
    text = '(module (import "lib" "seven" (func $s (result i32))) (func (export "f") (result i32) (call $s)))'
    report = w2x.verify(text, "f", libraries=libraries, unknown_imports_trap=True)
    assert report.ok and report.run.missing_import == 'the import "x" "y" is not provided'


def test_what_is_no_function_is_still_refused():
    with pytest.raises(w2x.CompileError, match=r'"env" "memory" \(memory\) is not provided'):
        w2x.compile('(module (import "env" "memory" (memory 1)))', unknown_imports_trap=True)
