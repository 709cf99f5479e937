"""Fills the vocabulary: what each token's embedding row says. Only the tokens of jumps and prompts depend on the program."""

from __future__ import annotations

from collections.abc import Callable

from ..format.isa import TRAPS
from ..format.tokens import read
from ..graph.graph import Graph
from .architecture import Architecture
from .assemble import ProgramImage
from .digits import BYTE_DIGITS, SLOT_DIGIT
from .float_formats import FORMATS, FloatFormat
from .sections import BEFORE_ROWS
from .state import Features

# Lookups over few tokens: feature -> token classes that count. Everywhere else the feature is 1: "off".
_ON: dict[str, tuple[str, ...]] = {
    "commit.off": ("D0", "C", "BOS"),
    "call.off": ("call", "BOS"),
    "entry.off": ("I", "BOS"),
    "program.off": ("P",),
    "segment.off": ("G", "BOS"),
    "Q0.off": ("end", "Q0"),
    "Q1.off": ("end", "Q1"),
    "S0.off": ("end", "S0"),
    "table.off": ("B",),
}


def fill(graph: Graph, features: Features, architecture: Architecture, image: ProgramImage) -> None:
    """Adds every token in the order of its ids, and the prefix: BOS, bytes, program, constants, data."""
    add = _adder(graph, features)
    count = architecture.tokens

    def digit(place: int, v: int) -> dict[str, float]:
        more = {f"so_far.{place}": v, f"place.{place - 1}.next": 1} if count["S"] and place else {}
        return _digit(place, v) | more

    for place in range(architecture.places):
        for v in range(256):
            add(f"D{place}.{v}", _classes("D", place), digit(place, v) | {"is.D": float(place > 0)})
    for i in range(count["S"]):
        place, v = divmod(i, 256)
        add(f"S{place}.{v}", _classes("S", place), digit(place, v) if place else _SCRATCH_END | {"value.byte0": v})
    for name in ("Q0", "Q1"):
        for v in range(count[name]):
            add(f"{name}.{v}", (name,), {f"{name}.value": v, f"is.{name}": 1, "fresh": 1})
    traps = list(TRAPS)[: count["T"]]
    for name in ("N", "H", *(f"T.{kind}" for kind in traps), *(f"{c}.{v}" for c in "OE" for v in range(count[c]))):
        add(name, (), {})
    _jump_tokens(image, add)
    for values in architecture.whole:
        for v in values:
            add(f"W.{v}", ("D0",), _committed(architecture, v))
    assert len(graph.tokens) == architecture.emitted
    _prompt_tokens(graph, architecture, image, add)


# What an S0 token says beside its digit: a quotient is complete, the step goes on.
_SCRATCH_END: dict[str, float] = {"is.S0": 1, "fresh": 1}

Add = Callable[[str, tuple[str, ...], dict[str, float]], int]


def _adder(graph: Graph, features: Features) -> Add:
    def add(name: str, classes: tuple[str, ...], values: dict[str, float]) -> int:
        token = read(name)
        assert token is not None, name
        if token.ends:  # then the next step begins, where the table says
            classes, values = (*classes, "end"), {"ip.delta": token.advance} | values | {"fresh": 1}
        off = {feature: 1.0 for feature, on in _ON.items() if not set(on) & set(classes)}
        return graph.token(name, {features[n]: v for n, v in (off | values).items() if v})

    return add


def _classes(kind: str, place: int) -> tuple[str, ...]:
    if place:
        return (kind,)
    return (f"{kind}0",)


