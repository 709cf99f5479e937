"""The lowering: which steps a function becomes, on which slots, for which WASM instructions."""

from __future__ import annotations

from collections import Counter

import pytest

from wasm2xformer.compiler.compile import compile_steps, texts_of
from wasm2xformer.compiler.format.errors import CompileError
from wasm2xformer.compiler.format.isa import Program, Site, Slot, Step
from wasm2xformer.compiler.format.limits import FRAME_SIZE_LIMIT
from wasm2xformer.compiler.format.show import show, slot_text
from wasm2xformer.compiler.lower.bounds import bound
from wasm2xformer.compiler.lower.code import Code
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.module import Module

BOTH_LEVELS = pytest.mark.parametrize("opt_level", [0, 1])
MEMORY = "(memory 1)"


def compiled(text: str, opt_level: int = 1) -> tuple[Program, Module]:
    return compile_steps(f"(module {text})", CompileOptions(opt_level))


def steps_of(text: str, opt_level: int = 1, function: int = 0) -> list[Step]:
    """The steps of the function that is number `function` in the module."""
    program, _ = compiled(text, opt_level)
    f = program.functions[function]
    return list(program.steps[f.entry : f.end])


def listing(text: str, opt_level: int = 1, function: int = 0) -> list[str]:
    """One short line per step; jumps show the distance."""
    program, _ = compiled(text, opt_level)
    f = program.functions[function]
    lines = []
    for at in range(f.entry, f.end):
        step = program.steps[at]
        words = [step.op, *(slot_text(s) for s in (step.a, step.b) if s is not None)]
        if step.imm:
            words.append(f"+{step.imm}")
        words += [f"{target - at:+d}" for target in (step.target, *step.targets) if target is not None]
        if step.dest is not None:
            words = [slot_text(step.dest), "=", *words]
        lines.append(" ".join(words))
    return lines


def f(signature: str, body: str, before: str = "") -> str:
    return f'{before} (func $f (export "f") {signature} {body})'


# --- -O0: one step for each instruction ---


def test_o0_is_the_stack_machine_as_written():
    assert listing(f("(param i32 i32) (result i32)", "local.get 0 local.get 1 i32.add"), 0) == [
        "s2 = mov s0",
        "s3 = mov s1",
        "s2 = i32.add s2 s3",
        "s0 = mov s2",
        "return",
    ]


def test_o0_has_one_step_for_each_instruction_that_does_anything():
    text = f(
        "(param $n i32) (result i32) (local $s i32)",
        """nop block loop local.get $n i32.eqz br_if 1 local.get $s local.get $n i32.add local.tee $s drop
           local.get $n i32.const 1 i32.sub local.set $n br 0 end end local.get $s""",
    )
    program, module = compiled(text, 0)
    body = module.functions[0].body
    sites = Counter(step.site.instruction for step in program.steps if step.site is not None)
    structure = {"nop", "block", "loop", "end", "drop"}
    assert sites == {i: 1 for i, instr in enumerate(body) if instr.name not in structure}


def test_o0_leaves_out_a_jump_to_the_next_step():
    assert "jump" not in {step.op for step in steps_of(f("", "block br 0 end"), 0)}


@BOTH_LEVELS
def test_dead_code_makes_no_steps(opt_level):
    dead = "i32.const 1 if (result i32) i32.const 2 else i32.const 3 end drop block loop br 0 end end"
    for way_out in ("unreachable", "return", "br 0"):
        assert len(steps_of(f("", f"{way_out} {dead}"), opt_level)) == 1
    # Nothing comes out of a block that nobody branches out of.
    assert len(steps_of(f("", f"block unreachable end {dead}"), opt_level)) == 1


@BOTH_LEVELS
def test_a_block_that_is_left_early_continues_behind_its_end(opt_level):
    steps = steps_of(
        f("(param i32)", "block br 0 unreachable end local.get 0 global.set 0", "(global (mut i32) (i32.const 0))"),
        opt_level,
    )
    assert [step.op for step in steps if step.op in ("trap", "return")] == ["return"]


