"""Values that later positions rely on: within their bounds, or the code gives up on the position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

from .arithmetic import Arithmetic
from .bounds import Bounds
from .code import IrText, IrValue, double
from .context import Rewriter
from .interface import INTEGER_LIMIT
from .linear import Form
from .pack import Packs
from .stores import DigitWindow
from .symbols import Symbols


def _ends(bounds: Bounds, exponent: int) -> tuple[int, int]:
    """The first and the last integer whose product with 2^exponent is within bounds."""
    return math.ceil(bounds.low * 2.0**-exponent), math.floor(bounds.high * 2.0**-exponent)


class Checked(Arithmetic):
    """context: what is known where the code runs, see `context.Rewriter`."""

    def __init__(self, graph: Symbols, code: IrText, packs: Packs, context: Rewriter):
        super().__init__(graph, code, packs)
        self.context = context

    def bail_if(self, test: str) -> None:
        """Gives up on this position when a condition holds that the analysis did not expect."""
        go = self.code.label("go")
        self.code.do(f"br i1 {test}, label %bail, label %{go}")
        self.code.start(go)

    def fitted(self, form: Form, bounds: Bounds) -> IrValue:
        """A form's value as one that is within bounds which later positions rely on.

        An integer where such numbers fit in one. Gives up on this position when rounding has carried a double out of the
        bounds, or (a double or an integer) where nothing proves that it is in them.
        """
        value, own, e = self.form(form), self.graph.bounds(form), bounds.exponent
        if e is None or not bounds.fits:
            return IrValue("f", self.as_double(value))
        if value.kind == "w":
            return self._narrowed(value, bounds)
        if value.kind == "f" or not own.below(e) or value.exponent < e:
            return self._rounded(value, bounds)
        whole = self.as_int(value, e)
        if not own.within(bounds):
            low, high = _ends(bounds, e)
            above = self.code.op(f"sub i64 {whole}, {low}")
            if low > high:
                self.bail_if("true")
            else:
                self.bail_if(self.code.op(f"icmp ugt i64 {above}, {high - low}"))
        return IrValue("i", whole, e)

    def _narrowed(self, value: IrValue, bounds: Bounds) -> IrValue:
        """An i128 that is a multiple of 2^exponent within bounds."""
        code, e = self.code, cast(int, bounds.exponent)
        low, high = _ends(bounds, e)
        unit = min(value.exponent, e)
        whole = self.as_wide(value, unit)
        if unit < e:
            rest = code.op(f"and i128 {whole}, {2 ** (e - unit) - 1}")
            self.bail_if(code.op(f"icmp ne i128 {rest}, 0"))
        self.bail_if(self._outside_wide(whole, low << e - unit, (high << e - unit) + 1))
        return IrValue("i", self.as_int(IrValue("w", whole, unit), e), e)

    def _outside_wide(self, ref: str, low: float, high: int) -> str:
        """i1: unless low <= an i128 < high."""
        outside = self.code.op(f"icmp sge i128 {ref}, {high}")
        if low != -math.inf:
            outside = self.code.op(f"or i1 {outside}, {self.code.op(f'icmp slt i128 {ref}, {low}')}")
        return outside

    def _rounded(self, value: IrValue, bounds: Bounds) -> IrValue:
        """A double that is a multiple of 2^exponent within bounds."""
        code, e = self.code, bounds.exponent
        assert e is not None
        low, high = _ends(bounds, e)
        scaled = code.op(f"fmul double {self.as_double(value)}, {double(2.0**-e)}")
        above = code.op(f"fcmp oge double {scaled}, {double(float(low))}")
        below = code.op(f"fcmp ole double {scaled}, {double(float(high))}")
        self.bail_if(code.op(f"xor i1 {code.op(f'and i1 {above}, {below}')}, true"))
        whole = code.op(f"fptosi double {scaled} to i64")
        again = code.op(f"sitofp i64 {whole} to double")
        self.bail_if(code.op(f"fcmp une double {again}, {scaled}"))
        return IrValue("i", whole, e)

    def bail_outside(self, form: Form, low: float, high: float) -> None:
        """Gives up on this position unless low <= form < high."""
        self.bail_if(self.outside(form, low, high))

    def outside(self, form: Form, low: float, high: float) -> str:
        """i1: whether a form is below low, or not below high."""
        bounds = self.graph.bounds(form, assuming=False)
        value, code = self._without_assuming(form, bounds), self.code
        unit = 2.0**-value.exponent
        if value.kind == "w":
            first = low if low == -math.inf else math.ceil(Fraction(low) * Fraction(unit))
            return self._outside_wide(value.ref, first, math.ceil(Fraction(high) * Fraction(unit)))
        whole = value.kind != "f" and bounds.below(value.exponent)
        if not whole or max(abs(high), abs(low) if low != -math.inf else 0.0) * unit >= INTEGER_LIMIT:
            number = self.as_double(value)
            inside = code.op(f"fcmp olt double {number}, {double(high)}")
            if low != -math.inf:
                inside = code.op(f"and i1 {inside}, {code.op(f'fcmp oge double {number}, {double(low)}')}")
            return code.op(f"xor i1 {inside}, true")
        ref = self.as_int(value, value.exponent)
        if low == -math.inf:
            return code.op(f"icmp sge i64 {ref}, {math.ceil(high * unit)}")
        first = math.ceil(low * unit)
        return code.op(f"icmp uge i64 {code.op(f'sub i64 {ref}, {first}')}, {math.ceil(high * unit) - first}")

    def _without_assuming(self, form: Form, bounds: Bounds) -> IrValue:
        """A form's value where it need not be within what is assumed of it. bounds: without that."""
        if bounds.exponent is None or bounds.fits or len(form.terms) + bool(form.constant) == 1:
            return self.form(form)
        emitted = self.packs(self.graph.merged(form))
        value = self._wide_form(emitted, bounds.exponent) if bounds.wide else None
        if value is None:
            self._refuse_rounding(self._may_round(emitted, bounds.exponent), "a sum")
            value = IrValue("f", self._summed(emitted))
        return value

    def check(self, windows: Sequence[DigitWindow]) -> None:
        """That digits are digits, where it is not known."""
        for window in self.unproved(windows):
            self.bail_outside(self.context(window.form), window.low, window.low + window.size)

    def unproved(self, windows: Sequence[DigitWindow]) -> list[DigitWindow]:
        """Those of which it is not known that the digits are inside."""
        return [window for window in windows if not self.context.within(window)]

    def not_digits(self, windows: Sequence[DigitWindow]) -> str:
        """i1: whether the digits of a key are outside of one of the windows; "false" where none is."""
        result = "false"
        for window in self.unproved(windows):
            test = self.outside(self.context(window.form), window.low, window.low + window.size)
            result = test if result == "false" else self.code.op(f"or i1 {result}, {test}")
        return result
