"""The part of the machine before the arithmetic: where execution stands, what the current step is, and its operands."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..graph.expr import Expr, Number, Variable, total
from ..graph.graph import Graph
from .architecture import Architecture
from .digits import BYTE_DIGITS, SLOT_DIGIT, SLOT_POSITION_BITS, digits_of_sum, slot_sizes, split
from .float_formats import FORMATS, LONG
from .sections import BEFORE_ROWS, field_of, weight_of

# Sums of jumps since the sequence began stay below this: each call goes on where the one before it stopped, at most the
# program's length further. It leaves 2^26 tokens (see format/certificate.py).
PARTIAL = 2.0**24
# Fields of rows with an operand D.
OF_D = ("index_d", "plus", "minus")


class Features:
    """Embedding features, by name; `tokens.py` gives them values. Most are 0 for most tokens."""

    def __init__(self, graph: Graph):
        self._graph = graph
        self._made: dict[str, Variable] = {}

    def __getitem__(self, name: str) -> Variable:
        if name not in self._made:
            self._made[name] = self._graph.feature(name)
        return self._made[name]


@dataclass
class Value:
    """An operand: its bytes, least significant first. low and high are its two 32-bit words.

    exponents, signs: of the floating-point numbers with these bits, by the name of their format: the field and the sign bit.
    """

    bytes: list[Expr]
    exponents: dict[str, Expr] = field(default_factory=dict)
    signs: dict[str, Expr] = field(default_factory=dict)

    @property
    def low(self) -> Expr:
        return total(256.0**i * b for i, b in enumerate(self.bytes[:4]))

    @property
    def high(self) -> Expr:
        return total(256.0**i * b for i, b in enumerate(self.bytes[4:]))

    def modulo(self, count: int) -> Expr:
        """The value modulo 256^count."""
        return total(256.0**i * b for i, b in enumerate(self.bytes[:count]))


@dataclass
class Words:
    """A number as two of 32 bits, 0..2^32-1."""

    low: Expr
    high: Expr


@dataclass
class State:
    """What the arithmetic reads.

    fetched, field(name): the current row's fields (field: 0 when no row has it). frame: the frame base.
    a, b, d: operands, the last one nothing in a machine without steps that have it; compared: the two numbers that the branch of
    a row compares which does another step where it is not taken, none in a machine without such rows; c_low, c_byte: low word of
    the third, and its
    lowest byte. popcount_a; shift_bits, shift_bytes: of b as a
    shift count (v mod 8 and v div 8 mod 8). return_caller: caller number of the call that made this frame; return_step,
    return_frame: the step behind that call, and the number of its frame movement, for far returns.
    so_far_low/high: digits already emitted for the word in flight, with their weights. carry0, carry1: carries of a product
    already emitted. quotient: the quotient in flight, for remainders and negative quotients; quotient_bytes: those of a
    complete one, else 0; scratched: 1 where it is (these two for divisions of 64-bit numbers and of floats, and roots);
    quotient_so_far: the digits of the value in flight, by place (for 64-bit divisions); digits_behind: the same digits by how far
    back they stand, 1 for the one of this token (of floats). data: the address where the byte
    token at this position belongs, as low parts (modulo 256, 256^2, 256^3, all of it). (The features "in_flight.place" and
    "fresh" say whether a value is in flight.)
    """

    graph: Graph
    architecture: Architecture
    features: Features
    fetched: dict[str, Expr]
    frame: Expr
    a: Value
    b: Value
    d: Value
    compared: list[Words]
    c_low: Expr
    c_byte: Expr
    popcount_a: Expr
    shift_bits: Expr
    shift_bytes: Expr
    return_caller: Expr
    return_step: Expr
    return_frame: Expr
    so_far_low: Expr
    so_far_high: Expr
    carry0: Expr
    carry1: Expr
    quotient: Expr
    quotient_bytes: list[Expr]
    scratched: Expr
    quotient_so_far: list[Expr]
    digits_behind: list[Expr]
    data: list[Expr]

    def field(self, name: str) -> Expr:
        return self.fetched.get(name, Expr({}))


def state(graph: Graph, architecture: Architecture, features: Features) -> State:
    """Sums, fetch, commit, operands: the heads of the machine except those that read memory and the byte table."""
    places = architecture.places
    ip, frame_sum = _pointers(graph, features)
    scratch_places = architecture.tokens["S"] // 256
    value, popcount, so_far_low, so_far_high = _value_in_flight(graph, features, places, bool(architecture.whole))
    floats = _floats_in_flight(graph, features, places)
    fetched = _fetch(graph, architecture, features, ip)
    of_floats = not fetched.keys().isdisjoint(LONG)
    so_far = _digits_so_far(graph, features, places) if "divide64" in fetched else []
    behind = _digits_behind(graph, features, scratch_places) if of_floats else []
    frame = _exact_frame(graph, architecture, frame_sum)

    def field(name: str) -> Expr:
        return fetched.get(name, Expr({}))

    sizes = slot_sizes(architecture.slots)
    frame_low, frame_high = frame

    def address(name: str, low: Number = 0.0, high: Number = 0.0) -> list[Expr]:
        """The digits of an operand's slot. low, high: added, for tokens without a row."""
        relative = field(f"{name}.frame")
        low = (
            field(name) - SLOT_DIGIT * field(f"{name}.high") + low + graph.product(relative, frame_low, f"{name}.base")
        )
        if len(sizes) == 1:
            return [low]
        whole = SLOT_DIGIT * (field(f"{name}.high") + high + graph.product(relative, frame_high, f"{name}.base.high"))
        return digits_of_sum(graph, name, [low, whole + low], SLOT_DIGIT, 1)

    floor = features["floor"]
    high = features["constant.high"]
    destination = address("dest", features["constant.address"] - SLOT_DIGIT * high, high)
    not_committed = features["commit.off"] + field("discard")
    key_squared = graph.centred_square("destination^2", destination, sizes, floor)

    def operand(name: str, values: dict) -> list[Variable]:
        return graph.paraboloid(
            f"operand {name}", address(name), destination, {f"{name}.{k}": v for k, v in values.items()},
            floor=floor, sizes=sizes, off=not_committed, key_squared=key_squared, position_bits=SLOT_POSITION_BITS,
        )  # fmt: skip

    values = {f"byte{i}": b for i, b in enumerate(value.bytes)} | floats
    popcount_a, *a = operand("a", {"popcount": popcount} | values)
    shift_bits, shift_bytes, *b = operand(
        "b", {"shift.bits": features["shift.bits"], "shift.bytes": features["shift.bytes"]} | values
    )
    c_low, c_byte = operand("c", {"low": value.low, "byte": value.bytes[0]})
    d: list[Expr] = [Expr({})] * places
    if not fetched.keys().isdisjoint(OF_D):
        found = graph.paraboloid(
            "operand d", address("d"), destination, {f"d.byte{i}": b for i, b in enumerate(value.bytes)},
            floor=floor, sizes=sizes, off=not_committed, key_squared=key_squared, position_bits=SLOT_POSITION_BITS,
        )  # fmt: skip
        d = [Expr.of(v) for v in found]

    compared: list[Words] = []
    if "guard" in fetched:
        words = {"low": value.low} | ({"high": value.high} if "guard.wide" in fetched else {})
        for name in "ef":
            both = graph.paraboloid(
                f"operand {name}", address(name), destination, {f"{name}.{k}": v for k, v in words.items()},
                floor=floor, sizes=sizes, off=not_committed, key_squared=key_squared, position_bits=SLOT_POSITION_BITS,
            )  # fmt: skip
            compared.append(Words(Expr.of(both[0]), Expr.of(both[1]) if len(both) > 1 else Expr({})))

    caller, return_step, return_frame = _calls(graph, architecture, features, fetched, frame)
    scratched, carry0, carry1, quotient, *quotient_bytes = _scratch(
        graph, features, value, whole="divide64" in fetched or of_floats
    )
    return State(
        graph, architecture, features, fetched, SLOT_DIGIT * frame_high + frame_low, _operand_value(a, places),
        _operand_value(b, places), Value(d), compared, Expr.of(c_low), Expr.of(c_byte), Expr.of(popcount_a), Expr.of(shift_bits),
        Expr.of(shift_bytes), caller, return_step, return_frame, so_far_low, so_far_high, carry0, carry1, quotient,
        quotient_bytes, scratched, so_far, behind, _data_address(graph, architecture, features, value),
    )  # fmt: skip


