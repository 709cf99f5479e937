"""The next token: its id is computed as one number, and the unembedding takes the nearest token.

    id = 256 place + floor(word / 256^place) mod 256      a digit D{place}.{v}: place and digit at once
    id = base + how many of the values that have a token are less       a whole value W.{v}
    id = base + small number                              jumps, carries, output bytes, traps
    id = base + floor(distance / B), base + distance mod B       the digits of a far jump

floor(x) is the integer nearest to x - 1/2 + h, where h is half the distance between possible values of x. A quotient's
digit needs a division by an operand: it has a parabola of its own, scaled by the square of the divisor.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from ..format.isa import TRAPS
from ..format.tokens import CARRIES
from ..graph.expr import Expr, Variable, total
from ..graph.graph import Graph
from .bytewise import Bytewise
from .floating_point import FloatResults
from .memory import Memory
from .state import State
from .wide_division import WideDivision
from .words import TIE, WORD, Division, Product, Words

# Tokens, steps and references are fewer.
ID_LIMIT = 2.0**23


class Place:
    """The place of the next digit, for operations that know it from their operands: stores and shifts select bytes by it.
    Word results find theirs later, in `output`."""

    def __init__(self, s: State, top: Expr):
        """top: the first digit's place where it does not depend on the result word."""
        g = s.graph
        fresh = Expr.of(s.features["fresh"])
        self.number = s.features["in_flight.place"] + g.product(fresh, top + s.field("full"), "first place")
        self.one_hot = g.one_hot(self.number, 0, s.architecture.places - 1, "place")


def output(
    s: State,
    place: Place,
    mem: Memory,
    prod: Product,
    div: Division | None,
    wide: WideDivision | None,
    byte: Bytewise,
    word: Words,
    condition: Expr,
    guarded: Expr,
    floats: FloatResults,
) -> None:
    """Adds the unembedding to the graph. guarded: 1 where the row's branch is taken, so that its step is not done."""
    g, ids = s.graph, s.architecture.ids
    fresh = Expr.of(s.features["fresh"])
    emit0, emit1 = _carries(s, prod, fresh)
    emitting = div.emitting if div else Expr({})
    emitting_wide = wide.emitting if wide else Expr({})
    # 1: a digit of the result word is due
    cutting = s.field("word") - emit0 - emit1 - emitting - emitting_wide - floats.digits.emitting
    flexible = cutting - s.field("store")
    whole, whole_index = _whole(s, fresh + flexible, word)
    number = s.features["in_flight.place"] + g.gated(
        "first place of word",
        (fresh - 1.0 + flexible, _significant(g, word, s.architecture.places)),
        (fresh, s.field("full")),
    )
    index = _digits(s, number, cutting - whole, word) + whole_index
    index = index + g.product(s.field("bytewise"), 256.0 * place.number + byte.digit, "bytewise id")
    index = index + g.nearest(
        "carry id",
        (emit0, ids["Q0"], WORD**-1 * (prod.low - TIE) + 0.5),
        (emit1, ids["Q1"], WORD**-1 * (prod.high + s.carry0 - TIE) + 0.5),
        spacing=WORD**-1,
        limit=max(CARRIES),
    )
    if div is not None and g.decides:
        index = index + _quotient_id(s, div)
    if wide is not None:
        index = index + wide.index
    of_step = index + floats.digits.index
    index = of_step + _control(s, condition) + _far(s, mem)
    traps = _traps(s, mem, [d for d in (div, wide) if d is not None], floats.traps)
    if guarded.terms:
        traps = [(Expr.of(g.gated("trap unless guarded", (flag - guarded, 1.0))), trap) for flag, trap in traps]
    if traps or guarded.terms:
        trapped = total(flag for flag, _ in traps)
        id_ = g.gated(
            "id", (1.0, index), (trapped, -index), (guarded, s.field("guard.taken") - of_step),
            *((flag, trap) for flag, trap in traps),
        )  # fmt: skip
        index = Expr.of(g.declare(id_, -ID_LIMIT, ID_LIMIT))
    if div is None or g.decides:
        g.unembed(index, 1.0, emittable=s.architecture.emitted)
    else:
        g.unembed(index, 1.0 - emitting, emittable=s.architecture.emitted)
        _quotient_digits(s, div)


def _carries(s: State, prod: Product, fresh: Expr) -> tuple[Expr, Expr]:
    """A product's carry is emitted when wrapping once would not do; first the low word's, then the high word's."""
    g = s.graph
    if not prod.low.terms:
        return Expr({}), Expr({})
    is0, is1 = Expr.of(s.features["is.Q0"]), Expr.of(s.features["is.Q1"])
    emit0 = g.product(fresh - is0 - is1, g.step(prod.low - 2.0 * WORD), "emit carry0")
    if not prod.high.terms:
        return Expr.of(emit0), Expr({})
    overflow = g.step(prod.high + s.carry0 - 2.0 * WORD + 2.0)
    emit1 = g.product(fresh - is1, overflow, "overflow.high")
    return Expr.of(emit0), Expr.of(g.gated("emit carry1", (emit1 - emit0, 1.0)))


