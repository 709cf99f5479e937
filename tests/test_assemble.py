"""Programs that do not fit the ranges of the machine are refused before anything is built."""

from __future__ import annotations

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import Program, Step
from wasm2xformer.compiler.format.limits import FRAME_LIMIT
from wasm2xformer.compiler.machine.assemble import assemble


def test_hidden_memory_beyond_exact_keys() -> None:
    program = Program((Step("halt"),), {}, {}, hidden_bytes=2**26)
    with pytest.raises(w2x.CompileError, match="exact keys"):
        assemble(program)
    assert assemble(Program((Step("halt"),), {}, {}, hidden_bytes=2**26 - 512)).lowest_address == 256 - 2**26


def chain(depth: int) -> str:
    """depth functions, each calling the next one."""
    calls = " ".join(f"(func $f{i} (result i32) (i32.add (i32.const 1) (call $f{i + 1})))" for i in range(depth))
    last = f'(func $f{depth} (result i32) (i32.const 0)) (func (export "f") (result i32) (call $f0))'
    return f"(module {calls} {last})"


def test_a_long_chain_of_calls_limits_the_stack() -> None:
    program, _ = compile_steps(chain(5000))
    assert assemble(program).frame_limit == 2 * sum(f.frame_size for f in program.functions.values()) + 64
    assert w2x.Instance(w2x.compile(chain(600))).invoke("f").values == [600]


def test_recursion_takes_the_whole_stack() -> None:
    for body in ("(call $b)", "(call_indirect (i32.const 0))"):
        wat = f'(module (table 1 funcref) (elem (i32.const 0) $b) (func $a {body}) (func $b (export "b") (call $a)))'
        assert assemble(compile_steps(wat)[0]).frame_limit == FRAME_LIMIT
