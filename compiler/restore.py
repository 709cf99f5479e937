"""A checkpoint's step program has neither segments nor initial values: the prompt's prefix holds them, and is read back here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .format.checkpoint import Model
from .format.isa import Program, Segment, Slot
from .format.tokens import read
from .format.transformer import Transformer
from .machine.addresses import slot_map
from .machine.jumps import jumps_of, tables_of


def restored(model: Model, single_jumps: int) -> Program:
    """The program with what its prefix says. single_jumps: as for `assemble`, which adds the tables of far jumps itself.

    Raises ValueError when the prefix is not that of such a program.
    """
    program, t = model.program, model.transformer
    bare = replace(program, initial={}, segments=())
    values = _constants(t)
    slots = list(slot_map(bare).addresses)  # in the order of their addresses
    if len(slots) > len(values):
        raise ValueError(f"the prefix has {len(values)} constants, the steps {len(slots)}")
    # Slots that no step reads have initial values, too, behind all others.
    every = [*slots, *(Slot("hidden", f"unread{k}") for k in range(len(values) - len(slots)))]
    initial = {slot: value for slot, value in zip(every, values, strict=True) if slot.kind != "const"}
    segments = _segments(t)
    if tables_of(program, jumps_of(program, single_jumps)).bytes:
        segments.pop()
    return replace(bare, initial=initial, segments=tuple(segments))


def _slot(t: Transformer, name: str) -> np.ndarray:
    """An embedding feature's column."""
    return t.embed.column(t.slot_names.index(name)) if name in t.slot_names else np.zeros(len(t.embed))


def is_spelled(t: Transformer) -> bool:
    """Whether the prefix says constants and where segments begin in digits, see `machine.sections`."""
    return "A.0" in t.vocabulary


def _constants(t: Transformer) -> list[int]:
    """The initial values of constants, globals and registers, in the order of their addresses."""
    if is_spelled(t):
        return _spelled_constants(t)
    tokens = [i for i in t.prefix.tolist() if t.vocabulary[i].startswith("C.")]
    result = [0] * len(tokens)
    for j in range(8):
        column = _slot(t, f"value.byte{j}")
        for k, token in enumerate(tokens):
            result[k] += int(column[token]) << 8 * j
    return result


def _spelled_constants(t: Transformer) -> list[int]:
    """Each ends with its lowest digit. Addresses of segments have no such digit, they end with a token A."""
    result, value = [], 0
    for name in _names(t):
        if name.startswith("A."):
            break
        if name.startswith("D"):
            place, digit = _digit(name)
            value += digit << 8 * place
            if not place:
                result.append(value)
                value = 0
    return result


def _segments(t: Transformer) -> list[Segment]:
    """Address and bytes of every segment behind the rows."""
    addresses = _slot(t, "segment.address")
    begun: list[tuple[int, bytearray]] = []
    high = 0
    for token, name in zip(t.prefix.tolist(), _names(t), strict=True):
        if name.startswith("D"):
            place, digit = _digit(name)
            high = high + (digit << 8 * place) if place else 0
        elif name.startswith("A."):
            low = int(name[2:])
            begun.append((high + low % 256 - (2**32 if low >= 256 else 0), bytearray()))
            high = 0
        elif name.startswith("G."):
            begun.append((int(addresses[token]), bytearray()))
        elif name.startswith("B.") and begun:
            begun[-1][1].append(int(name[2:]))
    return [Segment(address, bytes(data)) for address, data in begun]


def _names(t: Transformer) -> list[str]:
    """Of the prefix's tokens."""
    return [t.vocabulary[i] for i in t.prefix.tolist()]


def _digit(name: str) -> tuple[int, int]:
    """Place and digit of a token D."""
    token = read(name)
    if token is None:
        raise ValueError(f"{name} is no digit")
    return token.place, token.number


__all__ = ["is_spelled", "restored"]
