"""Forms and neurons as straight-line code.

A value is an i64 or an i128 that stands for integer * 2^exponent, an i1 (0 or 1), or a double. Integers are used where the bounds
prove that they fit: exact like the doubles of the dense model below 2^53, and faster. An integer's form is computed
modulo 2^64 (2^128), so only the result must fit.

What holds for every value: an integer is exactly what its form says, and so within the form's bounds. A double has been
rounded and may be anything, NaN included; it becomes an integer only by way of `_cut` or `checked.Checked.fitted`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields
from typing import NamedTuple, cast

from .atoms import Atom, Knots, Let, Position, PositionSquared, Relu, knots_value
from .bounds import Bounds, exponent_of, units
from .code import IrText, IrValue, double
from .conversions import WIDE_BITS, Conversions, wrapped
from .interface import EXACT, INTEGER_LIMIT, WIDE_LIMIT, Refused
from .linear import ONE, Form
from .pack import Packs
from .staircase import staircase
from .symbols import Symbols


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
            if terms not in held:  # copies share it
                held.append(terms)
                del held[:-MOST_HELD]

    def nearest_sum(self, terms: dict[int, float], exponent: int) -> tuple[tuple, float] | None:
        """Of the sums that are multiples of 2^exponent, and of what is 0 less such a sum, the one that differs from some terms by
        the fewest, and 1 or -1; None where it is no less work to start from it than from nothing."""
        common: dict[tuple[tuple, float], int] = {}
        for atom, c in terms.items():
            for sign in (1.0, -1.0):
                for other in self.holders.get((atom, sign * c), ()):
                    common[other, sign] = common.get((other, sign), 0) + 1
        best, least = None, -1
        for (other, sign), count in common.items():
            more = len(other) + 1 - 2 * count  # than there are terms
            if more < least and other in self.sums and self.sums[other].exponent >= exponent:
                best, least = (other, sign), more
        return best


# Sums with the same term of which one is looked for that a form differs little from. So many terms or more that one has besides
# another one are added up by themselves.
MOST_HELD, LEAST_APART = 24, 3


class NotWhole(Exception):
    """A number is no integer in the units in which it is wanted."""


class Arithmetic(Conversions):
    """packs: rewrites forms so that they read packed columns (see pack.py)."""

    def __init__(self, graph: Symbols, code: IrText, packs: Packs):
        super().__init__(graph, code)
        self.packs = packs
        self.known = Known()
        self.n = "%n"  # i64: the position, counted from 1

    @abstractmethod
    def leaf(self, atom: Atom) -> IrValue:
        """The value of an atom that is no function of other atoms at this position."""

    def counter(self) -> str:
        """i64: what `Position` is."""
        return self.n

    # -- forms ----------------------------------------------------------------------------------------------------

    def form(self, form: Form) -> IrValue:
        found = self.known.forms.get(form.key)
        if found is None:
            emitted = self.packs(self.graph.merged(form))
            found = self._form(emitted)
            if found.kind != "f" and not self.graph.separately(emitted).within(self.graph.separately(form)):
                found = IrValue("f", self.as_double(found))  # merging tables has rounded a coefficient
            self.known.forms[form.key] = self.note(found, self.graph.bounds(form).magnitude)
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
            whole = self.form(form.without_constant())
            if whole.kind != "f" and e is not None and (bounds.fits or self._wide(form, bounds)):
                return self._plus(whole, form.constant, bounds)
            if not self.graph.counted or e is None or not self._may_round(form, e):
                return IrValue("f", self.code.op(f"fadd double {self.as_double(whole)}, {double(form.constant)}"))
        elif e is not None and bounds.fits:
            terms = self._terms(form, e)
            factors = [self._factor(value, c, e) for value, c in terms]
            if None not in factors:
                value = self._integer_form(form, [v for v, _ in terms], cast("list[int]", factors), e)
                if len(form.terms) > 1 and not form.constant:
                    self.known.add_sum(form.key[1:], value)
                return value
        elif e is not None and self._wide(form, bounds):
            wide = self._wide_form(form, e)
            if wide is not None:
                return wide
        if e is None:
            return IrValue("f", self._approximate(form))
        self._refuse_rounding(self._may_round(form, e), "a sum")
        return IrValue("f", self._summed(form))

    def _plus(self, value: IrValue, constant: float, bounds: Bounds) -> IrValue:
        """An integer and a constant; bounds: of the sum."""
        e = cast(int, bounds.exponent)
        if bounds.fits:
            sum_ = self.code.op(f"add i64 {self.as_int(value, e)}, {wrapped(units(constant, e))}")
            return IrValue("i", sum_, e)
        sum_ = self.code.op(f"add i128 {self.as_wide(value, e)}, {wrapped(units(constant, e), WIDE_BITS)}")
        return IrValue("w", sum_, e)

    def _wide_form(self, form: Form, e: int) -> IrValue | None:
        """A form as an i128, in units of 2^e; None where its terms are no integers in these. What is certainly small of it is an
        i64 by itself."""
        terms = [(atom, c, self.atom(atom)) for atom, c in form.terms.items()]
        factors = [self._factor(value, c, e) for _, c, value in terms]
        if None in factors:
            return None
        small: dict[int, float] = {}
        room, total = INTEGER_LIMIT * 2.0**e, ""
        for (atom, c, value), factor in sorted(
            zip(terms, factors, strict=True), key=lambda t: self._size(t[0][0], t[0][1])
        ):
            size = self._size(atom, c)
            if size < room and value.kind != "w":
                room -= size
                small[atom] = c
                continue
            term = self.as_wide(IrValue(value.kind, value.ref), 0, abs(cast(int, factor)))
            operation = "sub" if cast(int, factor) < 0 else "add"
            total = term if not total and operation == "add" else self.code.op(f"{operation} i128 {total or 0}, {term}")
        if small:
            sum_ = self.form(Form(small))
            if sum_.kind == "f":
                return None
            term = self.as_wide(sum_, e)
            total = self.code.op(f"add i128 {total}, {term}") if total else term
        if form.constant:
            constant = wrapped(units(form.constant, e), WIDE_BITS)
            total = self.code.op(f"add i128 {total}, {constant}") if total else str(constant)
        return IrValue("w", total, e)

    def _wide(self, form: Form, bounds: Bounds) -> bool:
        """Whether a form that no i64 holds is to be an i128 if it can be."""
        return bounds.exponent is not None and bounds.wide and (self.graph.counted or self._may_round(form, bounds.exponent))

    def _size(self, atom: int, c: float) -> float:
        return abs(c) * self.graph.atom_bounds(atom).magnitude

    def _may_round(self, form: Form, e: int) -> bool:
        """Whether it matters in which order a sum of doubles, all multiples of 2^e, is added up. The matrices add in another one:
        what is a form here may be the sum of what several layers have computed. Two numbers that they add are added as here."""
        if len(form.terms) + bool(form.constant) < (2 if self.graph.counted else 3):
            return False
        return sum(self._size(a, c) for a, c in form.terms.items()) + abs(form.constant) >= EXACT * 2.0**e

    def _refuse_rounding(self, rounded: bool, what: str) -> None:
        """Where numbers are put together that the matrices hold in several slots. Raises Refused."""
        if rounded and self.graph.counted:
            raise Refused(f"{what} of what several slots hold may have more than {WIDE_BITS - 2} bits")

    def _summed(self, form: Form) -> str:
        """double: the terms added up, those with large factors first; integers whose sum a double certainly holds as one."""
        total = ""
        for value, c in self._without_integers(form):
            term = self.as_double(value)
            if total and c in (1.0, -1.0):
                total = self.code.op(f"{'fadd' if c > 0 else 'fsub'} double {total}, {term}")
                continue
            if c != 1.0:
                term = self.code.op(f"fmul double {term}, {double(c)}")
            total = self.code.op(f"fadd double {total}, {term}") if total else term
        if form.constant or not total:
            total = self.code.op(f"fadd double {total or double(0.0)}, {double(form.constant)}")
        return total

    def _without_integers(self, form: Form) -> list[tuple[IrValue, float]]:
        terms = self._one_by_one(Form(form.terms))
        small = Form({a: c for a, c in form.terms.items() if self.atom(a).kind in "bi"})
        bounds = self.graph.bounds(small)
        if not 2 <= len(small.terms) < len(form.terms) or bounds.exponent is None:
            return terms
        if not bounds.magnitude < EXACT * 2.0**bounds.exponent:
            return terms
        rest = self._one_by_one(Form({a: c for a, c in form.terms.items() if a not in small.terms}))
        return [*rest, (self.form(small), 1.0)]

    def _approximate(self, form: Form) -> str:
        """double: a sum of what has been rounded anyway; of the other terms one number first, where they are large."""
        whole = Form({a: c for a, c in form.terms.items() if self.graph.atom_bounds(a).exponent is not None})
        bounds = self.graph.bounds(whole)
        if len(whole.terms) < 2 or bounds.exponent is None or not self._may_round(whole, bounds.exponent):
            return self._summed(form)
        rest = Form({a: c for a, c in form.terms.items() if a not in whole.terms}, form.constant)
        number = self.rounded_double(self.form(whole))
        return self.code.op(f"fadd double {number}, {self._summed(rest)}")

    def _terms(self, form: Form, exponent: int) -> list[tuple[IrValue, float]]:
        """Values and factors whose sum is the form without its constant, modulo 2^(64 + exponent)."""
        found: list[tuple[IrValue, float]] = []
        rest = form.without_constant()
        while (part := self.known.nearest_sum(rest.terms, exponent)) is not None:
            terms, sign = part
            found.append((self.known.sums[terms], sign))
            rest = rest.plus(Form(dict(terms)), -sign)
        others = self._together(rest) if len(form.terms) > 2 else self._one_by_one(rest)
        if not found or len(others) < LEAST_APART:
            return found + others
        # What a sum has more than another one is a number that others may be made of as well.
        factors = [self._factor(value, c, exponent) for value, c in others]
        if None in factors:
            return found + others
        value = self._integer_form(rest, [v for v, _ in others], cast("list[int]", factors), exponent)
        self.known.add_sum(rest.key[1:], value)
        return [*found, (value, 1.0)]

    def _one_by_one(self, form: Form) -> list[tuple[IrValue, float]]:
        return [(self.atom(a), c) for a, c in sorted(form.terms.items(), key=lambda t: -t[1])]

    def _together(self, form: Form) -> list[tuple[IrValue, float]]:
        """The same, where those that count alike are one number, since they come in many sums: functions of one number, and
        whatever has the same factor."""
        alike: dict[tuple[Form | None, float], list[int]] = {}
        for atom, c in form.terms.items():
            what = self.graph.atoms[atom]
            if abs(c) != 1.0:
                alike.setdefault((None, c), []).append(atom)
            elif isinstance(what, Knots):
                alike.setdefault((what.x, c), []).append(atom)
        found: list[tuple[IrValue, float]] = []
        gone: set[int] = set()
        for (_, c), atoms in alike.items():
            part = Form(dict.fromkeys(sorted(atoms), 1.0))
            bounds = self.graph.bounds(part)
            if len(atoms) < 2 or (c == 1.0 and len(atoms) == len(form.terms)) or bounds.exponent is None or not bounds.fits:
                continue
            if all(self.atom(atom).kind in "bi" for atom in atoms):
                found.append((self.form(part), c))
                gone.update(atoms)
        return self._one_by_one(Form({a: c for a, c in form.terms.items() if a not in gone})) + found

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
            found = self._atom(atom)
            self.known.atoms[atom] = self.note(found, self.graph.atom_bounds(atom).magnitude)
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
            return self._product(gate, up, positive, self.as_double(self.form(up)))
        boolean = g.kind == "b" or (bounds.high == 1 and bounds.integer)
        if boolean:
            test = g.ref if g.kind == "b" else code.op(f"icmp sgt {g.type} {g.ref}, 0")
            if up == ONE:
                return IrValue("b", test)
            u = self.form(up)
            if u.kind == "f":
                return IrValue("f", code.op(f"select i1 {test}, double {u.ref}, double {double(0.0)}"))
            if u.kind == "b":
                return IrValue("b", code.op(f"and i1 {test}, {u.ref}"))
            return IrValue(u.kind, code.op(f"select i1 {test}, {u.type} {u.ref}, {u.type} 0"), u.exponent)
        above = self._positive(g, bounds)
        if up == ONE:
            return above
        u = self.form(up)
        size = max(bounds.high, 0.0) * self.graph.bounds(up).magnitude / 2.0 ** (g.exponent + u.exponent)
        if u.kind != "f" and size < INTEGER_LIMIT:
            one = self.as_int(above, g.exponent)
            return IrValue("i", code.op(f"mul i64 {one}, {self.as_int(u, u.exponent)}"), g.exponent + u.exponent)
        if u.kind != "f" and size < WIDE_LIMIT and self.graph.counted:
            one, other = self.as_wide(above, g.exponent), self.as_wide(u, u.exponent)
            return IrValue("w", code.op(f"mul i128 {one}, {other}"), g.exponent + u.exponent)
        return self._product(gate, up, self.as_double(above), self.as_double(u))

    def _positive(self, g: IrValue, bounds: Bounds) -> IrValue:
        """An integer within bounds, or 0 where it is negative."""
        if g.kind == "w":
            test = self.code.op(f"icmp sgt i128 {g.ref}, 0")
            positive = IrValue("w", self.code.op(f"select i1 {test}, i128 {g.ref}, i128 0"), g.exponent)
            if bounds.high >= INTEGER_LIMIT * 2.0**g.exponent:
                return positive
            return IrValue("i", self.as_int(positive, g.exponent), g.exponent)
        if bounds.low >= 0:
            return IrValue("i", g.ref, g.exponent)
        self.code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
        return IrValue("i", self.code.op(f"call i64 @llvm.smax.i64(i64 {g.ref}, i64 0)"), g.exponent)

    def _product(self, gate: Form, up: Form, a: str, b: str) -> IrValue:
        """Of doubles, as the matrices have it."""
        bounds = self.graph.atom_bounds(self.graph.atom(Relu(gate, up)))
        e = bounds.exponent
        self._refuse_rounding(e is not None and bounds.magnitude >= EXACT * 2.0**e, "a product")
        return IrValue("f", self.code.op(f"fmul double {a}, {b}"))

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
        first, last = int(grid[0] * 2.0**-step), int(grid[-1] * 2.0**-step)
        changes = [i for i in range(1, len(whole)) if whole[i] != whole[i - 1]]
        if not changes:
            return IrValue("i", str(whole[0]), exponent)
        compared = "i64"
        if value.kind == "w" and len(changes) == 1:
            ref, compared = self.as_wide(value, step), "i128"
        elif value.kind == "w":
            ref = self.as_int(IrValue("w", self._clamped(self.as_wide(value, step), first, last)), 0)
        elif value.kind == "f" or not self.graph.bounds(x).below(step):  # too large for an integer, but not on the grid
            above = code.op(f"fsub double {self._cut(value, grid[0], grid[-1]).ref}, {double(grid[0])}")
            above = code.op(f"fmul double {above}, {double(2.0**-step)}")
            ref, first = code.op(f"fptosi double {above} to i64"), 0
        else:
            ref = self.as_int(value, step)
        test = ""
        if len(changes) == 1:
            test = code.op(f"icmp sge {compared} {ref}, {first + changes[0]}")
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
        if step is None or bounds.exponent is None or value.kind in "fw" or not self.graph.bounds(x).below(step):
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
        if value.kind == "w" or value.ref in self.code.large:
            found = self._wide_ramps(value, knots)
            if found is not None:
                return found
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

    def _wide_ramps(self, value: IrValue, knots: tuple) -> IrValue | None:
        """The same of an integer that may have more bits than a double; None where this is no integer either. What comes out is a
        double, as of others: bounds of it are rounded."""
        exponents = [exponent_of(number) for pair in knots for number in pair]
        if None in exponents:
            return None
        slope_unit = min(cast("list[int]", exponents[1::2]))
        unit = min([value.exponent, *cast("list[int]", exponents[::2])])
        x, total, slope, size = self.as_wide(value, unit), "0", 0, 0
        for (t, c), following in zip(knots, [*knots[1:], None]):
            slope += units(c, slope_unit)
            if following is None or slope == 0:
                continue
            width = units(t, unit) - units(following[0], unit)
            size += abs(slope) * width
            if max(size, abs(slope)) >= WIDE_LIMIT:
                return None
            part = self.code.op(f"add i128 {x}, {wrapped(units(t, unit), WIDE_BITS)}")
            part = self.code.op(f"mul i128 {self._clamped(part, 0, width)}, {slope}")
            total = self.code.op(f"add i128 {total}, {part}")
        return IrValue(
            "f", self.as_double(self.note(IrValue("w", total, unit + slope_unit), size * 2.0 ** (unit + slope_unit)))
        )
