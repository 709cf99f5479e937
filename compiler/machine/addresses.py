"""Where a program's values lie: addresses of slots, and of bytes in memory."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.errors import CompileError
from ..format.isa import Program, Slot
from ..format.limits import FRAME_SIZE_LIMIT, MEMORY_LIMIT, PAGE
from .call_graph import frame_limit


@dataclass(frozen=True)
class SlotMap:
    """addresses: of absolute slots (constants, globals, hidden registers), from 0 on; frames lie above them.
    constants: (address, initial value) of each. frame_base: first address of the frames. frame_limit: see `call_graph`."""

    addresses: dict[Slot, int]
    constants: list[tuple[int, int]]
    frame_base: int
    frame_limit: int

    @property
    def end(self) -> int:
        """All addresses are below."""
        return self.frame_base + self.frame_limit + FRAME_SIZE_LIMIT


def slot_map(program: Program) -> SlotMap:
    """Raises CompileError when a frame is too large."""
    for function in program.functions.values():
        if function.frame_size > FRAME_SIZE_LIMIT:
            raise CompileError(
                f"function {function.name}: {function.frame_size} locals and stack entries, at most {FRAME_SIZE_LIMIT}"
            )
    values: dict[Slot, int] = {Slot("const", 0): 0}
    for step in program.steps:
        for slot in (step.a, step.b, step.c, step.dest):
            if slot is not None and slot.kind != "frame":
                values.setdefault(slot, int(slot.index) if slot.kind == "const" else 0)
    values |= program.initial
    addresses = {slot: address for address, slot in enumerate(values)}
    constants = [(addresses[slot], value) for slot, value in values.items()]
    return SlotMap(addresses, constants, len(values), frame_limit(program))


@dataclass(frozen=True)
class MemoryMap:
    """Linear memory begins at 0; hidden memory ends there, and the tables of far jumps lie below it.

    segments: (address, bytes). inputs: address of each named area that a prompt may fill. hidden, tables: where they begin.
    lowest, highest: of all addresses.
    """

    segments: list[tuple[int, bytes]]
    inputs: dict[str, int]
    hidden: int
    tables: int
    lowest: int
    highest: int


def memory_map(program: Program, tables: bytes) -> MemoryMap:
    """Raises CompileError when hidden memory has no exact keys."""
    hidden = -program.hidden_bytes
    first = hidden - len(tables)
    segments = [(s.address + (hidden if s.hidden else 0), s.bytes) for s in program.segments]
    segments += [(first, tables)] if tables else []
    inputs = {name: hidden + offset for name, (offset, _) in program.inputs.items()}
    lowest = first - 256  # scratch: where the byte tokens of the prefix land
    if 16 - lowest > MEMORY_LIMIT:
        raise CompileError(
            f"tables, passive segments and input need {-first:,} bytes, at most {MEMORY_LIMIT:,} have exact keys"
        )
    grows = any(step.dest == Slot("hidden", "memory_bytes") for step in program.steps)
    highest = (program.memory_maximum if grows else program.memory_pages) * PAGE
    return MemoryMap(segments, inputs, hidden, first, lowest, highest)


__all__ = ["MemoryMap", "SlotMap", "memory_map", "slot_map"]
