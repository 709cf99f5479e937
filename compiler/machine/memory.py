"""Memory: where the step reads or writes, whether it may, the bytes it finds, and the byte table of the prefix."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.expr import Expr, Variable, total
from ..graph.graph import bits_for
from .state import State


@dataclass
class Memory:
    """loaded: the bytes at the effective address (0 where never written), gated to steps that load them.
    out_of_bounds: 1 when the access traps. address: the effective address."""

    loaded: list[Expr]
    out_of_bounds: Expr
    address: Expr


def memory(s: State, place: list[Variable], place_number: Expr) -> Memory:
    """place: one-hot of the next digit's place; place_number: the same as a number.

    A store writes one byte at each position at which it emits a digit: key = effective address + place.
    Byte tokens of the prompt write too: their address counts up from their segment token.
    """
    g = s.graph
    # Where a far br_table or call_indirect goes is an entry of a table in hidden memory, by min(A, cases).
    case = g.product(s.field("far.table"), s.a.low, "far.case")
    entry = case - g.relu(case - s.field("cases"), "far.case.beyond")
    address = g.gated(
        "memory.address",
        (s.field("address_1"), s.a.low),
        (s.field("address_4"), 4.0 * s.a.low),
        (s.field("far.table"), float(s.architecture.table_width) * entry),
    ) + s.field("offset")
    # One comparison for both bounds: address + width > limit, or index >= size.
    excess = g.gated(
        "memory.excess",
        (s.field("check_memory"), address + s.field("access") - s.c_low),
        (s.field("check_index"), s.a.low - s.c_low + 1.0),
    )
    out_of_bounds = g.step(excess - 1.0, "memory.out_of_bounds")
    storing = g.product(s.field("store"), 1.0 - out_of_bounds, "memory.storing")
    is_byte = s.features["is.byte"]
    key = g.gated("memory.key", (storing, address + place_number), (is_byte, s.data_address))
    stored = g.gated("memory.byte", *((p, g.product(storing, b)) for p, b in zip(place, s.b.bytes)))
    # Queries past the last byte occur, but what they find is not used: the access traps, or the byte is not needed.
    key_bits = bits_for(max(s.architecture.highest_address, 16 - s.architecture.lowest_address))
    if s.field("store").terms or s.field("load8").terms:
        g.probe("memory.key", key)
    loaded = []
    widths = [8, 16, 32, 32, 64, 64, 64, 64]
    key_squared = g.square(key, "memory.key^2") if s.field("load8").terms else None
    for j, width in enumerate(widths[: s.architecture.places]):
        needed = s.field(f"load{width}")
        if not needed.terms:
            loaded.append(Expr({}))
            continue
        byte, found = g.lookup(
            f"memory+{j}", address + float(j), key,
            {f"memory.byte{j}": stored + s.features["table.index"], f"memory.found{j}": key},
            off=1.0 - storing - is_byte, key_squared=key_squared, key_bits=key_bits,
        )  # fmt: skip
        miss = found - address - float(j)
        hit = 1.0 - g.step(miss - 1.0) - g.step(-miss - 1.0)
        loaded.append(Expr.of(g.product(hit, g.product(needed, byte), f"loaded.byte{j}")))
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
