"""Digits of keys that no query has, and programs that lead to them: the fast engine goes on trusting its lookups."""

from __future__ import annotations

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.graph import Graph, build
from wasm2xformer.runtime.fast.engine import FastEngine
from wasm2xformer.runtime.fast.lift import lift
from wasm2xformer.runtime.torch_engine import TorchEngine

COUNT = "(global $n (mut i32) (i32.const 12))"
LESS = "(global.set $n (i32.sub (global.get $n) (i32.const 1)))"
MANY = 40
# No step of these writes a slot of a frame, so all digits of slots that steps name are alike.
PROGRAMS = {
    "calls": f'{COUNT} (func $f (export "f") {LESS} (if (global.get $n) (then (call $f))))',
    "tail calls": f'{COUNT} (func $f (export "f") {LESS} (if (global.get $n) (then (return_call $f))))',
    "a loop": f'{COUNT} (func (export "f") (loop $l {LESS} (br_if $l (global.get $n))))',
    "i64": f"""{COUNT} (global $m (mut i64) (i64.const 3)) (func $f (export "f")
      (global.set $m (i64.mul (global.get $m) (i64.const 0x123456789))) {LESS} (if (global.get $n) (then (call $f))))""",
    "f64": f"""{COUNT} (global $m (mut f64) (f64.const 3)) (func $f (export "f")
      (global.set $m (f64.add (global.get $m) (f64.const 0.1))) {LESS} (if (global.get $n) (then (call $f))))""",
    "memory": f"""(memory 1) {COUNT} (func $f (export "f") (i32.store (global.get $n) (global.get $n))
      (global.set $n (i32.sub (i32.load (global.get $n)) (i32.const 1))) (if (global.get $n) (then (call $f))))""",
    "memory at constants": f"""(memory 900) {COUNT} (func $f (export "f") (i32.store (i32.const 58000000) (global.get $n))
      {LESS} (i32.store8 (i32.const 9) (i32.load (i32.const 58000000))) (if (global.get $n) (then (call $f))))""",
    "many globals": f"""{COUNT} {" ".join(f"(global $g{i} (mut i32) (i32.const {i}))" for i in range(MANY))}
      (func $f (export "f") {" ".join(f"(global.set $g{i} (global.get $g{7 * i % MANY}))" for i in range(MANY))}
      {LESS} (if (i32.gt_s (global.get $n) (i32.const 9)) (then (call $f))))""",
    "a start function": f"""{COUNT} (func $s {LESS} (if (i32.gt_s (global.get $n) (i32.const 4)) (then (call $s))))
      (start $s) (func (export "f") (result i32) (global.get $n))""",
    "nothing": '(func (export "f"))',
    "empty functions": '(func $g) (func $h (call $g)) (func (export "f") (call $h) (call $g))',
}
ENDLESS = {"calls without end": '(func $f (export "f") (call $f))'}


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_write_no_slot_of_a_frame(name: str, level: int) -> None:
    model = w2x.compile(f"(module {PROGRAMS[name]})", opt_level=level)
    fast, dense = w2x.Instance(model), w2x.Instance(model, engine="torch")
    np.testing.assert_array_equal(fast.invoke("f").tokens, dense.invoke("f").tokens)
    assert fast._engine.trusted  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["empty functions", "nothing", "calls without end", "calls", "many globals"])
def test_they_are_followed_in_the_stock_form(name: str) -> None:
    """Where no step has a value, all that is rounded to a token's id is 0."""
    model = w2x.compile(f"(module {(PROGRAMS | ENDLESS)[name]})")
    fast, dense = w2x.Instance(w2x.in_stock_form(model)), w2x.Instance(model, engine="torch")
    found = []
    for vm in (fast, dense):
        try:
            found.append(vm.invoke("f", max_tokens=60).tokens)
        except w2x.Unfinished as error:
            found.append(np.concatenate(error.tokens[1:]))
    np.testing.assert_array_equal(*found)
    assert fast._engine.trusted  # type: ignore[union-attr]


def test_the_limit_of_calls_is_met_while_lookups_are_trusted() -> None:
    program = '(module (global $n (mut i32) (i32.const 0)) (func $f (export "f") (global.set $n (i32.const 1)) (call $f)))'
    vm = w2x.Instance(w2x.compile(program))
    assert vm._engine.trusted  # type: ignore[union-attr]
    with pytest.raises(w2x.Trap, match="call stack exhausted"):
        vm.invoke("f")
    assert vm._engine.trusted  # type: ignore[union-attr]


LOW, HIGH, VALUES, MOST = 4, 3, 5, 63


def growing() -> Transformer:
    """+{s} adds s to a sum, w{h}.{v} writes v under the digits (sum, h), ?{l}{h} asks for what stands at (l, h): v, or 0.

    Nothing is known of the sum but that it is an integer; queries' lower digit is below LOW.
    """
    g = Graph()
    step, low, high, value, writes, floor, asks = (
        g.feature(n) for n in ("step", "low", "high", "value", "writes", "floor", "asks")
    )
    for v in range(VALUES):
        g.token(f"v{v}")
    g.token("BOS", {floor: 1})
    for s in range(-1, 3):
        g.token(f"+{s}", {step: s})
    for h in range(HIGH):
        for v in range(VALUES):
            g.token(f"w{h}.{v}", {high: h, value: v, writes: 1})
        for k in range(LOW):
            g.token(f"?{k}{h}", {low: k, high: h, asks: 1})
    (total,) = g.cumulative_sum({"total": step}, 2**12)
    kept = [g.product(1.0 - floor, total), g.product(1.0 - floor, high)]
    asked = [g.product(1.0 - floor, low), g.product(1.0 - floor, high)]
    (found,) = g.paraboloid(
        "memory", asked, kept, {"found": value}, floor=floor, sizes=(64, 4), off=1.0 - writes - floor, position_bits=20
    )
    g.unembed(g.product(asks, found), emittable=VALUES)
    g.prefix = [g.token_ids["BOS"]]
    return build(g)


def test_keys_that_no_query_has_the_digits_of_are_not_kept() -> None:
    """(sum, h) and (low, h') may have the same number in the store: what stands there is not what was asked for."""
    model = growing()
    graph = lift(model).graph
    (store,) = (s for s in graph.stores if s.exact)
    assert not graph.within(store.windows[0])  # else there is nothing to be left out
    fast, dense, rng = FastEngine(model), TorchEngine(model), np.random.default_rng(0)
    known: dict[tuple[int, int], int] = {}
    total = hits = 0
    for _ in range(300):
        s, h, v = int(rng.integers(-1, 3)), int(rng.integers(HIGH)), int(rng.integers(1, VALUES))
        s = s if 0 <= total + s < MOST else -1
        low, high = int(rng.integers(LOW)), int(rng.integers(HIGH))
        total += s
        known[total, h] = v
        prompt = np.array([model.vocabulary.index(t) for t in (f"+{s}", f"w{h}.{v}", f"?{low}{high}")], dtype=np.int32)
        stop = np.ones(len(model.vocabulary), dtype=bool)
        for engine in (fast, dense):
            engine.append(prompt)
            assert model.vocabulary[int(engine.decode(stop, 1)[0])] == f"v{known.get((low, high), 0)}"
        hits += (low, high) in known
    assert fast.trusted and 20 < hits < 290 and any(key[0] >= LOW for key in known)
