"""The residual stream as forms, and what the matrices see of it: itself, or rounded to float32."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from .atoms import Float32, Relu, RunningMean, RunningSum, Share
from .bounds import float32_bounds, read_exactly
from .linear import Form, linear
from .symbols import Symbols

# Bits of what float32 reads exactly. Running sums are taken to have one less, so that this also holds for the difference of two.
READ_BITS = 24


def float32(graph: Symbols, form: Form) -> Form:
    """A form rounded to the nearest float32: itself where its bounds prove that this changes nothing, else an atom."""
    if form.is_constant():
        return Form({}, float(np.float32(form.constant)))
    if read_exactly(graph.bounds(form)) or _is_float32(graph, form):
        return form
    source = graph.single_source(form)
    if source is not None:
        return graph.table(source, graph.evaluate(form, source).astype(np.float32).astype(np.float64))
    if _is_mean(graph, form):
        return form
    return graph.of(Float32(form))


def _is_float32(graph: Symbols, form: Form) -> bool:
    """Whether it is a power of two times what has been rounded."""
    if len(form.terms) != 1 or form.constant:
        return False
    ((atom, c),) = form.terms.items()
    return isinstance(graph.atoms[atom], Float32) and abs(float(np.frexp(c)[0])) == 0.5


def _is_mean(graph: Symbols, form: Form) -> bool:
    """Whether it is what rounding has left of a running mean, so that both together have 48 bits of it: more than the sums'
    own noise leaves."""
    for atom, c in form.terms.items():
        what = graph.atoms[atom]
        if isinstance(what, Float32) and len(what.form.terms) == 1 and not form.constant:
            (mean,) = what.form.terms
            if isinstance(graph.atoms[mean], RunningMean):
                return Form({a: w for a, w in form.terms.items() if a != atom}) == what.form.scaled(-c)
    return False


class ResidualForms:
    """forms: of each slot, without `ramps`: relu(x + t) with weights, by x. A function with a knee may be written layer by layer,
    so its knees are put together when it is read."""

    def __init__(self, graph: Symbols, forms: list[Form], rounded: bool):
        self.graph, self.rounded, self._forms = graph, rounded, forms
        self.inexact: set[int] = set()  # slots that hold more than float32 reads: the layer at hand takes that away
        self._ramps: dict[int, dict[Form, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        self._seen: dict[Form, Form] = {}
        self._joined: dict[Form, Form] = {}

    def __getitem__(self, slot: int) -> Form:
        """What a slot holds."""
        if slot in self._ramps:
            self._forms[slot] = self.graph.expanded(self._forms[slot])
            parts = [self.graph.knots(x, knots) for x, knots in self._ramps.pop(slot).items()]
            self.add(slot, [(1.0, part) for part in parts])
        return self._forms[slot]

    def add(self, slot: int, parts: list[tuple[float, Form]]) -> None:
        """parts: (weight, form)."""
        self._forms[slot] = self.graph.named(linear([(1.0, self._forms[slot]), *parts]))

    def ramps(
        self, knots: dict[tuple[int, Form], list[tuple[float, float]]], added: dict[int, list[tuple[float, Form]]]
    ) -> None:
        """Adds c * relu(x + t) to slots, for (slot, x): (t, c), ...; x without constant. Where reads are not rounded they are
        put into `added`, whose parts the caller adds."""
        for (slot, x), pairs in knots.items():
            if self.rounded:
                self._ramps[slot][x] += pairs
            else:
                added[slot].append((1.0, self.graph.knots(x, pairs)))

    def seen(self, slot: int) -> Form:
        """What the matrices see."""
        form = self[slot]
        if not self.rounded:
            return form
        # Kept as it is seen, so that what is seen cancels it.
        form = self._forms[slot] = self.graph.named(self._together(form))
        if slot in self.inexact:
            self._assume_cut(form)
            return float32(self.graph, form)
        found = self._seen.get(form)
        if found is None:
            found = self._seen[form] = self._read(form)
        return found

    def _assume_cut(self, form: Form) -> None:
        """Where x + C is to be rounded, C = 1.5 * 2^k, which cuts x: that it has as many bits as C is assumed if it is not
        proved. Only then has what is rounded the granularity that it is to have."""
        graph, (mantissa, exponent) = self.graph, math.frexp(form.constant)
        if abs(mantissa) != 0.75 or not graph.trusting or not form.terms:
            return
        bounds = graph.bounds(form)
        low, high = sorted(math.copysign(2.0**end, mantissa) for end in (exponent - 1, exponent))
        if bounds.exponent is None or not bounds.low <= form.constant <= bounds.high:  # something takes C away again
            return
        unit = float32_bounds(bounds).exponent
        if unit is None or unit < exponent - READ_BITS:
            graph.assumptions.append(graph.assume(form, low, high))

    def _read(self, form: Form) -> Form:
        """As a number that is meant to be read exactly: that it can be is proved, or assumed."""
        graph = self.graph
        found = float32(graph, form)
        if found == form or self._is_norm(form):
            return form
        bounds = graph.bounds(form)
        if not graph.trusting or bounds.exponent is None or isinstance(graph.atoms[next(iter(form.terms))], Share):
            return found
        limit = 2.0 ** (bounds.exponent + READ_BITS)
        if all(isinstance(graph.atoms[a], RunningSum) for a in form.terms):
            limit /= 2.0
        graph.assumptions.append(graph.assume(form, -limit, limit))
        return form

    def _is_norm(self, form: Form) -> bool:
        """Whether it is x^2 + y^2 + ... of whole numbers and small enough for 24 bits; how large x, y, ... are may be assumed."""
        graph, form = self.graph, self.graph.expanded(form)
        squared: dict[Form, None] = {}
        for atom, c in form.terms.items():
            what = graph.atoms[atom]
            root = math.sqrt(abs(c))
            if not isinstance(what, Relu) or what.gate != what.up or c <= 0.0 or root * root != c:
                return False
            x = what.gate.scaled(root)
            squared.setdefault(x.scaled(-1.0) if x.scaled(-1.0) in squared else x)
        bounds = {x: graph.bounds(graph.normal(x)) for x in squared}
        if form.constant or not all(b.integer for b in bounds.values()):
            return False
        room = 2.0**READ_BITS
        if sum(b.magnitude**2 for b in bounds.values()) <= room:
            return True
        if not graph.trusting:
            return False
        # The least ones keep their bounds, the others share what is left.
        for k, (x, b) in enumerate(sorted(bounds.items(), key=lambda pair: pair[1].magnitude)):
            limit = min(b.magnitude, math.floor(math.sqrt(room / (len(bounds) - k))))
            room -= limit**2
            if limit < b.magnitude:
                graph.assumptions.append(graph.assume(graph.normal(x), -limit, limit + 1.0))
        return True

    def row(self, weights: np.ndarray) -> Form:
        """weights @ what is seen."""
        form = linear([(float(weights[s]), self.seen(s)) for s in np.flatnonzero(weights).tolist()])
        return self._together(form) if self.rounded else form

    def columns(self, slots: Sequence[int], weights: np.ndarray) -> list[tuple[Form, np.ndarray]]:
        """Forms and the weights of all tokens on them, [tokens] each, from the rows of `weights`, which are the slots'.

        Where reads are rounded, the pieces of a number, which have multiples of the same weights, are put together; and what
        all tokens get alike is left out: it decides nothing, so it need not be exact."""
        if not self.rounded:
            return [(self.seen(slot), weight) for slot, weight in zip(slots, weights, strict=True)]
        pieces: dict[bytes, list[tuple[float, Form]]] = defaultdict(list)
        directions: dict[bytes, np.ndarray] = {}
        for slot, weight in zip(slots, weights, strict=True):
            if (weight == weight[0]).all():
                continue
            scale = 2.0 ** (float(np.frexp(weight[np.flatnonzero(weight)[0]])[1]) - 1.0)
            direction = weight / scale
            directions[direction.tobytes()] = direction
            pieces[direction.tobytes()].append((scale, self.seen(slot)))
        return [(self._together(linear(parts)), directions[key]) for key, parts in pieces.items()]

    def _together(self, form: Form) -> Form:
        """The same with neurons put together that were taken apart into pieces of few bits."""
        found = self._joined.get(form)
        if found is None:
            expanded = self.graph.expanded(form)
            gathered = self.graph.gathered(expanded)
            short = len(expanded.terms) <= len(form.terms)
            found = gathered if len(gathered.terms) < len(expanded.terms) else expanded if short else form
            self._joined[form] = found
        return found


__all__ = ["ResidualForms", "float32"]
