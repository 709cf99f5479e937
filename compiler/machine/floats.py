"""Floating-point numbers as circuits: an operand taken apart, and a result put together, rounded to nearest, ties to even.

An f64 is (-1)^negative * significand * 2^(exponent - 1075), its significand an integer below 2^53, its exponent 1 where the
field for it is 0 (subnormal numbers: no hidden bit). What an operation computes is exact: bytes x_i, a power of two and whether
anything but 0 is lost below them, an `Unrounded`. `rounded` makes the words of the nearest f64 of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..graph.expr import Expr, Number, Variable, total
from ..graph.graph import Graph
from .state import State, Value

# The field for the exponent of infinities and NaN, and what is subtracted from it: 1023 and the 52 bits of the fraction.
LAST_EXPONENT = 2047
SCALE = 1075
# Bytes of a significand; of a product of two.
SIGNIFICAND = 7
DIGITS = 2 * SIGNIFICAND
# High words.
INFINITY, NAN, SIGN = float(0x7FF00000), float(0x7FF80000), 2.0**31
# More than any exponent here.
FAR = 4096.0


@dataclass
class FloatOperand:
    """Of an operand, 0 in rows that do not set the flag.

    digits: bytes of the significand, least significant first, each 0..255. exponent: 1..2047. negative: the sign bit. special:
    infinite or not a number; nan: the latter; zero: 1 where the number is 0.
    """

    digits: list[Expr]
    exponent: Expr
    negative: Expr
    special: Expr
    nan: Expr
    zero: Expr


@dataclass
class Unrounded:
    """(-1)^negative * (sum of 256^i digits[i] and something in 0..1) * 2^exponent, that something not 0 where `lost` is not.

    digits: bytes, or nothing (0). lost: an integer >= 0. infinite, nan: 1 where the result is that whatever the digits are. All 0
    in rows of other operations, exponent too.
    """

    digits: list[Expr] = field(default_factory=lambda: [Expr({})] * DIGITS)
    exponent: Expr = field(default_factory=lambda: Expr({}))
    negative: Expr = field(default_factory=lambda: Expr({}))
    lost: Expr = field(default_factory=lambda: Expr({}))
    infinite: Expr = field(default_factory=lambda: Expr({}))
    nan: Expr = field(default_factory=lambda: Expr({}))

    def __add__(self, other: Unrounded) -> Unrounded:
        """One of two operations, of which a row has one."""
        return Unrounded(
            [a + b for a, b in zip(self.digits, other.digits, strict=True)], self.exponent + other.exponent,
            self.negative + other.negative, self.lost + other.lost, self.infinite + other.infinite, self.nan + other.nan,
        )  # fmt: skip


@dataclass
class FloatWords:
    """(gate, value) pairs that are added up to the low and to the high word of the result: an f64 in rows of floats, else 0."""

    low: list[tuple[Number, Number]]
    high: list[tuple[Number, Number]]


def float_operand(s: State, flag: Expr, value: Value, name: str) -> FloatOperand:
    """flag: 1 in the rows whose operand this is."""
    g = s.graph
    subnormal = g.declare(g.relu(flag - value.exponent, f"{name}.subnormal"), 0.0, 1.0)
    exponent = g.declare(g.product(flag, value.exponent, f"{name}.exponent"), 0.0, LAST_EXPONENT)
    digits = [Expr.of(g.product(flag, byte, f"{name}.digit{i}")) for i, byte in enumerate(value.bytes[:6])]
    # Byte 6 has the lowest four bits of the exponent above four bits of the fraction.
    nibble = value.exponent - 16.0 * value.bytes[7] + 2048.0 * value.negative
    top = g.declare(g.product(flag, value.bytes[6] - 16.0 * nibble, f"{name}.digit6"), 0.0, 15.0)
    fraction = g.step(total(digits) + top - 1.0, f"{name}.fraction")
    special = Expr.of(g.step(exponent - float(LAST_EXPONENT), f"{name}.special"))
    return FloatOperand(
        [*digits, top + 16.0 * (flag - subnormal)],
        exponent + subnormal,
        Expr.of(g.product(flag, value.negative, f"{name}.negative")),
        special,
        Expr.of(g.declare(g.relu(special + fraction - 1.0, f"{name}.nan"), 0.0, 1.0)),
        Expr.of(g.declare(g.relu(subnormal - fraction, f"{name}.zero"), 0.0, 1.0)),
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
    """The digits, moved by whole bytes: y[1 + j] is the byte that is worth 256^j units before they are moved by r - 3 bits, j
    from -1 to 6. slack: r is at most this; lost: above 0 where not all bytes are there. nonzero: 1 where a digit is not 0."""

    y: list[Variable]
    slack: Expr
    lost: Expr
    nonzero: Expr


def _aligned(g: Graph, x: Unrounded) -> _Aligned:
    """Byte t becomes byte 6: the highest one that is not 0, but not so far up that the exponent would be below that of subnormal
    numbers. t >= m where a byte from m on is not 0, or the exponent says so; t is at most 22, where nothing is left.

    With t < m for `below`[m], sums over all t of [t = n] x[n - 6 + j] become sums of `below`[m] (x[m - 7 + j] - x[m - 6 + j]).
    """
    room = x.exponent + (SCALE + 2.0)  # 8 (6 - t) + r must not be more
    last = DIGITS + SIGNIFICAND + 1
    below: list[Expr] = []
    for m in range(1, last + 1):
        there = g.step(total(x.digits[m:]) - 1.0, f"float.byte>={m}") if m < DIGITS else Expr({})
        forced = g.step(8.0 * (7 - m) - 1.0 - room, f"float.low>={m}")
        below.append(1.0 - there - forced)

    def digit(i: int) -> Expr:
        return x.digits[i] if 0 <= i < DIGITS else Expr({})

    y = []
    for j in range(-1, SIGNIFICAND):
        terms = [(b, digit(m - 7 + j) - digit(m - 6 + j)) for m, b in enumerate(below, 1)]
        y.append(g.declare(g.gated(f"float.y{j}", *terms), 0.0, 255.0))
    short = g.declare(g.gated("float.short", *((b, 1.0) for b in below)), 0.0, last)
    gone = [(below[i + 7], -digit(i)) for i in range(DIGITS)]  # byte i is beyond y where t >= i + 8
    lost = g.declare(g.gated("float.lost", (1.0, total(x.digits)), *gone), 0.0, 256.0 * DIGITS)
    return _Aligned(
        y, room - 48.0 + 8.0 * (float(last) - short), lost + x.lost, any_of(g, total(x.digits), "float.nonzero")
    )


@dataclass
class _Scales:
    """Powers of two by which bytes are multiplied, r in 0..7: all = 2^(r - 3). up: the same for r > 3, else 0; down: the same for
    r <= 3, so that up + down = all; over: 2^(r - 11) for r > 3, what a byte below adds. The last three: of r >= 3 and r < 3."""

    r: Variable
    all: Variable
    up: Variable
    down: Variable
    over: Variable
    up3: Variable
    down3: Variable
    over3: Variable


def _scales(g: Graph, aligned: _Aligned) -> _Scales:
    """r: as many bits as the highest byte has zeros above, and at most the slack: r >= m where both are. A function of r is the
    sum of its differences from m - 1 to m over all those m."""
    at_least = [
        g.step(aligned.slack - float(m), f"float.slack>={m}")
        - g.step(aligned.y[-1] - 2.0 ** (8 - m), f"float.bits>{8 - m}")
        for m in range(1, 8)
    ]

    def function(name: str, values: list[float]) -> Variable:
        differences: list[tuple[Number, Number]] = [(1.0, values[0])]
        differences += [(a, v - u) for a, u, v in zip(at_least, values, values[1:], strict=False) if v != u]
        return g.declare(g.gated(f"float.{name}", *differences), 0.0, max(values), -11)

    powers = [2.0 ** (r - 3) for r in range(8)]

    def parts(first: int, name: str) -> tuple[Variable, Variable, Variable]:
        up = [p if r >= first else 0.0 for r, p in enumerate(powers)]
        return (
            function(f"up{name}", up),
            function(f"down{name}", [p - u for p, u in zip(powers, up, strict=True)]),
            function(f"over{name}", [u / 256.0 for u in up]),
        )

    return _Scales(
        function("r", [float(r) for r in range(8)]), function("scale", powers), *parts(4, ""), *parts(3, "3")
    )


def rounded(s: State, x: Unrounded) -> FloatWords:
    """The nearest f64, ties to even, as words.

    With y_j and r as in `_Aligned`, N = sum over j of 256^j 2^(r - 3) y_j is the significand with its fraction, below 2^53, and
    what is lost is less than one bit of y_-1. R = N - (N mod 2) + [N mod 2 > 1/2] + [N mod 2 >= 3/2] is rounded. N mod 2 comes
    out of one floor: of y_0 for r <= 3, of y_-1 above, where what y_0 adds is even; a second one takes the words apart: of
    what y_3 has beyond 2^32 (r >= 3), or of y_4, of which a part is below (r < 3). The significand with its hidden bit is added
    to exponent - 1, so that a carry out of it and a missing hidden bit are right by themselves.
    """
    g = s.graph
    flag = s.field("float")
    aligned = _aligned(g, x)
    below, *y = aligned.y
    scales = _scales(g, aligned)
    slack = g.relu(aligned.slack, "float.slack")
    sticky = any_of(g, aligned.lost, "float.sticky")
    exponent = g.declare(
        g.relu(slack - scales.r - FAR * (1.0 - aligned.nonzero), "float.exponent"), 0.0, FAR
    )  # fmt: skip

    def scaled(name: str, high: float, lowest: int, *terms: tuple[Variable, Variable]) -> Variable:
        return g.declare(g.gated(f"float.{name}", *terms), 0.0, high, lowest)

    v = {j: scaled(f"v{j}", 4080.0, -3, (y[j], scales.all)) for j in (1, 2, 3, 5, 6)}
    even = scaled("even", 4080.0, 1, (y[0], scales.up))
    last = scaled("last", 255.0, -7, (y[0], scales.down), (below, scales.over))
    rest = scaled("rest", 255.0, -3, (below, scales.down))
    middle = scaled("middle", 128.0, -8, (y[3], scales.over3), (y[4], scales.down3))
    middle_low = scaled("middle.low", 128.0, -3, (y[4], scales.down3))
    middle_high = scaled("middle.high", 4080.0, 0, (y[4], scales.up3))
    half = floor(g, "float.last/2", 0.5 * last, -8)
    cut = floor(g, "float.middle", Expr.of(middle), -8)
    fraction = last - 2.0 * half + 2.0**-8 * rest + 2.0**-12 * sticky
    more = g.step(4096.0 * fraction - 2049.0, "float.>1/2") + g.step(4096.0 * fraction - 6144.0, "float.>=3/2")
    low = even + 2.0 * half + more + total(256.0**j * v[j] for j in (1, 2, 3))
    high = middle_high + cut + 256.0 * v[5] + 65536.0 * v[6] + 2.0**20 * exponent
    special = x.infinite + x.nan
    beyond = g.step(exponent - (LAST_EXPONENT - 1.0) - FAR * special, "float.beyond")
    finite = flag - special - beyond
    return FloatWords(
        [(finite, low), (finite, 2.0**32 * (middle_low - cut))],  # apart: one constant of both would have too many bits
        [(finite, high), (x.infinite + beyond, INFINITY), (x.nan, NAN), (x.negative - x.nan, SIGN)],
    )


__all__ = [
    "DIGITS", "SCALE", "SIGNIFICAND", "FloatOperand", "FloatWords", "Unrounded", "any_of", "float_operand", "floor", "rounded",
]  # fmt: skip
