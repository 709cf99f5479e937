"""Programs, and pairs of calls that differ in an argument."""

from __future__ import annotations

from dataclasses import dataclass

import wasm2xformer as w2x
from tests.programs import load_programs


@dataclass(frozen=True)
class Case:
    """program: WAT. pairs: arguments of a clean and of a corrupted call."""

    name: str
    program: str
    function: str
    pairs: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    def model(self) -> w2x.Model:
        return w2x.compile(self.program)

    def runs(self, model: w2x.Model) -> list[w2x.Run]:
        """Of all calls, each in an instance of its own."""
        calls = dict.fromkeys(arguments for pair in self.pairs for arguments in pair)
        return [w2x.Instance(model).invoke(self.function, *arguments) for arguments in calls]


def binary(name: str) -> str:
    return f'(module (func (export "f") (param i32 i32) (result i32) (i32.{name} (local.get 0) (local.get 1))))'


def cases() -> list[Case]:
    programs = {program.id: str(program.module()) for program in load_programs() if not program.wasm}
    small = (((3, 5), (9, 5)), ((3, 5), (3, 90)), ((300, 77777), (500, 77777)))
    return [
        Case("add", binary("add"), "f", small),
        Case("mul", binary("mul"), "f", small),
        Case("lt_u", binary("lt_u"), "f", (((3, 5), (9, 5)), ((90, 5), (3, 5)), ((77777, 77900), (77990, 77900)))),
        Case("gcd", programs["gcd"], "gcd", (((48, 18), (50, 18)), ((48, 18), (48, 16)), ((99, 7), (98, 7)))),
        Case("fib", programs["fibonacci_recursive"], "fib", (((5,), (6,)), ((1,), (2,)), ((0,), (3,)))),
    ]


__all__ = ["Case", "cases"]
