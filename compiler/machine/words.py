"""Operations on 32-bit words, low and high: the result before it is cut into digits, comparisons, products, quotients."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr, total
from ..graph.graph import Graph
from .floats import FloatWords
from .state import State, Value, Words

WORD = 2.0**32
# A carry of a product may be off by one where it is nearest to a tie: the wrap of the words takes that off again. The tie
# lies at this residue (no round number) instead of at 0, where products with powers of two would meet it.
TIE = float(0xB504F333)


@dataclass
class Signs:
    """1 where the top bit of an operand's word is set."""

    a_low: Expr
    b_low: Expr
    a_high: Expr
    b_high: Expr


def signs(s: State) -> Signs:
    g = s.graph
    a_low, b_low, a_high, b_high = (
        Expr.of(g.step(word - 2.0**31, name))
        for name, word in (("a<0", s.a.low), ("b<0", s.b.low), ("a.high<0", s.a.high), ("b.high<0", s.b.high))
    )
    return Signs(a_low, b_low, a_high, b_high)


def comparison(s: State, sign: Signs) -> Expr:
    """1 if the row's relation holds between a and b, else 0."""
    return _relation(s, Words(s.a.low, s.a.high), Words(s.b.low, s.b.high), sign, "")


def guard(s: State) -> Expr:
    """1 if the branch is taken with which the row's step shares its row, else 0."""
    if not s.compared:
        return Expr({})
    g = s.graph
    (a, b), wide = s.compared, bool(s.field("guard.wide").terms)
    below = [Expr.of(g.step(word - 2.0**31, "guard<0")) for word in (a.low, b.low)]
    below += [Expr.of(g.step(word - 2.0**31, "guard.high<0")) for word in (a.high, b.high) if wide]
    return _relation(s, a, b, Signs(*below, *[Expr({})] * (4 - len(below))), "guard.")


def _relation(s: State, a: Words, b: Words, sign: Signs, of: str) -> Expr:
    """1 if the relation holds, 0 if not or where the row has none. The order of the words decides: 2 sgn(high) + sgn(low). of:
    how the names of its fields begin."""
    g = s.graph
    low = a.low - b.low - WORD * g.product(s.field(f"{of}signed_low"), sign.a_low - sign.b_low)
    order = _sign(g, low)
    if a.high.terms:
        high = a.high - b.high - WORD * g.product(s.field(f"{of}signed_high"), sign.a_high - sign.b_high)
        order = order + 2.0 * _sign(g, high)
    less, greater = g.step(-order - 1.0, f"{of}less"), g.step(order - 1.0, f"{of}greater")
    return Expr.of(
        g.gated(
            f"{of}condition",
            (s.field(f"{of}if_less"), less),
            (s.field(f"{of}if_equal"), 1.0 - less - greater),
            (s.field(f"{of}if_greater"), greater),
        )
    )


def _sign(g: Graph, x: Expr) -> Expr:
    return g.step(x - 1.0, ">0") - g.step(-x - 1.0, "<0")


@dataclass
class Product:
    """low, high: sums of byte products by word, carries not yet removed (low < 2^42, high < 2^44)."""

    low: Expr
    high: Expr


def product(s: State) -> Product:
    """sum of a_i b_j 256^(i + j): the columns i + j < 4 are the low word, 4 <= i + j < 8 the high one."""
    g = s.graph
    if not s.field("mul").terms:
        return Product(Expr({}), Expr({}))
    a = [g.product(s.field("mul"), byte, f"mul.a{i}") for i, byte in enumerate(s.a.bytes)]
    pairs = [(i, j) for i in range(len(a)) for j in range(len(a)) if i + j < 8]
    low = g.gated("product.low", *((a[i], 256.0 ** (i + j) * s.b.bytes[j]) for i, j in pairs if i + j < 4))
    if not s.field("mul_high").terms:
        return Product(Expr.of(low), Expr({}))
    high = g.gated("product.high", *((a[i], 256.0 ** (i + j - 4) * s.b.bytes[j]) for i, j in pairs if i + j >= 4))
    return Product(Expr.of(low), Expr.of(g.product(s.field("mul_high"), high, "product.high64")))


