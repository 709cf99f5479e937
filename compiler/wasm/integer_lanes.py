"""SIMD of integers and bits on halves of vectors.

Lanes do not touch each other: they are added without the highest bit of each, and that bit is put in afterwards, so no carry
leaves its lane.
"""

from __future__ import annotations

from .expansion import ALL, SAME, Expansion, halfwise, whole


class Lanes:
    """Lanes of `bits` bits. ones: 1 in each lane. top: its highest bit; rest: all others. full: one lane of ones."""

    def __init__(self, bits: int):
        self.bits, self.full = bits, (1 << bits) - 1
        self.ones = ALL // self.full
        self.top = self.ones << (bits - 1)
        self.rest = ALL ^ self.top
        self.shape = {8: "i8x16", 16: "i16x8", 32: "i32x4"}[bits]
        self.half = {8: "i8x8", 16: "i16x4", 32: "i32x2"}[bits]

    def sum(self, a: str, b: str) -> str:
        low = f"(i64.add (i64.and {a} {self.rest}) (i64.and {b} {self.rest}))"
        return f"(i64.xor {low} (i64.and (i64.xor {a} {b}) {self.top}))"

    def difference(self, a: str, b: str) -> str:
        low = f"(i64.sub (i64.or {a} {self.top}) (i64.and {b} {self.rest}))"
        return f"(i64.xor {low} (i64.and (i64.xor {a} (i64.xor {b} -1)) {self.top}))"

    def table(self) -> dict[str, Expansion]:
        half, bits, ones, top, rest = self.half, self.bits, self.ones, self.top, self.rest
        # No lane is 0: its highest bit is set, or the others carry into it.
        nonzero = "(i64.or (i64.add (i64.and {v} {rest}) {rest}) {v})".format
        both = f"(i64.and (i64.and {nonzero(v='al', rest=rest)} {nonzero(v='ah', rest=rest)}) {top})"
        # The count, and a mask of the bits of each lane that stay in it.
        count = (
            ("shared_n", f"(i64.extend_i32_u (i32.and n {bits - 1}:i32))"),
            ("shared_m", f"(i64.mul (i64.shr_u {self.full} shared_n) {ones})"),
        )
        found = {
            "add": halfwise(self.sum("a", "b")),
            "sub": halfwise(self.difference("a", "b")),
            "neg": halfwise(f"(i64.xor (i64.sub {top} (i64.and a {rest})) (i64.and (i64.xor a -1) {top}))"),
            # Of a negative lane the complement, and 1.
            "abs": halfwise(
                "(i64.add (i64.xor a (i64.sub (i64.shl $s 1) $t)) $t)",
                s=f"(i64.and a {top})", t=f"(i64.shr_u $s {bits - 1})",
            ),
            "eq": halfwise(f"({half}.eq a b)"),
            "ne": halfwise(f"(i64.xor ({half}.eq a b) -1)"),
            "shl": halfwise("(i64.shl (i64.and a shared_m) shared_n)", count),
            "shr_u": halfwise("(i64.and (i64.shr_u a shared_n) shared_m)", count),
            # The sign fills what the shift has left empty.
            "shr_s": halfwise(
                "(i64.or (i64.and (i64.shr_u a shared_n) shared_m) (i64.sub (i64.shl $s 1) (i64.shr_u $s shared_n)))",
                count, s=f"(i64.and a {top})",
            ),
            "all_true": whole(f"(i64.eq {both} {top})"),
            "bitmask": self._bitmask(),
        }  # fmt: skip
        for sign in "su":
            less = f"({half}.lt_{sign}"
            found |= {
                f"lt_{sign}": halfwise(f"{less} a b)"),
                f"gt_{sign}": halfwise(f"{less} b a)"),
                f"le_{sign}": halfwise(f"(i64.xor {less} b a) -1)"),
                f"ge_{sign}": halfwise(f"(i64.xor {less} a b) -1)"),
                f"min_{sign}": halfwise("(i64.xor b (i64.and (i64.xor a b) $m))", m=f"{less} a b)"),
                f"max_{sign}": halfwise("(i64.xor a (i64.and (i64.xor a b) $m))", m=f"{less} a b)"),
            }
            if bits < 32:
                found[f"add_sat_{sign}"] = halfwise(f"({half}.add_sat_{sign} a b)")
                found[f"sub_sat_{sign}"] = halfwise(f"({half}.sub_sat_{sign} a b)")
        if bits < 32:
            found["avgr_u"] = halfwise(f"(i64.sub (i64.or a b) (i64.shr_u (i64.and (i64.xor a b) {ALL ^ ones}) 1))")
        return {f"{self.shape}.{name}": expansion for name, expansion in found.items()}

    def _bitmask(self) -> Expansion:
        """The product moves bit w - 1 + w i to 64 - k + i, where k is the number of lanes; no two bits meet."""
        lanes, bits = 64 // self.bits, self.bits
        factor = sum(1 << (64 - lanes - (bits - 1) - (bits - 1) * i) for i in range(lanes))
        part = f"(i64.shr_u (i64.mul (i64.and {{v}} {self.top}) {factor}) {64 - lanes})".format
        return whole(f"(i32.wrap_i64 (i64.or {part(v='al')} (i64.shl {part(v='ah')} {lanes})))")