# --- frames ---


@BOTH_LEVELS
@pytest.mark.parametrize("body", ["local.get 1", "i32.const 5 local.set 2 local.get 1"])
def test_locals_that_may_be_read_first_are_zeroed(opt_level, body):
    steps = steps_of(f("(param i32) (result i32) (local i32 i32)", body), opt_level)
    zeroed = [step.dest for step in steps if step.op == "mov" and step.a == Slot("const", 0) and step.site is None]
    # At -O1 the zero is written straight to where it is needed.
    assert zeroed == [Slot("frame", 1 if opt_level == 0 else 0)]


def test_locals_written_on_every_path_are_not_zeroed():
    body = "local.get 0 if i32.const 1 local.set 1 else i32.const 2 local.set 1 end local.get 1"
    zero = Slot("const", 0)
    assert not [
        s for s in steps_of(f("(param i32) (result i32) (local i32)", body), 0) if s.a == zero and s.op == "mov"
    ]
    body = "local.get 0 if i32.const 1 local.set 1 end local.get 1"
    assert [s for s in steps_of(f("(param i32) (result i32) (local i32)", body), 0) if s.a == zero and s.op == "mov"]


@BOTH_LEVELS
def test_frames_of_caller_and_callee_overlap(opt_level):
    text = f"""(func $g (param i32 i64) (result i64) local.get 1)
               {f("(param i32) (result i64)", "i64.const 9 local.get 0 i64.const 7 call $g i64.add")}"""
    program, module = compiled(text, opt_level)
    index = next(i for i, function in enumerate(module.functions) if function.name == "f")
    function = program.functions[index]
    at, call = next(
        (i, s) for i, s in enumerate(program.steps) if s.op == "call" and function.entry <= i < function.end
    )
    # Below the arguments are one local and one stack entry (at -O1 a constant, which needs no slot). The result
    # stands where the first argument stood.
    first = 1 if opt_level else 2
    assert call.imm == first
    assert {s.dest for s in program.steps[function.entry : at]} >= {Slot("frame", first), Slot("frame", first + 1)}
    addition = program.steps[at + 1]
    assert (addition.op, addition.b) == ("i64.add", Slot("frame", first))
    assert function.frame_size == first + 2


@BOTH_LEVELS
def test_a_call_moves_the_frame_by_at_least_one(opt_level):
    steps = steps_of(f("(result i32)", "call $g") + "(func $g (result i32) i32.const 1)", opt_level)
    assert [step.imm for step in steps if step.op == "call"] == [1]


@BOTH_LEVELS
def test_a_frame_that_is_too_large_is_refused(opt_level):
    text = f("", "memory.size " * (FRAME_SIZE_LIMIT + 1) + "drop " * (FRAME_SIZE_LIMIT + 1), MEMORY)
    with pytest.raises(CompileError, match="function f: needs a frame of"):
        compiled(text, opt_level)


def test_o1_uses_no_more_slots_than_it_needs():
    body = "local.get 0 i32.const 1 i32.sub local.tee 0 if i32.const 1 call $g drop end local.get 0"
    called = "(func $g (param i32) (result i32) local.get 0)"
    program, _ = compiled(f("(param i32) (result i32)" + "(local i32)" * 50, body, called))
    assert program.functions[1].frame_size == 2


@BOTH_LEVELS
def test_results_that_change_places_are_not_lost(opt_level):
    """(a, b) -> (b, a): the two moves form a cycle."""
    lines = listing(f("(param i32 i32) (result i32 i32)", "local.get 1 local.get 0"), opt_level)
    values: dict[str, str] = {"s0": "a", "s1": "b"}
    for line in lines:
        if " = mov " in line:
            dest, source = line.split(" = mov ")
            values[dest] = values[source]
    assert (values["s0"], values["s1"]) == ("b", "a")


