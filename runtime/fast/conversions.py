"""Values from one type to another, as instructions: integers of 64 and 128 bits, doubles, what stands in memory.

An i64 or i128 is exactly what its form says. A double that is made of one is the same number where it has 53 bits. In checkpoints
whose reads are rounded, numbers are put together that the matrices hold in several slots, which have no more; there code looks
whether an integer that may have more (`IrText.large`) is a double, and otherwise gives up on the position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from .code import IrText, IrValue, double
from .interface import EXACT
from .layout import Type
from .symbols import Symbols

# Bits of an integer that no i64 holds, and of a double.
WIDE_BITS, DOUBLE_BITS = 128, 53


def wrapped(value: int, bits: int = 64) -> int:
    """Modulo 2^bits, as LLVM writes an integer of as many bits."""
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


class Conversions(ABC):
    """code: where instructions go."""

    def __init__(self, graph: Symbols, code: IrText):
        self.graph, self.code = graph, code

    @abstractmethod
    def bail_if(self, test: str) -> None:
        """Gives up on this position when a condition holds that the analysis did not expect."""

    # -- to integers ----------------------------------------------------------------------------------------------

    def as_int(self, value: IrValue, exponent: int, factor: int = 1) -> str:
        """i64: factor * value * 2^-exponent modulo 2^64, for an integer or i1 that is a multiple of 2^exponent."""
        assert value.kind != "f"
        shift = value.exponent - exponent
        ref = value.ref
        if value.kind == "w":
            if shift < 0:
                ref = self.code.op(f"ashr i128 {ref}, {min(-shift, WIDE_BITS - 1)}")
            ref, shift = self.code.op(f"trunc i128 {ref} to i64"), max(shift, 0)
        if shift < 0:
            assert factor == 1
            if ref.lstrip("-").isdigit():
                return str(int(ref) >> -shift)
            return ref if value.kind == "b" else self.code.op(f"ashr i64 {ref}, {min(-shift, 63)}")
        factor = wrapped(factor << shift)
        if value.kind == "b":
            return self.code.op(f"select i1 {ref}, i64 {factor}, i64 0")
        if factor in (0, 1):
            return ref if factor else "0"
        if ref.lstrip("-").isdigit():
            return str(wrapped(int(ref) * factor))
        if factor > 0 and factor & (factor - 1) == 0:
            return self.code.op(f"shl i64 {ref}, {factor.bit_length() - 1}")
        return self.code.op(f"mul i64 {ref}, {factor}")

    def as_wide(self, value: IrValue, exponent: int, factor: int = 1) -> str:
        """i128: factor * value * 2^-exponent modulo 2^128, for an integer or i1 that is a multiple of 2^exponent."""
        shift = value.exponent - exponent
        if shift < 0:
            assert factor == 1
            wide = self.as_wide(value, value.exponent)
            return self.code.op(f"ashr i128 {wide}, {min(-shift, WIDE_BITS - 1)}")
        factor = wrapped(factor << shift, WIDE_BITS)
        if value.kind == "b":
            return self.code.op(f"select i1 {value.ref}, i128 {factor}, i128 0")
        if value.ref.lstrip("-").isdigit():
            return str(wrapped(int(value.ref) * factor, WIDE_BITS))
        ref = value.ref if value.kind == "w" else self.code.op(f"sext i64 {value.ref} to i128")
        if factor in (0, 1):
            return ref if factor else "0"
        if factor > 0 and factor & (factor - 1) == 0:
            return self.code.op(f"shl i128 {ref}, {factor.bit_length() - 1}")
        return self.code.op(f"mul i128 {ref}, {factor}")

    def _clamped(self, ref: str, low: int, high: int) -> str:
        """i128: one cut off at both ends."""
        for compare, end in (("slt", low), ("sgt", high)):
            test = self.code.op(f"icmp {compare} i128 {ref}, {end}")
            ref = self.code.op(f"select i1 {test}, i128 {end}, i128 {ref}")
        return ref

    # -- to doubles -----------------------------------------------------------------------------------------------

    def as_double(self, value: IrValue) -> str:
        """double: the value, rounded where nothing says that it need not be."""
        if value.ref in self.code.large:
            self._check_double(value)
        return self.rounded_double(value)

    def rounded_double(self, value: IrValue) -> str:
        """double: the value, or, where it has more than 53 bits, one of the two nearest to it."""
        if value.kind == "f":
            return value.ref
        if value.kind == "b":
            return self.code.op(f"uitofp i1 {value.ref} to double")  # exponent 0
        if value.ref.lstrip("-").isdigit():
            return double(float(int(value.ref)) * 2.0**value.exponent)
        if value.kind == "w":
            high, low = (self.code.op(f"sitofp i64 {part} to double") for part in self.halves(value.ref))
            result = self.code.op(f"fadd double {self.code.op(f'fmul double {high}, {double(2.0**64)}')}, {low}")
        else:
            result = self.code.op(f"sitofp i64 {value.ref} to double")
        if value.exponent:
            result = self.code.op(f"fmul double {result}, {double(2.0**value.exponent)}")
        return result

    def halves(self, ref: str) -> tuple[str, str]:
        """(h, l), i64 with sign: an i128 is h 2^64 + l. Of one with 53 bits both have no more, so that doubles hold them."""
        low = self.code.op(f"trunc i128 {ref} to i64")
        rest = self.code.op(f"sub i128 {ref}, {self.code.op(f'sext i64 {low} to i128')}")
        return self.code.op(f"trunc i128 {self.code.op(f'ashr i128 {rest}, 64')} to i64"), low

    def _check_double(self, value: IrValue) -> None:
        """Gives up on this position if an integer has more bits than a double, from the highest to the lowest that is not 0."""
        op = self.code.op
        if value.kind == "i":
            again = op(f"fptosi double {op(f'sitofp i64 {value.ref} to double')} to i64")
            self.bail_if(op(f"icmp ne i64 {again}, {value.ref}"))
            return
        for name in ("abs", "ctlz", "cttz"):
            self.code.intrinsic(f"i128 @llvm.{name}.i128(i128, i1)")
        size = op(f"call i128 @llvm.abs.i128(i128 {value.ref}, i1 false)")
        above, below = (op(f"call i128 @llvm.{name}.i128(i128 {size}, i1 false)") for name in ("ctlz", "cttz"))
        bits = op(f"trunc i128 {op(f'add i128 {above}, {below}')} to i64")  # that are not between; all of them twice for 0
        self.bail_if(op(f"icmp slt i64 {bits}, {WIDE_BITS - DOUBLE_BITS}"))

    def note(self, value: IrValue, magnitude: float) -> IrValue:
        """The value; that it may be no double, if it may not be. magnitude: the largest that it can have."""
        if self.graph.counted and value.kind in "iw" and magnitude > EXACT * 2.0**value.exponent:
            self.code.large.add(value.ref)
        return value

    def _cut(self, value: IrValue, low: float, high: float) -> IrValue:
        """A double, cut off at both ends."""
        code = self.code
        code.intrinsic("double @llvm.maxnum.f64(double, double)")
        code.intrinsic("double @llvm.minnum.f64(double, double)")
        cut = code.op(f"call double @llvm.maxnum.f64(double {self.as_double(value)}, double {double(low)})")
        return IrValue("f", code.op(f"call double @llvm.minnum.f64(double {cut}, double {double(high)})"))

    # -- memory ---------------------------------------------------------------------------------------------------

    def load(self, pointer: str, type: Type, how: str = ", align 1") -> IrValue:
        """how: alignment and metadata, as the instruction ends with."""
        raw = self.code.op(f"load {type.llvm}, ptr {pointer}{how}")
        if type.floating:
            return IrValue("f", raw)
        if type.size < 8:
            raw = self.code.op(f"{'sext' if type.signed else 'zext'} {type.llvm} {raw} to i64")
        return IrValue("i", raw, type.exponent)

    def store(self, value: IrValue, pointer: str, type: Type, place: str = "") -> None:
        """value: an integer that fits, where the type is one (see checked.Checked.fitted). place: as for `mark`."""
        mark = self.mark(place)
        if type.floating:
            self.code.do(f"store double {self.as_double(value)}, ptr {pointer}, align 1{mark}")
            return
        whole = self.as_int(value, type.exponent)
        if type.size < 8:
            whole = self.code.op(f"trunc i64 {whole} to {type.llvm}")
        self.code.do(f"store {type.llvm} {whole}, ptr {pointer}, align 1{mark}")

    def mark(self, place: str) -> str:
        """What a store to a place ends with, "" for any place: which column it is (see layout.StateLayout.column)."""
        return f" ; {place}" if place else ""

    def address(self, field: int, pointer: str = "%state") -> str:
        return self.code.op(f"getelementptr i64, ptr {pointer}, i64 {field}")
