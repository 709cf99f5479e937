"""Several memories: of one module, and of modules that are linked together."""

from __future__ import annotations

from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.errors import CompileError
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.runtime.check.verify import Verifier

PROGRAM = """(module
  (memory $a 1 3) (memory $b (export "memory") 2) (memory $unused 1) (memory $c 1 1)
  (data (memory $b) (i32.const 10) "hello") (data (memory $a) (i32.const 0) "abc") (data $p "passive segment")
  (func (export "store") (param i32 i64) (result i64)
    (i64.store $b (local.get 0) (local.get 1)) (i32.store8 $a offset=3 (local.get 0) (i32.const 200))
    (i64.add (i64.load $b offset=1 (local.get 0)) (i64.load8_s $a offset=3 (local.get 0))))
  (func (export "load") (param i32) (result i32) (i32.load8_u $c (local.get 0)))
  (func (export "far") (param i32) (result i32) (i32.load8_u $b offset=4294967295 (local.get 0)))
  (func (export "sizes") (result i32 i32 i32) (memory.size $a) (memory.size $b) (memory.size $c))
  (func (export "grow") (param i32) (result i32 i32 i32)
    (memory.grow $a (local.get 0)) (memory.grow $b (local.get 0)) (memory.grow $c (local.get 0)))
  (func (export "copy") (param i32 i32 i32)
    (memory.copy $c $b (local.get 0) (local.get 1) (local.get 2)) (memory.copy $b $b (i32.const 3) (local.get 1) (local.get 2)))
  (func (export "fill") (param i32 i32 i32) (memory.fill $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (memory.init $c $p (local.get 0) (local.get 1) (local.get 2))))"""
CALLS = [
    ("store", 8, -5), ("store", 131064, 1), ("store", 65536, 9), ("store", 131063, 77), ("load", 0), ("load", 65535),
    ("load", 65536), ("far", 0), ("far", 5), ("sizes",), ("copy", 5, 8, 21), ("copy", 65530, 8, 7), ("copy", 0, 131070, 3),
    ("fill", 131060, 7, 12), ("fill", 131060, 7, 13), ("init", 65530, 3, 6), ("init", 65530, 3, 7), ("grow", 1), ("sizes",),
    ("grow", 1), ("store", 196600, 3), ("load", 65536),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
def test_every_step_is_that_of_wasmtime(level: int) -> None:
    verifier = Verifier(PROGRAM, opt_level=level)
    for name, *args in CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence}"


def test_they_lie_one_behind_the_other() -> None:
    program, _ = compile_steps(PROGRAM)
    a, b, c = program.memories
    assert (a.base, a.source, a.maximum) == (0, 0, 3) and (b.source, c.source) == (1, 3)
    assert b.base == 3 * 65536 and c.base == b.base + b.maximum * 65536
    assert c.base + c.maximum * 65536 == 65535 * 65536  # who may grow without end takes what is left
    assert (program.memory_pages, program.memory_maximum) == (1, 3)


def test_a_program_with_one_has_nothing_of_it() -> None:
    text = '(module (memory 1) (memory 1) (func (export "f") (result i32) (i32.load8_u 1 (i32.const 5))))'
    one = '(module (memory 1) (func (export "f") (result i32) (i32.load8_u (i32.const 5))))'
    first, second = (compile_steps(t)[0] for t in (text, one))
    assert first.memories == () and first.steps == second.steps


def test_the_host_writes_the_exported_one() -> None:
    verifier = Verifier(PROGRAM)
    assert w2x.Instance(verifier.model).read_memory(10, 5) == b"hello"


def test_a_checkpoint_keeps_them(tmp_path: Path) -> None:
    made = w2x.compile(PROGRAM)
    made.save(tmp_path / "model.safetensors")
    assert w2x.load(tmp_path / "model.safetensors").program.memories == made.program.memories != ()
    report = Verifier(PROGRAM, model=w2x.load(tmp_path / "model.safetensors")).invoke("copy", (5, 8, 21))
    assert report.ok, report.divergence


LIBRARY = """(module (memory (export "own") 1) (data (i32.const 0) "library")
  (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "put") (param i32 i32) (i32.store8 (local.get 0) (local.get 1))))"""