def test_parallel_moves_keep_the_width_of_a_value_that_takes_a_detour():
    s = [Slot("frame", i) for i in range(4)]
    code = Code()
    code.emit_moves([(s[0], s[1], True), (s[1], s[2], False), (s[2], s[0], True)], lambda: s[3])
    values = {slot: i for i, slot in enumerate(s)}
    wide = {s[0]: True, s[1]: True, s[2]: False}
    for step in code.steps:
        assert step.wide == wide[step.a]
        values[step.dest], wide[step.dest] = values[step.a], step.wide
    assert [values[slot] for slot in s[:3]] == [1, 2, 0]


# --- -O1: operands, fusion, control ---


def test_o1_operands_are_locals_constants_and_globals():
    text = f(
        "(param i32) (result i32)", "global.get 0 local.get 0 i32.sub i32.const 3 i32.mul", "(global i32 (i32.const 5))"
    )
    assert listing(text) == ["s1 = i32.sub g0 s0", "s0 = i32.mul s1 #3", "return"]


def test_o1_local_set_takes_over_the_destination():
    assert listing(
        f("(param i32 i32) (result i32)", "local.get 0 local.get 1 i32.add local.tee 0 local.set 1 local.get 0")
    ) == [
        "s0 = i32.add s0 s1",
        "return",
    ]


@pytest.mark.parametrize("write", ["{}", "block {} end", "loop {} end"])
def test_o1_a_value_read_before_its_local_changes_is_kept(write):
    """The parameter's old value stays where it is, the new one gets another slot."""
    write = write.format("i32.const 7 local.set 0")
    lines = listing(f("(param i32) (result i32)", f"local.get 0 {write} local.get 0 i32.sub"))
    assert lines == ["s1 = mov #7", "s0 = i32.sub s0 s1", "return"]


def test_o1_a_value_read_before_its_local_changes_is_copied_where_paths_join():
    lines = listing(
        f("(param i32 i32) (result i32)", "local.get 0 local.get 1 if i32.const 7 local.set 0 end local.get 0 i32.sub")
    )
    assert lines == ["s2 = mov s0", "br.i32.eq s1 #0 +2", "s0 = mov #7", "s0 = i32.sub s2 s0", "return"]


def test_o1_a_global_read_before_a_call_is_kept():
    text = f("(result i32)", "global.get 0 call $g global.get 0 i32.sub", "(global (mut i32) (i32.const 5))")
    text += "(func $g i32.const 1 global.set 0)"
    assert listing(text)[:2] == ["s1 = mov g0", "call +2"]


def test_o1_comparisons_fuse_with_branches():
    text = f(
        "(param i32 i32) (result i32)",
        "local.get 0 local.get 1 i32.lt_s if (result i32) i32.const 1 else i32.const 2 end",
    )
    lines = listing(text)
    assert lines == ["br.i32.ge_s s0 s1 +3", "s0 = mov #1", "return", "s0 = mov #2", "return"]
    branch = steps_of(text)[0]
    assert (branch.site, branch.taken) == (Site(0, 3, "branch"), 0)


@pytest.mark.parametrize(
    ("condition", "branch"),
    [
        ("local.get 0", "br.i32.ne s0 #0"),
        ("local.get 0 i32.eqz", "br.i32.eq s0 #0"),
        ("local.get 0 i32.eqz i32.eqz", "br.i32.ne s0 #0"),
        ("local.get 1 i64.eqz", "br.i64.eq s1 #0"),
        ("local.get 1 i64.const -1 i64.gt_u i32.eqz", f"br.i64.le_u s1 #{2**64 - 1}"),
    ],
)
def test_o1_eqz_inverts(condition, branch):
    lines = listing(
        f(
            "(param i32 i64)",
            f"block {condition} br_if 0 i32.const 1 global.set 0 end",
            "(global (mut i32) (i32.const 0))",
        )
    )
    assert lines == [f"{branch} +2", "g0 = mov #1", "return"]


