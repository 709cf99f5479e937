"""LLVM IR for a position at which most is as it was at the one before, which has kept those numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .arithmetic import Known, NotWhole
from .atoms import RunningSum, Table
from .code import IrText, IrValue
from .emit import Emitter
from .layout import type_for
from .linear import Form
from .repeats import Repeats

# Numbers that are kept for the next position at most.
MOST_KEPT = 96


class KeptNumber(NamedTuple):
    """value: at the position that keeps it. place: where; an i128 takes two fields. compute: gives it, of the emitter of such a
    position. atoms: what it is made of."""

    value: IrValue
    place: int
    compute: Callable[[Emitter], IrValue]
    atoms: tuple[int, ...]


@dataclass
class Aside:
    """Code that is not the one at hand."""

    lines: list[str]
    block: str

    def write(self, code: IrText, compute: Callable[[], IrValue]) -> IrValue:
        """Has something written at its end."""
        own = code.lines, code.block
        code.lines, code.block = self.lines, self.block
        value = compute()
        self.lines, self.block = code.lines, code.block
        code.lines, code.block = own
        return value


class Repeating(Emitter):
    """An emitter for a position before which there was one for which `whole` has emitted the code, or one like this.

    What `repeats` says that does not change, that one computes, in `aside`, once for all positions that follow. numbers: what is
    asked for here. before: names of code up to this one are known here, too.
    """

    def repeat(
        self, whole: Emitter, aside: Aside, repeats: Repeats, numbers: dict[tuple, KeptNumber], before: int = 0
    ) -> None:
        self.whole, self.aside, self.repeats, self.numbers, self.before = whole, aside, repeats, numbers, before

    @abstractmethod
    def taken(self, number: KeptNumber) -> str:
        """A number that is kept: the value's name, an i64, i128, i1 or double."""

    def _from_whole(self, key: tuple, compute: Callable[[Emitter], IrValue], form: Form) -> IrValue:
        """The number that `compute` gives, made of a form's atoms."""
        found = self.numbers.get(key)
        if found is None:
            value = self.aside.write(self.code, lambda: compute(self.whole))
            if not value.ref.startswith("%v") or int(value.ref[2:]) <= self.before:
                return value
            found = self.numbers[key] = KeptNumber(value, self.fields, compute, tuple(form.terms))
        result = found.value._replace(ref=self.taken(found))
        if found.value.ref in self.code.large:
            self.code.large.add(result.ref)
        return result

    @property
    def fields(self) -> int:
        """How many fields of the state numbers take that are kept."""
        return len(self.numbers) + sum(number.value.kind == "w" for number in self.numbers.values())

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
            self.known.atoms[atom] = self._from_whole(("atom", atom), lambda whole: whole.atom(atom), Form({atom: 1.0}))
        return super().atom(atom)

    def form(self, form: Form) -> IrValue:
        known = self.known.forms
        if form.key not in known and len(form.terms) > 1 and not form.constant and self._same(form):
            known[form.key] = self._from_whole(("form", form.key), lambda whole: whole.form(form), form)
        return super().form(form)

    def _terms(self, form: Form, exponent: int) -> list[tuple[IrValue, float]]:
        """Terms that do not change are one."""
        same = Form({a: c for a, c in form.terms.items() if not self.repeats.atom(a)})
        unit = self.graph.bounds(same).exponent
        if 2 <= len(same.terms) < len(form.terms) and unit is not None and unit >= exponent and self._same(same):
            try:
                value = self._from_whole(("part", same.key), lambda whole: whole.partial(same, unit), same)
            except NotWhole:
                return super()._terms(form, exponent)
            rest = Form({a: c for a, c in form.terms.items() if a not in same.terms}, form.constant)
            return [(value, 1.0), *super()._terms(rest, exponent)]
        return super()._terms(form, exponent)

    def _insert(self, number: int) -> str:
        return "" if number in self.repeats.stores else super()._insert(number)


class Again(Repeating):
    """The same beside the code of a group of rows. known: what was known before that. first: the state's first field for kept
    numbers."""

    def __init__(self, whole: Emitter, aside: Aside, known: Known, before: int, repeats: Repeats, first: int):
        super().__init__(
            whole.graph, whole.layout, whole.code, whole.tables, whole.context, whole.packs, whole.live, first=False
        )
        self.repeat(whole, aside, repeats, {}, before)
        self.known, self.record, self.token = known, whole.record, whole.token
        self.first_field = first
        # What holds of numbers that do not change has been checked.
        queries = [whole.graph.lookups[number].query for number in whole.graph.inside]
        forms = [form for form, _, _ in self.context.assumptions] + [self.context(q) for q in queries]
        self.known.checked |= {form for form in forms if not repeats.form(form)}

    def taken(self, number: KeptNumber) -> str:
        pointer, value = self.address(self.first_field + number.place), number.value
        raw = self.code.op(f"load {'i64' if value.kind == 'b' else value.type}, ptr {pointer}, align 8")
        return self.code.op(f"trunc i64 {raw} to i1") if value.kind == "b" else raw

    def keep_all(self) -> None:
        """In the whole position: what this one asks for."""
        for value, place, _, _ in self.numbers.values():
            pointer = self.address(self.first_field + place)
            ref = self.code.op(f"zext i1 {value.ref} to i64") if value.kind == "b" else value.ref
            self.code.do(f"store {'i64' if value.kind == 'b' else value.type} {ref}, ptr {pointer}, align 8")

    def sum(self, number: int) -> IrValue:
        atom = self.graph.atom(RunningSum(number))
        if number in self.repeats.sums and atom not in self.known.atoms:
            bounds = self.graph.atom_bounds(atom)
            floating = type_for(bounds).floating
            field = self.address(self.layout.fields["sum", number])
            raw = self.code.op(f"load {'double' if floating else 'i64'}, ptr {field}")
            self.known.atoms[atom] = IrValue("f", raw) if floating else IrValue("i", raw, bounds.exponent or 0)
        return super().sum(number)
