"""One position of a chain at which most is as it was at the one before, which `special` has decoded and has kept those numbers.

Code for circuits of thousands of instructions stands in `special` once for each group of rows, not in every chain that comes by
there: a chain hands such a position over. The positions behind it, in the same row, are its own again: what they have in common
with the first one is in the state (see again.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .again import Aside, KeptNumber, Repeating, Settled
from .atoms import Atom, Kept
from .chain_emit import ChainEmitter
from .chain_memory import tag
from .code import IrValue
from .context import Rewriter, Supposed
from .interface import EXACT
from .linear import Form
from .repeats import Repeats
from .situated import Situated
from .symbols import Symbols


class Rest(NamedTuple):
    """Running sums to which positions add nothing, and stores to which they write nothing."""

    sums: frozenset[int]
    stores: frozenset[int]

    def both(self, other: Rest) -> Rest:
        """What is at rest at two positions."""
        return Rest(self.sums & other.sums, self.stores & other.stores)

    def covers(self, other: Rest) -> bool:
        return self.sums >= other.sums and self.stores >= other.stores


def at_rest(graph: Symbols, context: Situated, sums: Iterable[int], stores: Iterable[int]) -> Rest:
    """Of some sums and stores, those that positions in a situation leave as they are: what the token does is known of all its
    tokens. context: the situation's."""

    def calm(number: int) -> bool:
        """Whether nothing is written to a store, as code that computes with integers sees it."""
        store = graph.stores[number]
        if store.kind != "keyed" and (store.kind != "register" or graph.bounds(store.penalty).low < 0):
            return False
        bounds = graph.bounds(context(store.penalty))
        return bounds.low > 0 and bounds.exponent is not None and bounds.magnitude < EXACT * 2.0**bounds.exponent

    return Rest(frozenset(k for k in sums if context(graph.sums[k]).is_zero()), frozenset(filter(calm, stores)))


class ChainRepeats(Repeats):
    """What may differ from the last position that kept numbers, where all positions since were in the same row and left at rest
    what is in `rest`."""

    def __init__(self, graph: Symbols, row: Situated, lookup: int, rest: Rest):
        """row: the row's context, where nothing is known of tokens: a query in which those of this position are constants is
        another one at the position before."""
        super().__init__(graph, row, lookup, set(rest.sums), set(rest.stores))


@dataclass
class Keeping(Rewriter):
    """Rewrites forms (that are rewritten for a situation already) so that numbers which have been kept are what they are."""

    repeats: ChainRepeats = field(kw_only=True)
    numbers: dict[tuple, KeptNumber] = field(kw_only=True)

    def __post_init__(self) -> None:
        """Nothing is assumed that was not before."""

    def __call__(self, form: Form) -> Form:
        return self.inner(form)

    def inner(self, form: Form) -> Form:
        base = form.without_constant()
        if ("form", base.key) in self.numbers and not self.repeats.form(base):
            return self.graph.of(Kept(base), 1.0, form.constant)
        return super().inner(form)

    def _evaluate(self, atom: int) -> Form:
        if ("atom", atom) in self.numbers and not self.repeats.atom(atom):
            return self.graph.of(Kept(Form({atom: 1.0})))
        return super()._evaluate(atom) if self.graph.parts(atom).source is None else Form({atom: 1.0})


@dataclass
class KeepingAll(Rewriter):
    """The same where whatever does not change can be kept. costs: whether an atom takes more than a load."""

    repeats: ChainRepeats = field(kw_only=True)
    costs: Callable[[int], bool] = field(kw_only=True)

    def __post_init__(self) -> None:
        """Nothing is assumed that was not before."""

    def __call__(self, form: Form) -> Form:
        return self.inner(form)

    def inner(self, form: Form) -> Form:
        same = Form({a: c for a, c in form.terms.items() if not self.repeats.atom(a)})
        if len(same.terms) < 2 or not any(self.costs(a) for a in same.terms):
            return super().inner(form)
        rest = Form({a: c for a, c in form.terms.items() if a not in same.terms}, form.constant)
        return super().inner(rest).plus(self.graph.of(Kept(same)))

    def _evaluate(self, atom: int) -> Form:
        if not self.repeats.atom(atom):
            return self.graph.of(Kept(Form({atom: 1.0}))) if self.costs(atom) else Form({atom: 1.0})
        return super()._evaluate(atom) if self.graph.parts(atom).source is None else Form({atom: 1.0})


class ChainWithin(Repeating, ChainEmitter):
    """An emitter for a position behind one of the same row in the same chain, which keeps in registers what does not change."""

    def __init__(
        self, *arguments, whole: ChainEmitter, aside: Aside, repeats: ChainRepeats, numbers: dict[tuple, KeptNumber]
    ):
        """arguments: as for a ChainEmitter. The rest: as for a Repeating."""
        ChainEmitter.__init__(self, *arguments)
        self.repeat(whole, aside, repeats, numbers)
        queries = [self.graph.lookups[number].query for number in self.graph.inside]
        forms = [form for form, _, _ in self.context.assumptions] + [self.context(q) for q in queries]
        self.known.checked |= {form for form in forms if not repeats.form(form)}
        self.keeping = KeepingAll(self.graph, {}, repeats=repeats, costs=self._costs)

    def taken(self, number: KeptNumber) -> str:
        return self.code.op(f"load {number.value.type}, ptr {register(number)}")

    def column(self, form: Form) -> Form:
        return self.keeping(super().column(form))

    def _another(self) -> ChainWithin:
        assert isinstance(self.whole, ChainEmitter) and isinstance(self.repeats, ChainRepeats)
        return ChainWithin(
            *self.arguments, whole=self.whole, aside=self.aside, repeats=self.repeats, numbers=self.numbers
        )


