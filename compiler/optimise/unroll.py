"""Loops whose variables change places: (a, b) = (b, a mod b), or eight of them in a hash function.

No slot can hold a variable all around such a loop, so coalescing leaves a copy for each in every round. Where the body stands in
the program several times over, each copy of it may have the variables in other slots, and after as many rounds they are back: the
copies go.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ..format.isa import Slot, Step
from ..format.operations import BRANCH, END, JUMP, NEXT, TABLE, inverse
from ..lower.code import Code, labels_of
from .coalesce import coalesce
from .copies import is_copy
from .liveness import Effects, frame_bit, live_after

# Loops of at most so many steps are looked at, and become at most so long.
_LOOP, _UNROLLED = 64, 192
# One copy less a round is worth at most so many steps more.
_WORTH = 12
# In functions of more steps than this loops are left alone: to coalesce them again takes long, and their loops are few of them.
_FUNCTION = 500
# What their steps do: nothing that ties values to slots.
_CONTROL = (NEXT, JUMP, BRANCH, TABLE, END)


def coalesce_loops(code: Code, effects: Effects, parameters: int) -> None:
    """`coalesce`, with the bodies of small loops twice, four times or eight times where fewer copies are left a round."""
    best = code
    plain = _coalesced(code, effects, parameters)
    loops = _loops(plain)
    costs: dict[int, float] = {label: _copies(plain, loop) for label, loop in loops.items() if len(loop) <= _LOOP}
    worth = {label for label, copies in costs.items() if copies and copies * _WORTH >= len(loops[label])}
    pending = worth if len(code.steps) <= _FUNCTION else set[int]()
    factor = 1
    while pending and factor < 8:
        factor *= 2
        long = _unrolled(best, effects, pending)
        result = _coalesced(long, effects, parameters)
        found = {label: _copies(result, loop) / factor for label, loop in _loops(result).items() if label in pending}
        better = {label for label, copies in found.items() if (costs[label] - copies) * _WORTH >= len(loops[label])}
        if not better:
            break
        if better != pending:
            long = _unrolled(best, effects, better)
            result = _coalesced(long, effects, parameters)
        best, plain = long, result
        costs |= {label: found[label] for label in better}
        sizes = {label: len(loop) for label, loop in _loops(best).items()}
        pending = {label for label in better if costs[label] and 2 * sizes.get(label, _UNROLLED) <= _UNROLLED}
    code.steps, code.labels, code.folded, code._next_label = plain.steps, plain.labels, plain.folded, plain._next_label


def inverted(step: Step, target: int) -> Step:
    """The branch that goes to `target` exactly when this one is not taken."""
    return step.but(op=inverse(step.op), target=target, taken=1 - step.taken)


def _coalesced(code: Code, effects: Effects, parameters: int) -> Code:
    result = _clone(code)
    coalesce(result, effects, parameters)
    return result


def _clone(code: Code) -> Code:
    return replace(code, steps=list(code.steps), labels=dict(code.labels), folded=dict(code.folded))


def _copies(code: Code, loop: range) -> int:
    """How many copies from slot to slot of the frame a round may run through."""
    steps = (code.steps[i] for i in loop)
    return sum(is_copy(code, step) and frame_bit(step.a) != 0 for step in steps)


def _loops(code: Code) -> dict[int, range]:
    """Loops that have no other in them, by the label that their last step goes back to; entered nowhere else."""
    sources: dict[int, list[int]] = {}  # by position: the steps that go there
    for i, step in enumerate(code.steps):
        for label in labels_of(step):
            sources.setdefault(code.labels[label], []).append(i)
    back = {at: [i for i in whence if i >= at] for at, whence in sources.items()}
    starts = sorted(at for at, whence in back.items() if whence)
    found: dict[int, range] = {}
    for at, following in pairwise([*starts, len(code.steps)]):
        last = max(back[at])
        target = code.steps[last].target
        if len(back[at]) > 1 or following <= last or target is None or last - at > _UNROLLED:
            continue
        if any(code.steps[i].operation.control not in _CONTROL for i in range(at, last + 1)):
            continue
        inside = (i for entry in range(at + 1, last + 1) for i in sources.get(entry, ()))
        if all(at <= i <= last for i in inside):
            found[target] = range(at, last + 1)
    return found


def _unrolled(code: Code, effects: Effects, wanted: AbstractSet[int]) -> Code:
    """The same with these loops' steps twice; a loop that is none any more stays as it is."""
    result = _clone(code)
    loops = _loops(result)
    for label in sorted(wanted & loops.keys(), key=lambda label: -loops[label].start):
        _double(result, effects, label, loops[label])
    return result


