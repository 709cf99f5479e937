"""What holds of a function's steps before and after every pass; for tests, and for whoever looks at a pass's result.

- Steps have what their operations have; labels mark steps; nothing runs off the end; calls fit the frame.
- A slot is written on every path before it is read; a function begins with its parameters written.
- What the lowering claims to know of values (`Step.limits`) holds on every path: an interval analysis of the steps as
  they are now, which joins what comes over every edge, must come to bounds that are no worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..format.isa import Slot, Step
from ..format.limits import MEMORY_PAGES
from ..format.types import FuncType
from ..format.validate import InvalidProgram, check_operands
from ..lower.bounds import bound
from ..lower.code import Code, falls_through, labels_of
from ..lower.lower import LoweredFunction
from ..lower.stack import UNKNOWN
from .liveness import Effects, live_after

# A label's bounds rise so many times before they are widened.
_EXACT_ROUNDS = 12
# Frame slot -> the greatest value it can hold; a slot that is not there may hold anything.
Bounds = dict[int, int]


def check(name: str, lowered: Sequence[LoweredFunction], types: Mapping[int, FuncType]) -> None:
    """Raises InvalidProgram, with the pass, the function and the step, when one of them does not hold."""
    for function in lowered:
        try:
            check_function(function, types)
        except InvalidProgram as error:
            raise InvalidProgram(f"after {name}, function {function.name}: {error}", error.step) from None


def check_function(function: LoweredFunction, types: Mapping[int, FuncType]) -> None:
    """Raises InvalidProgram when the function's steps break what this module says."""
    effects = Effects(types, len(function.type.results), function.frame_size)
    _check_form(function.code, effects)
    _check_written(function.code, effects, function.parameters)
    _check_limits(function.code, effects)


def _check_form(code: Code, effects: Effects) -> None:
    for at, step in enumerate(code.steps):
        try:
            check_operands(step, effects.frame_size)
        except ValueError as error:
            raise InvalidProgram(str(error), at) from None
        for label in labels_of(step):
            if not 0 <= code.labels.get(label, -1) < len(code.steps):
                raise InvalidProgram(f"{step.op} goes to label {label}, which marks no step", at)
        if step.operation.calls:
            type_ = effects.callee_type(step)
            if not 1 <= step.imm <= effects.frame_size - max(len(type_.params), len(type_.results)):
                raise InvalidProgram(f"{step.op} does not fit a frame of {effects.frame_size}", at)
        if step.operation.tail and len(effects.callee_type(step).params) > effects.frame_size:
            raise InvalidProgram(f"{step.op} does not fit a frame of {effects.frame_size}", at)
    if code.steps and falls_through(code.steps[-1]):
        raise InvalidProgram("runs off the end of the function", len(code.steps) - 1)


def _check_written(code: Code, effects: Effects, parameters: int) -> None:
    if not code.steps:
        return
    first = code.steps[0]
    needed = effects.reads(first) | live_after(code, effects)[0] & ~effects.writes(first)
    unwritten = needed >> parameters
    if unwritten:
        slot = parameters + (unwritten & -unwritten).bit_length() - 1
        raise InvalidProgram(f"slot {slot} may be read before it is written", 0)


def _check_limits(code: Code, effects: Effects) -> None:
    """Widening: after some rounds a bound that rises at a label becomes the next 2^n - 1, so this ends."""
    marked = {code.labels[label] for label in code.target_counts()}
    at_label: dict[int, Bounds] = {}
    rounds: dict[int, int] = {}
    pending = [(0, Bounds())]
    seen: set[int] = set()
    while pending:
        at, bounds = pending.pop()
        while at < len(code.steps):
            if at in marked:
                joined = _join(at_label.get(at), bounds, rounds.get(at, 0) < _EXACT_ROUNDS)
                if joined == at_label.get(at):
                    break
                rounds[at] = rounds.get(at, 0) + 1
                at_label[at] = joined
                bounds = dict(joined)
            seen.add(at)
            step = code.steps[at]
            _apply(step, bounds, effects)
            pending += [(code.labels[label], dict(bounds)) for label in labels_of(step)]
            if not falls_through(step):
                break
            at += 1
    _compare(code, effects, marked, at_label, seen)


def _join(known: Bounds | None, new: Bounds, exact: bool) -> Bounds:
    if known is None:
        return dict(new)
    joined = Bounds()
    for slot, most in known.items():
        other = new.get(slot, UNKNOWN)
        most = most if other <= most else other if exact else 2 ** other.bit_length() - 1
        if most < UNKNOWN:
            joined[slot] = most
    return joined


def _compare(
    code: Code, effects: Effects, marked: set[int], at_label: Mapping[int, Bounds], seen: set[int]
) -> None:
    """The claims against the bounds, once these no longer change."""
    bounds = Bounds()
    for at, step in enumerate(code.steps):
        if at in marked:
            bounds = dict(at_label.get(at, {}))
        if at in seen:
            for name, slot, limit in zip("ab", (step.a, step.b), step.limits):
                most = _bound(slot, bounds)
                if most > limit:
                    raise InvalidProgram(f"{step.op}: `{name}` is said to be at most {limit}, it may be {most}", at)
            _apply(step, bounds, effects)


def _bound(slot: Slot | None, bounds: Bounds) -> int:
    if slot is None or slot.kind == "const":
        return 0 if slot is None else int(slot.index)
    return bounds.get(int(slot.index), UNKNOWN) if slot.kind == "frame" else UNKNOWN


def _apply(step: Step, bounds: Bounds, effects: Effects) -> None:
    """From what is known before the step to what is known behind it."""
    if step.operation.calls:
        for slot in [slot for slot in bounds if slot >= step.imm]:
            del bounds[slot]
    if step.dest is None or step.dest.kind != "frame":
        return
    limits = [_bound(step.a, bounds), _bound(step.b, bounds)]
    if step.op == "mov":
        most = limits[0]
    elif step.op == "select":
        most = max(limits)
    elif step.op == "i32.rotr" and step.a is not None and step.a.kind == "hidden":
        most = MEMORY_PAGES  # memory.size: no other register is turned, see `limits.size_register`
    else:
        constant = int(step.b.index) if step.b is not None and step.b.kind == "const" else None
        limits = limits[: 1 + (step.b is not None)] + ([] if step.d is None else [_bound(step.d, bounds)])
        most = bound(step.op, limits, constant) if step.operation.width else UNKNOWN
    if most < UNKNOWN:
        bounds[int(step.dest.index)] = most
    else:
        bounds.pop(int(step.dest.index), None)
