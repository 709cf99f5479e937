"""A checkpoint's step program has neither segments nor initial values: the prompt's prefix holds them, and is read back here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .format.checkpoint import Model
from .format.isa import Program, Segment, Slot
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


def _constants(t: Transformer) -> list[int]:
    """The values of C.0, C.1, ..."""
    tokens = [i for i in t.prefix.tolist() if t.vocabulary[i].startswith("C.")]
    result = [0] * len(tokens)
    for j in range(8):
        column = _slot(t, f"value.byte{j}")
        for k, token in enumerate(tokens):
            result[k] += int(column[token]) << 8 * j
    return result


def _segments(t: Transformer) -> list[Segment]:
    """Address and bytes of every segment behind the rows."""
    address = _slot(t, "segment.address")
    names = [t.vocabulary[i] for i in t.prefix.tolist()]
    result: list[Segment] = []
    for token, name in zip(t.prefix.tolist(), names, strict=True):
        if name.startswith("G."):
            result.append(Segment(int(address[token]), b""))
        elif name.startswith("B.") and result:
            result[-1] = replace(result[-1], bytes=result[-1].bytes + bytes([int(name[2:])]))
    return result


__all__ = ["restored"]
