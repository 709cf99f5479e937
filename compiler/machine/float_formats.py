"""The two formats of floating-point numbers, as bytes: what circuits and tokens have to know of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FloatFormat:
    """A number is (-1)^negative * significand * 2^(exponent - scale), its exponent 1 where the field for it is 0 (subnormal
    numbers: no hidden bit).

    size: bytes of a number. significand: bytes of a significand. fraction: bits of the field for it. last_exponent: the
    exponent field of infinities and NaN.
    """

    name: str
    size: int
    fraction: int
    last_exponent: int

    @property
    def significand(self) -> int:
        return self.fraction // 8 + 1

    @property
    def top_bits(self) -> int:
        """Bits of the fraction in the significand's highest byte; the hidden bit is the one above."""
        return self.fraction % 8

    @property
    def spare(self) -> int:
        """Bits of that byte above the hidden one."""
        return 7 - self.top_bits

    @property
    def scale(self) -> int:
        return self.last_exponent // 2 + self.fraction

    @property
    def infinity(self) -> int:
        return self.last_exponent << self.fraction

    @property
    def nan(self) -> int:
        """The canonical one."""
        return self.infinity | 1 << self.fraction - 1

    def exponent_field(self, bits: int) -> int:
        return bits >> self.fraction & self.last_exponent

    def sign_bit(self, bits: int) -> int:
        return bits >> 8 * self.size - 1 & 1


F32, F64 = FloatFormat("f32", 4, 23, 255), FloatFormat("f64", 8, 52, 2047)
FORMATS = (F32, F64)
# Fields of rows whose results come from digits in scratch: quotients and roots.
LONG = ("f32_divide", "f32_root", "f64_divide", "f64_root")
