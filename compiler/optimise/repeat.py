"""Small loops that stand there several times: what leads from one copy of the body to the next is a branch that is not taken, and
costs nothing (`join`). Only the last copy jumps back."""

from __future__ import annotations

from collections import defaultdict
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
    chosen: dict[int, tuple[range, int]] = {}  # by first step: the loop, and how many times
    for loop in reversed(_loops(code)):
        times = next((times for most, times in _TIMES if len(loop) <= most), 1)
        times = min(times, 1 + room // len(loop))
        if times > 1:
            room -= (times - 1) * len(loop)
            chosen[loop.start] = loop, times
    if chosen:
        _repeat(code, chosen)


def _loops(code: Code) -> list[range]:
    """The steps of each, from the one that the last one goes back to; in their order."""
    back = [(code.labels[label], i) for i, step in enumerate(code.steps) for label in labels_of(step) if code.labels[label] <= i]
    found: dict[int, range] = {}
    nearest = later = len(code.steps)  # the first step that goes back to one behind this one; the same of those seen so far
    before = nearest
    for start, last in sorted(back, key=lambda b: (-b[0], b[1])):
        if start != before:
            nearest, before = later, start
        later = min(later, last)
        if code.steps[last].operation.branches and code.steps[start].operation.joins and start < last < nearest:
            found[start] = range(start, last + 1)
    disjoint, end = [], 0
    for loop in reversed(found.values()):
        if loop.start >= end and _whole(code.inlined, loop):
            disjoint.append(loop)
            end = loop.stop
    return disjoint


def _whole(parts: Iterable[Inlined], loop: range) -> bool:
    """Whether no inlined function stands across its ends."""
    return all(
        (part.start >= loop.start and part.end < loop.stop) or part.end <= loop.start or part.start >= loop.stop for part in parts
    )


def _repeat(code: Code, chosen: dict[int, tuple[range, int]]) -> None:
    """The body of each loop stands there so many times, and only the last copy goes back to the first one."""
    marks: dict[int, list[int]] = defaultdict(list)
    for label, at in code.labels.items():
        marks[at].append(label)
    steps: list[Step] = []
    moved: list[int] = []  # by step: where it is, of copies the first one
    copies: list[tuple[int, int]] = []  # by step: how many there are, and how far apart
    labels: dict[int, int] = {}
    while len(moved) < len(code.steps):
        start, first = len(moved), len(steps)
        loop, times = chosen.get(start, (range(start, start + 1), 1))
        size, last = len(loop), code.steps[loop[-1]]
        moved += range(first, first + size)
        copies += [(times, size)] * size
        if times == 1:
            steps.append(last)
            continue
        leave = code.new_label()
        labels[leave] = first + times * size
        inner = [(label, at - start) for at in loop[1:] for label in marks.get(at, ())]
        for k in range(times):
            names = {label: code.new_label() for label, _ in inner} if k else {}
            labels |= {names[label]: first + k * size + at for label, at in inner if k}
            steps += [_renamed(code.steps[at], names) for at in loop[:-1]]
            steps.append(inverted(last, leave) if k < times - 1 else last)
    moved.append(len(steps))
    code.labels = {label: moved[at] for label, at in code.labels.items()} | labels
    code.steps = steps
    parts = []
    for part in code.inlined:
        times, size = copies[part.start]
        parts += [part.but(start=moved[part.start] + k * size, end=moved[part.end] + k * size) for k in range(times)]
    code.inlined = sorted(parts, key=lambda part: part.start)


def _renamed(step: Step, names: dict[int, int]) -> Step:
    if not names or not labels_of(step):
        return step
    target = None if step.target is None else names.get(step.target, step.target)
    return step.but(target=target, targets=tuple(names.get(label, label) for label in step.targets))