def _digit(place: int, v: int) -> dict[str, float]:
    """Features of digit v at a place. "beyond j": it is still part of the word in flight when it stands j back."""
    word, p = ("low", place) if place < 4 else ("high", place - 4)
    weighted = v * 256.0**p
    row: dict[str, float] = {f"digit.{place}": v, f"popcount.{place}": v.bit_count()} if place else {}
    if place == 0:
        row |= {"value.byte0": v, "value.popcount": v.bit_count()}
        row |= {"shift.bits": v % 8, "shift.bytes": v // 8 % 8}
    else:
        row["in_flight.place"] = place - 1
    for form in FORMATS:
        if place in (form.size - 2, form.size - 1):
            row |= _of_float(form, v << 8 * place, "", f".{place}")
    if p:
        row[f"value.so_far.{word}"] = weighted
    for back in (1, 2):
        if p > back:
            row[f"{word}.beyond{back}"] = weighted
    return row


def _committed(architecture: Architecture, value: int) -> dict[str, float]:
    """Features of a token that says all of a value."""
    row: dict[str, float] = {f"value.byte{j}": value >> 8 * j & 255 for j in range(architecture.places)}
    row |= {"value.popcount": value.bit_count(), "shift.bits": value % 8, "shift.bytes": value // 8 % 8}
    for form in FORMATS:
        if form.size <= architecture.places:
            row |= _of_float(form, value, "value.", "")
    return row


def _of_float(form: FloatFormat, bits: int, before: str, behind: str) -> dict[str, float]:
    """Exponent and sign of a floating-point number, or what one of its two highest bytes has of them."""
    found = {"exponent": form.exponent_field(bits), "sign": form.sign_bit(bits)}
    return {f"{before}{form.name}.{what}{behind}": value for what, value in found.items()}


def _segment(address: int) -> dict[str, float]:
    """The address of what follows, and its low parts."""
    return {"segment.address": address} | {f"segment.{i}": address % 256**i for i in range(1, BYTE_DIGITS)}


def _digits_of(value: int) -> list[tuple[int, int]]:
    """(place, digit) of a value, from the first place that it needs."""
    places = max(1, (value.bit_length() + 7) // 8)
    return [(place, value >> 8 * place & 255) for place in reversed(range(places))]


def _spelled_address(address: int) -> list[str]:
    """Tokens that say where a segment begins."""
    whole = address % 2**32
    names = [f"D{place}.{v}" for place, v in _digits_of(whole) if place]
    return [*names, f"A.{whole % 256 + 256 * (address < 0)}"]


def _jump_tokens(image: ProgramImage, add: Add) -> None:
    callers = [jump.caller for jump in image.jumps.singles]
    for name, delta, frame in image.jumps.tokens:
        token = read(name)
        assert token is not None
        row: dict[str, float] = {"ip.delta": delta, "frame.delta": frame}
        calls = False
        match token.token_class.name:
            case "J":
                caller = callers[token.number]
                calls = caller is not None
                row["caller"] = caller or 0
            case "X":
                row |= {"is.X": 1, "ip.ahead": delta, "far.high": delta}
            case "Z":
                row |= {"is.Z": 1, "ip.ahead": delta}
            case "F":
                calls = frame > 0
        add(name, ("call",) if calls else (), row)


def _prompt_tokens(graph: Graph, architecture: Architecture, image: ProgramImage, add: Add) -> None:
    leading = len(image.leading)
    # Execution stands at the first row, which touches nothing; steps are counted from the first one behind `leading`.
    first: dict[str, float] = {"fresh": 1, "floor": 1, "entry": -leading, "no.row": BEFORE_ROWS + leading - graph.first_position}
    scratch = architecture.lowest_address - 256 * int(1.0 - graph.first_position)
    prefix = [add("BOS", ("BOS", "end"), first | _segment(scratch))]
    for k, (_, entry) in enumerate(image.entries):
        add(f"I.{k}", ("I", "end"), {"entry": entry, "fresh": 1})
    for s, columns in enumerate(architecture.sections):
        made, tokens = image.table.tokens(columns)
        ids = [add(f"P{s}.{k}", ("P",), {f"row.{c}": v for c, v in each.items()}) for k, each in enumerate(made)]
        prefix += (ids[0] + tokens).tolist()
    for k, (address, value) in enumerate(image.constants):
        if architecture.spelled:
            prefix += [graph.token_ids[f"D{place}.{v}"] for place, v in _digits_of(value)]
            continue
        row = _committed(architecture, value) | {"constant.address": address, "constant.high": address // SLOT_DIGIT}
        prefix.append(add(f"C.{k}", ("C",), row))
    segments = [] if architecture.spelled else [address for address, _ in image.segments]
    for s, address in enumerate([*segments, *image.inputs.values()]):
        add(f"G.{s}", ("G",), _segment(address))
    for v in range(512 if architecture.spelled else 0):
        add(f"A.{v}", ("G",), {"value.byte0": v % 256, "segment.address": -(2.0**32) if v >= 256 else 0})
    first_byte = len(graph.tokens)
    for v in range(256):
        row = {f"bit{i}": v >> i & 1 for i in range(8)}
        row |= {"clz": 8 - v.bit_length(), "ctz": (v & -v).bit_length() - 1 if v else 8}
        add(f"B.{v}", ("B",), row | {"table.index": v, "table.index^2": v * v, "is.byte": 1, f"table.mod8={v % 8}": 1})
    # The byte table stands right behind BOS, so that its bytes fall into the scratch area below hidden memory; then the rows,
    # first the one that touches nothing: no other row is ever the nearest one while the prefix is read.
    prefix[1:1] = range(first_byte, first_byte + 256)
    for s, (address, data) in enumerate(image.segments):
        begin = _spelled_address(address) if architecture.spelled else [f"G.{s}"]
        prefix += [graph.token_ids[name] for name in begin]
        prefix += [first_byte + v for v in data]
    graph.prefix = prefix