def _operand_value(found: list[Variable], places: int) -> Value:
    """Bytes, then exponent and sign of each format that has so many."""
    rest = iter(found[places:])
    made = Value([Expr.of(v) for v in found[:places]])
    for form, exponent, sign in zip(FORMATS, rest, rest, strict=False):
        made.exponents[form.name], made.signs[form.name] = Expr.of(exponent), Expr.of(sign)
    return made


def _pointers(graph: Graph, features: Features) -> tuple[Expr, Expr]:
    """Instruction pointer and frame base: sums of the tokens' deltas since the latest entry token.

    Sums run over the whole sequence; at an entry token I.{k} "entry - sum so far" is remembered and added ever after.
    """
    deltas: dict[str, Number] = {"ip.sum": features["ip.delta"], "frame.sum": features["frame.delta"]}
    ip_sum, frame_sum = graph.cumulative_sum(deltas, PARTIAL)
    ip_base, frame_base = graph.latest(
        "entry", {"ip.base": features["entry"] - ip_sum, "frame.base": -frame_sum}, off=features["entry.off"]
    )
    # While a far jump is in flight, execution still stands at the step that jumps.
    (high,) = graph.relative(1, {"far.high": features["far.high"]})
    ahead = features["ip.ahead"] + graph.product(features["is.Z"], high, "ip.ahead")
    return ip_sum + ip_base - ahead, frame_sum + frame_base


