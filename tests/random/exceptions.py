"""Functions that throw, catch, throw on and delegate, in the older form of exceptions, which says all of that most shortly."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .case import Call, Case

FUNCTIONS, ARGUMENTS = 40, 16
GROUP = 4
HEADER = """(module (tag $a (param i32)) (tag $b) (global $h (export "h") (mut i32) (i32.const 0))
  (func $mix (param i32) (global.set $h (i32.add (i32.mul (global.get $h) (i32.const 31)) (local.get 0))))
  (func $may (param i32)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $a (i32.const 1001))))
    (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $b))))"""


class Body:
    """One random function; it may call those before it among its GROUP.

    labels: of each open block whether it is a handler of a try, innermost last.
    """

    def __init__(self, seed: int, index: int):
        self.rng = random.Random(f"exceptions {seed} {index}")
        self.index = index
        self.labels: list[bool] = []
        self.marks = 0

    def statements(self, depth: int) -> Iterator[str]:
        for _ in range(self.rng.randint(1, 3)):
            yield from self.statement(depth)

    def statement(self, depth: int) -> Iterator[str]:
        rng = self.rng
        self.marks += 1
        yield f"i32.const {self.marks} call $mix"
        kinds = ["throw", "call", "br"] + (["try"] * 4 + ["block"] if depth else []) + ["rethrow"] * any(self.labels)
        match rng.choice(kinds):
            case "throw":
                yield from self.when(rng.choice((f"i32.const {rng.randint(1, 99)} throw $a", "throw $b")))
            case "call" if self.index % GROUP and rng.random() < 0.5:
                yield from self.call()
            case "call":
                yield f"local.get 0 i32.const {rng.randint(0, 2)} i32.shr_u i32.const 3 i32.and call $may"
            case "br":
                yield from self.when(f"br {rng.randint(0, len(self.labels) + 1)}")
            case "rethrow":
                places = [k for k, handler in enumerate(reversed(self.labels)) if handler]
                yield from self.when(f"rethrow {rng.choice(places) + 1}")
            case "block":
                yield "block"
                yield from self.within(depth, False)
                yield "end"
            case "try":
                yield from self.attempt(depth)

    def call(self) -> Iterator[str]:
        """Of a function before this one, directly or through the table."""
        callee = self.index - self.rng.randint(1, self.index % GROUP)
        yield f"local.get 0 i32.const {self.rng.randint(0, 15)} i32.xor"
        yield self.rng.choice((f"call $body{callee}", f"i32.const {callee} call_indirect (param i32)"))

    def when(self, statement: str) -> Iterator[str]:
        """In an `if`, which is one more label."""
        yield f"local.get 0 i32.const {1 << self.rng.randint(0, 3)} i32.and if {statement} end"

    def within(self, depth: int, handler: bool) -> Iterator[str]:
        self.labels.append(handler)
        yield from self.statements(depth - 1)
        self.labels.pop()

    def attempt(self, depth: int) -> Iterator[str]:
        yield "try"
        yield from self.within(depth, False)
        if self.rng.random() < 0.35:
            yield f"delegate {self.rng.randint(0, len(self.labels))}"
            return
        for catch in self.rng.choice((["$a"], ["$b"], ["$b", "$a"], ["all"], ["$a", "all"], [])):
            yield "catch_all" if catch == "all" else f"catch {catch}"
            if catch == "$a":
                yield "call $mix"
            yield from self.within(depth, True)
        yield "end"


def module(seed: int, functions: int = FUNCTIONS) -> str:
    """Exports f0, f1, ... of an i32 below ARGUMENTS; what they give depends on the way that was taken."""
    parts = [HEADER]
    for k in range(functions):
        body = " ".join(Body(seed, k).statements(4))
        parts.append(f"(func $body{k} (param i32) block {body} end)")
        parts.append(
            f'(func (export "f{k}") (param i32) (result i32) '
            f"i32.const 17 global.set $h local.get 0 call $body{k} global.get $h)"
        )
    names = " ".join(f"$body{k}" for k in range(functions))
    return "\n".join((*parts, f"(table funcref (elem {names})))"))


def exceptions(seed: int) -> Case:
    """Some functions of one module, each called with some arguments."""
    rng = random.Random(f"calls of exceptions {seed}")
    calls = [Call(f"f{k}", (rng.randrange(ARGUMENTS),)) for k in range(2 * GROUP) for _ in range(2)]
    return Case(module(seed, 2 * GROUP), tuple(calls))
