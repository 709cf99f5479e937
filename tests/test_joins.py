"""What the lowering knows of a value must hold on every path into every place where paths join."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import wasm2xformer as w2x
from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import FOLDING_RULES
from wasm2xformer.compiler.format.types import FuncType
from wasm2xformer.compiler.format.validate import InvalidProgram
from wasm2xformer.compiler.lower.stack import OperandStack
from wasm2xformer.compiler.optimise.invariants import check
from wasm2xformer.compiler.options import CompileOptions

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.programs import load_programs
from tests.random.interpreted import interpreted
from tests.random.structured import structured

# Each export is called with 0 to 3. Memory begins with the bytes 1, 2, 3, ...
JOINS = r"""
(module
  (memory 1)
  (data (i32.const 0) "\01\02\03\04\05\06\07\08\09\0a\0b\0c\0d\0e\0f\10\11\12\13\14\15\16\17\18\19\1a\1b\1c\1d\1e\1f\20")
  (global $g (mut i32) (i32.const 5))

  ;; A loop begins with 0; the branch brings -8, and -8 + 16 wraps around.
  (func (export "loop by br") (param $n i32) (result i32)
    (i32.const 0)
    (loop $l (param i32) (result i32)
      (i32.add (i32.const 16))
      (i32.load8_u)
      (if (local.get $n)
        (then
          (local.set $n (i32.const 0))
          (br $l (i32.const -8))))))

  (func (export "loop by br_if") (param $n i32) (result i32)
    (i32.const 1)
    (loop $l (param i32) (result i32)
      i32.const 16 i32.add i32.load8_u
      i32.const -33 i32.sub i32.const -40 i32.add
      local.get $n
      local.get $n i32.const 0 i32.ne i32.sub
      local.tee $n
      br_if $l))

  (func (export "loop by br_table") (param $n i32) (result i32)
    (block $out (result i32)
      i32.const 3
      (loop $l (param i32) (result i32)
        i32.const 2 i32.add i32.load8_u
        local.get $n i32.const -9 i32.mul i32.add
        local.get $n
        local.get $n i32.const 1 i32.sub local.set $n
        br_table $out $l $l $out)))

  ;; The parameter is bounded, and so is the sum that an access makes of it, when the loop begins.
  (func (export "a sum that begins a loop") (param $n i32) (result i32)
    local.get $n i32.const 7 i32.and i32.const 4 i32.add
    (loop $l (param i32) (result i32)
      i32.load8_u
      local.get $n
      if (param i32) (result i32)
        local.get $n i32.const 1 i32.sub local.set $n
        br $l
      end))

  (func (export "inner loop") (param $n i32) (result i32) (local $m i32)
    i32.const 1
    loop $outer (param i32) (result i32)
      loop $inner (param i32) (result i32)
        i32.const 3 i32.and
        i32.const 8 i32.add i32.load8_u offset=2
        i32.const -13 i32.add
        local.get $m i32.const 1 i32.add local.tee $m
        local.get $n i32.lt_u br_if $inner
      end
      i32.const 14 i32.add i32.load8_u
      local.get $n i32.const 1 i32.shr_u local.tee $n
      br_if $outer
    end)

  (func (export "if parameter") (param $n i32) (result i32)
    local.get $n i32.const 3 i32.and
    local.get $n
    if (param i32) (result i32)
      drop i32.const -4
    else
      i32.const 1 i32.add
    end
    i32.const 6 i32.add
    i32.load8_u)

  (func (export "if without else") (param $n i32) (result i32)
    local.get $n i32.const 3 i32.and
    local.get $n
    if (param i32) (result i32)
      i32.const 5 i32.sub
    end
    i32.const 6 i32.add
    i32.load8_u)

  (func (export "block left early") (param $n i32) (result i32)
    (block $b (result i32)
      i32.const -2
      local.get $n br_if $b
      drop
      local.get $n i32.const 1 i32.and)
    i32.const 4 i32.add
    i32.load8_u)

  ;; An addition on one side of a label, its use on the other.
  (func (export "sum before a block") (param $n i32) (result i32)
    local.get $n i32.const 3 i32.and
    i32.const 4 i32.add
    (block $b (param i32) (result i32)
      local.get $n br_if $b
      drop
      i32.const 9)
    i32.load8_u)

  (func (export "base overwritten") (param $n i32) (result i32)
    local.get $n i32.const 7 i32.and local.tee $n
    i32.const 4 i32.add
    (loop (result i32)
      i32.const -4 local.set $n
      i32.const 0)
    drop
    i32.load8_u
    local.get $n i32.add)

  ;; Lazy copies whose local or global a block overwrites on some path.
  (func (export "lazy local") (param $n i32) (result i32) (local $x i32)
    i32.const 9 local.set $x
    local.get $x local.get $x
    (block $b
      local.get $n br_if $b
      i32.const 20 local.set $x
      local.get $n i32.const 1 i32.eq br_if $b
      i32.const 30 local.set $x)
    local.get $x i32.sub i32.add)

  (func (export "lazy global") (param $n i32) (result i32)
    global.get $g
    (loop $l
      global.get $g i32.const 3 i32.mul global.set $g
      local.get $n i32.const 1 i32.sub local.tee $n
      i32.const 0 i32.gt_s br_if $l)
    global.get $g i32.sub)

  ;; Results that go straight to a local which the stack below still reads.
  (func (export "place is a local") (param $n i32) (result i32) (local $x i32)
    i32.const 11 local.set $x
    local.get $x
    (block $b (result i32 i32)
      local.get $x i32.const 1 i32.add
      i32.const 4
      local.get $n br_if $b
      drop drop
      i32.const 6 local.get $x)
    local.set $x
    i32.mul local.get $x i32.add)

  (func (export "values change places") (param $n i32) (result i32) (local $x i32) (local $y i32)
    i32.const 1 local.set $x i32.const 2 local.set $y
    local.get $x local.get $y
    (loop $l (param i32 i32) (result i32 i32)
      local.set $x local.set $y
      local.get $x local.get $y i32.const 3 i32.add
      local.get $n
      local.get $n i32.const 1 i32.sub local.set $n
      i32.const 0 i32.gt_s br_if $l)
    i32.const 100 i32.mul i32.add)
)
"""

BACKWARD = """(module (memory 1)
  (func (export "f") (param $n i32) (result i32)
    i32.const 0
    loop $l (param i32) (result i32)
      i32.const 16 i32.add i32.load8_u
      i32.const -8
      local.get $n i32.const 1 i32.sub local.tee $n br_if $l
      i32.add
    end))"""
STRUCTURE = {"block", "loop", "end", "nop", "drop"}


@pytest.mark.parametrize("opt_level", [0, 1])
def test_what_is_known_of_a_value_holds_on_every_path(opt_level):
    verifier = w2x.Verifier(JOINS, opt_level=opt_level)
    for export in verifier.program.entries:
        for n in range(4):
            report = verifier.invoke(export, (n,))
            assert report.ok, (export, n, report.divergence)
    assert w2x.Verifier(JOINS, opt_level=opt_level).invoke("loop by br", (1,)).run.values == [9]


@pytest.mark.parametrize("opt_level", [0, 1])
def test_every_instruction_has_a_step_or_a_rule(opt_level):
    used: set[str] = set()
    sources = [JOINS, *(case.module() for case in load_programs("i32") if case.id in ("gcd", "quicksort", "sudoku"))]
    for source in sources:
        program, module = compile_steps(source, CompileOptions(opt_level))
        answered = {step.site for step in program.steps if step.site is not None}
        assert not answered & program.folded.keys()
        done = {(site.function, site.instruction) for site in (*answered, *program.folded)}
        compiled = {site.function for site in (*answered, *program.folded)}
        for function in compiled:
            for at, instruction in enumerate(module.functions[function].body):
                assert instruction.name in STRUCTURE or (function, at) in done, (function, at, instruction)
        used |= set(program.folded.values())
    assert used <= FOLDING_RULES.keys()
    few = {"jump to the next step", "unreachable code"}
    assert used <= few if opt_level == 0 else {"constant", "copy", "written in place", "fused comparison"} <= used


@pytest.mark.parametrize("opt_level", [0, 1])
def test_invariants_hold_between_passes(opt_level):
    for source in (JOINS, BACKWARD):
        watched(source, opt_level)


def watched(source: str, opt_level: int) -> list[str]:
    """The names of the passes, each checked."""
    types: dict[int, FuncType] = {}
    names = []

    def watch(name, value):
        names.append(name)
        if name == "linked":
            types.update({i: f.type for i, f in enumerate(value.module.functions)})
        elif isinstance(value, list):
            check(name, value, types)

    compile_steps(source, CompileOptions(opt_level), watch)
    return names


def test_a_bound_kept_over_a_loop_is_refuted(monkeypatch):
    """The fault that this file is about, put back: what is known of the first value is said of all."""

    monkeypatch.setattr(OperandStack, "forget", lambda self, count: None)
    with pytest.raises(InvalidProgram, match=r"after lowered, function .*i32\.load8_u: `a` is said to be at most"):
        watched(JOINS, 1)


@pytest.mark.parametrize("opt_level", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_random_modules_interpreted(seed, opt_level):
    invocations, _ = interpreted(structured(seed), opt_level)
    assert invocations == 8
