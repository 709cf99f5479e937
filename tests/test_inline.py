"""Small functions in the place of their calls: what is inlined, that it computes the same, and that a wrong copy is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps, link_source
from wasm2xformer.compiler.format.isa import Program, Slot
from wasm2xformer.compiler.format.validate import InvalidProgram, validate
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import load
from wasm2xformer.runtime.check.translation import TranslationCheck

FIB = """(func $fib (export "f") (param i32) (result i32)
  (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
    (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))"""
# A callee with early returns, that traps, calls another one and writes memory and a global; called in a loop.
LOOP = """(memory 1) (global $g (export "g") (mut i32) (i32.const 1))
  (func $leaf (param i32) (result i32) (i32.xor (local.get 0) (i32.const 85)))
  (func $h (param i32 i32) (result i32) (local i32)
    (if (i32.eqz (local.get 1)) (then (return (i32.const 7))))
    (if (i32.gt_u (local.get 0) (i32.const 200)) (then (return (i32.div_u (local.get 0) (i32.sub (local.get 1) (i32.const 3))))))
    (global.set $g (i32.add (global.get $g) (local.get 2)))
    (local.set 2 (call $leaf (local.get 0)))
    (i32.store8 (i32.add (local.get 0) (i32.const 65500)) (local.get 2))
    (i32.add (local.get 2) (i32.load8_u (local.get 1))))
  (func (export "f") (param i32 i32) (result i32) (local $n i32)
    (loop
      (local.set 0 (i32.add (local.get 0) (i32.add (local.get $n)
        (call $h (i32.and (local.get 0) (i32.const 255)) (local.get $n)))))
      (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (local.get 1))))
    (local.get 0))"""
FAR = """(func $odd (param i32) (result i32) (i32.and (local.get 0) (i32.const 1)))
  (func (export "f") (param i32) (result i32)
    (loop
      (block (block (block (br_table 0 1 2 (call $odd (local.get 0)))) (return (i32.const 5))) (return (i32.const 6)))
      (br_if 0 (local.tee 0 (i32.shr_u (local.get 0) (i32.const 1)))))
    (i32.const 7))"""


def steps_of(text: str, opt_level: int = 1) -> Program:
    return compile_steps(f"(module {text})", CompileOptions(opt_level))[0]


@pytest.mark.usefixtures("loops_once")
def test_what_is_inlined():
    fib = steps_of(FIB)
    assert [p.callee for p in fib.inlined] == [0, 0] and sum(step.op == "call" for step in fib.steps) == 5
    assert [p.callee for p in steps_of(FAR).inlined] == [0] and not steps_of(FAR.replace("(loop", "(block")).inlined
    assert not steps_of(FIB, 0).inlined
    # What does not pay, and what is nothing.
    times = "(local.set 0 (i32.mul (local.get 0) (i32.const 3)))"
    short = f"(func $long (param i32) (result i32) {times * 8} (local.get 0))"
    once = '(func (export "f") (param i32) (result i32) (call $long (local.get 0)))'
    looped = '(func (export "f") (param i32) (result i32) (loop (br_if 0 (call $long (local.get 0)))) (i32.const 1))'
    assert steps_of(short + looped).inlined
    assert not steps_of(short + once).inlined and not steps_of(short.replace(times, 3 * times) + looped).inlined
    # A tail call would replace whoever it stands in.
    tail = "(func $g (param i32) (result i32) (local.get 0)) (func $long (param i32) (result i32) (return_call $g (local.get 0)))"
    assert not any(p.callee == 1 for p in steps_of(tail + looped).inlined)
    assert not steps_of('(func $no) (func (export "f") (loop (call $no) (br_if 0 (i32.const 0))))').inlined


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (FIB, [(0,), (1,), (2,), (9,), (11,)]),
        (LOOP, [(0, 0), (3, 1), (5, 5), (190, 9), (77, 30), (255, 4), (250, 3), (60, 60), (100, 5)]),
        (FAR, [(0,), (1,), (2,)]),
    ],
)
def test_inlined_functions_agree_with_wasmtime(text, calls):
    for opt_level in (0, 1):
        verifier = w2x.Verifier(f"(module {text})", opt_level=opt_level)
        assert bool(verifier.program.inlined) == bool(opt_level)
        reports = [verifier.invoke("f", arguments) for arguments in calls]
        assert all(report.ok for report in reports), [report.divergence for report in reports]
        assert all(report.folded.get("inlined", 0) > 0 for report in reports) or not opt_level or text is FIB
    assert text is not LOOP or any(report.run.trap for report in reports)


def test_what_moves_over_a_copy_is_followed():
    """The address is added up behind the copy, whose returns meet in between: the walk is to know that it is the same sum."""
    text = """(memory 1) (func $h (param i32) (result i32)
        (if (i32.and (local.get 0) (i32.const 1)) (then (return (i32.const 3)))) (i32.mul (local.get 0) (i32.const 5)))
      (func (export "f") (param i32 i32) (result i32)
        (loop (i32.store8 (i32.add (local.get 0) (local.get 1)) (call $h (local.get 1)))
          (br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
        (i32.load offset=2 (local.get 0)))"""
    program = steps_of(text)
    assert program.inlined and any(step.op == "i32.store8.indexed" for step in program.steps)
    assert not faults(text, program) and w2x.Verifier(f"(module {text})").invoke("f", [8, 9]).ok


def test_a_checkpoint_knows_what_is_inlined(tmp_path):
    model = w2x.compile(f"(module {LOOP})")
    model.save(tmp_path / "model.safetensors")
    loaded = w2x.load(tmp_path / "model.safetensors")
    assert loaded.program.inlined == model.program.inlined != ()
    assert w2x.Verifier(f"(module {LOOP})", model=loaded).invoke("f", [60, 60]).ok


def faults(text: str, program: Program) -> list[str]:
    source = load(f"(module {text})")
    return [
        str(fault) for fault in TranslationCheck(program, link_source(source, CompileOptions()), source.module).all()
    ]


def test_every_changed_step_of_a_copy_is_seen():
    """Without running it: another slot, another constant, another way."""
    program = steps_of(LOOP)
    assert not faults(LOOP, program)
    part = max(program.inlined, key=lambda p: p.end - p.start)
    seen = 0
    for at in range(part.start, part.end):
        step = program.steps[at]
        changes: list[dict] = [
            {n: s.but(index=s.index + 1)} for n in "ab" if (s := getattr(step, n)) and s.kind in ("frame", "const")
        ]
        changes += [{"target": step.target - 1}] if step.target is not None else []
        for change in changes:
            steps = (*program.steps[:at], step.but(**change), *program.steps[at + 1 :])
            assert faults(LOOP, replace(program, steps=steps)), (at, step, change)
            seen += 1
    assert seen > 15


def test_a_call_says_that_it_was_there_unless_the_same_one_cannot():
    """Another call of a function that is inlined somewhere is no reason to leave one out of the records."""
    text = FAR.replace("(i32.const 7))", "(call $odd (local.get 0)))")
    program = steps_of(text)
    (at,) = (i for i, step in enumerate(program.steps) if step.op == "call" and step.site)
    assert program.inlined and not faults(text, program)
    unsaid = (*program.steps[:at], program.steps[at].but(site=None), *program.steps[at + 1 :])
    (fault,) = faults(text, replace(program, steps=unsaid))
    assert "no site found" in fault
    copies = [step for step in steps_of(FIB).steps if step.op == "call" and step.site is None]
    assert len(copies) == 5 and not faults(FIB, steps_of(FIB))


@pytest.mark.parametrize("change", [{"callee": 2}, {"imm": 1}, {"imm": 9}, "end", "start"])
def test_a_wrong_claim_of_what_is_inlined_is_seen(change):
    program = steps_of(LOOP)
    part = max(program.inlined, key=lambda p: p.end - p.start)
    if isinstance(change, str):
        change = {change: getattr(part, change) - 1}
    inlined = tuple(p.but(**change) if p is part else p for p in program.inlined)
    assert faults(LOOP, replace(program, inlined=inlined))
    assert faults(LOOP, replace(program, inlined=tuple(p for p in program.inlined if p is not part)))


def test_a_jump_into_a_copy_is_seen():
    program = steps_of(LOOP)
    part = max(program.inlined, key=lambda p: p.end - p.start)
    at = next(i for i, s in enumerate(program.steps) if s.target is not None and not part.start <= i < part.end)
    steps = (*program.steps[:at], program.steps[at].but(target=part.start + 1), *program.steps[at + 1 :])
    assert faults(LOOP, replace(program, steps=steps))


@pytest.mark.parametrize("change", [{"start": 10**6}, {"end": 0}, {"callee": 99}, {"imm": 0}])
def test_what_cannot_be_inlined_is_no_program(change, loops_once):
    program = steps_of(FAR)
    (part,) = program.inlined
    with pytest.raises(InvalidProgram):
        validate(replace(program, inlined=(part.but(**change),)))


@pytest.mark.usefixtures("loops_once")
def test_a_copy_stays_in_its_frame():
    """A copy reads nothing of its caller's frame below its own."""
    program = steps_of(FAR)
    (part,) = program.inlined
    at = next(i for i in range(part.start, part.end) if program.steps[i].a and program.steps[i].a.kind == "frame")
    step = program.steps[at].but(a=Slot("frame", part.imm - 1))
    assert faults(FAR, replace(program, steps=(*program.steps[:at], step, *program.steps[at + 1 :])))