def test_o1_an_inverted_comparison_without_a_branch_is_one_step():
    assert listing(f("(param i32) (result i32)", "local.get 0 i32.const 3 i32.lt_u i32.eqz")) == [
        "s0 = i32.ge_u s0 #3",
        "return",
    ]


SUM = f(
    "(param $n i32) (result i32) (local $i i32) (local $s i32)",
    """block loop local.get $i local.get $n i32.ge_s br_if 1 local.get $s local.get $i i32.add local.set $s
       local.get $i i32.const 1 i32.add local.set $i br 0 end end local.get $s""",
)


@pytest.mark.usefixtures("loops_once")
def test_o1_a_loop_tests_last():
    assert listing(SUM) == [
        "s1 = mov #0",
        "s2 = mov #0",
        "br.i32.ge_s s1 s0 +4",
        "s2 = i32.add s2 s1",
        "s1 = i32.add s1 #1",
        "br.i32.lt_s s1 s0 -2",
        "s0 = mov s2",
        "return",
    ]
    first, last = (step for step in steps_of(SUM) if step.op.startswith("br."))
    # Both stand for the br_if; where the one is taken the other is not.
    assert first.site == last.site
    assert (first.taken, last.taken) == (1, 0)


def test_o1_results_go_straight_to_where_they_are_wanted():
    text = f(
        "(param i32) (result i32)",
        """local.get 0 i32.const 2 i32.lt_s
           if (result i32) local.get 0
           else local.get 0 i32.const 1 i32.sub call $g local.get 0 i32.const 2 i32.sub call $g i32.add end""",
        "(func $g (param i32) (result i32) local.get 0)",
    )
    assert listing(text, function=1) == [
        "br.i32.lt_s s0 #2 +6",
        "s1 = i32.sub s0 #1",
        "call +1",
        "s2 = i32.sub s0 #2",
        "call +2",
        "s0 = i32.add s1 s2",
        "return",
    ]


@pytest.mark.usefixtures("loops_once")
def test_o1_copies_between_locals_vanish_where_they_can_share_a_slot():
    text = f(
        "(param $n i32) (result i32) (local $m i32)",
        """loop local.get $n i32.const 1 i32.sub local.set $m local.get $m call $g local.get $m local.set $n
           local.get $n br_if 0 end local.get $n""",
        "(func $g (param i32))",
    )
    # Of what could be four copies an iteration, the argument of the call stays.
    assert listing(text, function=1) == ["s0 = i32.sub s0 #1", "s1 = mov s0", "call +1", "br.i32.ne s0 #0 -3", "return"]


def test_o1_a_result_stays_where_the_call_put_it():
    text = f(
        "(param i32) (result i32) (local i32)",
        "i32.const 1 call $g local.set 1 local.get 1 local.get 0 i32.mul",
        "(func $g (param i32) (result i32) local.get 0)",
    )
    assert listing(text, function=1) == ["s1 = mov #1", "call +1", "s0 = i32.mul s1 s0", "return"]
    # But not across another call: the callee's frame begins there.
    text = text.replace("local.get 0 i32.mul", "call $g local.get 1 i32.mul")
    assert listing(text, function=1)[2:4] == ["s1 = mov s2", "call +2"]


@BOTH_LEVELS
def test_branch_with_values_unwinds_the_stack(opt_level):
    text = f(
        "(param i32) (result i32)",
        "block (result i32) i32.const 5 i32.const 6 local.get 0 br_if 0 i32.add end i32.const 1 i32.add",
    )
    lines = listing(text, opt_level)
    branch = next(i for i, line in enumerate(lines) if line.startswith("br."))
    skipped = int(lines[branch].split()[-1])
    # Inverted, around the move to the place of the block's result, which is the first entry's.
    assert lines[branch].startswith("br.i32.eq")
    assert any(line.startswith("s1 = mov") for line in lines[branch + 1 : branch + skipped])


