"""Atomic accesses and shared memories, as one thread sees them."""

from __future__ import annotations

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.link.atomics import ATOMICS, atomic_routine
from wasm2xformer.compiler.wasm.decode import decode
from wasm2xformer.compiler.wasm.encode import encode
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.verify import Verifier

READS = [name for name in ATOMICS if ".load" in name]
CHANGES = [name for name in ATOMICS if ".rmw" in name and "cmpxchg" not in name]
SWAPS = [name for name in ATOMICS if "cmpxchg" in name]
STORES = [name for name in ATOMICS if ".store" in name]


def module(memory: str, address: str, offset: int, names: list[str]) -> str:
    """A function for each instruction, of its address and its operands."""
    functions = []
    for name in names:
        type_ = name[:3]
        count = 3 if name in SWAPS else 1 if name in READS else 2
        result = "" if name in STORES else f"(result {type_})"
        operands = f"(local.get 0) {' '.join(f'(local.get {k})' for k in range(1, count))}"
        params = f"(param {address}) {f'(param {type_})' * (count - 1)}"
        functions.append(f'(func (export "{name}") {params} {result} ({name} offset={offset} {operands}))')
    data = f'(data ({address}.const 8) "\\12\\34\\56\\78\\9a\\bc\\de\\f0\\11\\22\\33\\44\\55\\66\\77\\88")'
    return f"""(module (memory {memory}) {data}
      (func (export "fence") (atomic.fence)) {" ".join(functions)})"""


@pytest.mark.parametrize(
    ("memory", "address", "offset", "names"),
    [
        ("1 2 shared", "i32", 0, READS[::2] + STORES[::3] + CHANGES[::9] + SWAPS[::4]),
        ("1", "i32", 13, READS[1::2] + STORES[1::3] + CHANGES[4::9] + SWAPS[2::4]),
        ("i64 1 2", "i64", 4, READS[3:5] + STORES[2::3] + CHANGES[7::9] + SWAPS[1::4]),
    ],
)
@pytest.mark.parametrize("level", [0, 1])
def test_every_access_is_wasmtimes(memory: str, address: str, offset: int, names: list[str], level: int):
    verifier = Verifier(module(memory, address, offset, names), opt_level=level)
    outcomes = set()
    for name in names:
        count = 2 if name in SWAPS else 0 if name in READS else 1
        for at in (8, 16 - offset % 8, 1, 65536, 65532):
            for value in (0x123456789ABCDEF0, 0x3412) if count == 2 else (0x123456789ABCDEF0,):
                expected = 0x12 if name.endswith("8.cmpxchg_u") else value
                given = [expected, value][-count:] if count else []
                report = verifier.invoke(name, [at, *(v % 2 ** int(name[1:3]) for v in given)])
                assert report.ok, f"{name} at {at}: {report.divergence}"
                outcomes.add(report.run.trap)
    assert verifier.invoke("fence", []).ok
    assert outcomes == {None, "unaligned atomic", "out of bounds memory access"}


WAITS = """(module (memory {})
  (func (export "wait32") (param i32 i32 i64) (result i32)
    (memory.atomic.wait32 offset=4 (local.get 0) (local.get 1) (local.get 2)))
  (func (export "wait64") (param i32 i64 i64) (result i32) (memory.atomic.wait64 (local.get 0) (local.get 1) (local.get 2)))
  (func (export "notify") (param i32 i32) (result i32) (memory.atomic.notify (local.get 0) (local.get 1))))"""


