"""The table of operations: complete, consistent, and the only place that knows what a name means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wasm2xformer.compiler.format.isa import Step
from wasm2xformer.compiler.format.operations import OPERATIONS, branch_on, inverse
from wasm2xformer.compiler.lower.bounds import bound
from wasm2xformer.compiler.lower.operations import INTRINSICS, SAME, SIGN_OPERATIONS
from wasm2xformer.compiler.machine.rows import fields
from wasm2xformer.compiler.wasm.opcodes import ACCESS_WIDTH, SIGNATURES

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = {"i32": 4, "i64": 8}


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
        assert o.operands <= {"a", "b", "c", "dest", "imm", "target", "targets", "callee", "type", "trap"}
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
    assert (inverse("i32.lt_s"), branch_on("i64.le_u"), inverse("br.i64.eq")) == ("i32.ge_s", "br.i64.le_u", "br.i64.ne")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_a_row_and_a_bound(name):
    row = fields(Step(name))
    assert row or OPERATIONS[name].control != "next"
    if OPERATIONS[name].width:
        assert 1 <= bound(name, [2**64 - 1, 2**64 - 1], None) < 2 ** (8 * OPERATIONS[name].width)


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