def _significant(g: Graph, word: Words, places: int) -> Expr:
    """Index of the word's first non-zero byte (0 for a value below 256)."""
    low = total(g.step(word.low - 256.0**p, f"low>=256^{p}") for p in (1, 2, 3))
    if places == 4:
        return low
    upper = g.step(word.high - 1.0, "high>0")
    high = total(g.step(word.high - 256.0**p, f"high>=256^{p}") for p in (1, 2, 3))
    return low + high + g.product(upper, 4.0 - low)


def _digits(s: State, number: Expr, cutting: Expr, word: Words) -> Expr:
    """256 place + floor((word - digits so far) / 256^place), gated by `cutting`."""
    g = s.graph
    hot = g.one_hot(number + 8.0 * cutting - 8.0, 0, s.architecture.places - 1, "cut")
    terms = []
    for p, here in enumerate(hot):
        rest = (word.low - s.so_far_low) if p < 4 else (word.high - s.so_far_high)
        scale = 256.0 ** -(p % 4)
        terms.append((here, 256.0 * p, scale * rest + (scale / 2.0 - 0.5)))
    return g.nearest("digit id", *terms, spacing=256.0**-3, limit=256)


def _whole(s: State, begins: Expr, word: Words) -> tuple[Expr, Expr]:
    """1 where the word is said as a whole, else 0; and the id of its token, else 0. begins: 2 where its first token is due.

    The ids count up with the values, so a value's is the number of those below it.
    """
    g, whole = s.graph, s.architecture.whole
    if not whole:
        return Expr({}), Expr({})
    inside = [g.step(word.low - float(v.start), "whole>=") - g.step(word.low - float(v.stop), "whole>=") for v in whole]
    beyond = g.step(word.high - 1.0, "high>0") if word.high.terms else Expr({})
    said = g.declare(g.relu(begins + total(inside) - beyond - s.field("spelled") - 2.0, "whole"), 0.0, 1.0)
    firsts = accumulate(map(len, whole), initial=s.architecture.ids["W"])
    index = word.low + total(float(first - v.start) * here for first, v, here in zip(firsts, whole, inside, strict=False))
    if g.decides:  # then a number that is small wherever it is: how many of the values are below the word
        below = Variable("whole.below", g)
        for v in whole:
            g.add_neuron(word.low - float(v.start), 1.0, below)
            g.add_neuron(word.low - float(v.stop), 1.0, below, -1.0)
        index = s.architecture.ids["W"] + Expr.of(g.declare(below, 0.0, float(sum(map(len, whole)))))
    return Expr.of(said), Expr.of(g.product(said, index, "whole id"))


def _control(s: State, condition: Expr) -> Expr:
    """Ids that are a base ("next", added as it stands) plus a small number."""
    g = s.graph
    taken = g.product(s.field("branch"), condition, "taken")
    selector = g.product(s.field("br_table"), s.a.low, "br_table.index")
    beyond = g.relu(selector - s.field("cases"), "br_table.beyond")
    control = g.gated(
        "control id",
        (s.field("branch"), s.architecture.ids["N"]),
        (taken, s.field("taken")),
        (1.0, selector - beyond),
        (s.field("return"), s.return_caller),
        (s.field("call_indirect") - s.field("far.indirect"), s.a.low),
        (s.field("output"), s.a.bytes[0]),
    )
    return s.field("next") + g.declare(control, -ID_LIMIT, ID_LIMIT)


def _far(s: State, mem: Memory) -> Expr:
    """The ids of a far jump's tokens, as what is to be added to the field "next" or "taken".

    That is the id of X where the distance is known beforehand, and without the distance / B where it is looked up. Fields
    "far.second" and "far.third" lead from there to the ids of Y.0 or Z.0 and of F; the distance that is left is the
    whole one less what X has moved.
    """
    g = s.graph
    target = total(256.0**j * byte for j, byte in enumerate(mem.loaded[:4]))
    here = s.field("behind") - 1.0
    distance = g.gated(
        "far.distance",
        (s.field("far.table"), target - here),
        (s.field("far.return"), s.return_step - here),
    )
    g.declare(distance, -ID_LIMIT, ID_LIMIT)
    base = float(s.architecture.base)
    high = distance * (1.0 / base)
    if g.decides and (s.field("far.table").terms or s.field("far.return").terms):
        # The table has no negative numbers: B/2 more, and the floor is the integer nearest to what is 1/2 - 1/(2 B) less.
        looked_up, less = s.field("far.table") + s.field("far.return"), 0.5 - 0.5 / base
        y = high + (base / 2.0 - less) * looked_up
        high = g.settled("far.high digit", y, 1.0 / base, int(base)) - (base / 2.0 - less) * looked_up
    moved = g.product(s.field("far.return"), s.return_frame, "far.frame")
    return high + g.gated(
        "far id",
        (s.features["is.X"], s.field("far.second") + distance - high - s.features["far.high"]),
        (s.features["is.Z"], s.field("far.third") + moved - high),
    )