@BOTH_LEVELS
def test_br_table(opt_level):
    body = (
        """block block block local.get 0 br_table 0 2 1 end i32.const 1 global.set 0 end i32.const 2 global.set 0 end"""
    )
    text = f("(param i32)", body, "(global (mut i32) (i32.const 0))")
    program, _ = compiled(text, opt_level)
    table = next(step for step in program.steps if step.op == "br_table")
    assert table.site == Site(0, 4, "br_table")
    assert len(table.targets) == 3
    one, out, two = table.targets
    written = [
        next(s.a.index for s in program.steps[at:] if s.op == "mov" and s.a.kind == "const") for at in (one, two)
    ]
    assert written == [1, 2]
    assert program.steps[out].op == "return"


@BOTH_LEVELS
def test_an_if_without_else_passes_its_parameters(opt_level):
    text = f(
        "(param i32 i32) (result i32)", "local.get 0 local.get 1 if (param i32) (result i32) i32.const 1 i32.add end"
    )
    lines = listing(text, opt_level)
    assert sum("i32.add" in line for line in lines) == 1
    if opt_level:
        assert lines == ["br.i32.eq s1 #0 +2", "s0 = i32.add s0 #1", "return"]


# --- address folding ---


def load_of(address: str, offset: int = 4) -> list[str]:
    return listing(f("(param i32) (result i32)", f"{address} i32.load offset={offset}", MEMORY))[:-1]


def adds_up(lines: list[str]) -> bool:
    return any("i32.add" in line or ".indexed" in line for line in lines)


@pytest.mark.parametrize(
    ("base", "limit"),
    [
        ("local.get 0 i32.const 255 i32.and", 255),
        ("local.get 0 i32.load8_u", 255),
        ("local.get 0 i32.const 16 i32.shr_u i32.const 2 i32.shl", 2**18 - 4),
    ],
)
def test_o1_an_addition_that_cannot_wrap_becomes_offset(base, limit):
    lines = load_of(f"{base} i32.const 100 i32.add")
    assert not any("i32.add" in line for line in lines)
    assert lines[-1].endswith("+104")
    edge = 2**32 - 1 - limit
    assert not any("i32.add" in line for line in load_of(f"{base} i32.const {edge} i32.add", offset=0))
    assert adds_up(load_of(f"{base} i32.const {edge + 4} i32.add", offset=0))


@pytest.mark.parametrize(
    "address",
    [
        "local.get 0 i32.const 100 i32.add",
        "local.get 0 i32.const -1 i32.and i32.const 100 i32.add",
        "local.get 0 i32.load8_s i32.const 100 i32.add",
        "local.get 0 i32.const 4 i32.shl i32.const 100 i32.add",
        "local.get 0 i32.const 255 i32.and i32.const 100 i32.add local.tee 0",
        "local.get 0 i32.load8_u i32.const 100 i32.add block (param i32) (result i32) local.get 0 br_if 0 end",
    ],
)
def test_o1_an_addition_that_may_wrap_or_is_needed_stays(address):
    """As a step, or as the access's own, which wraps around."""
    assert adds_up(load_of(address))


def test_o1_an_address_is_not_folded_when_its_base_changes_in_between():
    body = "local.get 0 i32.const 255 i32.and local.tee 0 i32.const 8 i32.add i32.const 3 local.tee 0 i32.store"
    assert any("i32.add" in line for line in listing(f("(param i32)", body, MEMORY)))
    body = "local.get 0 i32.const 255 i32.and local.tee 0 i32.const 8 i32.add local.get 0 i32.store"
    assert "i32.store s1 s1 +8" in listing(f("(param i32)", body, MEMORY))


