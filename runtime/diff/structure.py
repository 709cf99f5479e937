"""Checks that need no oracle: every step ends as its operation does, and control goes where the program says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..trace import Kind
from .context import Context
from .divergence import Finding
from .steps import BRANCH, CALL, CALL_INDIRECT, ENDS_WITH, JUMP, RETURN, STORE, TRAP


def check_form(c: Context) -> Iterator[Finding]:
    """The tokens are those of a trace at all."""
    fault = c.trace.fault
    if fault is not None:
        at = int(np.searchsorted(c.trace.end, fault.token))  # the step that the token would belong to
        step = at if at < len(c.trace) else None
        yield Finding("step", "form of the trace", "tokens of a trace", fault.message, step, fault.token)


def check_ends(c: Context) -> Iterator[Finding]:
    """The kind of token that ends a step, the number of bytes of a store, the kind of a `trap` step."""
    trace, group = c.trace, c.group
    wanted = ENDS_WITH[group]
    right = (trace.kind == wanted) | (trace.kind == Kind.TRAP) | ((group == BRANCH) & (trace.kind == Kind.NEXT))
    for i in c.first(~right):
        op = c.program.steps[trace.step[i]].op
        yield c.finding("step", "kind of token", f"{Kind(wanted[i]).name} ({op})", Kind(trace.kind[i]).name, i)
    width = c.steps.width[trace.step]
    for i in c.first((group == STORE) & (trace.kind == Kind.DIGIT) & (trace.length != width)):
        yield c.finding("step", "number of stored bytes", width[i], trace.length[i], i)
    for i in np.flatnonzero((group == TRAP) & (trace.kind == Kind.TRAP)).tolist():
        kind, actual = c.program.steps[trace.step[i]].trap, trace.table.traps[int(trace.value[i])]
        if actual != kind:
            yield c.finding("step", "trap", kind, actual, i)


def check_jumps(c: Context) -> Iterator[Finding]:
    """Jumps, branches and calls go to their targets and move the frame by what the call says."""
    trace, steps, group = c.trace, c.steps, c.group
    known = c.next >= 0
    jumped = known & (trace.kind == Kind.JUMP)
    fixed = jumped & ((group == JUMP) | (group == BRANCH) | (group == CALL))
    target = steps.target[trace.step]
    for i in c.first(fixed & (c.next != target)):
        yield c.finding("step", "target of a jump", f"step {target[i]}", f"step {c.next[i]}", i)
    moved = np.append(trace.frame[1:], 0)[: len(trace)] - trace.frame
    calls = jumped & ((group == CALL) | (group == CALL_INDIRECT))
    wanted = np.where(calls, steps.imm[trace.step], 0)
    for i in c.first(known & (group != RETURN) & (moved != wanted)):
        yield c.finding("step", "movement of the frame", wanted[i], moved[i], i)


def returns_of(c: Context) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(calls, their returns, returns without a call), numbers of executed steps; the first two belong together.

    Sorted by depth and then by time, calls and returns of one depth alternate.
    """
    jumped = c.trace.kind == Kind.JUMP
    calls = jumped & ((c.group == CALL) | (c.group == CALL_INDIRECT))
    at = np.flatnonzero(calls | (jumped & (c.group == RETURN)))
    is_call = calls[at]
    depth = np.cumsum(np.where(is_call, 1, -1))
    level = np.where(is_call, depth, depth + 1)
    order = np.argsort(level, kind="stable")
    at, is_call, level = at[order], is_call[order], level[order]
    paired = np.zeros(len(at), dtype=bool)
    paired[1:] = is_call[:-1] & ~is_call[1:] & (level[:-1] == level[1:])
    second = np.flatnonzero(paired)
    return at[second - 1], at[second], at[~is_call & ~paired]


def check_returns(c: Context, calls: np.ndarray, returns: np.ndarray, lonely: np.ndarray) -> Iterator[Finding]:
    """A return continues behind the call of the same depth, with that call's frame. Arguments: from `returns_of`."""
    trace = c.trace
    if len(lonely):
        yield c.finding("step", "return", "a call that it returns from", "none", lonely.min())
    inside = c.next[returns] >= 0
    calls, returns = calls[inside], returns[inside]
    behind, frame = trace.step[calls] + 1, trace.frame[calls]
    for what, wanted, actual in (
        ("step after a return", behind, c.next[returns]),
        ("frame after a return", frame, trace.frame[returns + 1]),
    ):
        wrong = np.flatnonzero(wanted != actual)
        if len(wrong):
            k = wrong[np.argmin(returns[wrong])]
            yield c.finding("step", what, wanted[k], actual[k], returns[k])