LINKED = """(module (import "lib" "get" (func $get (param i32) (result i32))) (import "lib" "put" (func $put (param i32 i32)))
  (memory (export "memory") 1) (data (i32.const 0) "program")
  (func (export "both") (param i32) (result i32)
    (i32.store8 offset=7 (local.get 0) (call $get (local.get 0))) (call $put (local.get 0) (i32.load8_u (local.get 0)))
    (i32.add (i32.mul (call $get (local.get 0)) (i32.const 256)) (i32.load8_u offset=7 (local.get 0)))))"""


@pytest.mark.parametrize("level", [0, 1])
def test_instances_have_memories_of_their_own(level: int) -> None:
    verifier = Verifier(LINKED, libraries={"lib": LIBRARY}, opt_level=level)
    for at in (0, 3):
        report = verifier.invoke("both", [at])
        assert report.ok, report.divergence
        assert report.run.values == [256 * b"program"[at] + b"library"[at]]


def test_more_than_there_is_room_for_is_refused() -> None:
    text = "(module (memory $a 40000) (memory $b 40000) (func (export \"f\") (drop (i32.load $a (i32.load $b (i32.const 0))))))"
    with pytest.raises(CompileError, match="80000 pages at first; at most 65535"):
        compile_steps(text)


def test_hosts_work_on_one() -> None:
    write = """(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (func (export "f") (result i32) (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"""
    library = f'(module {write} (memory (export "memory") 1))'
    program = f"""(module (import "lib" "f" (func $f (result i32))) {write.replace('"f"', '"g"')} (memory (export "memory") 1)
      (func (export "h") (result i32) (call $f)))"""
    with pytest.raises(CompileError, match="host functions are called by modules with 2 memories"):
        compile_steps(program, CompileOptions(1, None, {"lib": library}))


WIDE = """(module
  (memory $a i64 1 3) (memory $b 1 2) (memory $c i64 1 1) (data (memory $a) (i64.const 10) "hello") (data $p "passive segment")
  (func (export "store") (param i64 i64) (result i64)
    (i64.store $a (local.get 0) (local.get 1)) (i32.store8 $a offset=3 (local.get 0) (i32.const 200))
    (i64.add (i64.load $a offset=1 (local.get 0)) (i64.load8_s $a offset=3 (local.get 0))))
  (func (export "fixed") (param i32) (result i32)
    (if (local.get 0) (then (return (i32.load $a (i64.const 0x100000008))))) (i32.load $a (i64.add (i64.const 5) (i64.const 3))))
  (func (export "far") (param i64) (result i32) (i32.load8_u $a offset=0x8000000000000001 (local.get 0)))
  (func (export "sizes") (result i64 i32 i64) (memory.size $a) (memory.size $b) (memory.size $c))
  (func (export "grow") (param i64) (result i64 i64) (memory.grow $a (local.get 0)) (memory.grow $c (local.get 0)))
  (func (export "copy") (param i64 i64 i64) (memory.copy $a $a (local.get 0) (local.get 1) (local.get 2)))
  (func (export "between") (param i64 i64 i64)
    (memory.copy $c $a (local.get 0) (local.get 1) (local.get 2))
    (memory.copy $b $c (i32.wrap_i64 (local.get 0)) (local.get 1) (i32.wrap_i64 (local.get 2)))
    (memory.copy $c $b (local.get 0) (i32.const 3) (i32.wrap_i64 (local.get 2))))
  (func (export "fill") (param i64 i32 i64) (memory.fill $c (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i64 i32 i32) (memory.init $a $p (local.get 0) (local.get 1) (local.get 2))))"""
WIDE_CALLS = [
    ("store", 8, -5), ("store", 65528, 1), ("store", 65529, 9), ("store", 2**32, 9), ("store", -8, 9), ("store", 2**63 - 1, 9),
    ("fixed", 0), ("fixed", 1), ("far", 0), ("far", -1), ("sizes",), ("copy", 5, 8, 21), ("copy", 2**33, 8, 7),
    ("copy", 0, 0, 2**32),
    ("copy", 0, 65530, 7), ("between", 3, 9, 11), ("between", 3, 2**40, 11), ("fill", 65524, 7, 12), ("fill", 65524, 7, 13),
    ("fill", 0, 7, -1), ("init", 65530, 3, 6), ("init", 65530, 3, 7), ("init", 2**32, 0, 0), ("grow", 1), ("sizes",),
    ("grow", 2**32), ("grow", -1), ("grow", 2), ("store", 131064, 3),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
def test_addresses_of_64_bits(level: int) -> None:
    verifier = Verifier(WIDE, opt_level=level)
    for name, *args in WIDE_CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence}"


