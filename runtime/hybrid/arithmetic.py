"""The experts that come along: arithmetic on integers of any length and on f64, comparison, and loops."""

from __future__ import annotations

from pathlib import Path

from .experts import Expert, ExpertProgram, Experts
from .signature import Argument, Result

_SOURCE = Path(__file__).with_name("programs") / "numbers.wasm"

_FAILURES = {
    1: "division by zero", 2: "the numbers are too long", 3: "the quotient is no integer, and its numbers are too long for f64",
    4: "the result is no finite number", 5: "not for negative numbers", 6: "no decimal digits",
}  # fmt: skip

# name, export where it is another, sentence; of two integers and of two f64
_BINARY = (
    ("add", "", "The sum of two numbers."),
    ("sub", "", "The first number less the second."),
    ("mul", "", "The product of two numbers."),
    ("div", "", "The quotient of two numbers: an integer where it is one, else the nearest f64."),
    ("lt", "", "Whether the first number is less than the second."),
    ("le", "", "Whether the first number is at most the second."),
    ("gt", "", "Whether the first number is greater than the second."),
    ("ge", "", "Whether the first number is at least the second."),
    ("eq", "", "Whether two numbers are equal."),
    ("ne", "", "Whether two numbers differ."),
)
_INTEGERS = (
    ("quotient", "quotient_of", "The whole quotient of two integers that are not negative."),
    ("remainder", "remainder_of", "What a division of two integers that are not negative leaves."),
)
_LOOPS = (
    ("sum", ("first", "last"), "The sum of all integers from the first to the last, by a loop."),
    ("product", ("first", "last"), "The product of all integers from the first to the last, by a loop."),
    ("factorial", ("n",), "n!, by a loop."),
    ("fib", ("n",), "The n-th Fibonacci number, by a loop; fib(0) is 0, fib(1) is 1."),
)


def built_in(engine: str = "fast") -> Experts:
    """All of them, over one program that is compiled when the first is called. engine: that decodes, as for `Instance`."""
    names = ["allocate"]
    program = ExpertProgram(_SOURCE, names, engine=engine)
    experts = Experts()

    def expert(name: str, export: str, about: str, arguments: tuple[Argument, ...]) -> None:
        names.append(export)
        experts.add(Expert(name, about, arguments, Result("text"), program, export, _FAILURES, pure=True))

    for name, export, about in (*_BINARY, *_INTEGERS):
        expert(name, export or name, about, (Argument("a", "integer"), Argument("b", "integer")))
    for name, _, about in _BINARY:
        expert(name, f"{name}_f64", about, (Argument("a", "f64"), Argument("b", "f64")))
    for name, arguments, about in _LOOPS:
        expert(name, name, about, tuple(Argument(a, "i64") for a in arguments))
    power = (Argument("base", "integer"), Argument("exponent", "i64"))
    expert("power", "power", "A power with an exponent that is not negative, by a loop.", power)
    return experts
