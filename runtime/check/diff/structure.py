"""Checks that need no oracle: every step ends as its operation does, and control goes where the program says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....compiler.format.tokens import Kind
from .context import Context, Window
from .divergence import Finding
from .steps import BRANCH, CALL, CALL_INDIRECT, ENDS_WITH, JUMP, RETURN, STORE, TRAP


def check_form(c: Context) -> Iterator[Finding]:
    """The tokens are those of a trace at all."""
    fault = c.trace.fault
    if fault is not None:
        at = int(np.searchsorted(c.trace.end, fault.token))  # the step that the token would belong to
        step = at if at < len(c.trace) else None
        yield Finding("step", "form of the trace", "tokens of a trace", fault.message, step, fault.token)


def check_ends(w: Window) -> Iterator[Finding]:
    """The kind of token that ends a step, the number of bytes of a store, the kind of a `trap` step."""
    c = w.context
    wanted = ENDS_WITH[w.group]
    for i in w.first((w.kind != wanted) & (w.kind != Kind.TRAP) & ((w.group != BRANCH) | (w.kind != Kind.NEXT))):
        op = c.program.steps[w.index[i]].op
        yield w.finding("step", "kind of token", f"{Kind(wanted[i]).name} ({op})", Kind(w.kind[i]).name, i)
    stores = np.flatnonzero((w.group == STORE) & (w.kind == Kind.DIGIT))
    width, length = c.steps.width[w.index[stores]], c.trace.length[w.start + stores]
    first = c.trace.tokens[c.trace.end[w.start + stores] + 1 - length]
    table = c.trace.table
    digits = np.where(table.kind[first] == Kind.DIGIT, table.place[first] + 1, length - 1)
    for k in w.first((width != length) | (width != digits)):
        yield w.finding("step", "number of stored bytes", width[k], digits[k], stores[k])
    for i in np.flatnonzero((w.group == TRAP) & (w.kind == Kind.TRAP)).tolist():
        kind, actual = c.program.steps[w.index[i]].trap, c.trace.table.traps[int(c.trace.value[w.start + i])]
        if actual != kind:
            yield w.finding("step", "trap", kind, actual, i)


def check_jumps(w: Window) -> Iterator[Finding]:
    """Jumps, branches and calls go to their targets; only calls, and returns, move the frame, by what the call says."""
    steps, trace = w.context.steps, w.context.trace
    jumps = np.flatnonzero((w.kind == Kind.JUMP) & (w.next >= 0))
    group, index, following = w.group[jumps], w.index[jumps], w.next[jumps]
    target = steps.target[index]
    fixed = (group == JUMP) | (group == BRANCH) | (group == CALL)
    for k in w.first(fixed & (following != target)):
        yield w.finding("step", "target of a jump", f"step {target[k]}", f"step {following[k]}", jumps[k])
    at = w.start + jumps
    moved = trace.frame[at + 1] - trace.frame[at]
    wanted = np.where((group == CALL) | (group == CALL_INDIRECT), steps.imm[index], 0)
    for k in w.first((group != RETURN) & (moved != wanted)):
        yield w.finding("step", "movement of the frame", wanted[k], moved[k], jumps[k])


class Calls:
    """Which return belongs to which call, window after window. All are numbers of executed steps.

    returned: call of a bulk instruction -> its return.
    """

    def __init__(self, bulk: int):
        self._bulk = bulk  # the number of the record
        self._open = np.empty(0, np.int64)  # calls in progress, outermost first
        self.returned: dict[int, int] = {}

    def check(self, w: Window) -> Iterator[Finding]:
        """A return continues behind the call of the same depth, with that call's frame."""
        trace = w.context.trace
        calls, returns, lonely = self._match(w)
        if len(lonely):
            first = lonely.min()
            yield w.context.finding("step", "return", "a call that it returns from", "none", first)
        bulk = w.context.steps.record[trace.step[calls]] == self._bulk
        self.returned.update(zip(calls[bulk].tolist(), returns[bulk].tolist(), strict=True))
        inside = returns + 1 < len(trace)
        calls, returns = calls[inside], returns[inside]
        behind, frame = trace.step[calls] + 1, trace.frame[calls]
        for what, wanted, actual in (
            ("step after a return", behind, trace.step[returns + 1]),
            ("frame after a return", frame, trace.frame[returns + 1]),
        ):
            wrong = np.flatnonzero(wanted != actual)
            if len(wrong):
                k = wrong[np.argmin(returns[wrong])]
                yield w.context.finding("step", what, wanted[k], actual[k], returns[k])

    def _match(self, w: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(calls, their returns, returns without a call). Sorted by depth and time, calls and returns alternate."""
        jumped = w.kind == Kind.JUMP
        calls = jumped & ((w.group == CALL) | (w.group == CALL_INDIRECT))
        here = np.flatnonzero(calls | (jumped & (w.group == RETURN)))
        at = np.concatenate([self._open, w.start + here])
        is_call = np.concatenate([np.ones(len(self._open), np.bool_), calls[here]])
        depth = np.cumsum(np.where(is_call, 1, -1))
        level = np.where(is_call, depth, depth + 1)
        order = np.argsort(level, kind="stable")
        at, is_call, level = at[order], is_call[order], level[order]
        pair = np.zeros(len(at) + 1, np.bool_)  # this one is the return of the one before
        pair[1:-1] = is_call[:-1] & ~is_call[1:] & (level[:-1] == level[1:])
        second = np.flatnonzero(pair)
        self._open = at[is_call & ~pair[1:]]
        return at[second - 1], at[second], at[~is_call & ~pair[:-1]]