@dataclass
class Division:
    """dividend, divisor: absolute values, 0 when the step does not divide. negative: the quotient's or remainder's sign.

    scratch: 1 if the quotient is not the result (remainder, or to be negated). emitting: 1 while digits of the quotient
    are due. by_zero, overflow: 1 where the division traps."""

    dividend: Expr
    divisor: Expr
    negative: Expr
    scratch: Expr
    emitting: Expr
    by_zero: Expr
    overflow: Expr


def division(s: State, sign: Signs) -> Division | None:
    g = s.graph
    divides, signed, remainder = s.field("divide"), s.field("divide_signed"), s.field("remainder")
    if not divides.terms:
        return None
    a_negative, b_negative = g.product(signed, sign.a_low, "a negative"), g.product(signed, sign.b_low, "b negative")
    dividend = g.gated("dividend", (divides, s.a.low), (a_negative, WORD - 2.0 * s.a.low))
    divisor = g.gated("divisor", (divides, s.b.low), (b_negative, WORD - 2.0 * s.b.low))
    differ = a_negative + b_negative - 2.0 * g.product(a_negative, b_negative)
    negative = g.gated("negative", (remainder, a_negative), (1.0 - remainder, differ))
    scratch = remainder + g.product(1.0 - remainder, negative, "negate quotient")
    by_zero = g.product(divides, 1.0 - g.step(s.b.low - 1.0), "divide by zero")
    least = g.step(s.a.low - 2.0**31) - g.step(s.a.low - 2.0**31 - 1.0)
    overflow = g.product(
        s.field("divide_overflow"), g.gated("overflow", (least + g.step(s.b.low - (WORD - 1.0)) - 1.0, 1.0))
    )
    # The quotient is complete once S0 has been emitted; the digits of the result follow.
    after = g.product(s.features["is.S0"] + s.features["is.D"], scratch, "quotient complete")
    emitting = g.gated("emitting quotient", (divides - after - by_zero - overflow, 1.0))
    return Division(
        Expr.of(dividend),
        Expr.of(divisor),
        Expr.of(negative),
        scratch,
        Expr.of(emitting),
        Expr.of(by_zero),
        Expr.of(overflow),
    )


@dataclass
class WordTerms:
    """raw_low, raw_high: added before a carry or borrow leaves the low word. low: added behind that, in 0..2^32-1. high: added
    before a carry or borrow leaves the high word."""

    raw_low: Expr
    raw_high: Expr
    low: Expr
    high: Expr


