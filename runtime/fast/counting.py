"""Checkpoints without position input that count: what depends on the position alone, as numbers for every position there may be.

The mean of what is 1 at the first position and 0 behind it is 1/n. A circuit that makes digits of n out of it is evaluated
for all n at once, with reads rounded to float32 as they are; where each digit is right, and leads by more than a softmax in
float64 leaves, it is the digit of a counter from then on: graph.n.

    counter(n) = n for n >= ALL, when the prefix's table of bytes is complete, and max(n - 2, 0) before
    digit `place` of it: the source ("count", place), counter / 256^place mod 256
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b

import numpy as np

from .atoms import Float32, Knots, Let, Position, PositionSquared, Relu, Share, Table, knots_value
from .interface import Refused
from .linear import Form, linear
from .sealed import keep_proof, proved
from .stores import IndexSource
from .symbols import Symbols

# The digits of a position, its last one, and the position from which on the counter is the position.
PLACES = 3
LAST = 256**PLACES - 1
ALL = 256
# What has been proved stays proved, by what was evaluated: the same circuit is in many checkpoints. In this process; and in the
# cache on disk, for others.
_PROVED: dict[tuple, float] = {}
_BLOCK = 1 << 16


def counter(n: np.ndarray) -> np.ndarray:
    """float64 [positions], of positions n."""
    return np.where(n >= ALL, n, np.maximum(n - 2, 0)).astype(np.float64)


class Counting:
    """prefix: int [p], tokens. counted: whether all digits are known, so that graph.n is the counter."""

    def __init__(self, graph: Symbols, prefix: np.ndarray):
        if len(prefix) <= ALL:
            raise Refused("its prefix is too short for a table of bytes to count with")
        self.graph, self.prefix = graph, prefix
        graph.last, graph.first_position, graph.counted = LAST, 0.0, True
        graph.limit(LAST, "positions have three digits")
        self._places: dict[int, Form] = {}
        self._alone: dict[int, bool] = {}
        self._keys: dict[int, str] = {}

    # -- what depends on the position alone -----------------------------------------------------------------------

    def alone(self, form: Form) -> bool:
        return all(self._atom_alone(a) for a in form.terms)

    def _atom_alone(self, atom: int) -> bool:
        found = self._alone.get(atom)
        if found is None:
            what = self.graph.atoms[atom]
            match what:
                case Position() | PositionSquared() | Share():
                    found = True
                case Table(source, _):
                    found = self.graph.sources[source].name[0] == "count"
                case Relu() | Knots() | Float32() | Let():
                    found = all(self.alone(f) for f in self.graph.parts(atom).forms)
                case _:
                    found = False
            self._alone[atom] = found
        return found

    def at(self, form: Form, n: np.ndarray, known: dict[int, np.ndarray] | None = None) -> np.ndarray:
        """Its values at positions n, float64; `form` is `alone`. known: values of atoms there."""
        known = {} if known is None else known
        total = np.full(len(n), form.constant)
        for atom, c in form.terms.items():
            if atom not in known:
                known[atom] = self._values(atom, n, known)
            total += c * known[atom]
        return total

    def _values(self, atom: int, n: np.ndarray, known: dict[int, np.ndarray]) -> np.ndarray:
        match self.graph.atoms[atom]:
            case Position():
                return counter(n)
            case PositionSquared():
                return counter(n) ** 2
            case Share():
                return 1.0 / n
            case Table(source, vector):
                digit = counter(n).astype(np.int64) >> 8 * self.graph.sources[source].name[1] & 255
                return self.graph.vectors[vector][digit]
            case Relu(gate, up):
                return np.maximum(self.at(gate, n, known), 0.0) * self.at(up, n, known)
            case Knots(x, knots):
                return knots_value(self.at(x, n, known), list(knots))
            case Float32(form):
                return self.at(form, n, known).astype(np.float32).astype(np.float64)
            case Let(form):
                return self.at(form, n, known)
        raise AssertionError(atom)

    def key(self, form: Form) -> str:
        """Equal keys mean equal functions of the position."""
        return repr((form.constant, sorted((self._atom_key(a), c) for a, c in form.terms.items())))

    def _atom_key(self, atom: int) -> str:
        if atom not in self._keys:
            what = self.graph.atoms[atom]
            parts: list = [self.key(f) for f in self.graph.parts(atom).forms]
            if isinstance(what, Table):
                parts = [self.graph.sources[what.source].name, self.graph.vectors[what.vector].tobytes()]
            if isinstance(what, Knots):
                parts.append(what.knots)
            self._keys[atom] = blake2b(repr((type(what).__name__, parts)).encode()).hexdigest()
        return self._keys[atom]

    def blocks(self, first: int = 1) -> Iterator[np.ndarray]:
        """Every position from `first` to the last one, in parts."""
        for start in range(first, LAST + 1, _BLOCK):
            yield np.arange(start, min(start + _BLOCK, LAST + 1))

    def constant_behind(self, form: Form, first: int) -> float | None:
        """What a form is at every position from `first` on."""
        if form.is_constant():
            return form.constant
        return _proved(("constant", self.key(form), first), lambda: self._prove_constant(form, first))

    def _prove_constant(self, form: Form, first: int) -> float | None:
        value = float(self.at(form, np.array([first]))[0])
        return value if all((self.at(form, n) == value).all() for n in self.blocks(first)) else None

    # -- the counter ----------------------------------------------------------------------------------------------

    def place(self, x: Form, y: Form, first: int, start: int, least: float) -> int | None:
        """Which digit of the counter the number of the best entry is: entries 0 .. 255 stand at positions start .. start + 255
        with keys a = first, first + 1, ..., and scores 2 a x - a^2 y. None if it is none, or leads by less than `least`."""
        key = ("place", self.key(x), self.key(y), first, start, least)
        found = _proved(key, lambda: self._prove_place(x, y, first, start, least))
        return None if found is None else int(found)

    def _prove_place(self, x: Form, y: Form, first: int, start: int, least: float) -> int | None:
        possible = set(range(PLACES))
        for n in self.blocks():
            known: dict[int, np.ndarray] = {}
            entry = _entries(self.at(x, n, known), self.at(y, n, known), np.clip(n - start, 0, 255), first, least)
            if entry is None:
                return None
            digits = counter(n).astype(np.int64)
            possible = {p for p in possible if (entry == (digits >> 8 * p & 255)).all()}
            if not possible:
                return None
        return max(possible)

    def source(self, place: int) -> int:
        return self.graph.source(IndexSource(("count", place), 256))

    def digit(self, place: int) -> Form:
        """A digit as a form. The lowest one is what the others leave of the counter, so that their sum is the counter."""
        graph = self.graph
        if place or not {1, 2} <= set(self._places):
            found = graph.table(self.source(place), np.arange(256.0))
        else:
            found = linear([(1.0, Form({graph.n: 1.0})), *((-(256.0**p), self._places[p]) for p in (1, 2))])
            graph.know(found, 0.0, 255.0)
        self._places[place] = found
        return found


def _proved(key: tuple, prove: Callable[[], float | None]) -> float | None:
    """What `prove` finds, without it where it has found that before. That there is no proof is not kept."""
    if key not in _PROVED:
        found = proved(key)
        if found is None:
            found = prove()
            if found is None:
                return None
            keep_proof(key, found)
        _PROVED[key] = found
    return _PROVED[key]


def _entries(x: np.ndarray, y: np.ndarray, top: np.ndarray, first: int, least: float) -> np.ndarray | None:
    """int [positions]: the entry with the best score among those up to `top`, if it leads by `least` at all of them."""
    if not (y > 0).all() or not np.isfinite(x).all():
        return None
    entry = np.clip(np.rint(x / y) - first, 0, top)
    a = entry + first
    above, below = (2.0 * a + 1.0) * y - 2.0 * x, 2.0 * x - (2.0 * a - 1.0) * y
    leads = ((above >= least) | (entry == top)) & ((below >= least) | (entry == 0))
    return entry.astype(np.int64) if leads.all() else None


__all__ = ["ALL", "LAST", "Counting", "counter"]
