"""Programs that do not fit the ranges of the machine are refused before anything is built."""

from __future__ import annotations

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.isa import Program, Step
from wasm2xformer.compiler.format.limits import FRAME_LIMIT
from wasm2xformer.compiler.graph.build import build
from wasm2xformer.compiler.machine.assemble import assemble
from wasm2xformer.compiler.machine.machine import machine
from wasm2xformer.compiler.machine.tokens import fill


def test_hidden_memory_beyond_exact_keys() -> None:
    program = Program((Step("halt"),), {}, {}, hidden_bytes=2**26)
    with pytest.raises(w2x.CompileError, match="exact keys"):
        assemble(program)
    assert assemble(Program((Step("halt"),), {}, {}, hidden_bytes=2**26 - 512)).architecture.lowest_address == 256 - 2**26


def chain(depth: int) -> str:
    """depth functions, each calling the next one."""
    calls = " ".join(f"(func $f{i} (result i32) (i32.add (i32.const 1) (call $f{i + 1})))" for i in range(depth))
    last = f'(func $f{depth} (result i32) (i32.const 0)) (func (export "f") (result i32) (call $f0))'
    return f"(module {calls} {last})"


def test_a_long_chain_of_calls_limits_the_stack() -> None:
    program, _ = compile_steps(chain(5000))
    assert assemble(program).architecture.frame_limit == 2 * sum(f.frame_size for f in program.functions.values()) + 64
    assert w2x.Instance(w2x.compile(chain(600))).invoke("f").values == [600]


def test_recursion_takes_the_whole_stack() -> None:
    for body in ("(call $b)", "(call_indirect (i32.const 0))"):
        wat = f'(module (table 1 funcref) (elem (i32.const 0) $b) (func $a {body}) (func $b (export "b") (call $a)))'
        assert assemble(compile_steps(wat)[0]).architecture.frame_limit == FRAME_LIMIT


def test_the_circuits_depend_on_the_architecture_alone() -> None:
    """Two programs of one kind and size: the same layers, and the one's image runs in the other's machine."""
    wats = [
        f"""(module (memory 1) (data (i32.const {at}) "\\0{at}")
          (func (export "f") (param i32) (result i32) (local i32)
            (loop $again
              (local.set 1 ({op} (local.get 1) (i32.load8_u (i32.const {at}))))
              (br_if $again (local.tee 0 ({op} (local.get 0) (i32.const {step})))))
            (local.get 1)))"""
        for op, at, step in (("i32.add", 3, -1), ("i32.add", 5, -2))
    ]
    programs = [compile_steps(wat) for wat in wats]
    first, second = (assemble(program) for program, _ in programs)
    assert first.architecture == second.architecture and first.image != second.image
    models = [realise(*program) for program in programs]
    for ours, theirs in zip(*(model.transformer.layers for model in models), strict=True):
        for name in ("q", "k", "v", "o", "gate", "up", "down"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    for wat in wats:
        assert w2x.verify(wat, "f", (6,)).ok
    graph, features = machine(first.architecture)
    fill(graph, features, first.architecture, second.image)
    other = build(graph)
    np.testing.assert_array_equal(other.embed.dense(), models[1].transformer.embed.dense())
    np.testing.assert_array_equal(other.prefix, models[1].transformer.prefix)