def _traps(
    s: State, mem: Memory, divisions: list[Division | WideDivision], floats: Sequence[tuple[Expr, str]]
) -> list[tuple[Expr, Expr]]:
    """(condition in {0, 1}, token id) of every trap that the program can meet; at most one condition holds."""
    g = s.graph
    trap_id = {kind: Expr.of(s.architecture.ids["T"] + k) for k, kind in enumerate(TRAPS)}
    traps = [(mem.out_of_bounds, s.field("trap"))] if s.field("trap").terms else []
    for div in divisions:
        traps += [(div.by_zero, trap_id["divide_by_zero"]), (div.overflow, trap_id["integer_overflow"])]
    traps += [(condition, trap_id[kind]) for condition, kind in floats]
    exhausted = Expr({})
    if s.field("call").terms:
        deep = g.step(s.frame + s.field("frame") - float(s.architecture.frame_limit), "too deep")
        exhausted = Expr.of(g.product(s.field("call"), deep, "stack exhausted"))
        traps.append((exhausted, trap_id["stack_exhausted"]))
    if s.field("call_indirect").terms:
        reference = s.a.low
        null = g.gated("null", (s.field("call_indirect") - exhausted - g.step(reference - 1.0), 1.0))
        outside = g.step(s.field("first") - reference - 1.0) + g.step(reference - s.field("end"))
        other = g.gated("other type", (s.field("call_indirect") - exhausted - null + outside - 1.0, 1.0))
        traps += [(Expr.of(null), trap_id["null_reference"] + s.field("null.trap")), (Expr.of(other), trap_id["type_mismatch"])]
    return traps


def _quotient_place(s: State, div: Division) -> list[Variable]:
    """One-hot place of the quotient's next digit, while one is due. First place: the number of p >= 1 with dividend >=
    divisor * 256^p."""
    g = s.graph
    first = total(g.step(div.dividend - 256.0**p * div.divisor, f"quotient>=256^{p}") for p in (1, 2, 3))
    number = s.features["in_flight.place"] + g.product(s.features["fresh"], first, "first place of quotient")
    return g.one_hot(number + 8.0 * div.emitting - 8.0, 0, 3, "quotient place")


def _quotient_id(s: State, div: Division) -> Expr:
    """The same digit decided by comparisons, 15 for each half: the number of k in 1..15 with rest >= 16 k divisor 256^p, then
    of those with what is left >= k divisor 256^p. With the base of its id, 0 while no digit is due."""
    g, ids = s.graph, s.architecture.ids
    hot = _quotient_place(s, div)
    divisor = g.product(div.emitting, div.divisor, "active divisor")
    so_far = g.declare(g.product(divisor, s.so_far_low, "divisor * so far"), 0.0, WORD)
    # While no digit is due, this is below every multiple of 0.
    rest = div.dividend - so_far - WORD * (1.0 - div.emitting)
    unit = g.gated("divisor * 256^p", *((h, 256.0**p * div.divisor) for p, h in enumerate(hot)))
    g.declare(unit, 0.0, WORD)  # the first place is one at which the dividend is not less
    high = total(g.step(rest - 16.0 * k * unit, f"quotient>={16 * k}") for k in range(1, 16))
    rest = rest - g.product(high, 16.0 * Expr.of(unit), "16 high * divisor")
    low = total(g.step(rest - k * Expr.of(unit), f"quotient.low>={k}") for k in range(1, 16))
    in_scratch = g.product(div.emitting, div.scratch, "in scratch")
    place = total(256.0 * p * h for p, h in enumerate(hot))
    return ids["D"] * div.emitting + (ids["S"] - ids["D"]) * Expr.of(in_scratch) + place + 16.0 * high + low


def _quotient_digits(s: State, div: Division) -> None:
    """Digit v of the quotient: the integer nearest to G1/G2, with R the dividend less divisor times the digits so far:

        G1 = divisor * (R / 256^p - divisor / 2 + 256^-p / 2),  G2 = divisor^2

    exact for 32-bit operands. Penalties are 0 for the block of the right class and place and beyond every logit elsewhere.
    """
    g, ids = s.graph, s.architecture.ids
    rest = div.dividend - g.product(div.divisor, s.so_far_low, "divisor * so far")
    hot = _quotient_place(s, div)
    scaled = g.gated("rest / 256^p", *((h, 256.0**-p * (rest + 0.5)) for p, h in enumerate(hot)))
    divisor = g.product(div.emitting, div.divisor, "active divisor")
    g1 = g.product(divisor, scaled - 0.5 * divisor, "G1")
    g2 = g.square(divisor, "G2")
    beyond = 2.0**18 * g2
    for p, h in enumerate(hot):
        in_scratch = g.product(div.scratch, h, f"scratch place {p}")
        for base, match in ((ids["D"], h - in_scratch), (ids["S"], Expr.of(in_scratch))):
            penalty = g.product(div.emitting - match, beyond, "penalty")
            g.unembed_block(base + 256 * p, 256, g1, g2, penalty)
    g.penalise_others(g.product(div.emitting, beyond, "penalty others"))


__all__ = ["Place", "output"]
