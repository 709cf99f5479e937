"""Copies: a `mov` has to bring what was last written to the slot it reads, whether or not it stands for an instruction."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....compiler.format.isa import Program, Slot
from ....compiler.format.tokens import Kind
from ...trace import show_value
from .context import Window
from .divergence import Finding

_NONE, _CONST, _FIXED, _FRAME = range(4)
# Slots are one number each: frame slots their distance from the first frame, others count down from here.
_FIXED_BASE = -1


class SlotTable:
    """What each step copies and writes. source, target: (kind, number) of the slot; const: the constant it copies."""

    def __init__(self, program: Program):
        self._fixed: dict[Slot, int] = {}
        movs = [s.a if s.op == "mov" else None for s in program.steps]
        self.source = self._slots(movs)
        self.const = np.array([int(s.index) if s and s.kind == "const" else 0 for s in movs], np.uint64)
        self.target = self._slots([s.dest for s in program.steps])

    @property
    def fixed(self) -> tuple[Slot, ...]:
        """The slots that are in no frame: the k-th has the number -1 - k."""
        return tuple(self._fixed)

    def _slots(self, slots: list[Slot | None]) -> tuple[np.ndarray, np.ndarray]:
        """Kind and number of each slot."""
        kinds, numbers = np.zeros(len(slots), np.int8), np.zeros(len(slots), np.int64)
        for i, slot in enumerate(slots):
            if slot is None:
                continue
            if slot.kind == "const":
                kinds[i] = _CONST
            elif slot.kind == "frame":
                kinds[i], numbers[i] = _FRAME, int(slot.index)
            else:
                kinds[i] = _FIXED
                numbers[i] = _FIXED_BASE - self._fixed.setdefault(slot, len(self._fixed))
        return kinds, numbers


class Copies:
    """Follows the slots through a trace, window after window; only moves values, and knows a slot from its first write on."""

    def __init__(self, table: SlotTable):
        self._table = table
        self._known = np.empty(0, np.int64)  # slots, sorted, with the latest value of each
        self._values = np.empty(0, np.uint64)

    def check(self, w: Window) -> Iterator[Finding]:
        trace = w.context.trace
        source, target = self._table.source, self._table.target
        frame, value = trace.frame[w.start : w.start + len(w.index)], trace.value[w.start : w.start + len(w.index)]
        committed = w.kind == Kind.DIGIT
        writes = np.flatnonzero(committed & (target[0][w.index] >= _FIXED))
        slot = self._address(*target, w.index[writes], frame[writes])
        reads = np.flatnonzero(committed & (source[0][w.index] >= _FIXED))
        wanted = self._address(*source, w.index[reads], frame[reads])
        expected, known = self._before(wanted, reads, slot, writes, value[writes])
        consts = np.flatnonzero(committed & (source[0][w.index] == _CONST))
        at = np.concatenate([reads[known], consts])
        expected = np.concatenate([expected[known], self._table.const[w.index[consts]]])
        wrong = np.flatnonzero(expected != value[at])
        for k in wrong[np.argsort(at[wrong], kind="stable")][:1]:
            yield w.finding("step", "copied value", show_value(int(expected[k])), show_value(int(value[at[k]])), at[k])
        self._remember(slot, value[writes])

    @staticmethod
    def _address(kinds: np.ndarray, numbers: np.ndarray, index: np.ndarray, frame: np.ndarray) -> np.ndarray:
        return numbers[index] + np.where(kinds[index] == _FRAME, frame, 0)

    def _before(
        self, wanted: np.ndarray, reads: np.ndarray, slot: np.ndarray, writes: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The latest value of each slot before each read, and whether there is one."""
        result, known = np.zeros(len(wanted), np.uint64), np.zeros(len(wanted), np.bool_)
        if len(self._known):
            at = np.minimum(np.searchsorted(self._known, wanted), len(self._known) - 1)
            known = self._known[at] == wanted
            result[known] = self._values[at[known]]
        if len(slot):
            # (slot, time) as one number; the predecessor of (slot, time of the read) is the latest write before it.
            span = int(max(writes.max(initial=0), reads.max(initial=0))) + 2
            order = np.argsort(slot * span + writes, kind="stable")
            sorted_writes = (slot * span + writes)[order]
            at = np.searchsorted(sorted_writes, wanted * span + reads) - 1
            entry = order[np.maximum(at, 0)]
            here = (at >= 0) & (slot[entry] == wanted)
            result[here] = values[entry[here]]
            known |= here
        return result, known

    def _remember(self, slot: np.ndarray, values: np.ndarray) -> None:
        all_slots, all_values = np.concatenate([self._known, slot]), np.concatenate([self._values, values])
        self._known, last = np.unique(all_slots[::-1], return_index=True)
        self._values = all_values[::-1][last]
