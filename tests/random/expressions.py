"""Modules of functions without control flow: every numeric instruction at the root of some function."""

from __future__ import annotations

import random

from wasm2xformer.compiler.wasm.check import SUPPORTED_INSTRUCTIONS
from wasm2xformer.compiler.wasm.opcodes import ACCESS_WIDTH, SIGNATURES

from .case import Call, Case, argument, constant, seldom_trapping

FUNCTIONS, CALLS, DEPTH = 40, 5, 4
TYPES = ("i32", "i64", "f32", "f64")
# Name -> (operand types, result type).
OPERATIONS = {
    name: (operands, results[0])
    for name, (operands, results) in SIGNATURES.items()
    if name in SUPPORTED_INSTRUCTIONS and name not in ACCESS_WIDTH and operands
}
DIVISIONS = tuple(name for name in OPERATIONS if ".div_" in name or ".rem_" in name)


def expressions(seed: int) -> Case:
    rng = random.Random(f"expressions {seed}")
    # Over the seeds, every operation is at the root of a function about equally often.
    names = sorted(OPERATIONS)
    first = seed * FUNCTIONS % len(names)
    roots = [(names * 2)[(first + i) % len(names)] for i in range(FUNCTIONS)]
    functions, calls = [], []
    for index, root in enumerate(roots):
        params = [rng.choice(TYPES) for _ in range(rng.randint(1, 4))]
        body, result = _Expression(rng, params).root(root)
        header = f'(func (export "f{index}") (param {" ".join(params)}) (result {result})'
        functions.append(f"  {header} ;; {root}\n    {body})")
        calls += [Call(f"f{index}", tuple(argument(rng, p) for p in params)) for _ in range(CALLS)]
    return Case("(module\n" + "\n".join(functions) + ")\n", tuple(calls))


class _Expression:
    def __init__(self, rng: random.Random, params: list[str]):
        self.rng, self.params = rng, params

    def root(self, name: str) -> tuple[str, str]:
        """An expression with this operation on top, and its type."""
        return self._apply(name, DEPTH - 1), OPERATIONS[name][1]

    def _apply(self, name: str, depth: int) -> str:
        operands = [self._value(t, depth) for t in OPERATIONS[name][0]]
        if name in DIVISIONS and self.rng.random() < 0.8:  # rarely by zero
            type_ = name[:3]
            operands[1] = f"({type_}.or {operands[1]} ({type_}.const {self.rng.choice((1, 2, 255, 1 << 20))}))"
        return f"({name} {' '.join(operands)})"

    def _value(self, type_: str, depth: int) -> str:
        rng = self.rng
        if depth == 0 or rng.random() < 0.25:
            return self._leaf(type_)
        if rng.random() < 0.08:
            a, b, condition = (
                self._value(type_, depth - 1),
                self._value(type_, depth - 1),
                self._value("i32", depth - 1),
            )
            return f"(select {a} {b} {condition})"
        name = rng.choice([n for n, (_, result) in OPERATIONS.items() if result == type_])
        return self._apply(seldom_trapping(rng, name), depth - 1)

    def _leaf(self, type_: str) -> str:
        fitting = [i for i, t in enumerate(self.params) if t == type_]
        if fitting and self.rng.random() < 0.65:
            return f"(local.get {self.rng.choice(fitting)})"
        return f"({type_}.const {constant(self.rng, type_)})"
