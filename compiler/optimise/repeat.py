"""Small loops that stand there several times: what leads from one copy of the body to the next is a branch that is not taken, and
costs nothing (`join`). Only the last copy jumps back."""

from __future__ import annotations

from collections.abc import Iterable

from ..format.isa import Inlined, Step
from ..lower.code import Code, labels_of
from .unroll import inverted

# Copies of the body, by how many steps it has at most.
_TIMES = ((4, 8), (8, 4), (16, 3), (32, 2))
# What a function comes to have more: so many steps, and one for so many that it has.
_GROWTH, _PART = 64, 8


def repeat(code: Code) -> None:
    """In place: loops that end with a branch back to a step which may share its row. They have no other loops in them."""
    room = _GROWTH + len(code.steps) // _PART
    for loop in sorted(_loops(code), key=lambda loop: -loop.start):  # from behind: what stands before stays where it is
        times = next((times for most, times in _TIMES if len(loop) <= most), 1)
        times = min(times, 1 + room // len(loop))
        if times > 1:
            room -= (times - 1) * len(loop)
            _repeat(code, loop, times)


def _loops(code: Code) -> list[range]:
    """The steps of each, from the one that the last one goes back to."""
    back = [(code.labels[label], i) for i, step in enumerate(code.steps) for label in labels_of(step) if code.labels[label] <= i]
    found = {}
    for start, last in back:
        step, inside = code.steps[last], [b for b in back if start <= b[0] and b[1] <= last and b[0] != start]
        if step.operation.branches and code.steps[start].operation.joins and not inside and start < last:
            found[start] = range(start, last + 1)
    disjoint, end = [], 0
    for loop in sorted(found.values(), key=lambda loop: loop.start):
        if loop.start >= end and _whole(code.inlined, loop):
            disjoint.append(loop)
            end = loop.stop
    return disjoint


def _whole(parts: Iterable[Inlined], loop: range) -> bool:
    """Whether no inlined function stands across its ends."""
    return all(
        (part.start >= loop.start and part.end < loop.stop) or part.end <= loop.start or part.start >= loop.stop for part in parts
    )


def _repeat(code: Code, loop: range, times: int) -> None:
    """The body stands there so many times, and only the last copy goes back to the first one."""
    body, last = [code.steps[i] for i in loop[:-1]], code.steps[loop[-1]]
    size, more = len(loop), (times - 1) * len(loop)
    inner = [label for label, at in code.labels.items() if loop.start < at < loop.stop]
    at = {label: code.labels[label] for label in inner}
    leave = code.new_label()
    steps: list[Step] = []
    code.labels = {label: there + more * (there >= loop.stop) for label, there in code.labels.items()}
    code.labels[leave] = loop.stop + more
    for k in range(times):
        names = {label: code.new_label() for label in inner} if k else {}
        code.labels |= {new: at[label] + k * size for label, new in names.items()}
        steps += [_renamed(step, names) for step in body]
        steps.append(inverted(last, leave) if k < times - 1 else last)
    code.steps[loop.start : loop.stop] = steps
    parts = []
    for part in code.inlined:
        if part.start >= loop.stop:
            parts.append(part.but(start=part.start + more, end=part.end + more))
        elif part.end <= loop.start:
            parts.append(part)
        else:
            parts += [part.but(start=part.start + k * size, end=part.end + k * size) for k in range(times)]
    code.inlined = sorted(parts, key=lambda part: part.start)


def _renamed(step: Step, names: dict[int, int]) -> Step:
    if not names or not labels_of(step):
        return step
    target = None if step.target is None else names.get(step.target, step.target)
    return step.but(target=target, targets=tuple(names.get(label, label) for label in step.targets))