def words(
    s: State, loaded: list[Expr], condition: Expr, prod: Product, div: Division | None, added: WordTerms | None,
    clz: Expr, ctz: Expr, number: FloatWords,
) -> Words:  # fmt: skip
    """The result as two words in 0..2^32-1. Every operation adds its raw words; one carry and wrap serves them all: a word is
    at least -2^32 and less than 2^33, or, where a third number is added, at least -2^33 and less than 3 2^32.

    added: what comes from a circuit of its own."""
    g = s.graph
    chosen = g.step(s.c_low - 1.0, "chosen")
    first, second = _choice(s, "select", chosen)
    sign_byte = g.gated(
        "sign.byte",
        *((s.field(f"sign_m{j}"), loaded[j]) for j in (0, 1, 3)),
        *((s.field(f"sign_a{j}"), s.a.bytes[j]) for j in (0, 1, 3)),
    )
    extend = g.step(sign_byte - 128.0, "extend")
    low_terms: list[tuple] = [
        (s.field("move"), s.a.low),
        (first, s.a.low),
        (second, s.b.low),
        (s.field("add"), s.a.low + s.b.low),
        (s.field("sub"), s.a.low - s.b.low),
        (s.field("mul") - s.field("negate"), prod.low - WORD * s.carry0),
        (s.field("negate"), WORD * s.carry0 - prod.low),
        (s.field("plus"), s.d.low),
        (s.field("minus"), -s.d.low),
        (s.field("set"), condition),
        (s.field("popcnt"), s.popcount_a),
        (s.field("clz"), clz),
        (s.field("ctz"), ctz),
        (s.field("low8"), s.a.bytes[0]),
        (s.field("low16"), 256.0 * s.a.bytes[1]),
        (extend, s.field("fill_low")),
        *_stored(s, s.b, 0),
        *number.low,
    ]
    if div is not None:
        complete = s.field("divide") - div.emitting - div.by_zero
        positive = g.product(complete, 1.0 - div.negative)
        negative = g.product(complete, div.negative)
        rest = div.dividend - g.declare(g.product(div.divisor, s.quotient, "divisor * quotient"), 0.0, WORD)
        low_terms += [(positive, rest), (g.product(negative, s.field("remainder")), -rest)]
        low_terms += [(g.product(negative, 1.0 - s.field("remainder")), -s.quotient)]
    low = g.gated("raw.low", *low_terms) + total(256.0**j * b for j, b in enumerate(loaded[:4]))
    low = low + added.raw_low if added else low
    times = 2 if s.field("plus").terms or s.field("minus").terms else 1
    carry, borrow = _beyond(g, low, times, "")
    low_word = low - WORD * carry + WORD * borrow
    low_word = low_word + added.low if added else low_word
    if s.architecture.places == 4:
        return Words(Expr.of(g.gated("word.low", (1.0, low_word))), Expr({}))
    first_high, second_high = _choice(s, "select_high", chosen)
    high = g.gated(
        "raw.high",
        (s.field("move_high"), s.a.high),
        (first_high, s.a.high),
        (second_high, s.b.high),
        (s.field("add_high"), s.a.high + s.b.high),
        (s.field("sub_high"), s.a.high - s.b.high),
        (s.field("mul_high") - s.field("negate_high"), prod.high + s.carry0 - WORD * s.carry1),
        (s.field("negate_high"), WORD * s.carry1 - s.carry0 - prod.high),
        (s.field("plus_high"), s.d.high),
        (s.field("minus_high"), -s.d.high),
        (s.field("carry"), carry - borrow),
        (extend, s.field("fill_high")),
        *_stored(s, s.b, 4),
        *number.high,
    ) + total(256.0**j * b for j, b in enumerate(loaded[4:]))
    high = high + added.raw_high + added.high if added else high
    carry_high, borrow_high = _beyond(g, high, times, ".high")
    high_word = high - WORD * carry_high + WORD * borrow_high
    return Words(Expr.of(g.gated("word.low", (1.0, low_word))), Expr.of(g.gated("word.high", (1.0, high_word))))


def _beyond(g: Graph, word: Expr, times: int, name: str) -> tuple[Expr, Expr]:
    """How often 2^32 fits into a word, and how often a negative one fits into 2^32, rounded up: at most so many times."""
    carries = (g.step(word - k * WORD, f"carry{name}") for k in range(1, times + 1))
    borrows = (g.step(-word - 1.0 - k * WORD, f"borrow{name}") for k in range(times))
    return total(carries), total(borrows)


def _choice(s: State, field: str, chosen) -> tuple[Expr, Expr]:
    first = s.graph.product(s.field(field), chosen, field)
    return Expr.of(first), s.field(field) - first


def _stored(s: State, value: Value, word: int) -> list[tuple]:
    """The bytes of b that a store of the row's width writes."""
    if word:
        return [(s.field("store64"), value.high)]
    low, second, upper = value.bytes[0], 256.0 * value.bytes[1], 2.0**16 * value.bytes[2] + 2.0**24 * value.bytes[3]
    return [(s.field("store8"), low), (s.field("store16"), second), (s.field("store32"), upper)]
