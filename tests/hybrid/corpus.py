"""Generated text that small models learn: expressions with results, questions, tool calls, and text with = that is no
arithmetic."""

from __future__ import annotations

import random
from dataclasses import dataclass

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_WORDS = {"add": "plus", "sub": "minus", "mul": "times", "div": "divided by"}
_ASKED = ("what is {}?", "how much is {}?", "compute {}.", "tell me {}.")
_TAILS = {
    "add": "So the sum is {}.", "sub": "So {} is left.", "mul": "So the product is {}.", "div": "So each part is {}.",
}  # fmt: skip
_NAMES = "anna ben carl dora emil fred gina hans iris jane".split()
_THINGS = "apples pears coins books stamps shells cards pens".split()
_PLACES = "garden house school river market forest".split()


@dataclass(frozen=True)
class Sample:
    """One exercise: operation, operands, result, and the sentence that goes on behind it."""

    name: str
    a: int
    b: int

    @property
    def result(self) -> int:
        return {"add": self.a + self.b, "sub": self.a - self.b, "mul": self.a * self.b}.get(self.name) or (
            self.a // self.b if self.name == "div" else 0
        )

    @property
    def expression(self) -> str:
        return f"{self.a} {SIGNS[self.name]} {self.b} ="

    @property
    def call(self) -> str:
        return f"{self.name}({self.a}, {self.b})"

    @property
    def tail(self) -> str:
        return f". {_TAILS[self.name].format(self.result)}\n"

    def question(self, chosen: random.Random) -> str:
        return chosen.choice(_ASKED).format(f"{self.a} {_WORDS[self.name]} {self.b}")


def sample(chosen: random.Random) -> Sample:
    """Operands of one to three digits; quotients are whole."""
    name = chosen.choice(list(SIGNS))
    a, b = (chosen.randrange(10 ** chosen.choice([1, 2, 2, 3])) for _ in range(2))
    if name == "mul":
        a, b = a % 100, b % 100
    if name == "div":
        b = b % 30 + 1
        a = a // b * b
    return Sample(name, a, b)


def other_equals(chosen: random.Random) -> str:
    """A line with = that is no arithmetic, up to and with its =, then how it goes on."""
    number, thing, name = chosen.randrange(200), chosen.choice(_THINGS), chosen.choice(_NAMES)
    before, after = chosen.choice([
        ("name", name), ("color", chosen.choice(["red", "blue", "green"])), ("x", str(number)), (f"{thing}", "many"),
        (f"size of {name}", chosen.choice(["small", "large"])), (f"{number} {thing}", "a lot"), (f"{name} and {thing}", "good"),
        (f"place({name})", chosen.choice(_PLACES)), (f"row {number}", thing), (f"pair({number}, {thing})", "one"),
    ])  # fmt: skip
    return f"{before} =| {after}."


def plain(chosen: random.Random) -> str:
    """A sentence without =, with numbers and signs now and then."""
    name, thing, place = chosen.choice(_NAMES), chosen.choice(_THINGS), chosen.choice(_PLACES)
    number = chosen.randrange(300)
    return chosen.choice([
        f"{name} has {number} {thing}.", f"the {place} is near the {chosen.choice(_PLACES)}.", f"{name} went to the {place}.",
        f"{name} and {chosen.choice(_NAMES)} read {number} {thing}.", f"open from {number} - {number + 3} on page {number % 9}.",
    ])  # fmt: skip


def document(chosen: random.Random) -> str:
    """One line, or a question with its answer, of any kind."""
    made, kind = sample(chosen), chosen.random()
    if kind < 0.35:
        return f"{made.expression} {made.result}{made.tail}"
    if kind < 0.45:
        return f"{made.call} = {made.result}{made.tail}"
    if kind < 0.6:
        return f"Q: {made.question(chosen)}\nA: {made.expression} {made.result}{made.tail}"
    if kind < 0.75:
        return f"Q: {made.question(chosen)}\nT: {made.call}\nR: {made.result}\nA: {made.result}{made.tail}"
    if kind < 0.9:
        return other_equals(chosen).replace("|", "") + "\n"
    return plain(chosen) + "\n"


def blocks(seed: int, length: int):
    """Text of so many characters without end: whole documents, the last one cut off."""
    chosen = random.Random(seed)
    while True:
        text = ""
        while len(text) < length:
            text += document(chosen)
        yield text[:length]
