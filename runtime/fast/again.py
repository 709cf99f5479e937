"""LLVM IR for a position at which most is as it was at the one before: those numbers are taken from the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .arithmetic import Known
from .atoms import RunningSum, Table
from .code import IrValue
from .emit import Emitter
from .layout import type_for
from .linear import Form
from .repeats import Repeats

# Numbers that are kept for the next position at most.
MOST_KEPT = 96


class KeptValue(NamedTuple):
    """value: at the position that keeps it. place: of the state's fields for such numbers."""

    value: IrValue
    place: int


class Again(Emitter):
    """whole: has emitted the position's code as it is without that. Numbers that do not change it computes, once, for all
    positions that follow; `numbers` are those that are asked for here. first: the state's first field for them."""

    def __init__(self, whole: Emitter, known: Known, before: int, repeats: Repeats, first: int):
        super().__init__(
            whole.graph, whole.layout, whole.code, whole.tables, whole.context, whole.packs, whole.live, first=False
        )
        self.known, self.record, self.token = known, whole.record, whole.token
        self.whole, self.repeats, self.first_field = whole, repeats, first
        self.whole_lines: list[str] = []
        self.whole_block = ""
        self.before = before
        self.numbers: dict[tuple, KeptValue] = {}
        # What holds of numbers that do not change has been checked.
        queries = [whole.graph.lookups[number].query for number in whole.graph.inside]
        forms = [form for form, _, _ in self.context.assumptions] + [self.context(q) for q in queries]
        self.known.checked |= {form for form in forms if not repeats.form(form)}

    def begin(self) -> None:
        """From here on, code is this position's; what has been written is the whole one's."""
        code = self.code
        self.whole_lines, self.whole_block = list(code.lines), code.block
        code.lines, code.block = [], ""

    def _by_whole(self, compute: Callable[[], IrValue]) -> IrValue:
        code = self.code
        own = code.lines, code.block
        code.lines, code.block = self.whole_lines, self.whole_block
        value = compute()
        self.whole_lines, self.whole_block = code.lines, code.block
        code.lines, code.block = own
        return value

    def _from_whole(self, key: tuple, compute: Callable[[], IrValue]) -> IrValue:
        """The number that `compute` gives, which is the whole position's."""
        found = self.numbers.get(key)
        if found is None:
            value = self._by_whole(compute)
            if not value.ref.startswith("%v") or int(value.ref[2:]) <= self.before:
                return value
            found = self.numbers[key] = KeptValue(value, len(self.numbers))
        pointer = self.address(self.first_field + found.place)
        kind = found.value.kind
        raw = self.code.op(f"load {'double' if kind == 'f' else 'i64'}, ptr {pointer}")
        return found.value._replace(ref=self.code.op(f"trunc i64 {raw} to i1") if kind == "b" else raw)

    def keep_all(self) -> None:
        """In the whole position: what this one asks for."""
        for value, place in self.numbers.values():
            pointer = self.address(self.first_field + place)
            ref = self.code.op(f"zext i1 {value.ref} to i64") if value.kind == "b" else value.ref
            self.code.do(f"store {'double' if value.kind == 'f' else 'i64'} {ref}, ptr {pointer}")

    # -- what does not change -------------------------------------------------------------------------------------

    def _costs(self, atom: int) -> bool:
        """Whether an atom takes more than a load."""
        what = self.graph.atoms[atom]
        if isinstance(what, Table):
            return self.graph.sources[what.source].name[0] == "stored"
        return not isinstance(what, RunningSum)

    def _same(self, form: Form) -> bool:
        return not self.repeats.form(form) and any(self._costs(atom) for atom in form.terms)

    def atom(self, atom: int) -> IrValue:
        if atom not in self.known.atoms and not self.repeats.atom(atom) and self._costs(atom):
            self.known.atoms[atom] = self._from_whole(("atom", atom), lambda: self.whole.atom(atom))
        return super().atom(atom)

    def form(self, form: Form) -> IrValue:
        known = self.known.forms
        if form.key not in known and len(form.terms) > 1 and not form.constant and self._same(form):
            known[form.key] = self._from_whole(("form", form.key), lambda: self.whole.form(form))
        return super().form(form)

    def _terms(self, form: Form) -> list[tuple[IrValue, float]]:
        """Terms that do not change are one."""
        same = Form({a: c for a, c in form.terms.items() if not self.repeats.atom(a)})
        exponent = self.graph.bounds(same).exponent
        if 2 <= len(same.terms) < len(form.terms) and exponent is not None and self._same(same):
            factors = self._by_whole_factors(same, exponent)
            if factors is not None:
                value = self._from_whole(
                    ("part", same.key),
                    lambda: self.whole._integer_form(same, [v for v, _ in factors], [f for _, f in factors], exponent),
                )
                rest = Form({a: c for a, c in form.terms.items() if a not in same.terms}, form.constant)
                return [(value, 1.0), *super()._terms(rest)]
        return super()._terms(form)

    def _by_whole_factors(self, form: Form, exponent: int) -> list[tuple[IrValue, int]] | None:
        """The terms' values, and by what to multiply them in units of 2^exponent."""
        terms: list[tuple[IrValue, float]] = []

        def compute() -> IrValue:
            terms.extend(self.whole._terms(form))
            return IrValue("i", "0")

        self._by_whole(compute)
        factors = [(value, self._factor(value, c, exponent)) for value, c in terms]
        found = [(value, factor) for value, factor in factors if factor is not None]
        return found if len(found) == len(factors) else None

    # -- what is not written --------------------------------------------------------------------------------------

    def sum(self, number: int) -> IrValue:
        atom = self.graph.atom(RunningSum(number))
        if number in self.repeats.sums and atom not in self.known.atoms:
            bounds = self.graph.atom_bounds(atom)
            floating = type_for(bounds).floating
            field = self.address(self.layout.fields["sum", number])
            raw = self.code.op(f"load {'double' if floating else 'i64'}, ptr {field}")
            self.known.atoms[atom] = IrValue("f", raw) if floating else IrValue("i", raw, bounds.exponent or 0)
        return super().sum(number)

    def _insert(self, number: int) -> str:
        return "" if number in self.repeats.stores else super()._insert(number)
