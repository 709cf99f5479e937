"""Floating-point numbers as circuits: an operand taken apart, and a result put together, rounded to nearest, ties to even.

What an operation computes is exact: bytes, a power of two and whether anything but 0 is lost below them, an `Unrounded`.
`rounded` makes the words of the nearest number of a format of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest

from ..graph.expr import Expr, Number, Variable, total
from ..graph.graph import Graph
from .float_formats import FORMATS, FloatFormat
from .state import State, Value

# More than any exponent here.
FAR = 4096.0


@dataclass
class FloatOperand:
    """Of an operand, 0 in rows that do not set the flag.

    digits: bytes of the significand, least significant first. exponent: as `FloatFormat` says, at least 1. negative: the sign
    bit. special: infinite or not a number; nan: the latter; zero: 1 where the number is 0; subnormal: 1 where
    the exponent field is.
    """

    digits: list[Expr]
    exponent: Expr
    negative: Expr
    special: Expr
    nan: Expr
    zero: Expr
    subnormal: Expr


@dataclass
class Unrounded:
    """(-1)^negative * (sum of 256^i digits[i] and something in 0..1) * 2^exponent, that something not 0 where `lost` is not.

    digits: bytes. lost: an integer >= 0. infinite, nan: 1 where the result is that whatever the digits are. All 0
    in rows of other operations, exponent too.
    """

    digits: list[Expr] = field(default_factory=list)
    exponent: Expr = field(default_factory=lambda: Expr({}))
    negative: Expr = field(default_factory=lambda: Expr({}))
    lost: Expr = field(default_factory=lambda: Expr({}))
    infinite: Expr = field(default_factory=lambda: Expr({}))
    nan: Expr = field(default_factory=lambda: Expr({}))

    def __add__(self, other: Unrounded) -> Unrounded:
        """One of two operations, of which a row has one."""
        return Unrounded(
            [a + b for a, b in zip_longest(self.digits, other.digits, fillvalue=Expr({}))], self.exponent + other.exponent,
            self.negative + other.negative, self.lost + other.lost, self.infinite + other.infinite, self.nan + other.nan,
        )  # fmt: skip


@dataclass
class FloatWords:
    """(gate, value) pairs that are added up to the low and to the high word of the result, 0 in rows of other operations."""

    low: list[tuple[Number, Number]] = field(default_factory=list)
    high: list[tuple[Number, Number]] = field(default_factory=list)

    def __add__(self, other: FloatWords) -> FloatWords:
        return FloatWords(self.low + other.low, self.high + other.high)


def float_operand(s: State, form: FloatFormat, flag: Expr, value: Value, name: str) -> FloatOperand:
    """flag: 1 in the rows whose operand this is."""
    g, last = s.graph, form.significand - 1
    field_, sign = value.exponents[form.name], value.signs[form.name]
    subnormal = g.declare(g.relu(flag - field_, f"{name}.subnormal"), 0.0, 1.0)
    exponent = g.declare(g.product(flag, field_, f"{name}.exponent"), 0.0, form.last_exponent)
    digits = [Expr.of(g.product(flag, byte, f"{name}.digit{i}")) for i, byte in enumerate(value.bytes[:last])]
    # The byte that has the highest bits of the fraction has the lowest ones of the exponent above.
    hidden = 2.0**form.top_bits
    low_bits = field_ - 256.0 / hidden * (value.bytes[last + 1] - 128.0 * sign)
    top = g.declare(g.product(flag, value.bytes[last] - hidden * low_bits, f"{name}.digit{last}"), 0.0, hidden - 1.0)
    fraction = g.step(total(digits) + top - 1.0, f"{name}.fraction")
    special = Expr.of(g.step(exponent - float(form.last_exponent), f"{name}.special"))
    return FloatOperand(
        [*digits, top + hidden * (flag - subnormal)],
        exponent + subnormal,
        Expr.of(g.product(flag, sign, f"{name}.negative")),
        special,
        Expr.of(g.declare(g.relu(special + fraction - 1.0, f"{name}.nan"), 0.0, 1.0)),
        Expr.of(g.declare(g.relu(subnormal - fraction, f"{name}.zero"), 0.0, 1.0)),
        Expr.of(subnormal),
    )


def floor(g: Graph, name: str, x: Expr, lowest: int) -> Expr:
    """The integer below 0 <= x < 256, a multiple of 2^lowest."""
    spacing = 2.0**lowest
    return g.rounded(name, x + 0.5 + spacing / 2.0, spacing) - 1.0


def any_of(g: Graph, count: Expr, name: str) -> Expr:
    """1 where an integer is above 0."""
    return Expr.of(g.step(count - 1.0, name))


@dataclass
class _Aligned:
    """The digits, moved by whole bytes: y[1 + j] is the byte that is worth 256^j units before they are moved by r - spare bits,
    j from -1 to the significand's highest byte. slack: r is at most this; lost: above 0 where not all bytes are there.
    nonzero: 1 where a digit is not 0."""

    y: list[Variable]
    slack: Expr
    lost: Expr
    nonzero: Expr


def _aligned(g: Graph, form: FloatFormat, x: Unrounded) -> _Aligned:
    """Byte t becomes the highest one, byte n - 1: the highest one that is not 0, but not so far up that the exponent would be
    below that of subnormal numbers. t >= m where a byte from m on is not 0, or the exponent says so; from `last` on nothing is
    left.

    With 1 where t < m in `below`, the sum over all k of [t = k] x[k - n + 1 + j] is that of `below` times
    (x[m - n + j] - x[m - n + 1 + j]) over all m.
    """
    name, n = f"{form.name}.rounded", form.significand
    room = x.exponent + (form.scale - 1.0 + form.spare)  # 8 (n - 1 - t) + r must not be more
    last = len(x.digits) + n + 1
    below: list[Expr] = []
    for m in range(1, last + 1):
        there = g.step(total(x.digits[m:]) - 1.0, f"{name}.byte>={m}") if m < len(x.digits) else Expr({})
        forced = g.step(8.0 * (n - m) - 1.0 - room, f"{name}.low>={m}")
        below.append(1.0 - there - forced)

    def digit(i: int) -> Expr:
        return x.digits[i] if 0 <= i < len(x.digits) else Expr({})

    y = []
    for j in range(-1, n):
        terms = [(b, digit(m - n + j) - digit(m - n + 1 + j)) for m, b in enumerate(below, 1)]
        y.append(g.declare(g.gated(f"{name}.y{j}", *terms), 0.0, 255.0))
    short = g.declare(g.gated(f"{name}.short", *((b, 1.0) for b in below)), 0.0, last)
    gone = [(below[i + n], -d) for i, d in enumerate(x.digits)]  # byte i is beyond y where t > i + n
    lost = g.declare(g.gated(f"{name}.lost", (1.0, total(x.digits)), *gone), 0.0, 256.0 * len(x.digits))
    slack = room + 8.0 * (last - n + 1 - short)
    return _Aligned(y, slack, lost + x.lost, any_of(g, total(x.digits), f"{name}.nonzero"))


@dataclass
class _Scales:
    """Powers of two by which bytes are multiplied, r in 0..7: all = 2^(r - spare). up: the same for r > spare, else 0; down: for
    r <= spare; so that up + down = all; over: 2^(r - spare - 8) for r > spare, what a byte below adds. cut: those three with
    r >= spare and r < spare."""

    r: Variable
    all: Variable
    up: Variable
    down: Variable
    over: Variable
    cut: tuple[Variable, Variable, Variable]


def _scales(g: Graph, form: FloatFormat, aligned: _Aligned) -> _Scales:
    """r: as many bits as the highest byte has zeros above, and at most the slack: r >= m where both are. A function of r is the
    sum of its differences from m - 1 to m over all those m."""
    name = f"{form.name}.rounded"
    at_least = [
        g.step(aligned.slack - float(m), f"{name}.slack>={m}")
        - g.step(aligned.y[-1] - 2.0 ** (8 - m), f"{name}.bits>{8 - m}")
        for m in range(1, 8)
    ]

    def function(what: str, values: list[float]) -> Variable:
        differences: list[tuple[Number, Number]] = [(1.0, values[0])]
        differences += [(a, v - u) for a, u, v in zip(at_least, values, values[1:], strict=False) if v != u]
        return g.declare(g.gated(f"{name}.{what}", *differences), 0.0, max(values), -11)

    powers = [2.0 ** (r - form.spare) for r in range(8)]

    def parts(first: int, what: str) -> tuple[Variable, Variable, Variable]:
        up = [p if r >= first else 0.0 for r, p in enumerate(powers)]
        down = [p - u for p, u in zip(powers, up, strict=True)]
        over = [u / 256.0 for u in up]
        return function(f"up{what}", up), function(f"down{what}", down), function(f"over{what}", over)

    r = function("r", [float(r) for r in range(8)])
    return _Scales(r, function("scale", powers), *parts(form.spare + 1, ""), parts(form.spare, " of cut"))


def rounded(s: State, form: FloatFormat, x: Unrounded) -> FloatWords:
    """The nearest number of the format, ties to even, as words, in rows with the field of its name; an f32 has a low word only.

    With y_j and r as in `_Aligned`, N = sum over j of 256^j 2^(r - spare) y_j is the significand with its fraction, and what is
    lost is less than one bit of y_-1. R = N - (N mod 2) + [N mod 2 > 1/2] + [N mod 2 >= 3/2] is rounded. N mod 2 comes out of
    one floor: of y_0 for r <= spare, of y_-1 above, where what y_0 adds is even. The significand with its hidden bit is added to
    exponent - 1, so that a carry out of it and a missing hidden bit are right by themselves.
    """
    g, flag, name = s.graph, s.field(form.name), f"{form.name}.rounded"
    if not flag.terms:
        return FloatWords()
    aligned = _aligned(g, form, x)
    below, *y = aligned.y
    scales = _scales(g, form, aligned)
    slack = g.relu(aligned.slack, f"{name}.slack")
    sticky = any_of(g, aligned.lost, f"{name}.sticky")
    exponent = g.relu(slack - scales.r - FAR * (1.0 - aligned.nonzero), f"{name}.exponent")
    g.declare(exponent, 0.0, FAR)
    even = g.declare(g.product(y[0], scales.up, f"{name}.even"), 0.0, 255.0 * 128.0, 1)
    last = g.declare(g.gated(f"{name}.last", (y[0], scales.down), (below, scales.over)), 0.0, 255.0, -7)
    rest = g.declare(g.product(below, scales.down, f"{name}.rest"), 0.0, 255.0, -form.spare)
    half = floor(g, f"{name}.last/2", 0.5 * last, -8)
    fraction = last - 2.0 * half + 2.0**-8 * rest + 2.0**-12 * sticky
    more = g.step(4096.0 * fraction - 2049.0, f"{name}.>1/2") + g.step(4096.0 * fraction - 6144.0, f"{name}.>=3/2")
    special = x.infinite + x.nan
    beyond = g.step(exponent - (form.last_exponent - 1.0) - FAR * special, f"{name}.beyond")
    finite, infinite, negative = flag - special - beyond, x.infinite + beyond, x.negative - x.nan
    lowest = even + 2.0 * half + more
    if form.size == 4:
        v = _scaled(g, form, scales, y, (1, 2))
        low = lowest + 256.0 * v[1] + 65536.0 * v[2] + 2.0**form.fraction * exponent
        return FloatWords([(finite, low), (infinite, form.infinity), (x.nan, form.nan), (negative, 2.0**31)])
    low_terms, high = _words(g, form, scales, y, lowest)
    return FloatWords(
        [(finite, term) for term in low_terms],
        [
            (finite, high + 2.0 ** (form.fraction - 32) * exponent), (infinite, form.infinity >> 32),
            (x.nan, form.nan >> 32), (negative, 2.0**31),
        ],
    )  # fmt: skip


def _scaled(g: Graph, form: FloatFormat, scales: _Scales, y: list[Variable], places: tuple[int, ...]) -> dict[int, Variable]:
    """2^(r - spare) y_j."""
    made = {j: g.product(y[j], scales.all, f"{form.name}.rounded.v{j}") for j in places}
    return {j: g.declare(v, 0.0, 255.0 * 2.0 ** (7 - form.spare), -form.spare) for j, v in made.items()}


def _words(
    g: Graph, form: FloatFormat, scales: _Scales, y: list[Variable], lowest: Expr
) -> tuple[tuple[Expr, Expr], Expr]:
    """A significand's low word, as a sum of two, and its high word. lowest: byte 0, rounded.

    One floor takes the words apart: of what y_3 has beyond 2^32 (r >= spare), or of y_4, of which a part is below (r < spare).
    """
    name = f"{form.name}.rounded"
    v = _scaled(g, form, scales, y, (1, 2, 3, 5, 6))
    up, down, over = scales.cut
    middle = g.declare(g.gated(f"{name}.middle", (y[3], over), (y[4], down)), 0.0, 128.0, -8)
    middle_low = g.declare(g.product(y[4], down, f"{name}.middle.low"), 0.0, 128.0, -form.spare)
    middle_high = g.declare(g.product(y[4], up, f"{name}.middle.high"), 0.0, 4080.0)
    cut = floor(g, f"{name}.middle", Expr.of(middle), -8)
    low = lowest + total(256.0**j * v[j] for j in (1, 2, 3))
    # The low word's two parts stay apart: one constant of both would have too many bits for the stock form.
    return (low, 2.0**32 * (middle_low - cut)), middle_high + cut + 256.0 * v[5] + 65536.0 * v[6]


__all__ = ["FORMATS", "FloatOperand", "FloatWords", "Unrounded", "any_of", "float_operand", "floor", "rounded"]