def register(number: KeptNumber) -> str:
    """The name of what holds a number."""
    return f"%kept.{number.value.type}.{number.place}"


class Cut:
    """Cuts off what has been kept, for all positions of a row: of forms that are rewritten for its group.

    settled: where a number that has been kept is what it has to be, so that there are more.
    """

    def __init__(self, graph: Symbols, repeats: ChainRepeats, numbers: dict[tuple, KeptNumber], settled: Settled | None):
        self.repeats, self.numbers, self.settled = repeats, numbers if settled is None else settled.numbers, settled
        self._supposed = Supposed(graph, {}, values={} if settled is None else {settled.atom: settled.value})
        self._keeping = Keeping(graph, {}, repeats=repeats, numbers=self.numbers)

    def __call__(self, form: Form) -> Form:
        return self._keeping(form if self.settled is None else self._supposed(form))

    def repeated(self, form: Form) -> bool:
        """Whether a form that is rewritten for a situation does not change."""
        return not self.repeats.form(form) or (self.settled is not None and not self.repeats.form(self._supposed(form)))


class ChainAgain(ChainEmitter):
    """An emitter for a position behind one of the same row that `special` has decoded."""

    def __init__(self, *arguments, cut: Cut, first_field: int):
        """arguments: as for a ChainEmitter. first_field: of the state, where numbers are that have been kept."""
        super().__init__(*arguments)
        self.cut, self.first_field, self.settled = cut, first_field, cut.settled
        self.repeats, self.numbers = cut.repeats, cut.numbers
        # What holds of numbers that do not change has been checked.
        queries = [self.graph.lookups[number].query for number in self.graph.inside]
        forms = [form for form, _, _ in self.context.assumptions] + [self.context(q) for q in queries]
        self.known.checked |= {form for form in forms if cut.repeated(form)}

    def column(self, form: Form) -> Form:
        return self.context.inner(self.cut(self.context.group(form)))

    def unsettled(self) -> str:
        """i1: whether the number that decides is another one than was supposed."""
        assert self.settled is not None
        number, value = self.settled.number, self.settled.value
        raw = self.code.op(f"load i64, ptr {self.address(self.first_field + number.place)}, align 8{tag('kept', self.kinds)}")
        return self.code.op(f"icmp ne i64 {raw}, {int(value * 2.0**-number.value.exponent)}")

    def leaf(self, atom: Atom) -> IrValue:
        if isinstance(atom, Kept):
            ((inner, _),) = atom.form.terms.items() if len(atom.form.terms) == 1 else ((-1, 0.0),)
            found = self._taken(("form", atom.form.key), lambda: True) or self._taken(("atom", inner), lambda: True)
            assert found is not None
            return found
        return super().leaf(atom)

    def _another(self) -> ChainAgain:
        return ChainAgain(*self.arguments, cut=self.cut, first_field=self.first_field)

    def _taken(self, key: tuple, same: Callable[[], bool]) -> IrValue | None:
        """A number that has been kept, if it is one; same: whether it is what it was."""
        number = self.numbers.get(key)
        if number is None or not same():
            return None
        value = number.value
        pointer = self.address(self.first_field + number.place)
        type = "i64" if value.kind == "b" else value.type
        raw = self.code.op(f"load {type}, ptr {pointer}, align 8{tag('kept', self.kinds)}")
        return value._replace(ref=self.code.op(f"trunc i64 {raw} to i1") if value.kind == "b" else raw)

    def atom(self, atom: int) -> IrValue:
        if atom not in self.known.atoms:
            found = self._taken(("atom", atom), lambda: not self.repeats.atom(atom))
            if found is not None:
                self.known.atoms[atom] = self.note(found, self.graph.atom_bounds(atom).magnitude)
        return super().atom(atom)

    def form(self, form: Form) -> IrValue:
        if form.key not in self.known.forms:
            found = self._taken(("form", form.key), lambda: not self.repeats.form(form))
            if found is not None:
                self.known.forms[form.key] = self.note(found, self.graph.bounds(form).magnitude)
        return super().form(form)

    def _terms(self, form: Form, exponent: int) -> list[tuple[IrValue, float]]:
        """Terms that have been kept as one number are one."""
        same = Form({a: c for a, c in form.terms.items() if not self.repeats.atom(a)})
        unit = self.graph.bounds(same).exponent if same.terms else None
        if unit is not None and unit >= exponent:
            value = self._taken(("part", same.key), lambda: True)
            if value is not None:
                rest = Form({a: c for a, c in form.terms.items() if a not in same.terms}, form.constant)
                return [(value, 1.0), *super()._terms(rest, exponent)]
        return super()._terms(form, exponent)

    def _insert(self, number: int) -> str:
        return "" if number in self.repeats.stores else super()._insert(number)


__all__ = ["ChainAgain", "ChainRepeats", "ChainWithin", "Rest", "at_rest", "register"]
