"""The machine library for the stock form: no position input, reads rounded to float32, every decision made before the logits.

The same primitives as `Graph`, made of other heads and neurons. The position comes out of a mean; heads that look positions up
use their digits; what is rounded is looked up in the byte table of the prefix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..format.certificate import GAP, HeadBound
from .expr import Expr, Number, Variable, total
from .graph import Graph, bits_for
from .ranges import Range

# Positions have three digits of a byte.
POSITION_BITS = 24
LAST = 2**POSITION_BITS - 1
# The byte table stands at positions 2 .. 257, and no other byte before position 259.
TABLE_END = 258.0
# Relative heads tell positions apart modulo this, and prefer the latest.
RESIDUES = 8
# A score is told from another one by a softmax in float32 where it leads by so much: exp(-104) is 0 there.
LEAD = 2.0 * GAP
# Squares up to here are exact in the float32 to which a score may be cast, with room for differences of 1/2.
PLAIN_ROWS = 4096
# Logits of ids up to so far from their middle are exact in float32: 2 id F - id^2 below 2^24.
PLAIN_IDS = 4096


class StockGraph(Graph):
    """See the module. `use_byte_table` has to be called before any other primitive."""

    decides = True

    def __init__(self) -> None:
        super().__init__()
        self.first_position = 0.0
        self.cuts: dict[Variable, Variable] = {}  # a variable, and what is left of it in the same slot once it is cut

    def use_byte_table(
        self, byte: Variable, squared: Variable, off: Variable, floor: Variable, residues: Sequence[Variable]
    ) -> None:
        """The table that the 256 tokens behind the first one are. byte: its number v; squared: v^2; off: 1 where no byte
        is; floor: 1 at the first token; residues: one-hot v mod 8. All are embedding features."""
        self._byte, self._squared, self._first = byte, squared, floor
        share = self.mean({"1/n": floor}, 1.0)[0]
        self.declared[share] = Range(0.0, 1.0, None)
        # 1 up to the last position of the table, 0 behind it: a ramp that 1/257 and 1/259 lie on both sides of.
        steep = 2.0**17
        early = Variable("in byte table", self)
        self.add_neuron(steep * (share - 1.0 / TABLE_END), 1.0, early)
        self.add_neuron(steep * (share - 1.0 / TABLE_END) - 1.0, 1.0, early, -1.0)
        self.declare(early, 0.0, 1.0)
        self._no_entry = off + 1.0 - early
        self._position(self.cut(share), residues)

    def _position(self, share: Expr, residues: Sequence[Variable]) -> None:
        """n's digits, from m = 1/n, the highest first: with r = n - (digits so far), the digit d of size B is the integer
        nearest to (r - B/2 + 1/2) / B, so that the score, times m, is 2 d (r m - (B - 1) m / 2) - d^2 B m."""
        digits: list[Variable] = []
        rest = Expr.of(1.0)  # r m
        left: list[tuple[Expr, float]] = []
        for place in (2, 1, 0):
            size = 256.0**place
            centre = 0.0 if place == 2 else 128.0
            score = Expr.of(rest) - ((size - 1.0) / 2.0 + centre * size) * share
            values: dict[str, Number] = {f"n/256^{place}": self._byte}
            if not place:
                values |= {f"n mod 8 = {i}": r for i, r in enumerate(residues)}
            found = self._table(f"position.{place}", score, size * share, centre, LEAD * 2.0**POSITION_BITS, values)
            digits.append(self.declare(found[0], 0.0, 255.0))
            self._residues = [self.declare(v, 0.0, 1.0) for v in found[1:]]
            # All in one variable, so that the residual stream subtracts it with 53 bits before it is read.
            left.append((Expr.of(found[0]), size))
            remainder = Variable(f"left below 256^{place}", self)
            self.add_neuron(1.0, 1.0, remainder)
            for digit, unit in left:
                self.add_neuron(digit, unit * share, remainder, -1.0)
            self.declared[remainder] = Range(-(2.0**24), 2.0**24, None)
            rest = Expr.of(remainder)
        high, middle, low = digits
        self.position = 65536.0 * high + 256.0 * middle + low  # type: ignore[assignment]

    def cut(self, x: Variable, name: str = "") -> Expr:
        """x as a sum of two variables that float32 reads: fl32(x) and the rest. Whatever else reads x runs in the same MLP."""
        name = name or x.name
        high, rest = Variable(f"{name} high", self), Variable(f"{name} low", self)
        self.cuts[x] = rest
        self.add_neuron(1.0, x, high)
        self.add_neuron(1.0, x, rest, -1.0)
        for part in (high, rest):
            known = self.declared[x]
            self.declared[part] = Range(-known.most, known.most, None)
        return high + rest

    def _table(
        self, name: str, score: Expr, scale: Expr, centre: float, temperature: float, values: dict[str, Number],
        norm: Expr | None = None,
    ) -> list[Variable]:
        """Looks up the byte v with the largest 2 c score - c^2 scale - norm, c = v - centre. Entries of the table alone count:
        everything else is penalised by a unit, which is as far as the winner leads or more."""
        byte, squared = Expr.of(self._byte), Expr.of(self._squared)
        if centre:
            squared = squared - 2.0 * centre * byte + centre * centre
        norm = norm or Expr({})
        query = (temperature * score, temperature * scale, Expr.of(temperature), temperature * norm)
        key = (2.0 * (byte - centre), -squared, -Expr.of(self._no_entry), Expr.of(-1.0))
        used = [i for i, q in enumerate(query) if q.terms or q.constant]
        bound = HeadBound(name, "nearest", LAST, 53, 0, GAP)
        head = self._lookup(bound, [query[i] for i in used], [key[i] for i in used])
        return self._read(head, values)

    def mean(self, values: dict[str, Number], partial: float | None = None) -> list[Variable]:
        made = super().mean(values, partial)
        if partial:
            self.declared |= {variable: Range(-partial, partial, None) for variable in made}
        return made

    def cumulative_sum(self, values: dict[str, Number], partial: float | None = None) -> list[Variable]:
        if partial is None:
            raise ValueError("a sum without a bound has no stock form")
        means = self.mean({f"{name}.mean": value for name, value in values.items()}, partial)
        sums = [self.product(self.position, self.cut(mean), name) for name, mean in zip(values, means, strict=True)]
        for variable in sums:
            self.declared[variable] = Range(-partial, partial, None)
        return sums

    def relative(
        self, offset: int, values: dict[str, Number], into: dict[str, Variable] | None = None, name: str = ""
    ) -> list[Variable]:
        """The latest position whose residue is that of n - offset: score eps n - eps m - [another residue]."""
        if not 0 < offset < RESIDUES:
            raise ValueError(f"relative heads of the stock form reach {RESIDUES - 1} positions back, not {offset}")
        eps = 2.0 ** -(POSITION_BITS + 1)
        temperature = LEAD / eps / RESIDUES
        bound = HeadBound(name or f"relative.{offset}", "relative", LAST, POSITION_BITS + 2, -POSITION_BITS - 1, GAP)
        wanted: list[Number] = [temperature * self._residues[(i + offset) % RESIDUES] for i in range(RESIDUES)]
        query: list[Number] = [*wanted, Expr.of(temperature), -temperature * (1.0 + eps * self.position)]
        key: list[Number] = [*self._residues, eps * self.position, Expr.of(1.0)]
        return self._read(self._lookup(bound, query, key, own=bool(name)), values, into)

    def rounded(self, name: str, x: Number, spacing: float = 1.0) -> Variable:
        """The integer nearest to x, for 1 <= x <= 256: that of x - 1 in the byte table, and 1."""
        y = Expr.of(x) - 1.0
        return self._entry(name, y, y, spacing / 2.0, 256, 1.0)

    def _unread(self, variable: Variable) -> Variable:
        """For variables of which 24 bits are enough."""
        self.declared[variable] = Range(0.0, 2.0**24, None)
        return variable

    def lookup(
        self, name: str, query: Number, key: Number, values: dict[str, Number], *, off: Number = 0.0,
        key_squared: Number | None = None, key_bits: int = 20, latest: bool = True,
    ) -> list[Variable]:  # fmt: skip
        """In the byte table, or among unique keys below 2^key_bits, which are centred here."""
        query = Expr.of(query)
        if key is self._byte:
            return self._table(name, query - 128.0, Expr.of(1.0), 128.0, LEAD, values)
        if latest or key_squared is None:
            raise ValueError(f"{name}: keys that are not unique have no stock form")
        centre = 2.0 ** (key_bits - 1)
        squared = Expr.of(key_squared) - 2.0 * centre * Expr.of(key) + centre * centre
        norm = Expr({})
        if 2**key_bits > PLAIN_ROWS:
            norm = Expr.of(self._unread(self.square(query - centre, f"{name}.query^2")))
        temperature = 2.0 * LEAD
        bound = HeadBound(name, "nearest", LAST, 53, 0, GAP)
        head = self._lookup(
            bound,
            (temperature * (query - centre), Expr.of(temperature), temperature * norm),
            (2.0 * (Expr.of(key) - centre), -squared - off, Expr.of(-1.0)),
        )
        return self._read(head, values)

    def at_position(self, name: str, query: Number, values: dict[str, Number], *, off: Number, limit: int) -> list[Variable]:
        """The values at a position, the nearest one to the query. Its key is min(n, limit + 2), whose square
        two pieces hold: farther positions are no nearer to any query, and `off`."""
        n = Expr.of(self.position)
        key = Variable(f"{name}.key", self)
        self.add_neuron(n, 1.0, key)
        self.add_neuron(n - (limit + 2.0), 1.0, key, -1.0)
        self.declare(key, 0.0, limit + 2.0)
        squared = self.square(key, f"{name}.key^2")
        return self.lookup(
            name, query, key, values, off=off, key_squared=squared, key_bits=max(bits_for(limit), 10), latest=False,
        )  # fmt: skip

    # -- decisions ------------------------------------------------------------------------------------------------

    def nearest(self, name: str, *terms: tuple[Number, float, Expr], spacing: float, limit: int) -> Expr:
        y = self.gated(f"{name}.undecided", *((gate, y) for gate, _, y in terms))
        self.declared[y] = Range(-1.0, float(limit), round(math.log2(spacing)) - 1)
        if y not in self.writers:
            return Expr({})
        base = total(base * Expr.of(gate) for gate, base, _ in terms)
        return base + self._decide(name, Expr.of(y), self.cut(y), spacing, limit)

    def settled(self, name: str, y: Expr, spacing: float, limit: int) -> Expr:
        return self._decide(name, y, y, spacing, limit) if y.terms else y

    def _decide(self, name: str, about: Expr, y: Expr, spacing: float, limit: int) -> Expr:
        """The integer nearest to y in 0 .. limit - 1, in one lookup, or two where that is more than the byte table has.
        about: y, or what of it can be read beforehand."""
        if limit <= 256:
            return Expr.of(self._entry(name, about, y, spacing, limit))
        high = self._entry(
            f"{name}/16", (about - 7.5) * 0.0625, (y - 7.5) * 0.0625, spacing / 16.0, limit // 16
        )  # fmt: skip
        rest = y - 16.0 * high
        return 16.0 * high + Expr.of(self._entry(f"{name} mod 16", rest, rest, spacing, 16))

    def _entry(self, name: str, about: Expr, y: Expr, spacing: float, limit: int, more: float = 0.0) -> Variable:
        """With -y^2 in the score, near enough, and 1/4: the winner's score is at least spacing, all others are below 0."""
        norm = self._unread(self.gated(f"{name}^2", (about, about)))
        found = self._table(
            name, y, Expr.of(1.0), 0.0, LEAD / spacing, {name: self._byte + more}, norm - 0.25
        )[0]  # fmt: skip
        return self.declare(found, 0.0, limit - 1.0 + more)

    def unembed(self, index: Number, scale: Number = 1.0, *, emittable: int | None = None) -> None:
        """logit(id) = 2 (id - c) (F - c) - (id - c)^2 - norm, F whole; c: the middle of the ids; norm: (F - c)^2, near
        enough, where logits would not be exact in float32 without it. -1 - norm for what cannot be emitted."""
        super().unembed(index, scale, emittable=emittable)
        self.middle, norm = float(self.emittable // 2), Expr({})
        if self.emittable > 2 * PLAIN_IDS:
            norm = Expr.of(self._unread(self.square(Expr.of(index) - self.middle, "id^2")))
        self.index = (Expr.of(index), norm)


__all__ = ["StockGraph"]
