"""Quotients and roots of floating-point numbers, one digit a token, as long division finds them; then what is left.

With Q the number that the digits so far make up, times 256, the next digit is the greatest d for which

    quotients  d m_b <= R             R = m_a 2^x - m_b Q
    roots      2 Q d + d^2 <= R       R = z 256^x - Q^2

where the significand m_a or z has been moved so far that d < 256. R is less than 2^69, but the numbers that it is the difference
of are longer: it is added up by words of 32 bits, R = sum of 2^(32 w) W_w, without carries, |W_w| < 2^43. What is above the low
two words is small in the end, since R is: W_3 and t = 2^32 W_3 + W_2 are less than 2^12, and H = 2^32 t + W_1 less than 2^44. So
H and L = W_0 are R in two words, exactly, and the digit is found by comparisons (`long_division.next_digit`).

Once the last digit is there, R is what is left: it decides with the digits how the result is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..graph.expr import Expr, Number, total
from ..graph.graph import Graph
from .float_formats import FloatFormat
from .floats import FloatOperand
from .long_division import WORD, Pair, at_least_zero, next_digit
from .state import State

# R's words, and what t may be.
WORDS = 4
SMALL = 2.0**12
Terms = list[tuple[Number, Number]]


@dataclass
class LongNumbers:
    """What one circuit for digits works on, all of it 0 in rows of other operations: (gate, value) pairs are added up.

    flag: 1 in rows that have digits; skipped: above 0 where such a row has none after all. first: the place of the first one.
    words: R. unit: m_b, or 2 Q. squared: 1 where d^2 counts.
    """

    flag: Expr = field(default_factory=lambda: Expr({}))
    skipped: Expr = field(default_factory=lambda: Expr({}))
    first: Expr = field(default_factory=lambda: Expr({}))
    words: list[Terms] = field(default_factory=lambda: [[] for _ in range(WORDS)])
    unit: Pair = (Expr({}), Expr({}))
    squared: Expr = field(default_factory=lambda: Expr({}))

    def __add__(self, other: LongNumbers) -> LongNumbers:
        return LongNumbers(
            self.flag + other.flag, self.skipped + other.skipped, self.first + other.first,
            [a + b for a, b in zip(self.words, other.words, strict=True)],
            (self.unit[0] + other.unit[0], self.unit[1] + other.unit[1]), self.squared + other.squared,
        )  # fmt: skip


@dataclass
class FloatDigits:
    """emitting: 1 while digits of a quotient or a root are due; index: then the id of the next one, else 0. lost: 1 where
    something is left."""

    emitting: Expr = field(default_factory=lambda: Expr({}))
    index: Expr = field(default_factory=lambda: Expr({}))
    lost: Expr = field(default_factory=lambda: Expr({}))


def so_far(s: State, flag: Expr, count: int, name: str) -> tuple[list[Expr], list[Expr]]:
    """(Q's bytes, of which the lowest is 0 as long as a digit is to come, then those of the whole number; the bytes of that
    alone, else 0), in rows with the flag. count: as many."""
    g, bytes_ = s.graph, []
    complete = [Expr.of(g.product(flag, s.quotient_bytes[j], f"{name}.digit{j}")) for j in range(count)]
    for j, done in enumerate(complete):
        behind = s.digits_behind[j]
        if behind.terms:
            behind = Expr.of(g.relu(behind - 256.0 * (1.0 - flag + s.scratched), f"{name}.so far{j}"))
        bytes_.append(behind + done)
    return bytes_, complete


def at_places(s: State, first: int, condition: Expr) -> list[tuple[int, Expr]]:
    """(place, gate: whether it is that of the next digit, in rows where the condition is 0, not less); place 0 for what is left.
    first: place of the first digit."""
    due = [(place, s.features[f"place.{place}.next"] - s.scratched) for place in range(first)]
    due += [(first, s.features["fresh"] - s.scratched), (0, s.scratched)]
    return [(place, gate + condition) for place, gate in due]


def byte_aligned(g: Graph, form: FloatFormat, a: FloatOperand, flag: Expr, name: str) -> tuple[list[Expr], Expr]:
    """(whether the significand has v bytes of zeros above, for v = 0, 1, ...; how many there are)."""
    n = form.significand
    there = [Expr({}), *(Expr.of(g.step(total(a.digits[m:]) - 1.0, f"{name}.byte>={m}")) for m in range(1, n)), Expr({})]
    exactly = [there[n - 1 - v] - there[n - v] for v in range(n - 1)] + [flag - there[1]]
    return exactly, total(flag - t for t in there[1:n])


def moved(g: Graph, digits: Sequence[Expr], exactly: Sequence[Expr], skipped: Expr, size: int, name: str) -> list[Expr]:
    """The bytes, moved up by as many bytes as the gates say; 0 where they are skipped."""
    found = []
    for j in range(size):
        terms = [(gate - skipped, digits[j - v]) for v, gate in enumerate(exactly) if 0 <= j - v < len(digits)]
        found.append(Expr.of(g.declare(g.gated(f"{name}.moved{j}", *terms), 0.0, 255.0)))
    return found


def word(digits: Sequence[Expr], w: int, offset: int = 0) -> Expr:
    """Word w of the sum of 256^(i + offset) digits[i]; what is below place 0 is left out."""
    places = ((i + offset - 4 * w, digit) for i, digit in enumerate(digits))
    return total(256.0**p * digit for p, digit in places if 0 <= p < 4)


def float_digits(s: State, numbers: LongNumbers) -> FloatDigits:
    """The next digit and its token, and whether anything is left."""
    g, flag = s.graph, numbers.flag
    if not flag.terms:
        return FloatDigits()
    emitting = Expr.of(g.gated("float digits due", (flag - s.scratched - numbers.skipped, 1.0)))
    rest = _two_words(g, numbers.words)
    left = at_least_zero(g, "float rest>0", (rest[0] - 1.0, rest[1]))
    squared = numbers.squared if numbers.squared.terms else None
    digit = next_digit(g, "float digit", rest, numbers.unit, squared)
    place = s.features["in_flight.place"] + g.product(s.features["fresh"], numbers.first, "first place of float digits")
    index = g.product(emitting, s.architecture.ids["S"] + 256.0 * place + digit, "float digit id")
    return FloatDigits(emitting, Expr.of(g.declare(index, 0.0, float(s.architecture.emitted))), Expr.of(left))


def _two_words(g: Graph, words: Sequence[Terms]) -> Pair:
    """R as H and L; where there are but two words, these.

    W_3 and t come out of relu(x + 2^12), which is x + 2^12: who adds up at once, in whatever order, what is linear, never gets at
    2^64 W_3 + 2^32 W_2 + W_1, of which a double would lose the lowest bits.
    """
    used = [terms for terms in words if any(Expr.of(up).terms for _, up in terms)]
    low, high, *upper = (g.gated(f"float rest.word{w}", *terms) for w, terms in enumerate(used))
    if upper:
        above: Expr = Expr({})
        for w, x in zip((3, 2), reversed(upper), strict=True):
            lifted = g.relu(x + WORD * above + SMALL, f"float rest from word{w}")
            above = g.declare(lifted, 0.0, 2.0 * SMALL) - SMALL
        high = g.gated("float rest.high", (1.0, high + WORD * above))
    return Expr.of(low), Expr.of(high)


__all__ = ["FloatDigits", "LongNumbers", "at_places", "byte_aligned", "float_digits", "moved", "so_far", "word"]
