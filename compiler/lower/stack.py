"""The operand stack at compile time: where each entry of the WASM stack lives while a function is lowered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..format.isa import Slot, Step
from .code import Code

UNKNOWN = 2**64 - 1


@dataclass(frozen=True)
class Operand:
    """slot: where the value can be read: the entry's own slot, or (a lazy copy) a local, a global, a constant.

    wide: the value is 64 bits. limit: the value is known to be at most this, whatever the program's inputs are.
    sum: the step that computes the value, when it is an i32.add of a constant that provably does not wrap around.
    """

    slot: Slot
    wide: bool
    limit: int = UNKNOWN
    sum: Step | None = None


def limits_of(*operands: Operand) -> tuple[int, ...]:
    """What is known of the operands, for `Step.limits`; () when nothing is."""
    limits = tuple(operand.limit for operand in operands)
    return limits if any(limit < UNKNOWN for limit in limits) else ()


class OperandStack:
    """Entry k of the stack owns the frame slot base + k, its canonical slot; lazy entries do not use theirs (yet).

    high_water: one past the highest frame slot in use so far.
    """

    def __init__(self, code: Code, base: int, high_water: int):
        self.code = code
        self.base = base
        self.high_water = high_water
        self.entries: list[Operand] = []

    def __len__(self) -> int:
        return len(self.entries)

    def canonical(self, position: int) -> Slot:
        """The slot of the entry at this position; counted as used."""
        self.reserve(self.base + position + 1)
        return Slot("frame", self.base + position)

    def reserve(self, slots: int) -> None:
        self.high_water = max(self.high_water, slots)

    def push(self, operand: Operand) -> None:
        self.entries.append(operand)

    def push_new(self, wide: bool, limit: int = UNKNOWN) -> Slot:
        """Push an entry that the next step computes; its destination is the slot returned."""
        slot = self.canonical(len(self.entries))
        self.entries.append(Operand(slot, wide, limit))
        return slot

    def pop(self) -> Operand:
        return self.entries.pop()

    def take(self, count: int) -> list[Operand]:
        """Pop `count` entries; the topmost is the last of the list."""
        if not count:
            return []
        taken = self.entries[-count:]
        del self.entries[-count:]
        return taken

    def temporary(self) -> Slot:
        """A slot that no entry uses."""
        return self.canonical(len(self.entries))

    def spill(self, reads: Callable[[Slot], bool], below: int | None = None) -> None:
        """Put the entries whose slot satisfies `reads` into their canonical slots.

        Only entries at positions < below (default: all) are looked at. To be called before such a slot is overwritten.
        """
        for position in range(len(self.entries) if below is None else below):
            operand = self.entries[position]
            if not reads(operand.slot):
                continue
            own = self.canonical(position)
            if operand.slot != own:
                self.code.emit(Step("mov", a=operand.slot, dest=own, wide=operand.wide))
                self.entries[position] = Operand(own, operand.wide, operand.limit)

    def forget(self, count: int) -> None:
        """From here on the topmost entries may have come over another path: nothing is known of their values."""
        for position in range(len(self.entries) - count, len(self.entries)):
            operand = self.entries[position]
            self.entries[position] = Operand(operand.slot, operand.wide)

    def settle(self, count: int, under: int = 0) -> None:
        """Put `count` entries into their canonical slots: the topmost, or those under the `under` topmost."""
        last = len(self.entries) - under
        moves = []
        for position in range(last - count, last):
            operand = self.entries[position]
            own = self.canonical(position)
            moves.append((own, operand.slot, operand.wide))
            self.entries[position] = Operand(own, operand.wide, operand.limit)
        self.code.emit_moves(moves, self.temporary)
