"""Translation validation: what a step program leaves out, or does otherwise, is told, whatever the run shows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, link_source, realise
from wasm2xformer.compiler.format.isa import Program, Slot, Step
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.translation import RULES, FunctionCheck, TranslationCheck
from wasm2xformer.runtime.check.translation.state import JoinPoint, joined
from wasm2xformer.runtime.watch import watched

PROGRAM = """(module (memory 1) (global $g (mut i32) (i32.const 1)) (table 2 funcref) (elem (i32.const 0) $h $h)
  (func $h (param i32) (result i32) (i32.sub (local.get 0) (i32.const 3)))
  (func (export "f") (param i32) (result i32) (local i32)
    (i32.store offset=8 (local.get 0) (i32.const 77))
    (global.set $g (i32.mul (local.get 0) (i32.const 5)))
    (loop $l
      (local.set 1 (i32.add (i32.const 50) (local.get 1)))
      (local.set 1 (i32.add (local.get 1) (i32.load (i32.add (i32.and (local.get 0) (i32.const 255)) (i32.const 8)))))
      (br_if $l (i32.lt_u (local.get 1) (i32.const 200))))
    (call_indirect (param i32) (result i32) (call $h (local.get 1)) (i32.const 1))))"""


def program(level: int) -> Program:
    return compile_steps(load(PROGRAM), CompileOptions(level))[0]


def faults(changed: Program, level: int) -> list[str]:
    source = load(PROGRAM)
    linked = link_source(source, CompileOptions(level))
    return [str(fault) for fault in TranslationCheck(changed, linked, source.module).all()]


def only(changed: Program, op: str, change: Callable[[Step], Step]) -> Program:
    """The first step with this operation changed."""
    at = next(i for i, step in enumerate(changed.steps) if step.op == op)
    steps = list(changed.steps)
    steps[at] = change(steps[at])
    return replace(changed, steps=tuple(steps))


def skipped(index: int) -> Callable[[Step], Step]:
    return lambda step: Step("jump", target=index)


@pytest.mark.parametrize("level", [0, 1])
def test_what_the_compiler_makes_is_right(level: int):
    assert faults(program(level), level) == []


CHANGES: dict[str, tuple[str, Callable[[Step], Step]]] = {
    "another constant": ("i32.mul", lambda s: s.but(b=Slot("const", 6))),
    "another operation": ("i32.mul", lambda s: s.but(op="i32.add")),
    "operands swapped": ("i32.sub", lambda s: s.but(a=s.b, b=s.a)),
    "another destination": ("i32.mul", lambda s: s.but(dest=Slot("frame", 9))),
    "another address": ("i32.store", lambda s: s.but(imm=12)),
    "another width": ("i32.store", lambda s: s.but(op="i32.store8")),
    "another value": ("i32.store", lambda s: s.but(b=Slot("const", 78))),
    "a load without its bounds": ("i32.load", lambda s: s.but(c=Slot("const", 2**31))),
    "a callee of another frame": ("call", lambda s: s.but(imm=s.imm + 1)),
    "another table": ("table.ref", lambda s: s.but(imm=s.imm + 4)),
    "another type": ("call_indirect", lambda s: s.but(type=replace(s.type, params=()))),
    "a site less": ("i32.mul", lambda s: s.but(site=None)),
    "another site": ("i32.mul", lambda s: s.but(site=s.site.but(instruction=s.site.instruction + 1))),
    "another record": ("i32.store", lambda s: s.but(site=s.site.but(record="control"))),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("level", [0, 1])
def test_what_is_changed_is_told(change: str, level: int):
    assert faults(only(program(level), *CHANGES[change]), level), change


@pytest.mark.parametrize("level", [0, 1])
def test_a_store_and_a_global_that_are_jumped_over_are_told(level: int):
    """The weights are made from such a program: the run has the same result."""
    whole = program(level)
    at = [i for i, s in enumerate(whole.steps) if (".store" in s.op and i < whole.functions[1].end) or _sets(s)]
    assert len(at) >= 2
    for i in at:
        steps = list(whole.steps)
        steps[i] = Step("jump", target=i + 1)
        model = realise(replace(whole, steps=tuple(steps)), load(PROGRAM).module)
        report = w2x.Verifier(PROGRAM, model=model).invoke("f", [4])
        assert not report.ok, f"step {i} is missing"


def _sets(step: Step) -> bool:
    return step.dest is not None and step.dest.kind == "global"


def test_what_has_no_step_is_counted_by_rule():
    report = w2x.verify(PROGRAM, "f", [4], opt_level=1)
    assert report.ok and set(report.folded) <= set(RULES)
    assert report.folded["comparison"] == report.folded["offset"] == 2
    assert w2x.verify(PROGRAM, "f", [4], opt_level=0).folded == {}


def test_both_counts_are_all_that_ran():
    """At -O0 every instruction that does anything has a record; at -O1 it has one or is counted by a rule."""
    every, some = (w2x.verify(PROGRAM, "f", [4], opt_level=level) for level in (0, 1))
    assert every.compared == some.compared + sum(some.folded.values())


def test_the_oracle_stops_where_the_model_has():
    """A step program that leaves an endless loop: the oracle does not stay in it."""
    wat = '(module (func (export "f") (local i32) (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br 0))))'
    whole, module = compile_steps(load(wat), CompileOptions(1))
    at = next(i for i, step in enumerate(whole.steps) if step.op == "jump")
    steps = list(whole.steps)
    steps[at] = Step("return")
    report = w2x.Verifier(wat, model=realise(replace(whole, steps=tuple(steps)), module)).invoke("f")
    assert not report.ok and report.oracle.outcome == "still running"


STATE = """(module (memory 1) (data (i32.const 8) "begin") (global $g (mut i64) (i64.const 5))
  (global $r (mut funcref) (ref.null func))
  (table $t 3 5 funcref) (elem (i32.const 1) $h) (func $h)
  (func (export "f") (param i32) (i32.store8 (i32.const 70000) (local.get 0)))
  (func (export "g") (param i32) (result i32)
    (i32.store (i32.const 16) (local.get 0)) (global.set $g (i64.extend_i32_u (local.get 0))) (global.set $r (ref.func $h))
    (table.set $t (i32.const 2) (ref.func $h)) (drop (table.grow $t (ref.null func) (i32.const 1)))
    (drop (memory.grow (i32.const 1))) (i32.store8 (i32.const 65536) (i32.const 9))
    (i32.load8_u (i32.const 8))))"""


def test_what_a_call_leaves_behind_is_compared():
    verifier = w2x.Verifier(STATE)
    assert not verifier.invoke("f", [1]).run.returned
    for _ in range(2):
        report = verifier.invoke("g", [7])
        assert report.ok and report.run.values == [ord("b")], report.divergence
    state, oracle = verifier._state, verifier._oracle
    memory = state.memory.read(0, state.slots[Slot("hidden", "memory_bytes")])
    assert memory.tobytes() == oracle.memory().tobytes() and len(memory) == 3 * 65536
    verifier._oracle.write_memory(40_000, b"x")
    assert verifier.invoke("f", [1]).divergence.what == "byte at address 40000 after the call"


LARGE = """(module (memory 1) (data (i32.const 3) "low") (data (i32.const 65530) "end")
  (func (export "f") (param i32 i32) (result i32)
    (drop (memory.grow (i32.const 60000))) (i32.store (local.get 0) (local.get 1)) (memory.size)))"""


def test_a_large_memory_is_compared_by_the_pages_that_are_written():
    verifier = w2x.Verifier(LARGE)
    for address in (0xE0000000, 0xE000FFFE, 131072):
        assert verifier.invoke("f", [address, 0x01020304]).ok
    assert sorted(verifier._state.memory._pages) == [0, 2, 0xE000, 0xE001]
    for address in (0xE0000001, 0x70000000):
        before = verifier._oracle.read_memory(address, 1)
        verifier._oracle.write_memory(address, b"x")
        divergence = verifier.invoke("f", [4, 0]).divergence
        assert divergence.what == f"byte at address {address} after the call"
        assert (divergence.expected, divergence.actual) == ("120", str(before[0]))
        verifier._oracle.write_memory(address, before)


def _global(verifier: w2x.Verifier, index: int) -> Slot:
    return Slot("global", verifier._translation.links.used("global")[index])


def _write(verifier: w2x.Verifier, addresses: Iterable[int], value: int) -> None:
    at = np.array(list(addresses), np.int64)
    verifier._state.memory.write(at, np.full(len(at), value, np.uint8))


def test_each_part_of_the_state_is_compared():
    for change, what in (
        (lambda v: _write(v, [99], 1), "byte at address 99"),
        (lambda v: v._state.slots.update({_global(v, 0): 6}), "global 0"),
        (lambda v: v._state.slots.update({_global(v, 1): 0}), "global 1"),
        (lambda v: v._state.slots.update({Slot("hidden", "table0_size"): 5}), "size of table 0"),
        (lambda v: _write(v, range(-v._state.hidden, 0), 0), "element 1 of table 0"),
    ):
        verifier = w2x.Verifier(STATE)
        assert verifier.invoke("g", [7]).ok
        change(verifier)
        difference = verifier._left_behind()
        assert difference is not None and difference.what == f"{what} after the call"


def state_machine(states: int) -> str:
    """Each state sets a local of its own, and goes on to any later state or back to the loop."""
    names = [f"$s{k}" for k in range(states)]
    bodies = "".join(
        f""") (local.set {k + 1} (i32.load8_u (local.get 0)))
        (br_table {" ".join(names[k + 1 :])} $top (i32.load8_u offset=1 (local.get 0)))"""
        for k in range(states)
    )
    return f"""(module (memory 1) (func (export "f") (param i32) (result i32) (local {"i32 " * states})
      (loop $top {" ".join(f"(block {name}" for name in reversed(names))}
        (br_table {" ".join(names)} (local.get 1)) {bodies}) (i32.const -1)))"""


def test_a_state_machine_is_walked_a_few_times_and_not_once_for_each_state(monkeypatch):
    visits: Counter[tuple[int, int]] = Counter()
    follow, covers = FunctionCheck._follow, JoinPoint.covers
    news = []

    def counted(check, at, index, state):
        visits[at, index] += 1
        return follow(check, at, index, state)

    def compared(point, new):
        nothing = joined(point.values, point.node, point.state, new) is None
        assert covers(point, new) == nothing
        news.append(not nothing)
        return nothing

    monkeypatch.setattr(FunctionCheck, "_follow", counted)
    monkeypatch.setattr(JoinPoint, "covers", compared)
    source = load(state_machine(24))
    made = compile_steps(source, CompileOptions(1))[0]
    assert not [*TranslationCheck(made, link_source(source, CompileOptions(1)), source.module).all()]
    assert max(visits.values()) <= 3
    assert any(news) and not all(news)


SPINS = """(module (memory 1) (func $spin (export "spin")
  (loop (i32.store (i32.const 8) (i32.const 1)) (br_if 0 (i32.load (i32.const 8)))) (i32.store (i32.const 12) (i32.const 2))))"""


@pytest.mark.parametrize(
    ("name", "wat"), [("spin", SPINS), ("start function", SPINS.replace("(func", "(start 0) (func"))]
)
def test_a_fault_is_told_also_when_the_run_is_given_up(name: str, wat: str):
    """The wrong step stands behind a loop that does not end."""
    right, module = compile_steps(wat, CompileOptions(1))
    at = max(i for i, step in enumerate(right.steps) if step.op == "i32.store")
    wrong = list(right.steps)
    wrong[at] = wrong[at].but(b=Slot("const", 3))
    for made, words in (
        (right, f"^{name}: not finished after 200 tokens"),
        (
            replace(right, steps=tuple(wrong)),
            f"^DIFFERENT from wasmtime: step {at}: .* expected, .* found; given up besides: {name}: not finished after 200",
        ),
    ):
        with pytest.raises(w2x.Unfinished, match=words):
            w2x.Verifier(wat, model=realise(made, module), max_tokens=200).invoke("spin", max_tokens=200)


def test_a_fault_is_told_also_when_the_comparison_is_given_up(monkeypatch):
    def given_up(*_):
        raise w2x.Unfinished("not finished after 1 second")

    made, module = compile_steps(PROGRAM, CompileOptions(1))
    verifier = w2x.Verifier(PROGRAM, model=realise(only(made, *CHANGES["another constant"]), module))
    monkeypatch.setattr(verifier._oracle, "invoke", given_up)
    with pytest.raises(
        w2x.Unfinished, match=r"^DIFFERENT from wasmtime: step .*; given up besides: not finished after 1 second"
    ):
        verifier.invoke("f", [4])


@pytest.mark.parametrize(
    ("takes", "words"),
    [
        (0.4, r"^DIFFERENT from wasmtime: step .*; given up besides: not finished after 0.5 seconds"),
        (30.0, r"^not finished after 0.5 seconds \(--timeout\); whether its steps have a fault was not found out"),
    ],
)
def test_a_command_that_is_given_up_has_a_second_to_say_so(monkeypatch, takes: float, words: str):
    def lasts(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)

    made, module = compile_steps(PROGRAM, CompileOptions(1))
    verifier = w2x.Verifier(PROGRAM, model=realise(only(made, *CHANGES["another constant"]), module))
    first = verifier._translation.first
    monkeypatch.setattr(verifier._oracle, "invoke", lambda *_: lasts(60))
    monkeypatch.setattr(verifier._translation, "first", lambda steps: lasts(takes) or first(steps))
    with pytest.raises(w2x.Unfinished, match=words), watched(0.5, None):
        verifier.invoke("f", [4])


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(
    "body",
    [
        "(i32.eqz (i32.lt_u (i32.const 52) (local.get 0)))",
        "(i32.eqz (i32.eqz (i32.ge_s (local.get 0) (i32.const 7))))",
        "(i32.add (i32.eqz (i32.ne (local.get 0) (i32.const 3))) (i32.const 1))",
        "(i32.eqz (i64.lt_u (global.get $w) (i64.div_s (i64.const 77) (i64.const 2))))",
        "(global.get $w) (i64.trunc_sat_f64_u (f64.const 5)) i64.ne (if (result i32) (then (i32.const 1)) (else (i32.const 0)))",
    ],
)
def test_opposites_and_globals_beside_routines_are_no_false_alarm(body: str, level: int):
    """A comparison asked whether it is 0 is the opposite one; a routine for an instruction leaves the globals alone."""
    module = f'(module (global $w (mut i64) (i64.const 5)) (func (export "f") (param i32) (result i32) {body}))'
    for argument in (3, 60):
        assert w2x.verify(module, "f", [argument], opt_level=level).ok


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(
    "address",
    [
        "(i32.add (local.tee $l (i32.const 0)) (i32.const 100))",
        "(i32.add (i32.const 100) (local.tee $l (i32.const 0)))",
        "(i32.add (i32.add (local.tee $l (i32.const 60)) (i32.const 30)) (i32.const 10))",
        "(i32.add (i32.const 10) (i32.add (local.tee $l (i32.const 60)) (i32.const 30)))",
        "(i32.add (i32.add (local.tee $l (i32.const 60)) (i32.const 40)) (i32.and (local.get 0) (i32.const 0)))",
        "(i32.add (local.tee $l (i32.const -32)) (i32.const 132))",  # passes 2^32
        "(i32.add (i32.add (local.tee $l (i32.const -32)) (i32.const 32)) (i32.const 100))",
        "(i32.add (local.tee $l (i32.const -32)) (i32.add (local.tee $l (i32.const 32)) (i32.const 100)))",
    ],
)
def test_an_address_that_is_a_sum_of_constants(address: str, level: int):
    """Kept in a register, since a local has it, and the rest folded into the offset."""
    text = f"""(module (memory 1)
      (func (export "f") (param i32) (result i32) (local $l i32)
        (if (i32.eqz (i32.load (i32.const 32))) (then (i32.store (i32.const 32) (i32.const 5))))
        (i32.store {address} (i32.const 8))
        (i32.load8_u offset=3 {address.replace("100", "97").replace("132", "129")})
        (i32.add (local.get $l)) (i32.add (i32.load (i32.const 100)))))"""
    report = w2x.Verifier(text, opt_level=level).invoke("f", [3])
    assert report.ok, report.divergence


@pytest.mark.parametrize("values", [{"dest": Slot("global", 1)}, {"dest": Slot("frame", 0)}, {"op": "i32.add"}])
def test_a_global_that_is_written_in_place_has_to_be_written(values):
    """No step answers for the global.set; what globals are is compared wherever something happens."""
    source = load("""(module (global (mut i32) (i32.const 1)) (global $h (export "h") (mut i32) (i32.const 2))
        (func (export "f") (param i32) (global.set 0 (i32.mul (local.get 0) (i32.const 5)))))""")
    program = compile_steps(source, CompileOptions(1))[0]
    at = next(i for i, step in enumerate(program.steps) if step.op == "i32.mul")
    steps = [*program.steps[:at], program.steps[at].but(**values), *program.steps[at + 1 :]]
    linked = link_source(source, CompileOptions(1))
    assert not [*TranslationCheck(program, linked, source.module).all()]
    assert [*TranslationCheck(replace(program, steps=tuple(steps)), linked, source.module).all()]
