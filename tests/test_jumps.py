"""Far jumps: which jumps spell their distance, that they arrive, and that the vocabulary stays small whatever the program."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from tests.test_engines import CALLS, PROGRAM, tokens
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.compiler.format.isa import Entry, Program, Slot, Step, StepFunction
from wasm2xformer.compiler.format.tokens import TokenTable, head_of
from wasm2xformer.compiler.format.types import FuncType
from wasm2xformer.compiler.machine.jumps import Tables, jumps_of, tables_of
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.diff import compare
from wasm2xformer.runtime.check.verify import Verifier
from wasm2xformer.runtime.trace import decode


def model_of(wat: str, single_jumps: int, opt_level: int = 1) -> Model:
    return realise(*compile_steps(wat, CompileOptions(opt_level)), single_jumps)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("single_jumps", [0, 12, 40])
def test_every_step_is_that_of_wasmtime(single_jumps: int, level: int) -> None:
    """None, some or most jumps have a token of their own: short calls of functions with far returns, and the other way."""
    model = model_of(PROGRAM, single_jumps, level)
    heads = {head_of(name) for name in model.transformer.vocabulary}
    assert {"X", "Y", "Z", "F"} <= heads and ("J" in heads) == (single_jumps > 0)
    verifier = Verifier(PROGRAM, model=model, opt_level=level)
    for name, *args in CALLS:
        report = verifier.invoke(name, args)
        assert report.ok, f"{name} {args}: {report.divergence}"


def test_dense_and_fast_give_the_same_tokens() -> None:
    model = model_of(PROGRAM, 12)
    fast, dense = w2x.Instance(model), w2x.Instance(model, engine="torch")
    for call in [("calls", 3), ("table", 21, 0), ("table", 4, 2), ("table", 4, 3), ("br_table", 1), ("br_table", -1)]:
        np.testing.assert_array_equal(tokens(dense, *call), tokens(fast, *call), err_msg=f"{call}")


def test_a_checkpoint_keeps_far_jumps(tmp_path: Path) -> None:
    made = model_of(PROGRAM, 12)
    made.save(tmp_path / "model.safetensors")
    read = w2x.load(tmp_path / "model.safetensors")
    assert read.jumps == made.jumps
    assert w2x.Instance(read).invoke("table", 5, 1).values == [120]


def test_every_wrong_token_of_a_far_jump_is_a_difference() -> None:
    model, module = model_of(PROGRAM, 0), load(PROGRAM).module
    report = Verifier(PROGRAM, model=model, keep_records=True).invoke("table", (3, 1))
    ours, table = report.trace.tokens, report.trace.table
    heads = np.array([head_of(name) for name in table.names])
    seen = set()
    for at in np.flatnonzero(np.isin(heads[ours], list("XYZF"))):
        same = np.flatnonzero(heads == heads[ours[at]])
        changed = ours.copy()
        changed[at] = same[(np.searchsorted(same, ours[at]) + 1) % len(same)]
        assert compare(model.program, module, decode(changed, table, model.program), report.oracle), table.names[ours[at]]
        seen.add(heads[ours[at]])
    assert seen == set("XYZF")


DEEP = """(module (type $t (func (param i32) (result i32))) (type $other (func (result i32)))
  (table 4 funcref) (elem (i32.const 0) $deeper $wrong)
  (func $wrong (type $other) (i32.const 1))
  (func $deeper (type $t) (i32.add (i32.const 1) (call_indirect (type $t) (local.get 0) (i32.const 0))))
  (func (export "endless") (result i32) (call $deeper (i32.const 1)))
  (func (export "other") (param i32) (result i32) (call_indirect (type $t) (i32.const 1) (local.get 0))))"""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("endless",), "call stack exhausted"),
        (("other", 1), "indirect call type mismatch"),
        (("other", 2), "uninitialized element"),
        (("other", 4), "undefined element: out of bounds table access"),
    ],
)
def test_traps_of_far_calls(call: tuple, message: str) -> None:
    with pytest.raises(w2x.Trap, match=message):
        w2x.Instance(model_of(DEEP, 0)).invoke(*call)


def maze(count: int, seed: int) -> tuple[Program, list[int]]:
    """A program that jumps once to each of its rooms, in random order, each of which emits its number."""
    rng = random.Random(seed)
    order = rng.sample(range(count), count)
    after = dict(zip(order, order[1:]))
    steps = [Step("jump", target=1 + 2 * order[0])]
    for room in range(count):
        follows = after.get(room)
        steps.append(Step("result", a=Slot("const", room)))
        steps.append(Step("halt") if follows is None else Step("jump", target=1 + 2 * follows))
    entry = Entry("run", 0, (), ())
    return Program(tuple(steps), {0: StepFunction(0, "maze", FuncType(), 0, len(steps), 1)}, {"run": entry}), order


@pytest.mark.parametrize("count", [3, 64, 65, 250])
def test_distances_of_all_sizes_and_both_directions(count: int) -> None:
    program, order = maze(count, count)
    model = realise(program, None, 0)  # type: ignore[arg-type]
    assert sum(head_of(name) == "X" for name in model.transformer.vocabulary) <= 32
    instance = w2x.Instance(model)
    run = instance.invoke("run", max_tokens=10 * count)
    table = TokenTable.build(model.transformer.vocabulary, model.jumps, model.entries)
    trace = decode(np.concatenate([run.prompt, run.tokens]), table, program)
    assert trace.fault is None and trace.outcome == "halt"
    assert trace.results(program) == order


def states(count: int) -> str:
    """A state machine: in each state, two tables of `count` cases."""
    opens = "".join(f"(block $s{k} " for k in reversed(range(count)))
    table = " ".join(f"$s{k}" for k in range(count))
    step = f"(local.set $i (i32.and (i32.add (local.get $i) (i32.load8_u (local.get $p))) (i32.const {count - 1})))"
    leave = f"(block $e (br_table {' '.join(['$top', '$e'] * (count // 2))} (local.get $i)))"
    done = "(if (i32.eqz (local.get $p)) (then (return (local.get $i))))"
    bodies = " ".join(f") {step} {done} (local.set $p (i32.sub (local.get $p) (i32.const 1))) {leave}" for _ in range(count))
    code = f"(loop $top {opens} (br_table {table} (local.get $i)) {bodies}) (i32.const -1)"
    data = '(data (i32.const 0) "\\01\\05\\03\\07\\02")'
    return f'(module (memory 1) {data} (func (export "f") (param $p i32) (result i32) (local $i i32) {code}))'


def indirect(count: int) -> str:
    """As many functions as places that call any of them through a table."""
    functions = " ".join(f"(func $f{i} (type $t) (i32.add (local.get 0) (i32.const {i})))" for i in range(count))
    calls = "(local.get 0)" + " ".join(f"(call_indirect (type $t) (i32.const {7 * i % count}))" for i in range(count))
    names = " ".join(f"$f{i}" for i in range(count))
    return (
        f"(module (type $t (func (param i32) (result i32))) (table {count} funcref) (elem (i32.const 0) {names}) {functions}"
        f' (func (export "f") (type $t) {calls}))'
    )


@pytest.mark.parametrize(("make", "count", "argument"), [(states, 128, 5), (indirect, 150, 3)])
def test_large_programs_have_small_vocabularies(make, count: int, argument: int) -> None:
    wat = make(count)
    report = w2x.verify(wat, "f", (argument,))
    assert report.ok, report.divergence
    program, _ = compile_steps(wat)
    assert len(jumps_of(program).tokens) <= 2048 + 3 * 128 + 64
    tables = tables_of(program, jumps_of(program))
    assert len(tables.bytes) <= 2 * sum(len(step.targets) for step in program.steps) + 2 * (1 + len(program.references))


def test_equal_tables_are_one_and_entries_are_as_wide_as_the_program_needs() -> None:
    targets = tuple(range(5))
    steps = [Step("br_table", a=Slot("const", 0), targets=targets)] * 3 + [Step("halt")] * (1 << 16)
    short, long = Program(tuple(steps[:100]), {}, {}), Program(tuple(steps), {}, {})
    made = tables_of(short, jumps_of(short, 0))
    assert made == Tables(b"".join(t.to_bytes(2, "little") for t in targets), 2, dict.fromkeys(range(3), (0, 5)))
    assert tables_of(long, jumps_of(long, 0)).width == 4


def test_a_far_jump_that_is_cut_short_is_no_trace() -> None:
    names = ["D0.1", "N", "H", "X.0", "X.1", "Y.0", "Z.0", "F.0", "I.0"]
    moves = [(-2, 0), (0, 0), (1, 0), (1, 0), (0, 5)]
    table = TokenTable.build(names, moves, [("f", 0)])
    program = Program((Step("halt"),) * 4, {}, {"f": Entry("f", 0, (), ())})

    def fault(text: str) -> int | None:
        found = decode(np.array([names.index(name) for name in text.split()]), table, program).fault
        return None if found is None else found.token

    assert fault("I.0 X.1 Y.0 N H") is None
    assert fault("I.0 X.1 Z.0 F.0 N H") is None
    for text, at in (
        ("I.0 X.1 N H", 2), ("I.0 Y.0 H", 1), ("I.0 X.1 F.0 H", 2), ("I.0 X.1 Z.0 Y.0 H", 3), ("I.0 N Z.0 F.0 H", 2),
        ("I.0 X.1 X.1 Y.0 H", 2), ("I.0 X.1 Z.0 H", 3), ("I.0 N F.0 H", 2),
    ):  # fmt: skip
        assert fault(text) == at, text
    with pytest.raises(ValueError, match="fewer jumps"):
        TokenTable.build(names, moves[:-1], [("f", 0)])
    with pytest.raises(ValueError, match="more jumps"):
        TokenTable.build(names, [*moves, (0, 0)], [("f", 0)])