def _exact_frame(graph: Graph, architecture: Architecture, frame: Expr) -> tuple[Expr, Expr]:
    """The frame base without the rounding of the sums, as digits: the lower one and the upper one (frame = 4096 high + low)."""
    low, middle, high = split(graph, "frame", frame, architecture.frame_limit, (16, 256))
    return 16.0 * middle + (graph.rounded("frame", low + 1.0) - 1.0), high


def _data_address(graph: Graph, architecture: Architecture, features: Features, value: Value) -> list[Expr]:
    """A byte token's address: that of its segment token, and how far behind it the token stands. As low parts. value: that of the
    digits that end with this token; 0 where there are none."""
    names = [*(f"segment.{i}" for i in range(1, BYTE_DIGITS)), "segment.address"]
    values: dict[str, Number] = {n: Expr.of(features[n]) for n in names}
    if architecture.spelled:
        values = {n: values[n] + value.modulo(i) for i, n in enumerate(names, 1)}
    # Where counting begins at 0 for the first two tokens, the byte table begins 256 below the lowest address (`tokens.fill`).
    values["segment.start"] = graph.position - (1.0 - graph.first_position) * features["floor"]
    *base, start = graph.latest("segment", values, off=features["segment.off"])
    distance = Expr.of(graph.product(features["is.byte"], graph.position - start - 1.0, "distance"))
    low, middle, _ = split(graph, "distance", distance, architecture.longest_segment, (256, 256))
    parts = [low, low + 256.0 * middle, distance, distance]
    return [b + part for b, part in zip(base, parts, strict=True)]


def _value_in_flight(graph: Graph, features: Features, places: int, whole: bool) -> tuple[Value, Expr, Expr, Expr]:
    """The bytes of the value that a D0, S0 or W token ends, its popcount, and the digits so far of the word in flight.

    A digit of place p > 0 is always followed by one of place p - 1, so a digit of place j standing j positions
    back belongs to the value that ends here; nothing needs to be masked. whole: there are tokens W. None stands behind digits, so
    no byte is ever more than 255; that it is cut off there lets an analysis know it, too.
    """
    byte_vars = [features[f"value.byte{j}"] for j in range(places)]
    popcount, low, high = (features[f"value.{name}"] for name in ("popcount", "so_far.low", "so_far.high"))
    for j in range(1, places):
        values: dict[str, Number] = {f"byte{j}": features[f"digit.{j}"], "popcount": features[f"popcount.{j}"]}
        into = {f"byte{j}": byte_vars[j], "popcount": popcount}
        if j <= 2:  # digits of place > j, that stand j back in a word still in flight
            values |= {"low": features[f"low.beyond{j}"]}
            into |= {"low": low}
            if places == 8:
                values |= {"high": features[f"high.beyond{j}"]}
                into |= {"high": high}
        graph.relative(j, values, into)
    found = [Expr.of(v) for v in byte_vars]
    for j in range(1, 4) if whole else ():
        found[j] = Expr.of(graph.cut_off(found[j], 255.0, f"value.cut{j}"))
    return Value(found), Expr.of(popcount), Expr.of(low), Expr.of(high)


def _floats_in_flight(graph: Graph, features: Features, places: int) -> dict[str, Variable]:
    """Exponent and sign, in each format, of the number that a D0 token commits: what its two highest digits have of them."""
    found: dict[str, Variable] = {}
    for form in FORMATS:
        if form.size > places:
            continue
        into = {what: features[f"value.{form.name}.{what}"] for what in ("exponent", "sign")}
        for j in (form.size - 2, form.size - 1):
            values: dict[str, Number] = {what: features[f"{form.name}.{what}.{j}"] for what in into}
            graph.relative(j, values, into)
        found |= {f"{form.name}.{what}": variable for what, variable in into.items()}
    return found


