"""Branches that share a row with the step behind them: no token where they are not taken, and both steps are as before."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, realise
from wasm2xformer.compiler.format.isa import Program, Site, Slot, Step
from wasm2xformer.compiler.format.tokens import Kind
from wasm2xformer.compiler.format.validate import InvalidProgram, validate
from wasm2xformer.compiler.lower.code import Code
from wasm2xformer.compiler.optimise.join import join
from wasm2xformer.compiler.optimise.repeat import repeat
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.calls import call_of
from wasm2xformer.runtime.check.diff import compare
from wasm2xformer.runtime.trace import decode

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
RELATIONS = ("eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u")
EDGES = {"i32": (0, 1, 2**31 - 1, 2**31, 2**32 - 1), "i64": (0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)}


def program(text: str) -> Program:
    return compile_steps(text)[0]


def joined(text: str) -> list[str]:
    """The operations of steps that share the row of a branch."""
    return [step.op for step in program(text).steps if step.joined]


def module(body: str, parameters: str = "i32 i32 i32", result: str = "i32") -> str:
    return f'(module (memory 1) (func (export "f") (param {parameters}) (result {result}) (local i32) {body}))'


def choice(then: str, condition: str = "(local.get 0)") -> str:
    """What is done where the condition holds; else 7 is the result."""
    return module(f"(if {condition} (then {then})) (i32.const 7)")


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        ("(return (i32.add (local.get 1) (local.get 2)))", ["i32.add"]),
        ("(return (i32.load offset=3 (local.get 1)))", ["i32.load"]),
        ("(i32.store8 (local.get 1) (local.get 2))", ["i32.store8"]),
        ("(return (i32.div_u (local.get 1) (local.get 2)))", []),  # it may trap, and has digits in scratch
        ("(unreachable)", []),
        ("(br 0)", []),
    ],
)
def test_what_shares_a_row(then: str, wanted: list[str]) -> None:
    assert joined(choice(then)) == wanted


def test_nothing_else_may_lead_to_the_second_step() -> None:
    """The loop's first step is entered from its end, too: the branch in front of the loop has a row of its own."""
    text = module(
        "(if (local.get 0) (then (loop (local.set 1 (i32.mul (local.get 1) (local.get 2)))"
        " (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))) (local.get 1)"
    )
    steps = program(text).steps
    first = next(i for i, step in enumerate(steps) if step.op == "i32.mul")
    assert steps[first - 1].operation.branches and not steps[first].joined


def test_a_branch_that_is_not_taken_has_no_token_and_is_compared() -> None:
    text = choice("(return (i32.add (local.get 1) (local.get 2)))")
    model = w2x.compile(text)
    vm = w2x.Instance(model)
    run = vm.invoke("f", 1, 20, 22)
    trace = call_of(model, "f", [1, 20, 22], run).trace
    steps = [(model.program.steps[k].op, kind, length) for k, kind, length in zip(trace.step, trace.kind, trace.length)]
    at = next(k for k, (op, _, _) in enumerate(steps) if op.startswith("br."))
    assert steps[at : at + 2] == [("br.i32.eq", Kind.NEXT, 0), ("i32.add", Kind.DIGIT, 1)]
    assert run.values == [42] and run.steps == len(run.tokens) + 1 == len(trace) - 3  # steps of parameters are none of its own
    shown = trace.view(at, model.program, model.texts)
    assert shown.tokens == [] and shown.following == trace.step[at + 1]
    taken = call_of(model, "f", [0, 20, 22], vm.invoke("f", 0, 20, 22)).trace
    assert Kind.JUMP in taken.kind[[model.program.steps[k].operation.branches for k in taken.step]]
    plain = w2x.verify(text, "f", [1, 20, 22], opt_level=0)
    report = w2x.verify(text, "f", [1, 20, 22])
    assert report.ok and plain.ok and report.steps == len(trace)
    assert report.compared == 3  # the condition, the sum, the return


@pytest.mark.parametrize("engine", ["fast", "torch"])
@pytest.mark.parametrize("type_", ["i32", "i64"])
def test_every_comparison(type_: str, engine: str) -> None:
    """(a R b) ? 7 : a + b, of numbers that make all the difference; each relation in a function of its own."""
    functions = "".join(
        f'(func (export "{r}") (param {type_} {type_}) (result {type_}) (if ({type_}.{r} (local.get 0) (local.get 1))'
        f" (then (return ({type_}.const 7)))) ({type_}.add (local.get 0) (local.get 1)))"
        for r in RELATIONS
    )
    text = f"(module {functions})"
    assert joined(text) and all(op in ("mov", f"{type_}.add") for op in joined(text))
    verifier = w2x.Verifier(text, engine=engine)
    generator = random.Random(5)
    pairs = list(product(EDGES[type_], repeat=2))
    for relation in RELATIONS:
        for a, b in pairs if engine == "fast" else generator.sample(pairs, 4):
            report = verifier.invoke(relation, [a, b])
            assert report.ok, (relation, a, b, report.divergence)


