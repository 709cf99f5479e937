"""Fills the vocabulary: what each token's embedding row says. The rows of the program are the only ones that depend on it."""

from __future__ import annotations

from collections.abc import Callable

from ..format.isa import TRAPS
from ..format.tokens import CARRIES, read
from ..graph.graph import Graph
from .assemble import Assembly
from .state import Features

# Lookups over few tokens: feature -> token classes that count. Everywhere else the feature is 1: "off".
_ON: dict[str, tuple[str, ...]] = {
    "commit.off": ("D0", "C"),
    "call.off": ("call", "BOS"),
    "entry.off": ("I", "BOS"),
    "program.off": ("P",),
    "segment.off": ("G", "BOS"),
    "Q0.off": ("end", "Q0"),
    "Q1.off": ("end", "Q1"),
    "S0.off": ("end", "S0"),
    "table.off": ("B",),
}


def fill(graph: Graph, assembly: Assembly, features: Features) -> None:
    """Adds every token of the assembly in the order of its ids, and the prefix: BOS, bytes, constants, program, data."""
    add = _adder(graph, features)
    for place in range(assembly.places):
        for v in range(256):
            add(f"D{place}.{v}", _classes("D", place), _digit(place, v) | {"is.D": float(place > 0)})
    if assembly.ids["Q0"] > assembly.ids["S"]:
        for place in range(4):
            for v in range(256):
                add(
                    f"S{place}.{v}",
                    _classes("S", place),
                    _digit(place, v) if place else _SCRATCH_END | {"value.byte0": v},
                )
    for k, name in enumerate(("Q0", "Q1")):
        following = assembly.ids["Q1"] if k == 0 else assembly.ids["N"]
        if following > assembly.ids[name]:
            for v in range(CARRIES[k]):
                add(f"{name}.{v}", (name,), {f"{name}.value": v, f"is.{name}": 1, "fresh": 1})
    add("N", (), {})
    add("H", (), {})
    for kind in TRAPS:
        add(f"T.{kind}", (), {})
    for name, after in (("O", "E"), ("E", "J")):
        if assembly.ids[after] > assembly.ids[name]:
            for v in range(256):
                add(f"{name}.{v}", (), {})
    _jump_tokens(assembly, add)
    _prompt_tokens(graph, assembly, add)


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
    if p:
        row[f"value.so_far.{word}"] = weighted
    for back in (1, 2):
        if p > back:
            row[f"{word}.beyond{back}"] = weighted
    return row


def _jump_tokens(assembly: Assembly, add: Add) -> None:
    callers = [jump.caller for jump in assembly.jumps.singles]
    for name, delta, frame in assembly.jumps.tokens:
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


def _prompt_tokens(graph: Graph, assembly: Assembly, add: Add) -> None:
    bottom, idle = assembly.lowest_address, len(assembly.rows) - 1
    prefix = [add("BOS", ("BOS", "end"), {"fresh": 1, "segment.address": bottom, "entry": idle})]
    for k, (_, entry) in enumerate(assembly.entries):
        add(f"I.{k}", ("I", "end"), {"entry": entry, "fresh": 1})
    for k, (address, value) in enumerate(assembly.constants):
        low_byte = value & 255
        row: dict[str, float] = {f"value.byte{j}": value >> 8 * j & 255 for j in range(assembly.places)}
        row |= {"constant.address": address, "value.popcount": value.bit_count()}
        row |= {"shift.bits": low_byte % 8, "shift.bytes": low_byte // 8 % 8}
        prefix.append(add(f"C.{k}", ("C",), row))
    for i, fields in enumerate(assembly.rows):
        row = {f"row.{name}": value for name, value in fields.items()}
        prefix.append(add(f"P.{i}", ("P",), row | {"program.index": i, "program.index^2": i * i}))
    addresses = [address for address, _ in assembly.segments] + list(assembly.inputs.values())
    for s, address in enumerate(addresses):
        add(f"G.{s}", ("G",), {"segment.address": address})
    first_byte = len(graph.tokens)
    for v in range(256):
        row = {f"bit{i}": v >> i & 1 for i in range(8)}
        row |= {"clz": 8 - v.bit_length(), "ctz": (v & -v).bit_length() - 1 if v else 8}
        add(f"B.{v}", ("B",), row | {"table.index": v, "table.index^2": v * v, "is.byte": 1})
    # The byte table stands right behind BOS, so that its bytes fall into the scratch area below hidden memory; then the
    # row that touches nothing, so that no other row is ever the nearest one while the prefix is read.
    idle_row = prefix.pop()
    prefix[1:1] = [*range(first_byte, first_byte + 256), idle_row]
    for s, (_, data) in enumerate(assembly.segments):
        prefix.append(graph.token_ids[f"G.{s}"])
        prefix += [first_byte + v for v in data]
    graph.prefix = prefix
