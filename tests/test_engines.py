"""The engines against each other on compiled programs: the fast one, the dense one, and the replay of long traces."""

from __future__ import annotations

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.runtime.check.replay import Mismatch, replay

# One exported function for each class of instructions; each call takes at most some hundred tokens.
PROGRAM = """
(module
  (memory 1 3)
  (table $t 4 4 funcref)
  (elem (table $t) (i32.const 0) func $double $fact)
  (data (i32.const 8) "wasm")
  (data $d "\\01\\02\\03\\04")
  (global $g (mut i64) (i64.const 40))
  (type $unary (func (param i32) (result i32)))
  (func $double (type $unary) (i32.shl (local.get 0) (i32.const 1)))
  (func $fact (export "calls") (type $unary)
    (if (result i32) (i32.le_s (local.get 0) (i32.const 1))
      (then (i32.const 1))
      (else (i32.mul (local.get 0) (call $fact (i32.sub (local.get 0) (i32.const 1)))))))
  (func (export "i32") (param i32 i32) (result i32)
    (i32.xor
      (i32.add (i32.div_s (local.get 0) (local.get 1)) (i32.rem_u (local.get 0) (local.get 1)))
      (i32.rotl (i32.shr_s (local.get 0) (i32.const 3)) (local.get 1))))
  (func (export "i64") (param i64 i64) (result i64)
    (i64.sub (i64.mul (local.get 0) (local.get 1)) (i64.shr_u (local.get 0) (local.get 1))))
  (func (export "division") (param i64 i64) (result i64) (i64.div_s (local.get 0) (local.get 1)))
  (func (export "bits") (param i32) (result i32)
    (i32.add (i32.clz (local.get 0)) (i32.add (i32.popcnt (local.get 0)) (i32.ctz (i32.extend8_s (local.get 0))))))
  (func (export "compare") (param i64 i64) (result i32)
    (i32.or (i64.lt_s (local.get 0) (local.get 1)) (i32.shl (i64.ge_u (local.get 0) (local.get 1)) (i32.const 1))))
  (func (export "convert") (param i32) (result i64)
    (select (i64.extend_i32_s (local.get 0)) (i64.extend_i32_u (local.get 0))
      (i32.wrap_i64 (i64.extend32_s (i64.extend_i32_u (local.get 0))))))
  (func (export "memory") (param i32 i64) (result i64)
    (i64.store offset=3 align=1 (local.get 0) (local.get 1))
    (i32.store8 (local.get 0) (i32.const 200))
    (i64.add (i64.load32_s offset=5 (local.get 0)) (i64.extend_i32_s (i32.load8_s (local.get 0)))))
  (func (export "bulk") (result i32)
    (memory.fill (i32.const 20) (i32.const 7) (i32.const 2))
    (memory.copy (i32.const 21) (i32.const 8) (i32.const 3))
    (memory.init $d (i32.const 22) (i32.const 1) (i32.const 1))
    (i32.load (i32.const 20)))
  (func (export "grow") (param i32) (result i32)
    (i32.add (memory.grow (local.get 0)) (memory.size)))
  (func (export "globals") (param i64) (result i64)
    (global.set $g (i64.add (global.get $g) (local.get 0))) (global.get $g))
  (func (export "table") (param i32 i32) (result i32)
    (table.set $t (i32.const 2) (ref.func $double))
    (call_indirect $t (type $unary) (local.get 0) (local.get 1)))
  (func (export "br_table") (param i32) (result i32)
    (block $c (block $b (block $a (br_table $a $b $c (local.get 0))) (return (i32.const 10))) (return (i32.const 20)))
    (i32.const 30))
  (func (export "loop") (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.mul (local.get $n) (local.get $n))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  (func (export "two") (param i32 i64) (result i64 i32)
    (local.get 1) (local.get 0)
    (block (param i64 i32) (result i64 i32) (br_if 0 (local.get 0)) (drop) (i32.const -1)))
  (func (export "float") (param i32) (result i32)
    (i32.reinterpret_f32 (f32.copysign (f32.abs (f32.reinterpret_i32 (local.get 0))) (f32.const -1)))))
"""
CALLS = [
    ("calls", 5), ("i32", -100, 7), ("i32", 1, 0), ("i32", -(2**31), -1), ("i64", 2**40 + 3, -5), ("division", -(2**62), 77),
    ("bits", 0x00F0_1200), ("compare", -1, 1), ("convert", -5), ("convert", 0), ("memory", 100, -(2**50) + 9),
    ("memory", 65530, 1), ("bulk",), ("grow", 1), ("grow", 9), ("globals", 2), ("globals", -(2**40)), ("table", 4, 1),
    ("table", 21, 2), ("table", 0, 3), ("table", 0, 4), ("br_table", 0), ("br_table", 1), ("br_table", -1), ("loop", 3),
    ("two", 0, 5), ("two", 3, -5), ("float", 12345),
]  # fmt: skip


def tokens(instance: w2x.Instance, name: str, *args: int) -> np.ndarray:
    """Prompt and decoded tokens, also of a call that traps."""
    try:
        run = instance.invoke(name, *args, max_tokens=2000)
    except w2x.Trap as trap:
        run = trap.run
    return np.concatenate([run.prompt, run.tokens])


@pytest.mark.parametrize("level", [0, 1])
def test_dense_and_fast_give_the_same_tokens(level: int):
    model = w2x.compile(PROGRAM, level)
    fast, dense = w2x.Instance(model), w2x.Instance(model, engine="torch")
    sequence = [model.transformer.prefix]
    for call in CALLS:
        sequence.append(tokens(fast, *call))
        np.testing.assert_array_equal(tokens(dense, *call), sequence[-1], err_msg=f"{call}")
    assert fast.position == dense.position == sum(map(len, sequence)) <= model.transformer.envelope


@pytest.mark.parametrize("level", [0, 1])
def test_replay_confirms_a_long_trace(level: int):
    model = w2x.compile(PROGRAM, level, exports=["loop"])
    run = w2x.Instance(model).invoke("loop", 3000 - 1500 * (level == 0))
    assert len(run.tokens) > 15_000
    sequence = np.concatenate([model.transformer.prefix, run.prompt, run.tokens])
    start = len(sequence) - len(run.tokens) - 1
    assert replay(model.transformer, sequence, start) is None
    # A wrong last digit is seen where it stands.
    at = int(np.flatnonzero(model.transformer.embed.column(0)[sequence] == 1)[-10])
    sequence = sequence.copy()
    right = int(sequence[at])
    sequence[at] = right - 1 if right else 1
    assert replay(model.transformer, sequence, start) == Mismatch(at - 1, int(sequence[at]), right)


def test_a_device_is_for_torch():
    model = w2x.compile("(module)")
    with pytest.raises(w2x.ArgumentError, match="a device is for the engines torch and hf"):
        w2x.Instance(model, device="cpu")
    for name in ("nothing", "meta"):  # meta has no numbers
        with pytest.raises(w2x.ArgumentError, match=f"device '{name}': "):
            w2x.Instance(model, engine="torch", device=name)
