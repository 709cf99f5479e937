"""Memory: where the step reads or writes, whether it may, the bytes it finds, and the byte table of the prefix."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr, Number, Variable, total
from .digits import BYTE_DIGITS, digits_of_sum, split
from .state import State

# How far the highest digit of an address is from 128: a table's element 2^32 - 1, four bytes each, at an offset of 2^32.
EXTENT = 1280.0 - 128.0
# The bytes of 65,536 pages.
WHOLE = 2.0**32
# Positions up to which the latest write to a byte is told from the one before.
MEMORY_POSITION_BITS = 28


@dataclass
class Memory:
    """loaded: the bytes at the effective address (0 where never written), gated to steps that load them.
    out_of_bounds: 1 when the access traps. address: the effective address."""

    loaded: list[Expr]
    out_of_bounds: Expr
    address: Expr


def memory(s: State, place: list[Variable], place_number: Expr, guarded: Expr) -> Memory:
    """place: one-hot of the next digit's place; place_number: the same as a number. guarded: 1 where the row's branch is taken.

    A store writes one byte at each position at which it emits a digit: key = effective address + place. A load looks its bytes
    up at the effective address + 0, 1, ...; what was never written is 0. Hidden memory lies at negative addresses.
    Byte tokens of the prompt write too: their address counts up from their segment token.
    """
    g = s.graph
    # Where a far br_table or call_indirect goes is an entry of a table in hidden memory, by min(A, cases).
    case = g.product(s.field("far.table"), s.a.low, "far.case")
    entry = float(s.architecture.table_width) * (case - g.relu(case - s.field("cases"), "far.case.beyond"))
    address = (
        g.gated("memory.address", (s.field("address_1"), s.a.low), (s.field("address_4"), 4.0 * s.a.low))
        + entry
        + s.field("offset")
    )
    # An index is added first, modulo 2^32.
    index = [(s.field(f"index_{name}"), v, name) for name, v in (("b", s.b), ("d", s.d)) if s.field(f"index_{name}").terms]
    for flag, value, name in index:
        wraps = g.step(s.a.low + value.low - WHOLE * (3.0 - 2.0 * flag), f"memory.wrap.{name}")
        address = address + g.product(flag, value.low, f"memory.index.{name}") - WHOLE * Expr.of(wraps)
    # One comparison for both bounds: address + width > limit, or index >= size. A memory of 65,536 pages has the size 1, of any
    # other one the lowest byte is 0: see `limits.size_register`.
    limit = s.c_low + ((WHOLE - 1.0) * s.c_byte if s.architecture.whole_memory else 0.0)
    excess = g.gated(
        "memory.excess",
        (s.field("check_memory"), address - s.field("base") + s.field("access") - limit),
        (s.field("check_index"), s.a.low - s.c_low + 1.0),
    )
    beyond: Expr = Expr.of(excess)
    if s.field("check_high").terms:  # an address of more than 32 bits
        high = g.step(s.a.high - 1.0, "memory.high")
        beyond = beyond + 2.0**36 * g.product(s.field("check_high"), high, "memory.beyond")
    out_of_bounds = g.step(beyond - 1.0, "memory.out_of_bounds")
    storing = g.product(s.field("store") - guarded, 1.0 - out_of_bounds, "memory.storing")
    is_byte = s.features["is.byte"]
    # Low parts of the address, modulo 256^i, before they wrap. A table's elements take 4 bytes.
    far = [Expr({})] * (BYTE_DIGITS - 1)
    if s.field("far.table").terms:
        first, second, _ = split(g, "far.entry", entry, s.architecture.table_bytes, (256, 256))
        far = [first, first + 256.0 * second, entry]
    low = []
    for i, own in enumerate(far, 1):
        byte = s.a.modulo(i)
        scaled = g.gated(
            f"memory.low{i}", (s.field("address_1"), byte), (s.field("address_4"), 4.0 * byte),
            *((flag, value.modulo(i)) for flag, value, _ in index),
        )  # fmt: skip
        low.append(scaled + s.field(f"offset.{i}") + own)
    carries = 5 if s.field("address_4").terms else 3 if index else 2

    def digits(name: str, distance: Number) -> list[Expr]:
        return digits_of_sum(g, name, [*(part + distance for part in low), address + distance], 256, carries)

    data = digits_of_sum(g, "data", s.data, 256, 1)
    store = digits("memory", place_number) if s.field("store").terms else [Expr({})] * BYTE_DIGITS
    key: list[Expr] = [
        Expr.of(g.gated(f"memory.key{i}", (storing, a), (is_byte, b))) for i, (a, b) in enumerate(zip(store, data))
    ]
    floor, off = s.features["floor"], 1.0 - storing - is_byte - s.features["floor"]
    stored = g.gated("memory.byte", *((p, g.product(storing, b)) for p, b in zip(place, s.b.bytes)))
    if s.field("store").terms or s.field("load8").terms:
        g.probe("memory.key", g.gated("memory.key", (storing, address + place_number), (is_byte, s.data[-1])))
    sizes = [256] * BYTE_DIGITS
    key_squared = g.centred_square("memory.key^2", key, sizes, floor, EXTENT) if s.field("load8").terms else None
    loaded = []
    for j, width in enumerate([8, 16, 32, 32, 64, 64, 64, 64][: s.architecture.places]):
        needed = s.field(f"load{width}")
        if not needed.terms:
            loaded.append(Expr({}))
            continue
        (stored_byte,) = g.paraboloid(
            f"memory+{j}", digits(f"memory+{j}", float(j)), key, {f"memory.byte{j}": stored + s.features["table.index"]},
            floor=floor, sizes=sizes, extent=EXTENT, off=off, key_squared=key_squared,
            position_bits=MEMORY_POSITION_BITS,
        )  # fmt: skip
        loaded.append(Expr.of(g.product(needed, stored_byte, f"loaded.byte{j}")))
    return Memory(loaded, Expr.of(out_of_bounds), address)


@dataclass
class TableEntry:
    """What the byte table says of a byte: its bits (least significant first), leading and trailing zeros."""

    bits: list[Expr]
    clz: Expr
    ctz: Expr


def byte_table(s: State, name: str, byte: Expr) -> TableEntry:
    """Looks a byte up among the 256 byte tokens of the prefix."""
    values = {f"bit{i}": s.features[f"bit{i}"] for i in range(8)} | {n: s.features[n] for n in ("clz", "ctz")}
    found = s.graph.lookup(
        f"table {name}", byte, s.features["table.index"], {f"{name}.{n}": v for n, v in values.items()},
        off=s.features["table.off"], key_squared=s.features["table.index^2"], key_bits=8,
    )  # fmt: skip
    *bits, clz, ctz = (Expr.of(v) for v in found)
    return TableEntry(bits, clz, ctz)


__all__ = ["Memory", "TableEntry", "byte_table", "memory", "total"]
