"""Operations whose result bytes stand each on their own: and, or, xor, shifts, rotations; and the counts clz and ctz.

All of them select one byte of each of two sources and look its bits up. A shift by s = 8 J + m takes bits m..m+7 of
two neighbouring bytes; to the left that is a right shift by 8 - m of the two bytes below.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr, Variable, total
from .memory import byte_table
from .state import State
from .words import Signs


@dataclass
class Significance:
    """top: index of the result's first digit. highest, lowest: of operand a's highest and lowest non-zero byte (clz,
    ctz). negative: 1 for a signed right shift of a negative number, which is filled up with ones."""

    top: Expr
    highest: Expr
    lowest: Expr
    negative: Expr


def significance(s: State, sign: Signs) -> Significance:
    """How many digits a bytewise result needs, from the operands' non-zero bytes (leading zero digits do no harm)."""
    g, places = s.graph, s.architecture.places
    counting = s.field("clz") + s.field("ctz")
    present = []
    for j, (a, b) in enumerate(zip(s.a.bytes, s.b.bytes)):
        both = g.product(s.field("bit_and"), a)
        either = s.field("bit_or") + s.field("bit_xor")
        alone = s.field("shift") + counting
        present.append(g.gated(f"present{j}", (either, a + b), (both, b), (alone, a)))
    above = [g.step(total(present[k:]) - 1.0, f"byte>={k}") for k in range(1, places)]
    highest = total(above)
    below = [1.0 - g.step(total(present[: k + 1]) - 1.0, f"zero<={k}") for k in range(places - 1)]
    lowest = total(below[:3]) + (g.product(s.field("wide_bytes"), total(below[3:])) if places == 8 else 0.0)

    # A left shift by J bytes and m bits: one byte more when the highest byte's bits spill over.
    exactly: list[Expr] = [1.0 - above[0], *(a - b for a, b in zip(above, above[1:])), Expr.of(above[-1])]
    shl = s.field("shl")
    highest_byte = g.gated("highest_byte", *((g.product(shl, h), b) for h, b in zip(exactly, s.a.bytes)))
    power = g.table(s.shift_bits, [2.0**m for m in range(8)], name="2^m")
    spills = g.step(g.product(highest_byte, power) - 256.0, "spills")
    left = g.product(shl, highest + _shift_bytes(s) + spills, "left.top")
    last = s.field("count_bytes") - 1.0
    beyond = g.gated("left.beyond", (left - g.product(shl, last), 1.0))
    right = g.relu(g.product(s.field("shr"), highest - _shift_bytes(s)), "right.top")
    signed, wide = s.field("shift_signed"), s.field("wide_bytes")
    sign_bit = g.gated("fill", (signed - wide, sign.a_low), (wide, sign.a_high))
    negative = Expr.of(g.product(signed, sign_bit, "fill with ones"))
    filled = g.product(negative, last - right, "filled.top")
    top = g.gated("bitwise.top", (s.field("bitwise"), highest)) + left - beyond + right + filled
    return Significance(top, highest, lowest, negative)


def _shift_bytes(s: State) -> Expr:
    """J = (s mod width) div 8: modulo 4 for 32-bit values."""
    g = s.graph
    return s.shift_bytes - 4.0 * g.product(s.field("shift_32"), g.step(s.shift_bytes - 4.0), "shift mod 32")


@dataclass
class Bytewise:
    """digit: the result byte at the current place. clz, ctz: of operand a."""

    digit: Expr
    clz: Expr
    ctz: Expr


def bytewise(s: State, sig: Significance, place_number: Expr) -> Bytewise:
    """place_number: the place of the next digit."""
    g, places = s.graph, s.architecture.places
    left, right, rotate = s.field("shift_left"), s.field("shift_right"), s.field("rotate")
    count = s.field("count_bytes")
    whole, bits = _shift_bytes(s), s.shift_bits
    # Which byte of a: of the place itself, moved by the shift, or the one to count in.
    raw = g.gated(
        "select.raw",
        (s.field("bitwise"), place_number),
        (right, place_number + whole),
        (left, place_number - whole - 1.0),
        (s.field("clz"), sig.highest),
        (s.field("ctz"), sig.lowest),
    )
    if rotate.terms:
        over = g.product(rotate, g.step(raw - count))
        under = g.product(rotate, g.step(-raw - 1.0))
        wrap = g.gated("select.wrap", (under, count), (over, -count))
        index: Expr = raw + wrap
    else:
        index = Expr.of(raw)
    chosen = g.one_hot(index, -1, places - 1, "select")
    first: Variable | Expr = g.gated("first", *zip(chosen[1:], s.a.bytes))
    shift, bitwise = s.field("shift"), s.field("bitwise")
    upper = [*s.a.bytes[1:], Expr({})]
    partner = [g.gated(f"partner{k}", (shift, u), (bitwise, b)) for k, (u, b) in enumerate(zip(upper, s.b.bytes))]
    second: Variable | Expr = g.gated("second", (g.product(shift, chosen[0]), s.a.bytes[0]), *zip(chosen[1:], partner))
    if rotate.terms:
        last = g.product(rotate, g.step(index - count + 1.0), "rotate.last")
        second = second + g.product(last, s.a.bytes[0])
    if s.field("shift_signed").terms:
        first = first + g.product(sig.negative, 255.0 * g.step(index - count))
        second = second + g.product(sig.negative, 255.0 * g.step(index - count + 1.0))
    first_entry, second_entry = byte_table(s, "first", Expr.of(first)), byte_table(s, "second", Expr.of(second))
    digit = _bitwise(s, first, second, first_entry.bits, second_entry.bits)
    if shift.terms:
        amount = g.gated("funnel", (right, bits), (left, 8.0 - bits))
        window = [*first_entry.bits, *second_entry.bits]
        shifted = [total(2.0**i * window[i + m] for i in range(8)) for m in range(9)]
        hot = g.one_hot(amount, 0, 8, "funnel")
        moved = g.gated("shifted", *zip(hot, shifted))
        digit = digit + g.product(shift, moved, "shift.digit")
    clz = 8.0 * (count - 1.0 - sig.highest) + first_entry.clz
    ctz = 8.0 * sig.lowest + first_entry.ctz
    return Bytewise(digit, clz, ctz)


def _bitwise(s: State, first: Variable | Expr, second: Variable | Expr, a: list[Expr], b: list[Expr]) -> Expr:
    """x and y = sum of 2^i relu(a_i + b_i - 1); x or y = x + y - and; x xor y = x + y - 2 and."""
    g = s.graph
    if not s.field("bitwise").terms:
        return Expr({})
    both = g.gated("and", *((x + y - 1.0, 2.0**i) for i, (x, y) in enumerate(zip(a, b))))
    either = Expr.of(first) + second
    return Expr.of(
        g.gated(
            "bitwise.digit",
            (s.field("bit_and"), both),
            (s.field("bit_or"), either - both),
            (s.field("bit_xor"), either - 2.0 * both),
        )
    )
