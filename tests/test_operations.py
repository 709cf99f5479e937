"""The table of operations: complete, consistent, and the only place that knows what a name means."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from wasm2xformer.compiler.compile import compile_steps
from wasm2xformer.compiler.format.isa import Site, Slot, Step
from wasm2xformer.compiler.format.operations import OPERATIONS, branch_on, comparison_of, inverse
from wasm2xformer.compiler.format.validate import InvalidProgram, validate
from wasm2xformer.compiler.lower.bounds import bound
from wasm2xformer.compiler.lower.operations import INTRINSICS, SAME, SIGN_OPERATIONS
from wasm2xformer.compiler.machine.rows import fields
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.show_pass import pass_names, show_pass
from wasm2xformer.compiler.wasm.opcodes import ACCESS_WIDTH, SIGNATURES

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = {"i32": 4, "i64": 8, "f32": 4, "f64": 8}


def test_declarations_agree_with_webassembly():
    for name, o in OPERATIONS.items():
        if name in SIGNATURES and name in SAME:
            operands, results = SIGNATURES[name]
            assert o.width == WIDTHS[results[0]] and o.operand_width == WIDTHS[operands[0]]
            assert ("b" in o.operands) == (len(operands) == 2)
        if name in ACCESS_WIDTH:
            assert o.access == ACCESS_WIDTH[name] and o.space == "linear"
    assert OPERATIONS.keys() >= SAME
    assert {op for op, *_ in INTRINSICS.values()} | {op for op, _ in SIGN_OPERATIONS.values()} <= OPERATIONS.keys()


def test_declarations_are_consistent():
    for o in OPERATIONS.values():
        assert o.operands <= {"a", "b", "c", "d", "dest", "imm", "target", "targets", "callee", "type", "trap"}
        assert ("dest" in o.operands) == (o.effect == "value")
        assert bool(o.space) == bool(o.access and o.does != "extend")
        assert o.effect == "" or o.control == "next"
        assert o.by_step or bool(o.width) == (o.effect == "value")


def test_comparisons_have_an_opposite_and_a_branch():
    comparisons = [o for o in OPERATIONS.values() if o.comparison]
    assert len(comparisons) == 40
    for o in comparisons:
        assert inverse(inverse(o.name)) == o.name != inverse(o.name)
        if not o.branches:
            assert inverse(branch_on(o.name)) == branch_on(inverse(o.name))
            assert comparison_of(branch_on(o.name)) == o.name
    assert (inverse("i32.lt_s"), branch_on("i64.le_u"), inverse("br.i64.eq")) == ("i32.ge_s", "br.i64.le_u", "br.i64.ne")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_a_row_and_a_bound(name):
    row = fields(Step(name))
    assert row or OPERATIONS[name].control != "next"
    if OPERATIONS[name].width:
        assert 1 <= bound(name, [2**64 - 1] * (2 + ("d" in OPERATIONS[name].operands)), None) < 2 ** (8 * OPERATIONS[name].width)


def test_nothing_else_reads_the_name_of_an_operation():
    pattern = re.compile(r"\bop\.(startswith|endswith|partition|rpartition|split|removeprefix|removesuffix)|in \w+\.op\b|\bop\[")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("compiler", "runtime")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found


# --- validate ---

PROGRAM = """(module (memory (export "m") 1)
  (func $g (param i32) (result i32) local.get 0 i32.const 1 i32.add)
  (func (export "f") (param $n i32) (result i64)
    block block block local.get $n br_table 0 1 2 end i32.const 1 local.set $n end local.get $n call $g local.set $n end
    local.get $n if local.get $n i32.const 4 i32.store offset=8 end
    loop local.get $n i32.const 1 i32.sub local.tee $n br_if 0 end
    local.get $n i64.extend_i32_s))"""


def valid(opt_level: int = 1):
    return compile_steps(PROGRAM, CompileOptions(opt_level))[0]


def changed(program, of: str, **values):
    at = next(i for i, step in enumerate(program.steps) if step.op == of)
    steps = list(program.steps)
    steps[at] = steps[at].but(**values)
    return at, replace(program, steps=tuple(steps))


@pytest.mark.parametrize(
    ("op", "values", "message"),
    [
        ("i32.store", {"b": None}, "has no `b`"),
        ("i32.store", {"op": "i32.stor"}, "no operation is called"),
        ("i32.store", {"target": 3}, "takes no `target`"),
        ("i32.store", {"imm": -1}, "imm is -1"),
        ("i32.store", {"b": Slot("frame", 99)}, "slot 99 of a frame"),
        ("i32.store", {"b": Slot("const", 2**32)}, "more than is read"),
        ("i32.store", {"b": Slot("heap", 1)}, "not a slot"),
        ("i32.store", {"site": Site(1, 2, "value")}, "cannot answer for a 'value'"),
        ("i64.extend_i32_s", {"dest": Slot("const", 1)}, "not a slot that can be written"),
        ("i64.extend_i32_s", {"dest": Slot("hidden", "")}, "without a name"),
        ("br_table", {"targets": ()}, "has no `targets`"),
        ("br_table", {"targets": (0, 10_000)}, "outside its function"),
        ("br.i32.ne", {"target": -1}, "outside its function"),
        ("br.i32.ne", {"taken": 2}, "taken is 2"),
        ("call", {"callee": 7}, "which is not there"),
        ("call", {"imm": 0}, "needs slots 0"),
        ("return", {"op": "mov", "a": Slot("frame", 0), "dest": Slot("frame", 0)}, "goes on behind it"),
        ("param", {"wide": True}, "`wide` is True"),
        ("param", {"dest": Slot("frame", 2)}, "`dest` is"),
        ("halt", {"op": "return"}, "no halt here|has no call"),
    ],
)
def test_validate_names_the_step(op, values, message):
    validate(valid())
    at, program = changed(valid(), op, **values)
    with pytest.raises(InvalidProgram, match=message) as error:
        validate(program)
    assert error.value.step == at


def test_validate_checks_what_holds_the_steps_together():
    program = valid(0)
    validate(program)
    site = next(step.site for step in program.steps if step.site is not None)
    two = [i for i, s in enumerate(program.steps) if s.site is not None and s.site.record == site.record][1]
    twice = replace(program, steps=tuple(s.but(site=site) if i == two else s for i, s in enumerate(program.steps)))
    with pytest.raises(InvalidProgram, match="the same instruction as step"):
        validate(twice)
    function = program.functions[0]
    for wrong, message in (
        (replace(program, functions={0: replace(function, end=10**6)}), "are not there"),
        (replace(program, functions={5: function}), "its index is"),
        (replace(program, functions={**program.functions, 1: replace(program.functions[1], entry=0)}), "belongs to two"),
        (replace(program, entries={}), "belongs to no function"),
        (replace(program, folded={site: "copy"}), "that has no step by the rule"),
        (replace(program, folded={Site(0, 0, "value"): "magic"}), "unknown rule"),
        (replace(program, references={1: 0, 2: 1, 3: 0}), "not next to the others"),
        (replace(program, references={0: 0}), "reference 0"),
        (replace(program, inputs={"stdin": (1, 5)}), "not in hidden memory"),
    ):
        with pytest.raises(InvalidProgram, match=message):
            validate(wrong)


@pytest.mark.parametrize("opt_level", [0, 1])
def test_every_pass_can_be_looked_at(opt_level):
    options = CompileOptions(opt_level)
    texts = {name: show_pass(PROGRAM, name, options) for name in pass_names(opt_level)}
    assert "block (i32)" not in texts["linked"] and "local.tee" in texts["linked"]
    assert [name for name, text in texts.items() if "  else s" in text] == (["join", "program"] if opt_level else [])
    watched: list[str] = []
    compile_steps(PROGRAM, options, lambda name, _: watched.append(name))
    assert [name for name in watched if name not in pass_names(opt_level)] == []
    for name in pass_names(opt_level)[1:-3]:
        assert "br_table" in texts[name] and "i32.store" in texts[name], name
    assert "-> L" in texts["lowered"] and "store32=1" in texts["assembly"]
    assert "lookup fetch" in texts["graph"] and "layer 0:" in texts["transformer"]
    with pytest.raises(ValueError, match="there are: linked, lowered"):
        show_pass(PROGRAM, "nothing", options)
