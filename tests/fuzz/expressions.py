"""Functions that are one expression over their parameters: every i32 and i64 instruction, and edge cases as operands."""

from __future__ import annotations

from hypothesis import strategies as st

from .cases import OPERATIONS, TYPES, Case, Choices, constant

FUNCTIONS = 6  # at most, in one module
CALLS = 3  # of each function
DEPTH = 5
PARAMETERS = ("i32", "i32", "i64", "i64")


@st.composite
def expression_modules(draw: st.DrawFn) -> Case:
    choices = Choices(draw)
    functions, calls = [], []
    for i in range(1 + choices.below(FUNCTIONS)):
        type_ = choices.one_of(TYPES)
        body = expression(choices, type_, DEPTH)
        functions.append(f'(func (export "f{i}") (param {" ".join(PARAMETERS)}) (result {type_})\n  {body})')
        calls += [(f"f{i}", tuple(choices.value(t) for t in PARAMETERS)) for _ in range(CALLS)]
    return Case("(module\n" + "\n".join(functions) + ")", tuple(calls))


def expression(choices: Choices, type_: str, depth: int) -> str:
    """An expression of this type, at most `depth` instructions deep."""
    kind = choices.below(10) if depth else choices.below(2)
    if kind == 0:
        return constant(type_, choices.value(type_))
    if kind == 1:
        return f"(local.get {choices.one_of([i for i, t in enumerate(PARAMETERS) if t == type_])})"
    if kind == 2:
        arms = [expression(choices, type_, depth - 1) for _ in range(2)]
        condition = expression(choices, "i32", depth - 1)
        if choices.chance(1, 2):
            return f"(if (result {type_}) {condition} (then {arms[0]}) (else {arms[1]}))"
        return f"(select {arms[0]} {arms[1]} {condition})"
    name, operands = choices.one_of(OPERATIONS[type_])
    return f"({name} {' '.join(expression(choices, t, depth - 1) for t in operands)})"
