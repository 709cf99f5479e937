"""Every site is reached when the oracle reaches it, and with the same value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..trace import Kind, show_value
from .context import Context
from .divergence import Finding
from .ranges import check_ranges
from .steps import CALL_INDIRECT, RECORDS


@dataclass(frozen=True)
class Pairs:
    """Executed steps and the records that belong to them. at: numbers of the steps; index: in the program."""

    at: np.ndarray
    index: np.ndarray
    record: np.ndarray
    recorded: np.ndarray


def check_records(c: Context, calls: np.ndarray, returns: np.ndarray) -> Iterator[Finding]:
    """calls, returns: numbers of the executed calls that came back, and their returns."""
    records = c.run.records
    events = _events(c, calls)
    n = min(len(events), len(records))
    other = np.flatnonzero(c.steps.site[c.trace.step[events[:n]]] != records["site"][:n])
    if len(other):
        n = int(other[0])  # behind that, steps and records are no pairs
        yield c.finding("record", "instruction reached", c.recorded(n), c.executed(events[n]), events[n])
    elif len(events) > n:
        yield c.finding("record", "end of the run", c.run_outcome(), c.executed(events[n]), events[n])
    elif len(records) > n:
        yield c.at_end("missing record", "end of the trace", c.recorded(n), c.trace_outcome())
    at = events[:n]
    index = c.trace.step[at]
    pairs = Pairs(at, index, c.steps.record[index], records[:n])
    yield from _check_values(c, pairs)
    yield from _check_branches(c, pairs)
    yield from _check_cases(c, pairs)
    yield from _check_callees(c, pairs)
    if c.trace.address is not None:
        yield from _check_addresses(c, pairs)
        bulk = pairs.record == RECORDS.index("bulk")
        yield from check_ranges(c, at[bulk], pairs.recorded[bulk], dict(zip(calls.tolist(), returns.tolist())))


def _events(c: Context, calls: np.ndarray) -> np.ndarray:
    """Numbers of the executed steps that have a site and completed: a bulk instruction when its call returned."""
    index = c.trace.step
    events = (c.steps.site[index] >= 0) & (c.trace.kind != Kind.TRAP)
    if c.has_bulk():
        back = np.zeros(len(index), dtype=bool)
        back[calls] = True
        events &= back | (c.steps.record[index] != RECORDS.index("bulk"))
    return np.flatnonzero(events)


def _is(pairs: Pairs, *records: str) -> np.ndarray:
    return np.isin(pairs.record, [RECORDS.index(r) for r in records])


def _check_values(c: Context, pairs: Pairs) -> Iterator[Finding]:
    reference = c.steps.reference[pairs.index]
    digits = c.trace.value[pairs.at]
    value = np.where(reference, (digits != 0).astype(np.uint64), digits)
    valued = _is(pairs, "value", "store") & (c.trace.kind[pairs.at] == Kind.DIGIT)
    for k in c.first(valued & (value != pairs.recorded["value"])):
        step, expected, actual = c.program.steps[pairs.index[k]], int(pairs.recorded["value"][k]), int(value[k])
        if reference[k]:
            words = ("null", "a reference")
            yield c.finding("record", "value", words[expected], words[actual], pairs.at[k])
        else:
            what = "stored value" if RECORDS[pairs.record[k]] == "store" else "value"
            wide = step.wide or step.op.startswith("i64.store")
            yield c.finding("record", what, show_value(expected, wide), show_value(actual, wide), pairs.at[k])


def _check_branches(c: Context, pairs: Pairs) -> Iterator[Finding]:
    """A branch taken stands for the condition `taken`, one not taken for the other."""
    taken = c.steps.taken[pairs.index]
    condition = np.where(c.trace.kind[pairs.at] == Kind.JUMP, taken, 1 - taken)
    for k in c.first(_is(pairs, "branch") & (condition != pairs.recorded["value"])):
        words = ("condition false", "condition true")
        expected, actual = words[int(pairs.recorded["value"][k])], words[int(condition[k])]
        yield c.finding("record", "branch", expected, actual, pairs.at[k])


def _check_cases(c: Context, pairs: Pairs) -> Iterator[Finding]:
    """The step after a br_table is the target of the recorded case. (Two cases may have one target.)"""
    k = np.flatnonzero(_is(pairs, "br_table") & (c.next[pairs.at] >= 0))
    index, recorded = pairs.index[k], pairs.recorded["value"][k].astype(np.int64)
    if not len(k):
        return
    case = np.minimum(recorded, c.steps.case_count[index] - 1)
    target, actual = c.steps.cases[c.steps.first_case[index] + case], c.next[pairs.at[k]]
    for i in c.first(target != actual):
        expected = f"case {recorded[i]}, step {target[i]}"
        yield c.finding("record", "br_table", expected, f"step {actual[i]}", pairs.at[k[i]])


def _check_callees(c: Context, pairs: Pairs) -> Iterator[Finding]:
    """An indirect call enters the recorded function, where the entered step is known to begin one."""
    callee = c.steps.function_at[c.next[pairs.at]]
    recorded = pairs.recorded["value"].astype(np.int64)
    for k in c.first((c.group[pairs.at] == CALL_INDIRECT) & (callee >= 0) & (callee != recorded)):
        expected, actual = (c.module.functions[int(f)].name for f in (recorded[k], callee[k]))
        yield c.finding("record", "callee", expected, actual, pairs.at[k])


def _check_addresses(c: Context, pairs: Pairs) -> Iterator[Finding]:
    """Linear memory begins at 0; element i of a table is at imm + 4 i of hidden memory, which ends at 0."""
    assert c.trace.address is not None
    recorded = pairs.recorded["address"].astype(np.int64)
    hidden = c.steps.imm[pairs.index] - c.program.hidden_bytes + 4 * recorded
    expected = np.where(c.steps.hidden[pairs.index], hidden, recorded)
    stores = _is(pairs, "store") & (c.trace.kind[pairs.at] == Kind.DIGIT)
    actual = c.trace.address[pairs.at]
    for k in c.first(stores & (expected != actual)):
        text = "bytes that are not adjacent" if np.isnan(actual[k]) else f"{actual[k]:.17g}"
        yield c.finding("record", "address", expected[k], text, pairs.at[k])
