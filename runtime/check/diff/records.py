"""Every site is reached when the oracle reaches it, and with the same value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ....compiler.format.isa import TRAPS
from ....compiler.format.references import NUMBER
from ....compiler.format.tokens import Kind
from ...trace import show_value
from ..oracle import REFERENCE_BITS, as_record
from .context import Context, Window
from .divergence import Finding
from .ranges import check_bulk
from .steps import BR_TABLE, BRANCH, BULK, CALL_INDIRECT, STORED, TAIL_INDIRECT, VALUED


@dataclass(frozen=True)
class Pairs:
    """Executed steps and the records that belong to them. at: in the window; index: in the program.

    record: number in `steps.RECORDS`. value, address: what the oracle recorded.
    """

    window: Window
    at: np.ndarray
    index: np.ndarray
    record: np.ndarray
    value: np.ndarray
    address: np.ndarray


class Records:
    """Goes through the records as the windows go through the trace. returned: call of a bulk instruction -> return. compared: so
    many are not there any more, none of them of a bulk instruction."""

    def __init__(self, context: Context, returned: Mapping[int, int], compared: int = 0):
        self.context, self.returned = context, returned
        self._has_bulk = bool((context.steps.record == BULK).any())
        self._bulk = iter(context.run.bulk)
        self.used, self._before = 0, compared

    def check(self, w: Window) -> Iterator[Finding]:
        c = self.context
        events = self._events(w)
        self._before, events = max(self._before - len(events), 0), events[self._before :]
        records = c.records[self.used : self.used + len(events)]
        n = len(records)
        other = np.flatnonzero(c.steps.site[w.index[events[:n]]] != records["site"])
        if len(other):
            n = int(other[0])  # behind that, steps and records are no pairs
            expected = c.recorded(self.used + n)
            yield w.finding("record", "instruction reached", expected, c.executed(w.start + events[n]), events[n])
        elif len(events) > n:
            actual = c.executed(w.start + events[n])
            # Where calls nest too deep, the oracle ends with the instruction, and the model with the next call that is a step:
            # it runs what stands in the place of the instruction before, and may come to an end so.
            nested = c.program.inlined and c.run.outcome == TRAPS["stack_exhausted"]
            limit = c.run.limit if nested else ""
            yield w.finding("record", "end of the run", c.run_outcome(), actual, events[n], limit)
        self.used += n
        at, records = events[:n], records[:n]
        index = w.index[at]
        pairs = Pairs(w, at, index, c.steps.record[index], records["value"], records["address"])
        yield from _check_values(pairs)
        yield from _check_tables(pairs)
        yield from _check_branches(pairs)
        yield from _check_cases(pairs)
        yield from _check_callees(pairs)
        yield from _check_addresses(pairs)
        yield from self._check_ranges(pairs)

    def check_end(self) -> Iterator[Finding]:
        """The oracle goes on where the trace ends."""
        c = self.context
        if self.used < len(c.records):
            yield c.at_end("missing record", "end of the trace", c.recorded(self.used), c.trace_outcome())

    def _events(self, w: Window) -> np.ndarray:
        """The steps that have a site and completed: a bulk instruction when its call returned."""
        events = np.flatnonzero((self.context.steps.site[w.index] >= 0) & (w.kind != Kind.TRAP))
        if self._has_bulk:
            bulk = np.flatnonzero(self.context.steps.record[w.index[events]] == BULK)
            lost = [k for k in bulk.tolist() if w.start + int(events[k]) not in self.returned]
            events = np.delete(events, lost)
        return events

    def _check_ranges(self, pairs: Pairs) -> Iterator[Finding]:
        if self.context.trace.address is None:
            return
        for k in np.flatnonzero(pairs.record == BULK).tolist():
            call = pairs.window.start + int(pairs.at[k])
            yield from check_bulk(self.context, next(self._bulk), call, self.returned[call], int(pairs.address[k]))


def _check_values(pairs: Pairs) -> Iterator[Finding]:
    w, c = pairs.window, pairs.window.context
    k = np.flatnonzero(VALUED[pairs.record] & (w.kind[pairs.at] == Kind.DIGIT))
    at, index, recorded = pairs.at[k], pairs.index[k], pairs.value[k]
    digits = c.trace.value[w.start + at]
    reference = c.steps.reference[index]
    wrong = np.where(reference, _other_reference(digits, recorded), digits != recorded)
    for i in w.first(wrong):
        step, expected, actual = c.program.steps[index[i]], int(recorded[i]), int(digits[i])
        if reference[i]:
            found = _reference(int(as_record(np.array(actual, np.uint64))), actual)
            yield w.finding("record", "value", _reference(expected), found, at[i])
        else:
            what = "stored value" if STORED[pairs.record[k[i]]] else "value"
            wide = step.wide or (step.operation.effect == "store" and step.operation.type == "i64")
            limit = _growth_limit(c, index[i], expected, actual, int(pairs.address[k[i]]))
            yield w.finding("record", what, show_value(expected, wide), show_value(actual, wide), at[i], limit)


def _other_reference(digits: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Where a reference is not what is recorded of it, see `oracle.observed`."""
    return np.where(recorded == REFERENCE_BITS, digits == 0, as_record(digits) != recorded)