TABLES = """(module
  (type $t (func (result i32)))
  (table $a i64 4 6 funcref) (table $b 5 funcref) (table $c i64 3 funcref)
  (elem $p funcref (ref.func $f) (ref.func $g) (ref.null func))
  (elem (table $a) (i64.const 1) func $f $g) (func $f (result i32) (i32.const 1)) (func $g (result i32) (i32.const 2))
  (func (export "call") (param i64) (result i32) (call_indirect $a (type $t) (local.get 0)))
  (func (export "tail") (param i64) (result i32) (return_call_indirect $a (type $t) (local.get 0)))
  (func (export "null") (param i64) (result i32) (ref.is_null (table.get $a (local.get 0))))
  (func (export "constant") (result i32) (ref.is_null (table.get $a (i64.const 0x100000001))))
  (func (export "set") (param i64) (table.set $a (local.get 0) (ref.func $g)))
  (func (export "sizes") (result i64 i32 i64) (table.size $a) (table.size $b) (table.size $c))
  (func (export "grow") (param i64) (result i64) (table.grow $a (ref.func $f) (local.get 0)))
  (func (export "fill") (param i64 i64) (table.fill $c (local.get 0) (ref.func $f) (local.get 1)))
  (func (export "copy") (param i64 i64 i64)
    (table.copy $c $a (local.get 0) (local.get 1) (local.get 2))
    (table.copy $b $c (i32.wrap_i64 (local.get 0)) (local.get 1) (i32.wrap_i64 (local.get 2)))
    (table.copy $c $b (local.get 0) (i32.const 0) (i32.wrap_i64 (local.get 2)))
    (table.copy $b $b (i32.const 0) (i32.const 1) (i32.const 3)))
  (func (export "init") (param i64 i32 i32) (table.init $a $p (local.get 0) (local.get 1) (local.get 2))))"""
TABLE_CALLS = [
    ("call", 1), ("call", 2), ("call", 0), ("call", 4), ("call", 2**32 + 1), ("tail", 2), ("tail", -1), ("null", 3),
    ("null", 1), ("null", 2**40), ("constant",), ("set", 3), ("set", 2**32), ("call", 3), ("sizes",), ("copy", 0, 1, 2),
    ("copy", 2, 1, 2),
    ("copy", 0, 2**32, 0), ("fill", 1, 2), ("fill", 2, 2), ("fill", 0, -1), ("init", 1, 0, 3), ("init", 2, 0, 3),
    ("init", 2**32, 0, 0), ("grow", 1), ("grow", 2**32), ("grow", -1), ("grow", 2), ("sizes",), ("call", 4),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
def test_indices_of_64_bits(level: int) -> None:
    verifier = Verifier(TABLES, opt_level=level)
    for name, *args in TABLE_CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence}"


def test_the_dense_machine_sees_the_high_word() -> None:
    text = '(module (memory i64 1) (func (export "f") (param i64) (result i32) (i32.load8_u (local.get 0))))'
    model = w2x.compile(text)
    for address in (3, 2**32 + 3, 2**63 + 3):
        for engine in ("fast", "torch"):
            if address == 3:
                assert w2x.Instance(model, engine=engine).invoke("f", address).values == [0]
            else:
                with pytest.raises(w2x.Trap, match="out of bounds memory access"):
                    w2x.Instance(model, engine=engine).invoke("f", address)


def test_a_32_bit_memory_is_no_64_bit_one() -> None:
    library, program = '(module (memory (export "m") i64 1))', '(module (import "lib" "m" (memory 1)) (func (export "f")))'
    with pytest.raises(CompileError, match="incompatible import type"):
        compile_steps(program, CompileOptions(1, None, {"lib": library}))
