"""LLVM IR for a position at which most is as it was at the one before, which has kept those numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .arithmetic import Known, NotWhole
from .atoms import RunningSum, Table
from .code import IrText, IrValue
from .context import Supposed
from .emit import Emitter
from .layout import type_for
from .linear import Form
from .repeats import Repeats

# Numbers that are kept for the next position at most.
MOST_KEPT = 128
# What is left of the atoms that change where a kept number is one of its values, at most, for code of its own.
MUCH_LESS = 0.5


class KeptNumber(NamedTuple):
    """value: at the position that keeps it. place: where; an i128 takes two fields. compute: gives it, of the emitter of such a
    position. atoms: what it is made of."""

    value: IrValue
    place: int
    compute: Callable[[Emitter], IrValue]
    atoms: tuple[int, ...]


class Settled(NamedTuple):
    """What may be kept besides where an atom that does not change is `value`. numbers: these, and those that are kept anyway,
    among them the atom."""

    atom: int
    value: float
    numbers: dict[tuple, KeptNumber]

    @property
    def number(self) -> KeptNumber:
        """The atom's."""
        return self.numbers["atom", self.atom]


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
        self._checked_before(lambda form: form)

    def _checked_before(self, rewrite: Callable[[Form], Form]) -> None:
        """What holds of numbers that do not change has been checked."""
        queries = [self.graph.lookups[number].query for number in self.graph.inside]
        forms = [form for form, _, _ in self.context.assumptions] + [self.context(q) for q in queries]
        self.known.checked |= {form for form in forms if not self.repeats.form(rewrite(form))}

    def place(self, number: KeptNumber) -> str:
        """ptr: where a number is."""
        return self.address(self.first_field + number.place)

    def taken(self, number: KeptNumber) -> str:
        pointer, value = self.place(number), number.value
        raw = self.code.op(f"load {'i64' if value.kind == 'b' else value.type}, ptr {pointer}, align 8")
        return self.code.op(f"trunc i64 {raw} to i1") if value.kind == "b" else raw

    def keep_all(self, numbers: Iterable[KeptNumber]) -> None:
        """In the whole position: what this one asks for."""
        for number in numbers:
            pointer, value = self.place(number), number.value
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

    def settles(self, columns: Iterable[Form]) -> tuple[int, float] | None:
        """A kept number, and what it may be, so that least is left of columns that changes where it is that; None where that is
        not much less than what changes anyway."""
        columns = list(columns)
        best, least = None, self._changing(columns) * MUCH_LESS
        for kind, atom in self.numbers:
            if kind != "atom" or self.numbers[kind, atom].value.kind not in "bi":
                continue
            bounds = self.graph.atom_bounds(atom)
            if not (bounds.integer and bounds.low >= 0 and bounds.high <= 1):
                continue
            for value in (0.0, 1.0):
                supposed = Supposed(self.graph, {}, values={atom: value})
                changing = self._changing([supposed(column) for column in columns])
                if changing < least:
                    best, least = (atom, value), changing
        return best

    def _changing(self, forms: Iterable[Form]) -> int:
        """How many atoms are another number than they were."""
        return len({a for form in forms for a in self.graph.atoms_within(form) if self.repeats.atom(a)})


class AgainSettled(Again):
    """The same where a kept number is `value`: much more is then what it was. aside: of `whole`, where the number is that.
    numbers: those that are kept anyway."""

    def __init__(
        self, again: Again, whole: Emitter, aside: Aside, known: Known, atom: int, value: float
    ):  # fmt: skip
        self._supposed = Supposed(whole.graph, {}, values={atom: value})
        super().__init__(whole, aside, known, again.before, again.repeats, again.first_field)
        self.numbers |= again.numbers
        self._checked_before(self._supposed)

    def column(self, form: Form) -> Form:
        return self._supposed(super().column(form))