@pytest.mark.parametrize("engine", ["fast", "torch"])
def test_what_is_not_done_has_no_effect(engine: str) -> None:
    """Where the branch is taken, the other step's load does not trap, and its store writes nothing."""
    text = """(module (memory (export "memory") 1) (data (i32.const 0) "\\05\\06\\07\\08\\09")
      (func (export "load") (param i32 i32) (result i32)
        (if (local.get 0) (then (return (i32.load (local.get 1))))) (i32.const 7))
      (func (export "store") (param i32 i32)
        (if (local.get 0) (then (i32.store offset=1 (local.get 1) (i32.const 0x01020304)))))
      (func (export "mul") (param i64 i64) (result i64)
        (if (i64.lt_s (local.get 0) (i64.const -5)) (then (return (i64.mul (local.get 0) (local.get 1))))) (i64.const 7)))"""
    assert sorted(joined(text)) == ["i32.load", "i32.store", "i64.mul"]
    verifier = w2x.Verifier(text, engine=engine)
    for name, arguments in (
        ("store", (0, 0)), ("load", (0, 70000)), ("load", (1, 1)), ("load", (1, 65533)), ("store", (1, 1)), ("store", (0, 2)),
        ("store", (0, 65535)), ("store", (1, 65532)), ("load", (1, 0)), ("load", (0, 0)), ("mul", (-6, 2**63 - 1)),
        ("mul", (-5, 3)), ("mul", (-(2**63), -(2**63) + 7)), ("load", (1, 2**32 - 1)),
    ):  # fmt: skip
        report = verifier.invoke(name, list(arguments))
        assert report.ok, (name, arguments, report.divergence)


@pytest.mark.parametrize("arguments", [(1, 20, 22), (0, 20, 22)])
def test_the_other_way_is_a_difference(arguments: tuple[int, ...]) -> None:
    """Whichever way the tokens say that it went: a jump in the place of the sum, digits in the place of the jump."""
    text = choice("(return (i32.add (local.get 1) (local.get 2)))")
    verifier = w2x.Verifier(text, keep_records=True)
    report = verifier.invoke("f", arguments)
    assert report.ok
    model, trace = verifier.model, report.trace
    names = model.transformer.vocabulary
    at = next(k for k, step in enumerate(trace.step) if model.program.steps[step].operation.branches)
    position = int(trace.end[at + (trace.kind[at] == Kind.NEXT)])
    target = next(step.target for step in model.program.steps if step.operation.branches)
    jumps = [i for i, name in enumerate(names) if name.startswith("J.")]
    distance = model.program.row_of[target] - model.program.row_of[trace.step[at]]
    (taken,) = {i for i in jumps if trace.table.ip_delta[i] == distance}
    changed = trace.tokens.copy()
    changed[position] = taken if arguments[0] else names.index("D0.42")
    assert changed[position] != trace.tokens[position]
    found = decode(changed, trace.table, model.program)
    assert len(found) > at and found.kind[at] != trace.kind[at]
    assert compare(model.program, load(text).module, found, report.oracle)


def test_small_loops_stand_there_several_times() -> None:
    """A round has no token for its branch but every eighth time."""
    text = module("(loop (local.set 3 (i32.add (local.get 3) (local.get 0)))"
                  " (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 3)")  # fmt: skip
    model = w2x.compile(text)
    runs = {n: w2x.Instance(model).invoke("f", n, 0, 0) for n in (8, 16, 17, 22)}
    assert all(run.values == [n * (n + 1) // 2] for n, run in runs.items())
    assert len(runs[16].tokens) - len(runs[8].tokens) == 8 * 2 + 1
    assert w2x.verify(text, "f", [22, 0, 0]).ok


S = [Slot("frame", k) for k in range(4)]


def code(*steps: Step, **labels: int) -> Code:
    return Code(list(steps), {int(name[1:]): at for name, at in labels.items()}, _next_label=100)


def test_the_copies_of_a_loop() -> None:
    add = Step("i32.add", a=S[0], b=S[1], dest=S[0], site=Site(0, 3, "value"))
    skip = Step("br.i32.eq", a=S[2], b=S[1], target=1)
    store = Step("i32.store8", a=S[0], b=S[1], c=Slot("hidden", "memory_bytes"))
    back = Step("br.i32.lt_u", a=S[0], b=S[3], target=0, site=Site(0, 9, "branch"))
    c = code(add, skip, store, back, Step("return"), l0=0, l1=3)
    repeat(c)
    assert len(c.steps) == 4 * 8 + 1 and c.steps[-2] == back and c.steps[-1].op == "return"
    out = Step("br.i32.ge_u", a=S[0], b=S[3], target=c.steps[3].target, taken=0, site=back.site)
    assert all(c.steps[4 * k + 3] == out for k in range(7)) and c.labels[c.steps[3].target] == 32  # type: ignore[index]
    assert [c.labels[c.steps[4 * k + 1].target] for k in range(8)] == [4 * k + 3 for k in range(8)]  # type: ignore[index]
    join(c)
    assert [i for i, step in enumerate(c.steps) if step.joined] == [at for k in range(8) for at in (4 * k, 4 * k + 2) if at]


def test_loops_that_are_left_alone() -> None:
    add, back = Step("i32.add", a=S[0], b=S[1], dest=S[0]), Step("br.i32.lt_u", a=S[0], b=S[3], target=0)
    for steps in (
        (Step("br.i32.eq", a=S[0], b=S[1], target=1), add, back, Step("return")),  # it begins with what shares no row
        (*[add] * 32, back, Step("return")),  # long
        (add, back.but(target=1), back, Step("return")),  # the inner loop's is no loop with a step behind the first
    ):
        c = code(*steps, l0=0, l1=1)
        repeat(c)
        assert c.steps == list(steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda steps, at: {at - 1: steps[at - 1].but(joined=True)}, "shares the row of"),
        (lambda steps, at: {at: Step("jump", target=at + 1, joined=True)}, "jump shares the row of br.i32.eq"),
        (lambda steps, at: {at + 1: steps[at + 1].but(joined=True)}, "shares the row of i32.add"),
        (lambda steps, at: {at - 1: steps[at - 1].but(target=at)}, "something else leads to it"),
        (lambda steps, at: {0: steps[0].but(joined=True)}, "shares the row of no step of its function"),
        (lambda steps, at: {len(steps) - 1: steps[-1].but(joined=True)}, "shares the row of no step of its function"),
    ],
)
def test_steps_that_cannot_share_a_row(change, message: str) -> None:
    good = program(choice("(return (i32.add (local.get 1) (local.get 2)))"))
    validate(good)
    at = next(i for i, step in enumerate(good.steps) if step.joined)
    changed = change(good.steps, at)
    with pytest.raises(InvalidProgram, match=message):
        validate(replace(good, steps=tuple(changed.get(i, step) for i, step in enumerate(good.steps)), folded={}))


