"""Forms and neurons as straight-line code.

A value is an i64 that stands for integer * 2^exponent, an i1 (0 or 1), or a double. Integers are used where the bounds
prove that they fit: exact like the doubles of the dense model below 2^53, and faster. An integer's form is computed
modulo 2^64, so only the result must fit.

What holds for every value: an integer is exactly what its form says, and so within the form's bounds. A double has been
rounded and may be anything, NaN included; it becomes an integer only by way of `_cut` or `checked.Checked.fitted`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import NamedTuple, cast

from .atoms import Atom, Knots, Let, Position, PositionSquared, Relu, knots_value
from .bounds import Bounds, units
from .code import IrText, IrValue, double
from .interface import INTEGER_LIMIT
from .layout import Type
from .linear import ONE, Form
from .pack import Packs
from .staircase import staircase
from .symbols import Symbols


def wrapped(value: int) -> int:
    """Modulo 2^64, as LLVM writes an i64."""
    return (value + 2**63) % 2**64 - 2**63


class Resolved(NamedTuple):
    """What a query found: entry pointer and key."""

    entry: str
    key: str


@dataclass
class Known:
    """What has been emitted, and is valid wherever the code at hand is reached from.

    forms, atoms: values. sources: i64 by source. rows: pointers to records of tables, by source. inserted: where the
    position's columns go, by store. stored: (store, column) pairs written. resolved: by (store, query). softened:
    softmax averages by lookup and column. checked: assumed ranges. delayed: by (store, column, distance). shifted: delayed
    columns moved on. sums: integers that are sums of two terms or more, by their terms, which others may differ little from;
    holders: by a term, those that have it.
    """

    forms: dict[tuple, IrValue] = field(default_factory=dict)
    atoms: dict[int, IrValue] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)
    rows: dict[int, str] = field(default_factory=dict)
    inserted: dict[int, str] = field(default_factory=dict)
    stored: set[tuple[int, int]] = field(default_factory=set)
    resolved: dict[tuple, Resolved] = field(default_factory=dict)
    softened: dict[int, dict[int, IrValue]] = field(default_factory=dict)
    checked: set[Form] = field(default_factory=set)
    delayed: dict[tuple[int, int, int], str] = field(default_factory=dict)
    shifted: set[tuple[int, int]] = field(default_factory=set)
    sums: dict[tuple, IrValue] = field(default_factory=dict)
    holders: dict[tuple[int, float], list[tuple]] = field(default_factory=dict)

    def copy(self) -> Known:
        return Known(**{f.name: getattr(self, f.name).copy() for f in fields(self)})

    def forget_what_is_cheap(self) -> None:
        """Where known values are handed to a function, a sum with a constant is made again, and a delay read again."""
        bases = {key[1:] for key in self.forms if not key[0]}
        self.forms = {key: value for key, value in self.forms.items() if not key[0] or key[1:] not in bases}
        self.delayed = {key: value for key, value in self.delayed.items() if not key[2] or key[:2] not in self.shifted}
        self.sums, self.holders = {}, {}
        for key, value in self.forms.items():
            if not key[0] and len(key) > 2 and value.kind == "i":
                self.add_sum(key[1:], value)

    def add_sum(self, terms: tuple, value: IrValue) -> None:
        """terms: as in the key of the form."""
        self.sums[terms] = value
        for term in terms:
            held = self.holders.setdefault(term, [])
            held.append(terms)
            del held[:-MOST_HELD]

    def nearest_sum(self, terms: dict[int, float], exponent: int) -> tuple | None:
        """Of the sums that are multiples of 2^exponent, the one that differs from some terms by the fewest; None where it is
        no less work to start from it than from nothing."""
        common: dict[tuple, int] = {}
        for term in terms.items():
            for other in self.holders.get(term, ()):
                common[other] = common.get(other, 0) + 1
        best, least = None, -1
        for other, count in common.items():
            more = len(other) + 1 - 2 * count  # than there are terms
            if more < least and other in self.sums and self.sums[other].exponent >= exponent:
                best, least = other, more
        return best


# Sums with the same term of which one is looked for that a form differs little from.
MOST_HELD = 24


class NotWhole(Exception):
    """A number is no integer in the units in which it is wanted."""


class Arithmetic(ABC):
    """packs: rewrites forms so that they read packed columns (see pack.py)."""

    def __init__(self, graph: Symbols, code: IrText, packs: Packs):
        self.graph, self.code, self.packs = graph, code, packs
        self.known = Known()
        self.n = "%n"  # i64: the position, counted from 1

    @abstractmethod
    def leaf(self, atom: Atom) -> IrValue:
        """The value of an atom that is no function of other atoms at this position."""

    def counter(self) -> str:
        """i64: what `Position` is."""
        return self.n

    # -- conversions ----------------------------------------------------------------------------------------------

    def as_int(self, value: IrValue, exponent: int, factor: int = 1) -> str:
        """i64: factor * value * 2^-exponent modulo 2^64, for an integer or i1 that is a multiple of 2^exponent."""
        assert value.kind != "f"
        shift = value.exponent - exponent
        ref = value.ref
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

    def as_double(self, value: IrValue) -> str:
        if value.kind == "f":
            return value.ref
        if value.kind == "b":
            return self.code.op(f"uitofp i1 {value.ref} to double")  # exponent 0
        if value.ref.lstrip("-").isdigit():
            return double(float(int(value.ref)) * 2.0**value.exponent)
        result = self.code.op(f"sitofp i64 {value.ref} to double")
        if value.exponent:
            result = self.code.op(f"fmul double {result}, {double(2.0**value.exponent)}")
        return result

    def _cut(self, value: IrValue, low: float, high: float) -> IrValue:
        """A double, cut off at both ends."""
        code = self.code
        code.intrinsic("double @llvm.maxnum.f64(double, double)")
        code.intrinsic("double @llvm.minnum.f64(double, double)")
        cut = code.op(f"call double @llvm.maxnum.f64(double {self.as_double(value)}, double {double(low)})")
        return IrValue("f", code.op(f"call double @llvm.minnum.f64(double {cut}, double {double(high)})"))

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

    # -- forms ----------------------------------------------------------------------------------------------------

    def form(self, form: Form) -> IrValue:
        found = self.known.forms.get(form.key)
        if found is None:
            emitted = self.packs(self.graph.merged(form))
            found = self._form(emitted)
            if found.kind != "f" and not self.graph.separately(emitted).within(self.graph.separately(form)):
                found = IrValue("f", self.as_double(found))  # merging tables has rounded a coefficient
            self.known.forms[form.key] = found
        return found

    def _form(self, form: Form) -> IrValue:
        if len(form.terms) == 1 and not form.constant:
            ((atom, c),) = form.terms.items()
            if c == 1.0:
                return self.atom(atom)
        bounds = self.graph.bounds(form)
        e = bounds.exponent
        if form.constant and len(form.terms) > 1:
            # Gates often differ in the constant only: share the rest.
            base = form.without_constant()
            whole = self.form(base)
            if whole.kind != "f" and e is not None and bounds.fits:
                sum_ = self.code.op(f"add i64 {self.as_int(whole, e)}, {wrapped(units(form.constant, e))}")
                return IrValue("i", sum_, e)
            return IrValue("f", self.code.op(f"fadd double {self.as_double(whole)}, {double(form.constant)}"))
        if e is not None and bounds.fits:
            terms = self._terms(form, e)
            factors = [self._factor(value, c, e) for value, c in terms]
            if None not in factors:
                value = self._integer_form(form, [v for v, _ in terms], cast("list[int]", factors), e)
                if len(form.terms) > 1 and not form.constant:
                    self.known.add_sum(form.key[1:], value)
                return value
        terms = [(self.atom(a), c) for a, c in sorted(form.terms.items(), key=lambda t: -t[1])]
        total = ""
        for value, c in terms:
            term = self.as_double(value)
            if total and c in (1.0, -1.0):
                total = self.code.op(f"{'fadd' if c > 0 else 'fsub'} double {total}, {term}")
                continue
            if c != 1.0:
                term = self.code.op(f"fmul double {term}, {double(c)}")
            total = self.code.op(f"fadd double {total}, {term}") if total else term
        if form.constant or not total:
            total = self.code.op(f"fadd double {total or double(0.0)}, {double(form.constant)}")
        return IrValue("f", total)

    def _terms(self, form: Form, exponent: int) -> list[tuple[IrValue, float]]:
        """Values and factors whose sum is the form without its constant, modulo 2^(64 + exponent)."""
        found: list[tuple[IrValue, float]] = []
        rest = form
        while (part := self.known.nearest_sum(rest.terms, exponent)) is not None:
            found.append((self.known.sums[part], 1.0))
            rest = rest.plus(Form(dict(part)), -1.0)
        return found + [(self.atom(a), c) for a, c in sorted(rest.terms.items(), key=lambda t: -t[1])]

    def partial(self, form: Form, exponent: int) -> IrValue:
        """A part of a sum, modulo 2^64 in units of 2^exponent. Raises NotWhole where its terms are no integers in these."""
        terms = self._terms(form, exponent)
        factors = [self._factor(value, c, exponent) for value, c in terms]
        if None in factors:
            raise NotWhole
        return self._integer_form(form, [v for v, _ in terms], cast("list[int]", factors), exponent)

    def _factor(self, value: IrValue, c: float, e: int) -> int | None:
        """c * value in units of 2^e: the integer by which to multiply the value's, if there is one."""
        factor = c * 2.0 ** (value.exponent - e)
        return int(factor) if value.kind != "f" and factor.is_integer() else None

    def _integer_form(self, form: Form, values: list[IrValue], factors: list[int], e: int) -> IrValue:
        total, constant = "", wrapped(units(form.constant, e))
        for value, factor in zip(values, factors):
            # shift-free difference instead of a multiplication by a negative factor
            negative = factor < 0 and bool(total or constant)
            term = self.as_int(IrValue(value.kind, value.ref, 0), 0, -factor if negative else factor)
            if not total and negative:
                total, constant = self.code.op(f"sub i64 {constant}, {term}"), 0
            elif negative:
                total = self.code.op(f"sub i64 {total}, {term}")
            else:
                total = self.code.op(f"add i64 {total}, {term}") if total else term
        if constant and total:
            total = self.code.op(f"add i64 {total}, {constant}")
        return IrValue("i", total or str(constant), e)

    # -- atoms ----------------------------------------------------------------------------------------------------

    def atom(self, atom: int) -> IrValue:
        found = self.known.atoms.get(atom)
        if found is None:
            found = self.known.atoms[atom] = self._atom(atom)
        return found

    def _atom(self, atom: int) -> IrValue:
        match self.graph.atoms[atom]:
            case Position():
                return IrValue("i", self.counter())
            case PositionSquared():
                n = self.as_double(IrValue("i", self.counter()))
                return IrValue("f", self.code.op(f"fmul double {n}, {n}"))
            case Let(form):
                return self.form(form)
            case Relu(gate, up):
                return self._relu(gate, up)
            case Knots() as knots:
                return self._knots(knots)
            case other:
                return self.leaf(other)

    def _relu(self, gate: Form, up: Form) -> IrValue:
        g = self.form(gate)
        bounds = self.graph.bounds(gate)
        code = self.code
        if g.kind == "f":
            positive = g.ref
            if bounds.low < 0:
                test = code.op(f"fcmp ogt double {g.ref}, {double(0.0)}")
                positive = code.op(f"select i1 {test}, double {g.ref}, double {double(0.0)}")
            if up == ONE:
                return IrValue("f", positive)
            return IrValue("f", code.op(f"fmul double {positive}, {self.as_double(self.form(up))}"))
        boolean = g.kind == "b" or (bounds.high == 1 and bounds.integer)
        if boolean:
            test = g.ref if g.kind == "b" else code.op(f"icmp sgt i64 {g.ref}, 0")
            if up == ONE:
                return IrValue("b", test)
            u = self.form(up)
            if u.kind == "f":
                return IrValue("f", code.op(f"select i1 {test}, double {u.ref}, double {double(0.0)}"))
            if u.kind == "b":
                return IrValue("b", code.op(f"and i1 {test}, {u.ref}"))
            return IrValue("i", code.op(f"select i1 {test}, i64 {u.ref}, i64 0"), u.exponent)
        positive = g.ref
        if bounds.low < 0:
            code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
            positive = code.op(f"call i64 @llvm.smax.i64(i64 {g.ref}, i64 0)")
        if up == ONE:
            return IrValue("i", positive, g.exponent)
        u = self.form(up)
        top, other = max(bounds.high, 0.0), self.graph.bounds(up).magnitude
        if u.kind == "f" or top * other >= INTEGER_LIMIT * 2.0 ** (g.exponent + u.exponent):
            product = code.op(f"fmul double {self.as_double(IrValue('i', positive, g.exponent))}, {self.as_double(u)}")
            return IrValue("f", product)
        return IrValue("i", code.op(f"mul i64 {positive}, {self.as_int(u, u.exponent)}"), g.exponent + u.exponent)

    def _knots(self, atom: Knots) -> IrValue:
        """A step is a comparison, a one-hot an equality, everything else on integers a small table."""
        x, knots = atom.x, atom.knots
        grid, value, code = self.graph.knot_grid(x, knots), self.form(x), self.code
        bounds = self.graph.atom_bounds(self.graph.atom(atom))
        stairs = self._stairs(x, knots, value, bounds)
        if stairs is not None:
            return stairs
        if grid is None or not bounds.fits:
            return self._ramps(value, knots)
        exponent, step = cast(int, bounds.exponent), cast(int, self.graph.bounds(x).exponent)
        whole = [int(v * 2.0**-exponent) for v in knots_value(grid, list(knots))]
        first = int(grid[0] * 2.0**-step)
        if value.kind == "f" or not self.graph.bounds(x).below(step):  # too large for an integer, but not on the grid
            above = code.op(f"fsub double {self._cut(value, grid[0], grid[-1]).ref}, {double(grid[0])}")
            above = code.op(f"fmul double {above}, {double(2.0**-step)}")
            ref, first = code.op(f"fptosi double {above} to i64"), 0
        else:
            ref = self.as_int(value, step)
        changes = [i for i in range(1, len(whole)) if whole[i] != whole[i - 1]]
        if not changes:
            return IrValue("i", str(whole[0]), exponent)
        test = ""
        if len(changes) == 1:
            test = code.op(f"icmp sge i64 {ref}, {first + changes[0]}")
            outside, inside = whole[0], whole[-1]
        elif len(changes) == 2 and changes[1] == changes[0] + 1 and whole[0] == whole[-1]:
            test = code.op(f"icmp eq i64 {ref}, {first + changes[0]}")
            outside, inside = whole[0], whole[changes[0]]
        if test:
            if (outside, inside) == (0, 1) and exponent == 0:
                return IrValue("b", test)
            return IrValue("i", code.op(f"select i1 {test}, i64 {inside}, i64 {outside}"), exponent)
        code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
        code.intrinsic("i64 @llvm.smin.i64(i64, i64)")
        index = code.op(f"call i64 @llvm.smax.i64(i64 {ref}, i64 {first})")
        index = code.op(f"call i64 @llvm.smin.i64(i64 {index}, i64 {first + len(whole) - 1})")
        index = code.op(f"sub i64 {index}, {first}")
        array, type = code.array(whole)
        pointer = code.op(f"getelementptr {type.llvm}, ptr {array}, i64 {index}")
        return IrValue("i", self.load(pointer, type).ref, exponent)

    def _stairs(self, x: Form, knots: tuple, value: IrValue, bounds: Bounds) -> IrValue | None:
        """Of an integer x."""
        step, code = self.graph.bounds(x).exponent, self.code
        if step is None or bounds.exponent is None or value.kind == "f" or not self.graph.bounds(x).below(step):
            return None
        stairs = staircase(knots, 2.0**step)
        unit = stairs.height * 2.0**-bounds.exponent if stairs is not None else 0.5
        if stairs is None or not bounds.fits or not unit.is_integer():
            return None
        code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
        code.intrinsic("i64 @llvm.smin.i64(i64, i64)")
        count = code.op(f"sub i64 {self.as_int(value, step)}, {stairs.first}")
        if stairs.shift:
            count = code.op(f"ashr i64 {count}, {stairs.shift}")
        count = code.op(f"add i64 {count}, 1")
        count = code.op(f"call i64 @llvm.smax.i64(i64 {count}, i64 0)")
        count = code.op(f"call i64 @llvm.smin.i64(i64 {count}, i64 {stairs.steps})")
        return IrValue("i", count if unit == 1.0 else code.op(f"mul i64 {count}, {int(unit)}"), bounds.exponent)

    def _ramps(self, value: IrValue, knots: tuple) -> IrValue:
        """Without a grid. A pair of opposite slopes is a clamp: no large numbers are subtracted."""
        code, x, total = self.code, self.as_double(value), double(0.0)
        code.intrinsic("double @llvm.maxnum.f64(double, double)")
        code.intrinsic("double @llvm.minnum.f64(double, double)")
        slope = 0.0
        for (t, c), following in zip(knots, [*knots[1:], None]):
            slope += c
            if following is None or slope == 0:
                continue
            width = t - following[0]
            part = code.op(f"fadd double {x}, {double(t)}")
            part = code.op(f"call double @llvm.maxnum.f64(double {part}, double {double(0.0)})")
            part = code.op(f"call double @llvm.minnum.f64(double {part}, double {double(width)})")
            if slope != 1.0:
                part = code.op(f"fmul double {part}, {double(slope)}")
            total = code.op(f"fadd double {total}, {part}")
        return IrValue("f", total)