def _double(code: Code, effects: Effects, label: int, loop: range) -> None:
    """loop: its last step goes back to `label`. Behind it stands a second copy, which the first one goes on to.

    What the loop writes has other slots in the second copy. Copies lead there, and back to the first one and to whatever is
    behind the loop: coalescing is to remove as many of them as it can.
    """
    live = live_after(code, effects)
    outside = {name: at for name, at in code.labels.items() if not loop.start < at < loop.stop and name != label}
    around = _before(code, effects, live, loop.start)
    places = _new_places(code, effects, loop)
    inner = {name: code.new_label() for name, at in code.labels.items() if loop.start < at < loop.stop}
    steps, last = [code.steps[i] for i in loop], code.steps[loop[-1]]
    left = dict.fromkeys(name for step in steps for name in labels_of(step) if name in outside)
    needed = {name: _before(code, effects, live, outside[name]) for name in left}
    exits = {name: code.new_label() for name in left}
    second = _moves(places, around, into=True)
    lead = len(second)
    second += [_renamed(step, places, inner | exits) for step in steps[:-1]]
    back = _moves(places, around, into=False)
    start, end = code.new_label(), code.new_label()
    if last.op == "jump":
        steps[-1] = last.but(target=start)
        second += [*back, last]
    else:
        leave = code.new_label()
        steps[-1] = inverted(last, end)
        out = _renamed(inverted(last, leave), places, {})
        second += [out, *back, Step("jump", target=label)]
        at_leave = len(second)
        second += _moves(places, _before(code, effects, live, loop.stop), into=False)
    size = len(second)
    code.labels = {name: at + size * (at >= loop.stop) for name, at in code.labels.items()}
    code.labels |= {name: code.labels[old] - loop.start + loop.stop + lead for old, name in inner.items()}
    code.labels |= {start: loop.stop, end: loop.stop + size}
    if last.op != "jump":
        code.labels[leave] = loop.stop + at_leave
    code.steps[loop.start : loop.stop] = [*steps, *second]
    for old, name in exits.items():
        code.labels[name] = len(code.steps)
        code.steps += [*_moves(places, needed[old], into=False), Step("jump", target=old)]


def _before(code: Code, effects: Effects, live: list[int], at: int) -> int:
    """The slots that are needed at a step."""
    step = code.steps[at]
    return effects.reads(step) | live[at] & ~effects.writes(step)


def _new_places(code: Code, effects: Effects, loop: range) -> dict[int, tuple[int, bool]]:
    """Slots that the loop writes -> a new one for each, and whether it holds 64 bits."""
    wide: dict[int, bool] = {}
    for step in code.steps:
        if frame_bit(step.dest):
            slot = int(step.dest.index)  # type: ignore[union-attr]
            wide[slot] = wide.get(slot, False) or step.value_is_wide
    written = sorted({int(s.dest.index) for i in loop if (s := code.steps[i]).dest is not None and frame_bit(s.dest)})
    first = effects.frame_size
    effects.frame_size += len(written)
    return {slot: (first + k, wide[slot]) for k, slot in enumerate(written)}


def _moves(places: dict[int, tuple[int, bool]], needed: int, into: bool) -> list[Step]:
    """Into the new places, or out of them: what is needed there."""
    made = []
    for slot, (place, wide) in places.items():
        if needed >> slot & 1:
            a, dest = (slot, place) if into else (place, slot)
            made.append(Step("mov", a=Slot("frame", a), dest=Slot("frame", dest), wide=wide))
    return made


def _renamed(step: Step, places: dict[int, tuple[int, bool]], names: dict[int, int]) -> Step:
    changes: dict[str, Any] = {}
    for name in ("a", "b", "c", "d", "dest"):
        slot = getattr(step, name)
        if frame_bit(slot) and slot.index in places:
            changes[name] = Slot("frame", places[slot.index][0])
    if labels_of(step):
        changes["target"] = None if step.target is None else names.get(step.target, step.target)
        changes["targets"] = tuple(names.get(name, name) for name in step.targets)
    return step.but(**changes) if changes else step