def _reference(bits: int, actual: int | None = None) -> str:
    """What is recorded of a reference, in words. actual: what the model has, if it is the model's."""
    if bits >= NUMBER:
        return f"i31 {bits - NUMBER}"
    words = ("null", "a reference", "an object", "a value of the host's")[bits]
    return words if actual is None or not bits else f"{words} ({actual})"


def _growth_limit(c: Context, index: int, before: int, actual: int, delta: int) -> str:
    """The limit that a memory.grow or table.grow met where wasmtime has room, "" when it is something else."""
    instr = c.instr(index)
    if actual not in (2**32 - 1, 2**64 - 1) or instr.name not in ("memory.grow", "table.grow"):
        return ""
    if instr.name == "memory.grow":
        limit, text = c.memory_of(instr).maximum, "memory grows to {:,} pages at most"
    else:
        limit, text = c.program.table_capacity.get(instr.args[0], 0), "this table grows to {:,} elements at most"
    return text.format(limit) if before + delta > limit else ""


def _check_tables(pairs: Pairs) -> Iterator[Finding]:
    """Where neither side has room for the elements that the module allows, that is no agreement but the model's limit."""
    w, c = pairs.window, pairs.window.context
    failed = (pairs.value == 2**32 - 1) | (pairs.value == 2**64 - 1)
    k = np.flatnonzero(VALUED[pairs.record] & failed & (w.kind[pairs.at] == Kind.DIGIT))
    for index in np.unique(pairs.index[k]).tolist():
        instr = c.instr(index)
        if instr.name != "table.grow":
            continue
        declared = c.module.tables[instr.args[0]].limits
        allowed = (2**32 - 1 if declared.maximum is None else declared.maximum) - declared.minimum
        for i in k[pairs.index[k] == index].tolist():
            at, delta = pairs.at[i], int(pairs.address[i])
            limit = _growth_limit(c, index, 0, int(c.trace.value[w.start + at]), delta)
            if limit and delta <= allowed:
                yield w.finding("record", "value", "-1, for want of room", "-1", at, limit)


def _check_branches(pairs: Pairs) -> Iterator[Finding]:
    """A branch taken stands for the condition `taken`, one not taken for the other."""
    w = pairs.window
    k = np.flatnonzero(w.group[pairs.at] == BRANCH)
    at, recorded, taken = pairs.at[k], pairs.value[k], w.context.steps.taken[pairs.index[k]]
    condition = (w.kind[at] == Kind.JUMP) == (taken == 1)
    for i in w.first(condition != recorded):
        words = ("condition false", "condition true")
        yield w.finding("record", "branch", words[int(recorded[i])], words[int(condition[i])], at[i])


def _check_cases(pairs: Pairs) -> Iterator[Finding]:
    """The step after a br_table is the target of the recorded case. (Two cases may have one target.)"""
    w, steps = pairs.window, pairs.window.context.steps
    k = np.flatnonzero((w.group[pairs.at] == BR_TABLE) & (w.next[pairs.at] >= 0))
    if len(k):
        at, index, recorded = pairs.at[k], pairs.index[k], pairs.value[k].astype(np.int64)
        case = np.minimum(recorded, steps.case_count[index] - 1)
        target, actual = steps.cases[steps.first_case[index] + case], w.next[at]
        for i in w.first(target != actual):
            expected = f"case {recorded[i]}, step {target[i]}"
            yield w.finding("record", "br_table", expected, f"step {actual[i]}", at[i])


def _check_callees(pairs: Pairs) -> Iterator[Finding]:
    """An indirect call enters the recorded function, where the entered step is known to begin one."""
    w, c = pairs.window, pairs.window.context
    group = w.group[pairs.at]
    k = np.flatnonzero((group == CALL_INDIRECT) | (group == TAIL_INDIRECT))
    callee, recorded = c.steps.function_at[w.next[pairs.at[k]]], pairs.value[k].astype(np.int64)
    for i in w.first((callee >= 0) & (callee != recorded)):
        expected, actual = (c.module.functions[int(f)].name for f in (recorded[i], callee[i]))
        yield w.finding("record", "callee", expected, actual, pairs.at[k[i]])


def _check_addresses(pairs: Pairs) -> Iterator[Finding]:
    """Linear memory begins at 0; element i of a table is at imm + 4 i of hidden memory, which ends at 0."""
    w, c = pairs.window, pairs.window.context
    if c.trace.address is None:
        return
    k = np.flatnonzero(STORED[pairs.record] & (w.kind[pairs.at] == Kind.DIGIT))
    index, recorded = pairs.index[k], pairs.address[k].astype(np.int64)
    hidden = c.steps.imm[index] - c.program.hidden_bytes + 4 * recorded
    expected = np.where(c.steps.hidden[index], hidden, recorded + c.steps.base[index])
    actual = c.trace.address[w.start + pairs.at[k]]
    for i in w.first(expected != actual):
        text = "bytes that are not adjacent" if np.isnan(actual[i]) else f"{actual[i]:.17g}"
        yield w.finding("record", "address", expected[i], text, pairs.at[k[i]])
