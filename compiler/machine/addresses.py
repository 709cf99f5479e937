"""Where a program's values lie: addresses of slots, and of bytes in memory."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.errors import CompileError
from ..format.isa import Program, Slot
from ..format.limits import FRAME_SIZE_LIMIT, HIDDEN_LIMIT, SEGMENT_LIMIT
from .call_graph import frame_limit


@dataclass(frozen=True)
class SlotMap:
    """addresses: of absolute slots (constants, globals, hidden registers), from 0 on; frames lie above them.
    constants: (address, initial value) of each. frame_base: first address of the frames. frame_limit: see `call_graph`.
    frame_size: slots that the largest frame has, calls prepared included."""

    addresses: dict[Slot, int]
    constants: list[tuple[int, int]]
    frame_base: int
    frame_limit: int
    frame_size: int

    @property
    def end(self) -> int:
        """All addresses are below."""
        return self.frame_base + self.frame_limit + self.frame_size


def slot_map(program: Program) -> SlotMap:
    """Raises CompileError when a frame is too large."""
    for function in program.functions.values():
        if function.frame_size > FRAME_SIZE_LIMIT:
            raise CompileError(
                f"function {function.name}: {function.frame_size} locals and stack entries, at most {FRAME_SIZE_LIMIT}"
            )
    values: dict[Slot, int] = {Slot("const", 0): 0}
    for step in program.steps:
        for slot in (step.a, step.b, step.c, step.d, step.dest):
            if slot is not None and slot.kind != "frame":
                values.setdefault(slot, int(slot.index) if slot.kind == "const" else 0)
    values |= program.initial
    addresses = {slot: address for address, slot in enumerate(values)}
    constants = [(addresses[slot], value) for slot, value in values.items()]
    slots = (slot for step in program.steps for slot in (step.a, step.b, step.c, step.d, step.dest))
    size = max((int(slot.index) + 1 for slot in slots if slot is not None and slot.kind == "frame"), default=1)
    return SlotMap(addresses, constants, len(values), frame_limit(program), size)


@dataclass(frozen=True)
class MemoryMap:
    """Linear memory begins at 0; hidden memory ends there, and the tables of far jumps lie below it.

    segments: (address, bytes). inputs: address of each named area that a prompt may fill. hidden, tables: where they begin.
    lowest: of all addresses. longest: how many bytes may follow one segment token.
    """

    segments: list[tuple[int, bytes]]
    inputs: dict[str, int]
    hidden: int
    tables: int
    lowest: int
    longest: int


def memory_map(program: Program, tables: bytes) -> MemoryMap:
    """Raises CompileError when hidden memory has no exact keys."""
    hidden = -program.hidden_bytes
    first = hidden - len(tables)
    segments = [(s.address + (hidden if s.hidden else 0), s.bytes) for s in program.segments]
    segments += [(first, tables)] if tables else []
    inputs = {name: hidden + offset for name, (offset, _) in program.inputs.items()}
    lowest = first - 256  # scratch: where the byte tokens of the prefix land
    if -lowest > HIDDEN_LIMIT + 512:
        raise CompileError(
            f"tables, passive segments and input need {-first:,} bytes, at most {HIDDEN_LIMIT:,} have exact keys"
        )
    longest = max([256, *(len(data) for _, data in segments), *(size for _, size in program.inputs.values())])
    if longest > SEGMENT_LIMIT:
        raise CompileError(f"a segment of {longest:,} bytes, at most {SEGMENT_LIMIT:,} have exact keys")
    return MemoryMap(segments, inputs, hidden, first, lowest, longest)


__all__ = ["MemoryMap", "SlotMap", "memory_map", "slot_map"]
