"""Variables of more bits than a float32 has become sums of several, so that everything that is read is read exactly.

What a variable is added up from is taken apart by granularity: a neuron relu(gate) * (a_0 + 256 a_1 + ...) becomes several, each
with a part of the terms, and each adds to a *piece*; readers add the pieces. Where one term alone has too many bits (a product
of two words), the variable is cut afterwards: see `_cut`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .build import Unit, _needed, _schedule, _without_zeros
from .expr import Expr, Variable
from .graph import Lookup, Neuron
from .ranges import READ_BITS, Range, added, constant, of_values
from .stock import StockGraph

# Slots stay below, so that their squares are far below the 2^126 that the norm adds to them.
SLOT_LIMIT = 2.0**50
# A cut leaves so many bits in the lower piece.
LOWER_BITS = 22
# So many bits make a full piece: sums of a few of them are read exactly, too.
PIECE_BITS = 20
# An embedding value of many bits is split into parts of so many.
EMBEDDING_BITS = 8


@dataclass
class Circuit:
    """A graph of which every variable is read exactly, or carries noise that its readers take off.

    heads: every lookup, with all its outputs. cells: neurons that run in one MLP. home: a variable that begins as what is
    left in another one's slot. ranges: of every variable. index, norm: forms of the unembedding. embedded: what the
    embedding writes. one: the constant. probes: by name, variables that nobody reads, each whole in one slot.
    """

    heads: list[Lookup]
    cells: list[list[Neuron]]
    home: dict[Variable, Variable]
    ranges: dict[Variable, Range]
    index: Expr
    norm: Expr
    embedded: list[Variable]
    one: Variable
    probes: dict[str, Variable] = field(default_factory=dict)


def pieces(graph: StockGraph) -> Circuit:
    """Raises ValueError for a variable that has too many bits, or whose range is not known well enough."""
    made = _without_zeros(graph)
    assert isinstance(made, StockGraph)
    made.cuts = graph.cuts
    return _Pieces(made, _needed(made)).circuit()


@dataclass
class _Contribution:
    """What one unit adds to a variable: weight * relu(gate) * form, or the form itself (gate None: a head)."""

    unit: Unit
    weight: float
    gate: Expr | None
    form: Expr


@dataclass
class _Atom:
    """A part of a contribution that can be added for itself. contribution: its number, -1 for the embedding. term: a
    variable, None for the constant. values: by token, of the embedding."""

    range: Range
    contribution: int
    term: Variable | None = None
    values: dict[int, float] = field(default_factory=dict)


class _Pieces:
    def __init__(self, graph: StockGraph, units: Sequence[Unit]):
        self.graph, self.units = graph, units
        self.parts: dict[Variable, list[Variable]] = {graph.one: [graph.one]}
        self.whole: dict[Variable, Range] = {graph.one: constant(1.0)}
        self.ranges: dict[Variable, Range] = {}
        self.home: dict[Variable, Variable] = {rest: raw for raw, rest in graph.cuts.items()}
        self.raw: dict[Variable, None] = dict.fromkeys(graph.cuts)
        self.heads: dict[Lookup, Lookup] = {}
        self.neurons: dict[tuple, Neuron] = {}
        self.embedded: list[Variable] = [graph.one]
        read = {v for unit in units for form in _read(unit) for v in form.terms}
        # Nothing is rounded where nobody reads: these need no pieces.
        self.unread = {v for v in graph.probes.values() if v not in read}

    def circuit(self) -> Circuit:
        by_variable: dict[Variable, list[_Contribution]] = defaultdict(list)
        for unit in self.units:
            for first, second in unit.outputs:
                if isinstance(unit, Neuron):
                    by_variable[second].append(_Contribution(unit, float(first), unit.gate, unit.up))  # type: ignore
                else:
                    by_variable[second].append(_Contribution(unit, 1.0, None, first))  # type: ignore[arg-type]
        for variable in self._in_order(by_variable):
            self._variable(variable, by_variable[variable])
        assert self.graph.index is not None
        index, norm = (self._form(x) for x in self.graph.index)
        return Circuit(
            list(self.heads.values()), self._cells(), self.home, self.ranges, index, norm, self.embedded, self.graph.one,
            self._probes(),
        )  # fmt: skip

    def _probes(self) -> dict[str, Variable]:
        """Those that are whole in a slot; what is always 0 has none."""
        return {name: v for name, v in self.graph.probes.items() if self.parts.get(v) == [v]}

    def _in_order(self, written: dict[Variable, list[_Contribution]]) -> list[Variable]:
        """Every variable behind those that it is computed from."""
        times = _schedule(self.graph, list(self.units))
        complete = {v: max(times[c.unit] for c in contributions) for v, contributions in written.items()}
        read = {v for unit in self.units for e in _read(unit) for v in e.terms}
        assert self.graph.index is not None
        read |= {v for e in self.graph.index for v in e.terms}
        features = [v for v in dict.fromkeys(v for u in self.units for e in _read(u) for v in e.terms) if v not in written]
        features += [v for e in self.graph.index for v in e.terms if v not in written and v not in features]
        return [v for v in features if v is not self.graph.one] + sorted(written, key=lambda v: complete[v])

    # -- one variable ---------------------------------------------------------------------------------------------

    def _variable(self, x: Variable, contributions: list[_Contribution]) -> None:
        inferred = added([of_values(x.embedding.values()), *(self._added_by(c) for c in contributions)])
        known = self.whole[x] = self.graph.declared.get(x, inferred)
        if known.most >= SLOT_LIMIT:
            raise ValueError(f"{x}: values up to {known.most:.3g}, a slot holds less than 2^50")
        if known.read_exactly or x in self.raw or x in self.unread:
            self._single(x, contributions, known)
            return
        atoms = self._embedding_atoms(x) + self._atoms(contributions)
        if all(atom.range.read_exactly for atom in atoms):
            self._split(x, contributions, atoms)
        else:
            self._cut(x, contributions, known)

    def _added_by(self, c: _Contribution) -> Range:
        value = self._range(c.form)
        if c.gate is not None:
            return self._range(c.gate).positive() * value * constant(c.weight)
        assert isinstance(c.unit, Lookup)
        return Range(value.low, value.high, None).or_zero() if c.unit.kind == "uniform" else value.or_zero()

    def _range(self, form: Expr) -> Range:
        """Of a form over the graph's variables."""
        return added([constant(form.constant), *(self.whole[v] * constant(w) for v, w in form.terms.items())])

    def _form(self, form: Expr) -> Expr:
        """The same form over pieces."""
        return Expr({part: w for v, w in form.terms.items() for part in self.parts[v]}, form.constant)

    def _single(self, x: Variable, contributions: list[_Contribution], known: Range) -> None:
        self.parts[x], self.ranges[x] = [x], known
        if x.embedding:
            self.embedded.append(x)
        for c in contributions:
            self._add(c, self._form(c.form), x)

    def _add(self, c: _Contribution, form: Expr, piece: Variable) -> None:
        if c.gate is not None:
            self._neuron(c.unit.name, self._form(c.gate), form, piece, c.weight)
            return
        assert isinstance(c.unit, Lookup)
        head = self.heads.get(c.unit)
        if head is None:
            query, key = (tuple(self._form(x) for x in components) for components in (c.unit.query, c.unit.key))
            head = self.heads[c.unit] = Lookup(c.unit.name, c.unit.kind, query, key, c.unit.bound)
        head.outputs.append((form, piece))

    def _neuron(self, name: str, gate: Expr, up: Expr, piece: Variable, weight: float) -> None:
        # Constants are not shared: they would keep many slots from the first layer on.
        own = id(piece) if not gate.terms and not up.terms else 0
        neuron = self.neurons.setdefault((gate.key(), up.key(), own), Neuron(name, gate, up))
        neuron.outputs.append((weight, piece))

    # -- pieces by granularity ------------------------------------------------------------------------------------

    def _embedding_atoms(self, x: Variable) -> list[_Atom]:
        unit = of_values(x.embedding.values()).lowest
        assert unit is not None
        atoms, left = [], {token: round(abs(v) * 2.0**-unit) for token, v in x.embedding.items()} if x.embedding else {}
        shift = unit
        while any(left.values()):
            values = {
                token: (1.0 if x.embedding[token] > 0 else -1.0) * (v % 2**EMBEDDING_BITS) * 2.0**shift
                for token, v in left.items()
                if v % 2**EMBEDDING_BITS
            }
            if values:
                atoms.append(_Atom(of_values(values.values()), -1, values=values))
            left = {token: v >> EMBEDDING_BITS for token, v in left.items()}
            shift += EMBEDDING_BITS
        return atoms

    def _atoms(self, contributions: list[_Contribution]) -> list[_Atom]:
        atoms = []
        for i, c in enumerate(contributions):
            factor = constant(c.weight)
            if c.gate is not None:
                factor = self._range(c.gate).positive() * factor
            form = self._form(c.form)
            for term, weight in form.terms.items():
                atoms.append(_Atom((self.ranges[term] * constant(weight) * factor).or_zero(), i, term))
            if form.constant:
                atoms.append(_Atom((constant(form.constant) * factor).or_zero(), i))
        return atoms

    def _split(self, x: Variable, contributions: list[_Contribution], atoms: list[_Atom]) -> None:
        """From the finest granularity on, as many atoms in a piece as it has bits for."""
        groups: list[tuple[Range, list[_Atom]]] = []
        for atom in sorted(atoms, key=lambda a: a.range.lowest):  # type: ignore[arg-type, return-value]
            if groups and (groups[-1][0] + atom.range).bits <= PIECE_BITS:
                groups[-1] = (groups[-1][0] + atom.range, [*groups[-1][1], atom])
            else:
                groups.append((atom.range, [atom]))
        self.parts[x] = []
        for number, (known, members) in enumerate(groups):
            piece = Variable(f"{x.name}#{number}", self.graph)
            self.parts[x].append(piece)
            self.ranges[piece] = known
            for values in (m.values for m in members if m.contribution < 0):
                for token, value in values.items():
                    piece.embedding[token] = piece.embedding.get(token, 0.0) + value
            if piece.embedding:
                self.embedded.append(piece)
            for i, c in enumerate(contributions):
                mine = {m.term for m in members if m.contribution == i}
                form = self._form(c.form)
                part = Expr({v: w for v, w in form.terms.items() if v in mine}, form.constant if None in mine else 0.0)
                if part.terms or part.constant:
                    self._add(c, part, piece)

    def _cut(self, x: Variable, contributions: list[_Contribution], known: Range) -> None:
        """One slot holds x + C, C = 1.5 * 2^(k + 23): fl32 of that is C and x rounded to a multiple of 2^k. A neuron moves
        this into a slot that began with -C; what it leaves is the lower piece."""
        assert known.lowest is not None
        k = known.lowest + LOWER_BITS
        if known.most > 2.0 ** (k + READ_BITS - 2):
            raise ValueError(f"{x}: {known.most:.3g} in steps of 2^{known.lowest} are more bits than two pieces have")
        self.raw[x] = None
        self._single(x, contributions, known)
        high, low = Variable(f"{x.name}#high", self.graph), Variable(f"{x.name}#low", self.graph)
        offset, one = 1.5 * 2.0 ** (k + READ_BITS - 1), Expr.of(1.0)
        neuron = self.neurons[("offset", x)] = Neuron(f"offset {x.name}", one, one)  # type: ignore[index]
        neuron.outputs += [(offset, x), (-offset, high)]
        neuron = self.neurons[("cut", x)] = Neuron(f"cut {x.name}", one, Expr.of(x))  # type: ignore[index]
        neuron.outputs += [(1.0, high), (-1.0, low)]
        self.home[low] = x
        self.parts[x] = [high, low]
        self.ranges[high] = Range(known.low - 2.0**k, known.high + 2.0**k, k)
        self.ranges[low] = Range(-(2.0 ** (k - 1)), 2.0 ** (k - 1), known.lowest)

    # -- cells ----------------------------------------------------------------------------------------------------

    def _cells(self) -> list[list[Neuron]]:
        """Whatever reads a variable before it is cut runs together with the cut."""
        together: dict[Variable, list[Neuron]] = {}
        alone: list[list[Neuron]] = []
        for neuron in self.neurons.values():
            cut = [v for v in dict.fromkeys([*neuron.gate.terms, *neuron.up.terms]) if v in self.raw]
            if len(cut) > 1:
                raise ValueError(f"{neuron.name} reads two variables that are cut")
            if cut:
                together.setdefault(cut[0], []).append(neuron)
            else:
                alone.append([neuron])
        for head in self.heads.values():
            for form in _read(head):
                if any(v in self.raw for v in form.terms):
                    raise ValueError(f"{head.name} reads a variable that is cut")
        return [*together.values(), *alone]


def _read(unit: Unit) -> Iterable[Expr]:
    if isinstance(unit, Neuron):
        return (unit.gate, unit.up)
    return (*unit.query, *unit.key, *(value for value, _ in unit.outputs))


__all__ = ["Circuit", "pieces"]