@pytest.mark.parametrize(
    ("op", "limits", "constant", "wide", "expected"),
    [
        ("i32.and", [2**32 - 1, 15], 15, False, 15),
        ("i32.or", [9, 6], None, False, 15),
        ("i32.add", [2**32 - 1, 1], 1, False, 2**32 - 1),
        ("i32.mul", [255, 255], None, False, 65025),
        ("i32.shl", [255, 2**32 - 1], 34, False, 1020),
        ("i32.shl", [2**30, 2**32 - 1], 2, False, 2**32 - 1),
        ("i32.shr_u", [2**64 - 1, 31], 31, False, 1),
        ("i64.shr_u", [2**64 - 1, 63], 63, True, 1),
        ("i32.rem_u", [2**32 - 1, 10], 10, False, 9),
        ("i32.rem_u", [2**32 - 1, 0], 0, False, 2**32 - 1),
        ("i32.wrap_i64", [2**40], None, False, 2**32 - 1),
        ("i32.load16_u", [0], None, False, 65535),
        ("i32.sub", [1, 1], 1, False, 2**32 - 1),
    ],
)
def test_bounds(op, limits, constant, wide, expected):
    assert bound(op, limits, constant) == expected


# --- what else WebAssembly has ---


@BOTH_LEVELS
def test_memory_size_and_accesses(opt_level):
    steps = steps_of(f("(result i64)", "memory.size i64.load32_u offset=8 align=1", MEMORY), opt_level)
    size, load = (step for step in steps if step.op != "mov" and step.op != "return")
    assert (size.op, size.a, size.b) == ("i32.rotr", Slot("hidden", "memory_bytes"), Slot("const", 16))
    assert (load.op, load.imm, load.c) == ("i64.load32_u", 8, Slot("hidden", "memory_bytes"))


@BOTH_LEVELS
def test_float_moves_are_integer_steps(opt_level):
    body = "local.get 0 f64.neg f64.abs local.get 0 f64.copysign i64.reinterpret_f64 f64.reinterpret_i64"
    ops = [step.op for step in steps_of(f("(param f64) (result f64)", body), opt_level) if step.op != "mov"]
    assert ops == ["i64.xor", "i64.and", "i64.and", "i64.and", "i64.or", "return"]
    steps = steps_of(f("(param i32)", "local.get 0 local.get 0 f32.load f32.store offset=4", MEMORY), opt_level)
    assert [step.op for step in steps if step.op not in ("mov", "return")] == ["i32.load", "i32.store"]


@BOTH_LEVELS
def test_tables_and_references(opt_level):
    text = """(table $t 3 funcref) (elem declare func $f) (type $n (func (param i32)))
      (func $f (export "f") (param i32)
        local.get 0 ref.func $f table.set $t
        local.get 0 table.get $t ref.is_null br_if 0
        table.size $t ref.null func ref.is_null i32.add local.get 0 call_indirect $t (type $n))"""
    program, _ = compiled(text, opt_level)
    steps = [step for step in program.steps if step.op not in ("mov", "param", "halt")]
    by_op = {step.op: step for step in steps}
    size = by_op["table.set"].c
    assert size is not None
    assert size.kind == "hidden"
    assert {by_op[op].c for op in ("table.set", "table.get", "table.ref")} == {size}
    reference = next(r for r, function in program.references.items() if function == 0)
    constants = {step.b for step in steps if step.op == "table.set"} | {s.a for s in program.steps if s.op == "mov"}
    assert Slot("const", reference) in constants
    call = by_op["call_indirect"]
    assert (call.a, call.type.params, call.imm) == (
        by_op["table.ref"].dest,
        ("i32",),
        by_op["table.ref"].dest.index - 1,
    )
    assert by_op["table.ref"].site is None
    assert call.site.record == "control"


