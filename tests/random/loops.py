"""Modules of small functions with loops and branches, whose sums and addresses are used behind them: what one pass has moved or
copied is there for the next one. Every loop has a counter of its own, so that they end."""

from __future__ import annotations

import random

from .case import Call, Case, argument

FUNCTIONS, CALLS, DEPTH = 40, 2, 2
# Parameters and others that are assigned to; behind them one counter for each depth.
VARIABLES, PARAMETERS = 5, 2
OPERATIONS = ("add", "add", "add", "sub", "mul", "xor", "and", "shr_u", "rotl")


def loops(seed: int, functions: int = FUNCTIONS) -> Case:
    rng = random.Random(f"loops {seed}")
    locals_ = " ".join(["i32"] * (VARIABLES - PARAMETERS + DEPTH))
    header = f'(param {" ".join(["i32"] * PARAMETERS)}) (result i32) (local {locals_})'
    bodies = [f"{_body(rng, DEPTH)} (local.get {rng.randrange(VARIABLES)})" for _ in range(functions)]
    text = [f'(func (export "f{i}") {header}\n    {body})' for i, body in enumerate(bodies)]
    calls = (
        Call(f"f{i}", tuple(argument(rng, "i32") for _ in range(PARAMETERS))) for i in range(functions) for _ in range(CALLS)
    )
    return Case("(module (memory 1)\n  " + "\n  ".join(text) + ")\n", tuple(calls))


def _body(rng: random.Random, depth: int) -> str:
    return " ".join(_statement(rng, depth) for _ in range(rng.randrange(1, 5)))


def _statement(rng: random.Random, depth: int) -> str:
    kind = rng.random() if depth else rng.uniform(0.36, 1)
    counter = VARIABLES + depth - 1
    start = f"(local.set {counter} (i32.const {rng.randrange(1, 6)}))"
    again = f"(br_if 0 (local.tee {counter} (i32.sub (local.get {counter}) (i32.const 1))))"
    if kind < 0.12:
        return f"{start} (loop {_body(rng, depth - 1)} {again})"
    if kind < 0.24:
        leave = f"(br_if 1 {rng.choice((_value(rng, 1), f'(i32.eqz (local.get {counter}))'))})"
        return f"{start} (block (loop {_body(rng, depth - 1)} {leave} {_body(rng, depth - 1)} {again}))"
    if kind < 0.36:
        end = rng.choice(("", f"(return (local.get {rng.randrange(VARIABLES)}))"))
        return f"(if {_value(rng, 1)} (then {_body(rng, depth - 1)} {end}))"
    if kind < 0.45:
        return f"(i32.store8 (i32.and {_value(rng, 1)} (i32.const 65535)) {_value(rng, 0)})"
    return f"(local.set {rng.randrange(VARIABLES)} {_value(rng, 2)})"


def _value(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.3:
        return rng.choice((f"(local.get {rng.randrange(VARIABLES)})", f"(i32.const {rng.choice((1, 4, 16, 255))})"))
    if rng.random() < 0.2:  # of a small address, or one that may be beyond memory
        first = rng.choice((f"(i32.and {_value(rng, depth - 1)} (i32.const 65280))", _value(rng, depth - 1)))
        return f"(i32.load8_u offset={rng.choice((0, 16))} {first})"
    return f"(i32.{rng.choice(OPERATIONS)} {_value(rng, depth - 1)} {_value(rng, depth - 1)})"
