"""Memory that the host reads and writes between calls."""

import numpy as np
import pytest

import wasm2xformer as w2x

SUM = r"""
(module
  (memory (export "memory") 1 1)
  (data (i32.const 65532) "\01\02\03\04")
  (func (export "sum") (param $at i32) (param $end i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (i32.store (i32.const 0) (local.get $sum))
    (local.get $sum)))
"""
DATA = bytes(range(200, 211))


@pytest.mark.parametrize("engine", ["fast", "torch"])
@pytest.mark.parametrize("level", [0, 1])
def test_a_program_reads_what_the_host_wrote_and_the_other_way_round(level: int, engine: str):
    vm = w2x.Instance(w2x.compile(SUM, level), engine)
    before = vm.position
    vm.write_memory(1001, DATA)
    assert vm.position > before + 2 * len(DATA)  # they are tokens of the sequence
    assert vm.invoke("sum", 1001, 1012).values == [sum(DATA)]
    assert vm.read_memory(0, 4) == sum(DATA).to_bytes(4, "little")
    assert vm.read_memory(1000, 13) == b"\0" + DATA + b"\0"


def test_up_to_the_last_byte_and_not_beyond():
    vm = w2x.Instance(w2x.compile(SUM))
    assert vm.read_memory(65529, 7) == bytes([0, 0, 0, 1, 2, 3, 4])
    assert vm.read_memory(65536, 0) == b""
    vm.write_memory(65535, b"\x09")
    assert vm.read_memory(65535, 1) == b"\x09"
    for access in (lambda: vm.read_memory(65535, 2), lambda: vm.write_memory(65534, b"1234")):
        with pytest.raises(w2x.Trap, match="out of bounds memory access"):
            access()


@pytest.mark.parametrize("address", [-1, 2**32])
def test_addresses_have_32_bits(address: int):
    vm = w2x.Instance(w2x.compile(SUM))
    for access in (lambda: vm.read_memory(address, 1), lambda: vm.write_memory(address, b"1")):
        with pytest.raises(w2x.ArgumentError, match=str(address)):
            access()


def test_memory_that_is_not_exported_is_not_accessible():
    vm = w2x.Instance(w2x.compile(SUM.replace('(export "memory") ', "")))
    with pytest.raises(w2x.ArgumentError, match="does not export"):
        vm.read_memory(0, 1)


def test_the_verifier_writes_to_both_sides():
    verifier = w2x.Verifier(SUM)
    verifier.write_memory(8, DATA)
    report = verifier.invoke("sum", [8, 8 + len(DATA)], replay=True)
    assert report.ok and report.run.values == [sum(DATA)]
    model, native = verifier.read_memory(0, 32)
    assert model == native == sum(DATA).to_bytes(4, "little") + bytes(4) + DATA + bytes(13)


def test_a_memory_of_a_library_that_the_program_imports():
    program = SUM.replace('(memory (export "memory") 1 1)', '(import "env" "shared" (memory 1 1))')
    library = '(module (memory $own 1) (memory (export "shared") 1 1) (data $own (i32.const 0) "own"))'
    verifier = w2x.Verifier(program, libraries={"env": library})
    verifier.write_memory(8, DATA)
    assert verifier.invoke("sum", [8, 8 + len(DATA)]).ok
    model, native = verifier.read_memory(0, 32)
    assert model == native == sum(DATA).to_bytes(4, "little") + bytes(4) + DATA + bytes(13)


def test_the_entries_of_the_host_survive_the_checkpoint_and_are_no_exports(tmp_path):
    made = w2x.compile(SUM)
    made.save(tmp_path / "sum.safetensors")
    loaded = w2x.load(tmp_path / "sum.safetensors")
    assert loaded.program.host == made.program.host and list(loaded.program.entries) == ["sum"]
    assert np.array_equal(loaded.transformer.prefix, made.transformer.prefix)
    vm = w2x.Instance(loaded)
    vm.write_memory(4, b"abcde")
    assert vm.read_memory(4, 5) == b"abcde"