@pytest.mark.parametrize("level", [0, 1])
def test_nobody_waits(level: int):
    """Another value than expected: 1. Else the time is over: 2, however long it is; unless it is without end."""
    verifier = Verifier(WAITS.format("1 1 shared"), opt_level=level)
    calls = [
        ("wait32", 0, 1, 0, [1]), ("wait32", 0, 0, 10**15, [2]), ("wait32", 1, 0, 0, "unaligned atomic"),
        ("wait64", 8, 7, -1, [1]), ("wait64", 8, 0, 5, [2]), ("wait64", 4, 0, 0, "unaligned atomic"),
        ("wait32", 65536, 0, 0, "out of bounds memory access"), ("wait32", 0, 0, -1, "atomic wait that no other thread can end"),
    ]  # fmt: skip
    for name, *arguments, wanted in calls:
        report = verifier.invoke(name, arguments)
        assert report.ok, report.divergence
        assert (report.run.trap or report.run.values) == wanted, (name, arguments)
    for at, trap in ((0, None), (2, "unaligned atomic"), (65536, "out of bounds memory access")):
        report = verifier.invoke("notify", [at, 3])
        assert report.ok and report.run.trap == trap and (trap or report.run.values == [0])


@pytest.mark.parametrize("type_", ["i32", "i64"])
def test_an_address_beyond_all_is_out_of_bounds_before_it_is_unaligned(type_: str):
    """Of notify; of an access it is the other way round."""
    text = f"""(module (memory {"i64 " if type_ == "i64" else ""}1 1 shared)
      (func (export "notify") (param {type_}) (result i32) (memory.atomic.notify offset=6 (local.get 0) (i32.const 1)))
      (func (export "load") (param {type_}) (result i32) (i32.atomic.load offset=6 (local.get 0))))"""
    verifier, top = Verifier(text), 2 ** int(type_[1:])
    beyond, unaligned = "out of bounds memory access", "unaligned atomic"
    for name, at, trap in (
        ("notify", top - 1, beyond), ("notify", top - 6, beyond), ("notify", top - 7, unaligned), ("notify", 1, unaligned),
        ("notify", 65534, beyond), ("notify", 2, None), ("load", top - 1, unaligned),
    ):  # fmt: skip
        report = verifier.invoke(name, [at])
        assert report.ok and report.run.trap == trap, (name, at, report.divergence)


def test_a_memory_that_is_not_shared_cannot_be_waited_on():
    verifier = Verifier(WAITS.format("1 1"))
    for name, argument in (("wait32", 0), ("wait64", 8)):
        report = verifier.invoke(name, [argument, 0, 0])
        assert report.ok and report.run.trap == "atomic wait on non-shared memory"
    assert verifier.invoke("notify", [0, 1]).run.values == [0]


def test_shared_memories_are_imported_as_such():
    text = """(module (import "m" "memory" (memory 1 2 {})) (func (export "f") (result i32)
      (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 5))) (i32.atomic.load (i32.const 0))))"""
    libraries = {"m": '(module (memory (export "memory") 1 2 shared))'}
    report = w2x.verify(text.format("shared"), "f", libraries=libraries)
    assert report.ok and report.run.values == [5]
    with pytest.raises(w2x.CompileError, match="one that is not shared wanted, m has a shared one"):
        w2x.compile(text.format(""), libraries=libraries)
    module = load(text.format("shared")).module
    assert decode(encode(module)).memories == module.memories and module.memories[0].shared


def test_one_routine_for_each_offset():
    """And no token of a trap that nobody can meet."""
    text = """(module (memory 1) (func (export "f") (result i32)
      (drop (i32.atomic.load (i32.const 0))) (drop (i32.atomic.load (i32.const 4))) (i32.atomic.load offset=8 (i32.const 0))))"""
    model = w2x.compile(text)
    routines = sorted(f.name for f in model.program.functions.values() if f.internal)
    assert routines == ["i32.atomic.load", "i32.atomic.load offset=8"]
    assert "T.unaligned_atomic" in model.transformer.vocabulary
    plain = w2x.compile('(module (memory 1) (func (export "f") (result i32) (i32.load (i32.const 0))))')
    assert "T.unaligned_atomic" not in plain.transformer.vocabulary
    assert {name for name in ATOMICS if name != "atomic.fence" and not atomic_routine(name, 0, False, True).functions} == set()
