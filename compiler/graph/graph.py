"""The machine library: circuits of attention heads and gated neurons, built by hand and by name.

A `Graph` is a value: tokens with embedding features, variables computed from them, and the unembedding. It knows nothing
of layers or slots; `build.build(graph)` assigns those and fills the matrices. Everything is computed at every position.

Exactness: values are integers or dyadic fractions below 2^53, so every primitive below returns exact numbers, with one
exception: a cumulative sum carries the rounding of softmax (about 1e-13 relative), which a lookup or the unembedding takes off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..format.certificate import GAP, POSITION_BITS, SCORE_BITS, HeadBound, uniform_tokens
from ..format.transformer import HEAD_DIM
from .expr import Expr, Number, Variable, total
from .ranges import Range

# Keys of a parabola: 2ab - a^2 stays below 2^54 and even, so it is exact.
MAX_KEY_BITS = 26
# Positions have at most 32 bits: the bound of a head that knows no other.
UNBOUNDED = 2**32 - 1
# The longest sequence for which "the latest of equal keys" is aimed at, as a power of two, where scores leave room for it.
LATEST_BITS = 30


@dataclass(eq=False)
class Lookup:
    """Heads that share query and key. query, key: linear forms, as many of one as of the other, at most HEAD_DIM.

    kind: see `certificate.HeadBound` (for names and checks; the matrices say it all). bound: None where nothing is claimed.
    outputs: (value form, variable it is added to).
    """

    name: str
    kind: str
    query: tuple[Expr, ...]
    key: tuple[Expr, ...]
    bound: HeadBound | None = None
    outputs: list[tuple[Expr, Variable]] = field(default_factory=list)


@dataclass(eq=False)
class Neuron:
    """relu(gate) * up, added with a weight to each output variable."""

    name: str
    gate: Expr
    up: Expr
    outputs: list[tuple[float, Variable]] = field(default_factory=list)


@dataclass(eq=False)
class Block:
    """An extra parabola in the unembedding: token ids first..first+count-1 get 2 v G1 - v^2 G2 - penalty, v = id - first."""

    first: int
    count: int
    g1: Expr
    g2: Expr
    penalty: Expr


class Graph:
    """Builds a transformer out of named primitives. See each method for its formula and range."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.token_ids: dict[str, int] = {}
        self.lookups: list[Lookup] = []
        self.neurons: list[Neuron] = []
        self.writers: dict[Variable, list[Lookup | Neuron]] = {}
        self.prefix: list[int] = []
        self.index: tuple[Expr, Expr] | None = None
        self.blocks: list[Block] = []
        self.others_penalty = Expr({})
        self.emittable = 0
        self.probes: dict[str, Variable] = {}
        self.declared: dict[Variable, Range] = {}
        self._neurons: dict[tuple, Neuron] = {}
        self._lookups: dict[tuple, Lookup] = {}
        self.fields: dict[str, Expr] = {}  # of the row that is executed, in a machine
        self.one = Variable("one", self)
        self.position = Variable("position", self)
        self.position_squared = Variable("position^2", self)
        self.first_position = 1.0  # the position of the first token

    # -- tokens and embedding -------------------------------------------------------------------------------------

    def token(self, name: str, features: dict[Variable, float] | None = None) -> int:
        """Adds a vocabulary entry with the given embedding features; returns its id (ids count up from 0)."""
        if name in self.token_ids:
            raise ValueError(f"token {name} exists already")
        token = self.token_ids[name] = len(self.tokens)
        self.tokens.append(name)
        for variable, value in (features or {}).items():
            if value:
                variable.embedding[token] = variable.embedding.get(token, 0.0) + float(value)
        return token

    def feature(self, name: str) -> Variable:
        """A variable that the embedding writes: its value at a position is the token's entry (default 0)."""
        return Variable(name, self)

    def declare(self, variable: Variable, low: float, high: float, lowest: int = 0) -> Variable:
        """Says that the variable is a multiple of 2^lowest in low..high at every position, where that does not follow from what
        is added to it taken by itself (see `ranges`). Returns it."""
        self.declared[variable] = Range(low, high, lowest)
        return variable

    def _written_by(self, variable: Variable, unit: Lookup | Neuron) -> None:
        self.writers.setdefault(variable, []).append(unit)

    decides = False  # whether floors are decided before the logits

    def use_byte_table(
        self, byte: Variable, squared: Variable, off: Variable, floor: Variable, residues: Sequence[Variable]
    ) -> None:
        """Tells of the byte table, see `StockGraph`; here positions are an input and nothing needs it."""

    # -- attention ------------------------------------------------------------------------------------------------

    def _lookup(
        self,
        bound: HeadBound | None,
        query: Sequence[Number],
        key: Sequence[Number],
        name: str = "uniform",
        own: bool = False,
    ) -> Lookup:
        name, kind = (bound.head, bound.kind) if bound else (name, "uniform")
        q, k = (tuple(Expr.of(x) for x in components) for components in (query, key))
        if len(q) != len(k) or len(q) > HEAD_DIM:
            raise ValueError(f"{name}: {len(q)} components of a query, {len(k)} of a key, at most {HEAD_DIM}")
        identity = (kind, name if own else "", *(x.key() for x in (*q, *k)))
        found = self._lookups.get(identity)
        if found is None:
            found = self._lookups[identity] = Lookup(name, kind, q, k, bound)
            self.lookups.append(found)
        elif bound and (found.bound is None or bound.tokens < found.bound.tokens):
            found.bound = bound
        return found

    def _read(
        self, lookup: Lookup, values: dict[str, Number], into: dict[str, Variable] | None = None
    ) -> list[Variable]:
        result = []
        for name, value in values.items():
            variable = (into or {}).get(name) or Variable(name, self)
            lookup.outputs.append((Expr.of(value), variable))
            self._written_by(variable, lookup)
            result.append(variable)
        return result

    def mean(self, values: dict[str, Number], partial: float | None = None) -> list[Variable]:
        """Uniform attention (q = k = 0): the mean of each value over positions 0..t. partial: see `cumulative_sum`."""
        bound = HeadBound("uniform", "uniform", uniform_tokens(partial), partial=partial) if partial else None
        return self._read(self._lookup(bound, (), ()), values)

    def cumulative_sum(self, values: dict[str, Number], partial: float | None = None) -> list[Variable]:
        """sum over positions 0..t of each value: relu(n) * mean, n = t + 1.

        partial: no sum over positions s..t is larger. Then n tokens give sums of integers that are off by less than
        n * partial * 2^-52, and n is bounded so that this is below 1/4. Without it nothing is claimed.
        """
        means = self.mean({f"{name}.mean": value for name, value in values.items()}, partial)
        return [self.product(self.position, mean, name) for name, mean in zip(values, means)]

    def relative(
        self, offset: int, values: dict[str, Number], into: dict[str, Variable] | None = None, name: str = ""
    ) -> list[Variable]:
        """The values `offset` >= 1 positions back (query n - offset, key n); before the start: those of position 0.

        into: variables to add to, by value name, instead of new ones. All values of one offset share their heads, unless
        they have a name of their own: values that depend on each other must. Exact for 2^26 tokens: n^2 < 2^52.
        """
        bound = HeadBound(name or f"relative.{offset}", "relative", 2**POSITION_BITS - 1, 2 * POSITION_BITS + 1, 0, GAP)
        query = (GAP * (self.position - offset), GAP)
        key = (2.0 * self.position, -self.position_squared)
        return self._read(self._lookup(bound, query, key, own=bool(name)), values, into)

    def rounded(self, name: str, x: Number, spacing: float = 1.0) -> Variable:
        """The integer nearest to x, for 1 <= x <= n (before and beyond: 1 and n): the position nearest to it, score
        2 x n - n^2 = x^2 - (x - n)^2.

        spacing: x is i * spacing + spacing / 2 for an integer i, or, with spacing 1, an integer; it may be off by spacing / 4.
        """
        temperature = GAP * 2.0 / spacing
        bits = 2 * POSITION_BITS + 1
        bound = HeadBound(name, "rounding", 2**POSITION_BITS - 1, bits, 0, temperature * spacing / 2.0)
        query = (temperature * Expr.of(x), temperature)
        key = (2.0 * self.position, -self.position_squared)
        return self._read(self._lookup(bound, query, key), {name: self.position})[0]

    def latest(self, name: str, values: dict[str, Number], off: Number) -> list[Variable]:
        """The values at the latest position where `off` is 0 (off: 0 or >= 1). Needs one such position.

        Score eps n - 2 off with eps = 2^-(LATEST_BITS + 1), so that eps n < 1.
        """
        eps = 2.0 ** -(LATEST_BITS + 1)
        bound = HeadBound(name, "latest", 2**LATEST_BITS, LATEST_BITS + 2, -LATEST_BITS - 1, GAP)
        key = (eps * self.position - 2.0 * Expr.of(off),)
        return self._read(self._lookup(bound, (GAP / eps,), key), values)

    def lookup(
        self,
        name: str,
        query: Number,
        key: Number,
        values: dict[str, Number],
        *,
        off: Number = 0.0,
        key_squared: Number | None = None,
        key_bits: int = 20,
        latest: bool = True,
    ) -> list[Variable]:
        """Parabola lookup: the values at the position whose key is nearest to the query (score 2ab - a^2 = b^2 - (a-b)^2).

        query, key: integers with |x| < 2^key_bits (key_bits <= 26); off: 0 where the key counts, >= 1 where it must
        never win; key_squared: the key's square where a variable holds it already. latest: among equal keys the
        latest wins; without it keys must be unique, and the query may be off by 1/4. Raises ValueError when the scores
        would not be exact.
        """
        if key_bits > MAX_KEY_BITS:
            raise ValueError(f"{name}: keys of {key_bits} bits, their squares are exact only up to {MAX_KEY_BITS}")
        if key_squared is None:
            key_squared = self.square(key, f"{name}.key^2")
        # Bits that eps n may take: below the 2 key_bits + 1 of the scores, and of a double.
        eps_bits = min(LATEST_BITS + 1, SCORE_BITS - 1 - 2 * key_bits - 1) if latest else 0
        slope = abs(Expr.of(key).terms.get(self.position, 0.0))  # keys that count up are exact as far as their squares are
        unbounded = int(2**POSITION_BITS / slope) - 1 if slope else UNBOUNDED
        tokens = max(1, 2 ** (eps_bits - 1) if eps_bits > 0 else 0) if latest else unbounded
        eps = 2.0**-eps_bits if latest else 0.0
        # Farther than any two keys are apart. Built from two factors, so that no single weight is huge.
        half = 2.0 ** (key_bits + 1)
        off = Expr.of(off)
        penalty = self.product(half * off, half, f"{name}.off") if off.terms else Expr({})
        score = eps * self.position - Expr.of(key_squared) - penalty
        temperature = GAP / eps if latest else 2.0 * GAP
        bound = HeadBound(name, "nearest", tokens, 2 * key_bits + 1 + max(eps_bits, 0), -eps_bits, GAP)
        query = Expr.of(query)
        head = self._lookup(bound, (temperature * query, temperature), (2.0 * Expr.of(key), score))
        return self._read(head, values)

    def at_position(self, name: str, query: Number, values: dict[str, Number], *, off: Number, limit: int) -> list[Variable]:
        """The values at a position, the nearest one to the query where `off` is 0: parabola lookup with key n.

        query: at most `limit`; it may be off by 1/4. off: as for `lookup`. Exact for 2^26 tokens: n^2 < 2^52.
        """
        return self.lookup(
            name, query, self.position, values,
            off=off, key_squared=self.position_squared, key_bits=max(bits_for(limit), 10), latest=False,
        )  # fmt: skip

    def paraboloid(
        self,
        name: str,
        query: Sequence[Number],
        key: Sequence[Number],
        values: dict[str, Number],
        *,
        floor: Variable,
        sizes: Sequence[int],
        extent: float = 0.0,
        off: Number = 0.0,
        key_squared: Number | None = None,
        position_bits: int = LATEST_BITS,
    ) -> list[Variable]:
        """Exact match or 0: the values at the latest position whose k digits are those of the query, 0 where there is none.

            key     (2 a_1, ..., 2 a_k,  -|a|^2 + eps n - off,  1)      floor: (0, ..., 0, -1/2, 0)
            query   K (b_1, ..., b_k,    1,  -|b|^2 - eps m)             eps = 2^-(position_bits + 1), K = 1024 / eps
            score / K = -|a - b|^2 - eps (m - n) - off;                  floor: -1/2

        query, key: digits, integers, the lowest first; digit i lies in 0 .. sizes[i] - 1 and is centred here, at sizes[i] / 2.
        extent: how far the highest one may be from its centre, where that is more than half its size. off: 0 where the key
        counts, an integer >= 1 elsewhere. floor: 1 at the first token of the prefix and 0 elsewhere; there off, all values and
        the key's digits must be 0. key_squared: what `centred_square` gave for the same key. Exact for 2^position_bits
        tokens: the least difference of two scores is K eps = 1024, and
        their partial sums have few enough bits. Raises ValueError when they have too many.
        """
        eps = 2.0 ** -(position_bits + 1)
        # |2ab| + a^2 + b^2 of every digit, and what a penalty and the floor add.
        farthest = _farthest(sizes, extent)
        reach = sum(4.0 * x * x for x in farthest) + 4.0
        bits = math.ceil(math.log2(reach)) + position_bits + 1
        if bits > SCORE_BITS:
            raise ValueError(
                f"{name}: scores of {bits} bits for digits of sizes {list(sizes)} and 2^{position_bits} tokens"
            )
        bound = HeadBound(name, "paraboloid", 2**position_bits, bits, -position_bits - 1, GAP)
        if key_squared is None:
            key_squared = self.centred_square(f"{name}.key^2", key, sizes, floor, extent)
        a = self._centred(key, sizes, 1.0 - floor)
        b = self._centred(query, sizes, Expr.of(1.0))
        b_squared = self._norm(f"{name}.query^2", b, farthest)
        score = eps * self.position - Expr.of(key_squared) - Expr.of(off) - (0.5 + eps * self.first_position) * floor
        temperature = GAP / eps
        head = self._lookup(
            bound,
            [*(temperature * x for x in b), temperature, -temperature * (b_squared + eps * self.position)],
            [*(2.0 * x for x in a), score, 1.0 - floor],
        )
        return self._read(head, values)

    def centred_square(
        self, name: str, digits: Sequence[Number], sizes: Sequence[int], floor: Variable, extent: float = 0.0
    ) -> Variable:
        """|a|^2 of a key's centred digits, for lookups that share it."""
        return self._norm(name, self._centred(digits, sizes, 1.0 - floor), _farthest(sizes, extent))

    def _centred(self, digits: Sequence[Number], sizes: Sequence[int], where: Expr) -> list[Expr]:
        return [Expr.of(x) - size / 2.0 * where for x, size in zip(digits, sizes, strict=True)]

    def _norm(self, name: str, digits: Sequence[Expr], farthest: Sequence[float]) -> Variable:
        norm = self.gated(name, *(pair for x in digits for pair in ((x, x), (-x, -x))))
        return self.declare(norm, 0.0, sum(x * x for x in farthest))

    # -- neurons --------------------------------------------------------------------------------------------------

    def add_neuron(self, gate: Number, up: Number, output: Variable, weight: float = 1.0) -> None:
        """output += weight * relu(gate) * up."""
        gate, up = Expr.of(gate), Expr.of(up)
        if (not gate.terms and gate.constant <= 0) or (not up.terms and not up.constant):
            return
        identity = (gate.key(), up.key())
        neuron = self._neurons.get(identity)
        if neuron is None:
            neuron = self._neurons[identity] = Neuron(output.name, gate, up)
            self.neurons.append(neuron)
        neuron.outputs.append((weight, output))
        self._written_by(output, neuron)

    def gated(self, name: str, *terms: tuple[Number, Number]) -> Variable:
        """sum of relu(gate) * up over the (gate, up) pairs: with gates in {0, 1} and at most one of them 1, a switch."""
        variable = Variable(name, self)
        for gate, up in terms:
            self.add_neuron(gate, up, variable)
        return variable

    def product(self, a: Number, b: Number, name: str = "product") -> Variable:
        """a * b for a >= 0 (relu(a) * b in general); exact while |a * b| < 2^53."""
        return self.gated(name, (a, b))

    def step(self, x: Number, name: str = "step") -> Variable:
        """1 if x >= 0 else 0, for integers |x| < 2^51: relu(2x + 1.5) - relu(2x + 0.5)."""
        variable, x = Variable(name, self), Expr.of(x)
        self.add_neuron(2.0 * x + 1.5, 1.0, variable)
        self.add_neuron(2.0 * x + 0.5, 1.0, variable, -1.0)
        return self.declare(variable, 0.0, 1.0)

    def staircase(self, x: Number, first: float, spacing: float, steps: int, name: str) -> Variable:
        """How many of first, first + spacing, ..., so many numbers, an integer |x| < 2^51 is not below: steps in one variable."""
        variable, x = Variable(name, self), Expr.of(x)
        for k in range(steps):
            self.add_neuron(2.0 * (x - (first + k * spacing)) + 1.5, 1.0, variable)
            self.add_neuron(2.0 * (x - (first + k * spacing)) + 0.5, 1.0, variable, -1.0)
        return self.declare(variable, 0.0, float(steps))

    def square(self, x: Number, name: str = "square") -> Variable:
        """x * x, for integers |x| < 2^26."""
        x = Expr.of(x)
        return self.gated(name, (x, x), (-x, -x))

    def select(self, condition: Number, a: Number, b: Number, name: str = "select") -> Variable:
        """a if condition == 1, b if condition == 0."""
        return self.gated(name, (condition, a), (1.0 - Expr.of(condition), b))

    def relu(self, x: Number, name: str = "relu") -> Variable:
        """max(x, 0)."""
        return self.gated(name, (x, 1.0))

    def cut_off(self, x: Number, most: float, name: str) -> Variable:
        """x, but at least 0 and at most `most`: relu(x) - relu(x - most)."""
        variable, x = Variable(name, self), Expr.of(x)
        self.add_neuron(x, 1.0, variable)
        self.add_neuron(x - most, 1.0, variable, -1.0)
        return self.declare(variable, 0.0, most)

    def one_hot(self, x: Number, low: int, high: int, name: str) -> list[Variable]:
        """[x == k] for k = low..high, x an integer: second differences of ramps, relu(x-k+1) - 2 relu(x-k) + relu(x-k-1)."""
        result, x = [], Expr.of(x)
        for k in range(low, high + 1):
            variable = Variable(f"{name}={k}", self)
            for offset, weight in ((1, 1.0), (0, -2.0), (-1, 1.0)):
                self.add_neuron(x - (k - offset), 1.0, variable, weight)
            result.append(self.declare(variable, 0.0, 1.0))
        return result

    def table(self, x: Number, values: list[float], low: int = 0, name: str = "table") -> Variable:
        """values[x - low] for an integer x in low..low+len(values)-1; constant outside. A piecewise-linear function
        with a knee at each integer: one neuron per value at which the slope changes."""
        variable, x = Variable(name, self), Expr.of(x)
        self.add_neuron(1.0, values[0], variable)
        slope = 0.0
        for k, (here, there) in enumerate(zip(values, [*values[1:], values[-1]])):
            if there - here != slope:
                self.add_neuron(x - (low + k), there - here - slope, variable)
                slope = there - here
        return self.declare(variable, min(values), max(values))

    # -- floors ---------------------------------------------------------------------------------------------------

    def nearest(self, name: str, *terms: tuple[Number, float, Expr], spacing: float, limit: int) -> Expr:
        """base + the integer nearest to y, of the term (gate, base, y) whose gate is 1; 0 if there is none.

        y lies between -1/2 and limit - 1/2 and is at least spacing / 2 from the middle between two integers. Here the decision is
        left to the unembedding: base + y.
        """
        return Expr.of(self.gated(name, *((gate, y + base) for gate, base, y in terms)))

    def settled(self, name: str, y: Expr, spacing: float, limit: int) -> Expr:
        """The integer nearest to y, as above; here y itself."""
        return y

    # -- unembedding ----------------------------------------------------------------------------------------------

    def unembed(self, index: Number, scale: Number = 1.0, *, emittable: int | None = None) -> None:
        """The next token is the id nearest to index / scale: logit(id) = 2 id * index - id^2 * scale for ids below
        `emittable` (default: all tokens); every other token has logit -1, below the best of the parabola, which is >= 0."""
        self.index = (Expr.of(index), Expr.of(scale))
        self.emittable = len(self.tokens) if emittable is None else emittable

    def unembed_block(self, first: int, count: int, g1: Number, g2: Number, penalty: Number) -> None:
        """Adds 2 v g1 - v^2 g2 - penalty to the logits of ids first + v, v < count: a parabola of a block's own."""
        self.blocks.append(Block(first, count, Expr.of(g1), Expr.of(g2), Expr.of(penalty)))

    def penalise_others(self, penalty: Number) -> None:
        """Subtracts a penalty from every emittable token that is in no block."""
        self.others_penalty = Expr.of(penalty)

    def probe(self, name: str, variable: Variable) -> None:
        """Lets engines read this variable out at every position under that name."""
        self.probes[name] = variable


def _farthest(sizes: Sequence[int], extent: float) -> list[float]:
    """How far each digit may be from its centre."""
    return [size / 2.0 for size in sizes[:-1]] + [max(sizes[-1] / 2.0, extent)]


def bits_for(size: int) -> int:
    """Bits of the integers below size."""
    return max(1, math.ceil(math.log2(max(size, 2))))


__all__ = ["Expr", "Graph", "Lookup", "Neuron", "Variable", "bits_for", "total"]
