"""The machine library: circuits of attention heads and gated neurons, built by hand and by name.

A `Graph` is a value: tokens with embedding features, variables computed from them, and the unembedding. It knows nothing
of layers or slots; `build.build(graph)` assigns those and fills the matrices. Everything is computed at every position.

Exactness: values are integers or dyadic fractions below 2^53, so every primitive below returns exact numbers, with one
exception: a cumulative sum carries the rounding of softmax (about 1e-13 relative), which a lookup or the unembedding takes off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .expr import Expr, Number, Variable, total

# exp(-HARDNESS) is below half a unit in the last place of float64: a key this far behind has no weight at all.
HARDNESS = 64.0
# Longest sequence for which "latest wins" is aimed to be exact under real softmax, as a power of two.
ENVELOPE_BITS = 14
# Bits of a float64 that a score may use before "+ eps * n" gets rounded.
SCORE_BITS = 52
# Keys of a parabola: 2ab - a^2 stays below 2^54 and even, so it is exact.
MAX_KEY_BITS = 26


@dataclass(eq=False)
class Lookup:
    """Heads that share query and key. query, key: two linear forms each (the key's temperature 1, the query's is HARDNESS/eps).

    kind: "uniform", "relative", "latest", "nearest" (for names and checks; the matrices say it all).
    outputs: (value form, variable it is added to). limit: tokens for which real softmax is exact (0: no bound).
    """

    name: str
    kind: str
    query: tuple[Expr, Expr]
    key: tuple[Expr, Expr]
    limit: int = 0
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
        self._neurons: dict[tuple, Neuron] = {}
        self._lookups: dict[tuple, Lookup] = {}
        self.one = Variable("one", self)
        self.position = Variable("position", self)
        self.position_squared = Variable("position^2", self)

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

    def _written_by(self, variable: Variable, unit: Lookup | Neuron) -> None:
        self.writers.setdefault(variable, []).append(unit)

    # -- attention ------------------------------------------------------------------------------------------------

    def _lookup(
        self,
        name: str,
        kind: str,
        query: tuple[Number, Number],
        key: tuple[Number, Number],
        limit: int,
        own: bool = False,
    ) -> Lookup:
        q, k = tuple(Expr.of(x) for x in query), tuple(Expr.of(x) for x in key)
        identity = (kind, name if own else "", *(x.key() for x in (*q, *k)))
        if identity not in self._lookups:
            self._lookups[identity] = Lookup(name, kind, (q[0], q[1]), (k[0], k[1]), limit)
            self.lookups.append(self._lookups[identity])
        return self._lookups[identity]

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

    def mean(self, values: dict[str, Number]) -> list[Variable]:
        """Uniform attention (q = k = 0): the mean of each value over positions 0..t."""
        zero = (0.0, 0.0)
        return self._read(self._lookup("uniform", "uniform", zero, zero, 0), values)

    def cumulative_sum(self, values: dict[str, Number]) -> list[Variable]:
        """sum over positions 0..t of each value: relu(n) * mean, n = t + 1. Rounded at about 1e-16 * sum of |value|."""
        means = self.mean({f"{name}.mean": value for name, value in values.items()})
        return [self.product(self.position, mean, name) for name, mean in zip(values, means)]

    def relative(
        self, offset: int, values: dict[str, Number], into: dict[str, Variable] | None = None, name: str = ""
    ) -> list[Variable]:
        """The values `offset` >= 1 positions back (query n - offset, key n); before the start: those of position 0.

        into: variables to add to, by value name, instead of new ones. All values of one offset share their heads, unless
        they have a name of their own: values that depend on each other must.
        """
        query = (HARDNESS * (self.position - offset), HARDNESS)
        key = (2.0 * self.position, -self.position_squared)
        return self._read(
            self._lookup(name or f"relative.{offset}", "relative", query, key, 0, bool(name)), values, into
        )

    def latest(self, name: str, values: dict[str, Number], off: Number) -> list[Variable]:
        """The values at the latest position where `off` is 0 (off: 0 or >= 1). Needs one such position."""
        eps = 2.0 ** -(ENVELOPE_BITS + 1)
        key = (0.0, eps * self.position - 2.0 * Expr.of(off))
        lookup = self._lookup(name, "latest", (0.0, HARDNESS / eps), key, 2**ENVELOPE_BITS)
        return self._read(lookup, values)

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
        latest wins; without it keys must be unique. Raises ValueError when the scores would not be exact.
        """
        if key_bits > MAX_KEY_BITS:
            raise ValueError(f"{name}: keys of {key_bits} bits, their squares are exact only up to {MAX_KEY_BITS}")
        if key_squared is None:
            key_squared = self.square(key, f"{name}.key^2")
        eps_bits = min(ENVELOPE_BITS + 1, SCORE_BITS - 2 * key_bits - 1) if latest else 0
        limit = 2 ** (eps_bits - 1) if latest and eps_bits > 0 else 0
        eps = 2.0**-eps_bits if latest else 0.0
        # Farther than any two keys are apart. Built from two factors, so that no single weight is huge.
        half = 2.0 ** (key_bits + 1)
        off = Expr.of(off)
        penalty = self.product(half * off, half, f"{name}.off") if off.terms else Expr({})
        score = eps * self.position - Expr.of(key_squared) - penalty
        temperature = HARDNESS / eps if latest else HARDNESS
        query = Expr.of(query)
        head = self._lookup(
            name,
            "nearest",
            (temperature * query, temperature),
            (2.0 * Expr.of(key), score),
            max(limit, 1) if latest else 0,
        )
        return self._read(head, values)

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
        return variable

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

    def one_hot(self, x: Number, low: int, high: int, name: str) -> list[Variable]:
        """[x == k] for k = low..high, x an integer: second differences of ramps, relu(x-k+1) - 2 relu(x-k) + relu(x-k-1)."""
        result, x = [], Expr.of(x)
        for k in range(low, high + 1):
            variable = Variable(f"{name}={k}", self)
            for offset, weight in ((1, 1.0), (0, -2.0), (-1, 1.0)):
                self.add_neuron(x - (k - offset), 1.0, variable, weight)
            result.append(variable)
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
        return variable

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


def bits_for(size: int) -> int:
    """Bits of the integers below size."""
    return max(1, math.ceil(math.log2(max(size, 2))))


__all__ = ["Expr", "Graph", "Lookup", "Neuron", "Variable", "bits_for", "total"]