def test_rows_of_steps() -> None:
    p = program(choice("(return (i32.add (local.get 1) (local.get 2)))"))
    assert len(p.row_of) == len(p.steps) + 1 and [p.row_of[i] for i in p.step_at] == list(range(len(p.step_at)))
    assert p.row_of[-1] == len(p.step_at)
    assert all(p.row_of[i] == p.row_of[i - 1] for i, step in enumerate(p.steps) if step.joined)
    assert Program((), {}, {}).row_of == [0] and Program((), {}, {}).step_at == []


@pytest.mark.parametrize("engine", ["fast", "torch"])
def test_far_jumps_out_of_shared_rows(engine: str) -> None:
    """Where no jump has a token of its own, a branch that is taken is two tokens, and the other step's digits do not come."""
    text = choice("(return (i32.add (local.get 1) (local.get 2)))")[:-1] + """
      (func (export "g") (param i32 i32 i32) (result i32) (if (i32.lt_s (local.get 0) (local.get 1))
        (then (return (i32.rotl (local.get 1) (local.get 2))))) (i32.mul (local.get 0) (local.get 2))))"""
    model = realise(*compile_steps(text), 0)
    assert sum(step.joined for step in model.program.steps) == 2 and "J.0" not in model.transformer.vocabulary
    verifier = w2x.Verifier(text, model=model, engine=engine)
    for call in (("f", 1, 2, 3), ("f", 0, 2, 3), ("g", 5, 6, 31), ("g", 6, 5, 2**30), ("g", -1, 0, 1), ("g", 0, -1, 1)):
        report = verifier.invoke(call[0], call[1:])
        assert report.ok, (call, report.divergence)


def test_saved_models_have_a_stock_form(tmp_path) -> None:
    """A checkpoint's steps have no initial values: those of registers come out of the prefix (a store was out of bounds)."""
    text = choice("(i32.store8 (local.get 1) (local.get 2)) (return (i32.load8_u (local.get 1)))")
    model = w2x.compile(text)
    model.save(tmp_path / "m.safetensors")
    saved = w2x.load(tmp_path / "m.safetensors")
    assert saved.program.steps == model.program.steps
    assert w2x.Instance(w2x.in_stock_form(saved)).invoke("f", 1, 500, 77).values == [77]


@pytest.mark.parametrize(
    ("source", "name", "args"),
    [
        ("i32/sieve.wat", "count_primes", (300,)),
        ("i32/collatz.wat", "steps", (27,)),
        ("c/hello.wasm", "_start", ()),  # with far jumps, several rows of tokens
        ("i32/crc32.wat", "crc32", (65530, 9)),  # a trap behind a branch
    ],
)
def test_steps_are_counted_without_a_trace(source: str, name: str, args: tuple[int, ...], monkeypatch) -> None:
    monkeypatch.setattr("wasm2xformer.runtime.results.BLOCK", 100)
    model = w2x.compile(PROGRAMS / source)
    try:
        run = w2x.Instance(model).invoke(name, *args)
    except w2x.Trap as trap:
        run = trap.run
    trace = call_of(model, name, list(args), run).trace
    silent = int(np.count_nonzero(trace.length == 0))
    assert silent and trace.fault is None
    assert run.steps == int(trace.table.ends[run.tokens].sum()) + silent == len(trace) - int(trace.table.ends[run.prompt].sum())