@BOTH_LEVELS
def test_routines_are_internal_and_their_value_is_a_step(opt_level):
    text = f("(param i64 i64) (result i64)", "local.get 0 local.get 1 i64.div_s drop local.get 0 local.get 1 i64.rem_u")
    program, _ = compile_steps(f"(module {text})", CompileOptions(opt_level, division_routines=True))
    f_, *routines = program.functions.values()
    assert not f_.internal
    assert routines
    assert all(r.internal for r in routines)
    for routine in routines:
        assert all(step.site is None for step in program.steps[routine.entry : routine.end])
    steps = program.steps[f_.entry : f_.end]
    calls = [i for i, step in enumerate(steps) if step.op == "call"]
    assert [steps[i].site for i in calls] == [None, None]
    values = [steps[i + 1] for i in calls]
    assert [(v.op, v.a) for v in values] == [("mov", Slot("frame", steps[i].imm)) for i in calls]
    assert [v.site for v in values] == [Site(0, 2, "value"), Site(0, 6, "value")]


@BOTH_LEVELS
def test_bulk_operations_and_host_calls_are_recorded_as_such(opt_level):
    text = """(import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "f")
        i32.const 0 i32.const 0 i32.const 9 memory.fill
        i32.const 1 i32.const 0 i32.const 0 i32.const 8 call $w drop)"""
    program, _ = compiled(text, opt_level)
    sites = [step.site for step in program.steps if step.site is not None and step.site.record != "value"]
    assert sites == [Site(1, 3, "bulk"), Site(1, 8, "host")]
    assert Site(1, 8, "value") in {step.site for step in program.steps}
    assert {"stdout", "stderr"} <= {step.op for step in program.steps}


@BOTH_LEVELS
def test_entry_and_start_stubs(opt_level):
    text = """(global (mut i32) (i32.const 3)) (func $s i32.const 1 global.set 0) (start $s)
      (func (export "f") (param i64 i32) (result i32) local.get 1)"""
    program, _ = compiled(text, opt_level)
    entry = program.entries["f"]
    steps = program.steps[entry.entry :]
    assert [step.op for step in steps[:5]] == ["param", "param", "call", "result", "halt"]
    assert [(step.dest, step.wide) for step in steps[:2]] == [(Slot("frame", 1), True), (Slot("frame", 2), False)]
    assert (steps[2].imm, steps[2].callee, steps[3].a) == (1, 1, Slot("frame", 1))
    assert program.start is not None
    assert [step.op for step in program.steps[program.start.entry :][:2]] == ["call", "halt"]
    assert program.initial[Slot("global", 0)] == 3


@BOTH_LEVELS
def test_every_computation_has_its_step(opt_level):
    """Also one whose result is dropped: it is computed, and compared."""
    text = f("(param i32)", "local.get 0 i32.const 1 i32.add drop local.get 0 i32.const 0 i32.div_u local.set 0")
    sites = {step.site for step in steps_of(text, opt_level)}
    assert {Site(0, 2, "value"), Site(0, 6, "value")} <= sites


def test_o1_no_site_is_left_of_what_no_longer_runs_each_time():
    """The jump at the end of a loop that was turned around, and a copy that nobody reads."""
    sites = {step.site.instruction for step in steps_of(SUM) if step.site is not None}
    assert sites == {4, 5, 8, 12} - {4}


def test_show():
    program, module = compiled(SUM)
    text = show(program, texts_of(program, module))
    assert len([line for line in text.splitlines() if line and line.lstrip("> ")[0].isdigit()]) == len(program.steps)
    assert "s2 = i32.add s2, s1" in text
    assert "br.i32.lt_s s1, s0 -> 3" in text
    assert "br_if 1" in text
    assert "entry f (i32) -> (i32)" in text
    assert "0:5 branch" in show(program)


def test_o1_a_global_is_written_in_place():
    mutable = "(global (mut i32) (i32.const 3))"
    text = f("(param i32)", "local.get 0 i32.const 3 i32.mul global.set 0", mutable)
    assert listing(text) == ["g0 = i32.mul s0 #3", "return"]
    assert listing(text, 0)[-2] == "g0 = mov s1"
    kept = f("(param i32) (result i32)", "global.get 0 local.get 0 i32.const 3 i32.mul global.set 0", mutable)
    assert listing(kept) == ["s1 = mov g0", "g0 = i32.mul s0 #3", "s0 = mov s1", "return"]