def _digits_so_far(graph: Graph, features: Features, places: int) -> list[Expr]:
    """Of the value in flight, the digit of each place p > 0; 0 where it is still to come, or the value is complete. A digit of
    place p that stands k < p back is among them, see above."""
    made = [features[f"so_far.{p}"] for p in range(places)]
    for back in range(1, places - 1):
        places_above = range(back + 1, places)
        values: dict[str, Number] = {f"so_far.{p}": features[f"digit.{p}"] for p in places_above}
        graph.relative(back, values, {f"so_far.{p}": made[p] for p in places_above})
    return [Expr({}), *(Expr.of(v) for v in made[1:])]


def _digits_behind(graph: Graph, features: Features, places: int) -> list[Expr]:
    """Of the value in flight, the digit that stands b - 1 positions back, b = 1, 2, ...; 0 where it is not of that value: the
    place of those that are is at least b."""
    behind = [Expr({}), total(features[f"digit.{p}"] for p in range(1, places))]
    for b in range(2, places):
        name, digit = f"digit {b} behind", total(features[f"digit.{p}"] for p in range(b, places))
        behind.append(Expr.of(graph.relative(b - 1, {name: digit})[0]))
    return behind


def _fetch(graph: Graph, architecture: Architecture, features: Features, ip: Expr) -> dict[str, Expr]:
    """The current step's row: of each section the token that stands as far behind the section's first one as the instruction
    pointer says. "behind": the number of the step behind this one; 0 at the start."""
    rows, sections, leading = architecture.rows, architecture.sections, architecture.leading
    fetched: dict[str, Expr] = {}
    for s, columns in enumerate(sections):
        values: dict[str, Number] = {c: features[f"row.{c}"] for c in columns}
        if s == 0:
            values["behind"] = graph.position + features["no.row"] - (BEFORE_ROWS + leading)
        variables = graph.at_position(
            "fetch" if len(sections) == 1 else f"fetch.{s}", BEFORE_ROWS + leading + 1 + ip + s * rows, values,
            off=features["program.off"], limit=BEFORE_ROWS + len(sections) * rows,
        )  # fmt: skip
        for column, variable in zip(values, variables, strict=True):
            fetched[field_of(column)] = fetched.get(field_of(column), Expr({})) + weight_of(column) * variable
    return fetched


def _calls(
    graph: Graph, architecture: Architecture, features: Features, fetched: dict[str, Expr], frame: tuple[Expr, Expr]
) -> tuple[Expr, Expr, Expr]:
    """What the call that made this frame has left behind: its caller number, the step behind it, and which movement of the
    frame it was. Far calls share their tokens, so these come from the row of the call: the one of the position before."""
    fields: list[str] = [name for name in ("far.caller", "frame.number") if name in fetched]
    fields += ["behind"] if "far.return" in fetched else []
    before = dict(zip(fields, graph.relative(1, {f"call.{n}": fetched[n] for n in fields}, name="before"), strict=True))
    known = {name: Expr.of(variable) for name, variable in before.items()}
    nothing = Expr({})
    values: dict[str, Number] = {
        "return.caller": features["caller"] + known.get("far.caller", nothing),
        "return.step": known.get("behind", nothing),
        "return.frame": known.get("frame.number", nothing),
    }
    sizes = slot_sizes(architecture.frame_limit)
    digits = frame[: len(sizes)]
    found = graph.paraboloid(
        "call", digits, digits, values,
        floor=features["floor"], sizes=sizes, off=features["call.off"], position_bits=SLOT_POSITION_BITS,
    )  # fmt: skip
    caller, step, moved = (Expr.of(v) for v in found)
    return caller, step, moved


def _scratch(graph: Graph, features: Features, value: Value, whole: bool) -> list[Expr]:
    """Scratch tokens of the step in flight. A token that ends a step hides the scratch of the steps before it with a 0.

    1 where a quotient is complete, the carries of a product, the quotient's low word, and its bytes; the first and the last
    ones where something needs all of it (whole)."""
    (carry0,) = graph.latest("carry0", {"carry0": features["Q0.value"]}, off=features["Q0.off"])
    (carry1,) = graph.latest("carry1", {"carry1": features["Q1.value"]}, off=features["Q1.off"])
    is_s0 = features["is.S0"]
    values: dict[str, Number] = {"quotient": graph.product(is_s0, value.low, "quotient.committed")}
    if whole:
        values |= {f"quotient.{j}": graph.product(is_s0, b, f"quotient.committed.{j}") for j, b in enumerate(value.bytes)}
        values["quotient complete"] = is_s0
    quotient, *found = graph.latest("quotient", values, off=features["S0.off"])
    scratched = found.pop() if whole else Expr({})
    return [Expr.of(x) for x in (scratched, carry0, carry1, quotient, *found)]