def _words() -> dict[str, Expansion]:
    """i64x2: each half is one lane."""
    mask = "(i64.sub 0 (i64.extend_i32_u {}))".format
    found = {name: halfwise(f"(i64.{name} a b)") for name in ("add", "sub", "mul")}
    found |= {name: halfwise(mask(f"(i64.{name} a b)")) for name in ("eq", "ne", "lt_s", "gt_s", "le_s", "ge_s")}
    for name in ("shl", "shr_s", "shr_u"):
        found[name] = halfwise(f"(i64.{name} a shared_n)", (("shared_n", "(i64.extend_i32_u n)"),))
    found |= {
        "neg": halfwise("(i64.sub 0 a)"),
        "abs": halfwise("(i64.sub (i64.xor a $m) $m)", m="(i64.shr_s a 63)"),
        "all_true": whole("(i32.and (i64.ne al 0) (i64.ne ah 0))"),
        "bitmask": whole("(i32.wrap_i64 (i64.or (i64.shr_u al 63) (i64.and (i64.shr_u ah 62) 2)))"),
        "splat": whole("n", SAME),
    }
    return {f"i64x2.{name}": expansion for name, expansion in found.items()}


def _bits() -> dict[str, Expansion]:
    select = "(i64.xor b (i64.and (i64.xor a b) c))"
    found = {f"v128.{name}": halfwise(f"(i64.{name} a b)") for name in ("and", "or", "xor")}
    found |= {f"{shape}.relaxed_laneselect": halfwise(select) for shape in ("i8x16", "i16x8", "i32x4", "i64x2")}
    return found | {
        "v128.not": halfwise("(i64.xor a -1)"),
        "v128.andnot": halfwise("(i64.and a (i64.xor b -1))"),
        "v128.bitselect": halfwise(select),
        "v128.any_true": whole("(i64.ne (i64.or al ah) 0)"),
    }


# Widening


def wider(bits: int, sign: str, value: str) -> str:
    """The lanes of `bits` bits in the low half of a value, as lanes of twice as many."""
    if bits == 32:
        return f"(i64.extend32_s {value})" if sign == "s" else f"(i64.and {value} {2**32 - 1})"
    return f"({'i16x4' if bits == 8 else 'i32x2'}.extend_i{bits}_{sign} {value})"


def _extensions() -> dict[str, Expansion]:
    found = {}
    for wide, narrow, bits in (("i16x8", "i8x16", 8), ("i32x4", "i16x8", 16), ("i64x2", "i32x4", 32)):
        half = {8: "i16x4", 16: "i32x2"}.get(bits, "")
        for sign in "su":
            for place, v in (("low", "l"), ("high", "h")):
                a, b = (f"{x}{v}" for x in "ab")
                upper = [f"(i64.shr_u {x} 32)" for x in (a, b)]
                widened = [wider(bits, sign, x) for x in (a, upper[0])]
                if bits == 32:
                    upper = [f"(i64.shr_{sign} {x} 32)" for x in (a, b)]
                    product = [f"(i64.mul {wider(32, sign, a)} {wider(32, sign, b)})", f"(i64.mul {upper[0]} {upper[1]})"]
                    widened[1] = upper[0]
                else:
                    product = [f"({half}.extmul_i{bits}_{sign} {x} {y})" for x, y in ((a, b), upper)]
                found[f"{wide}.extend_{place}_{narrow}_{sign}"] = whole(widened[0], widened[1])
                found[f"{wide}.extmul_{place}_{narrow}_{sign}"] = whole(product[0], product[1])
            if half:
                found[f"{wide}.extadd_pairwise_{narrow}_{sign}"] = halfwise(f"({half}.extadd_i{bits}_{sign} a)")
    for narrow, half in (("i8x16", "i8x8.narrow_i16"), ("i16x8", "i16x4.narrow_i32")):
        of = {"i8x16": "i16x8", "i16x8": "i32x4"}[narrow]
        for sign in "su":
            found[f"{narrow}.narrow_{of}_{sign}"] = whole(f"({half}_{sign} al ah)", f"({half}_{sign} bl bh)")
    return found


def _products() -> dict[str, Expansion]:
    low = f"(i64.and (i64.mul a b) {2**32 - 1})"
    dot = "(i32x2.extadd_i16_s (i16x4.dot_i8_s {0} {1}))".format
    return {
        "i16x8.mul": halfwise("(i16x4.mul a b)"),
        "i32x4.mul": halfwise(f"(i64.or {low} (i64.shl (i64.mul (i64.shr_u a 32) (i64.shr_u b 32)) 32))"),
        "i16x8.q15mulr_sat_s": halfwise("(i16x4.q15mulr_sat_s a b)"),
        "i16x8.relaxed_q15mulr_s": halfwise("(i16x4.q15mulr_sat_s a b)"),
        "i32x4.dot_i16x8_s": halfwise("(i32x2.dot_i16_s a b)"),
        "i16x8.relaxed_dot_i8x16_i7x16_s": halfwise("(i16x4.dot_i8_s a b)"),
        "i32x4.relaxed_dot_i8x16_i7x16_add_s": halfwise(Lanes(32).sum("$d", "c"), d=dot("a", "b")),
        "i8x16.popcnt": halfwise(
            f"(i64.and (i64.add $q (i64.shr_u $q 4)) {0x0F * Lanes(8).ones})",
            p=f"(i64.sub a (i64.and (i64.shr_u a 1) {0x55 * Lanes(8).ones}))",
            q=f"(i64.add (i64.and $p {0x33 * Lanes(8).ones}) (i64.and (i64.shr_u $p 2) {0x33 * Lanes(8).ones}))",
        ),
    }  # fmt: skip


INTEGER_LANES: dict[str, Expansion] = {
    **{name: expansion for bits in (8, 16, 32) for name, expansion in Lanes(bits).table().items()},
    **_words(),
    **_bits(),
    **_extensions(),
    **_products(),
}
