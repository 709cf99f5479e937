"""What is done to the steps of the functions after they are lowered: fewer steps to run, the same records.

A step that stands for a computation, a store or a condition is never removed, only moved in the listing or doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..format.isa import Step
from ..format.operations import OPERATIONS
from ..format.types import FuncType
from ..format.watch import Watch, ignore
from ..lower.code import Code, falls_through, labels_of
from ..lower.lower import LoweredFunction
from .compact import compact
from .copies import remove_dead_copies, remove_redundant_copies
from .fuse import fuse
from .inline import inline
from .join import join
from .liveness import Effects
from .repeat import repeat
from .unroll import coalesce_loops, inverted

# A jump is replaced by a copy of what stands at its target if that is at most so many steps, up to where it branches
# itself: that saves a token each time. Forward jumps run less often, and every step costs a token of the prompt.
_BACKWARD_COPY = 8
_FORWARD_COPY = 2
# Each round of simplifying jumps takes linear time; programs need two or three, and more could only make steps fewer.
_ROUNDS = 10


def optimise(
    lowered: Sequence[LoweredFunction], types: Mapping[int, FuncType], opt_level: int, watch: Watch = ignore
) -> None:
    """Rewrites the functions in place, pass by pass. types: of every function of the linked module, by index.

    watch: called after each pass, with its name and the functions.
    -O0: only zeroing of locals that cannot be read before they are written, and jumps to the next step, go.
    """
    effects = [Effects(types, len(f.type.results), f.frame_size) for f in lowered]
    for name, run in PASSES[opt_level]:
        for function, of_function in zip(lowered, effects, strict=True):
            run(function, of_function)
            function.frame_size = of_function.frame_size
        watch(name, lowered)
    for name, run_all in LAST[opt_level]:
        run_all(lowered)
        watch(name, lowered)


Pass = Callable[[LoweredFunction, Effects], object]
# By level: the passes in order, with the names under which their results are shown.
PASSES: dict[int, tuple[tuple[str, Pass], ...]] = {
    0: (
        ("zeroing", lambda f, effects: remove_dead_copies(f.code, effects, first=f.zeroed)),
        ("jumps", lambda f, effects: _drop_jumps(f.code, invert=False)),
    ),
    1: (
        ("jumps", lambda f, effects: _simplify_jumps(f.code)),
        ("dead-copies", lambda f, effects: remove_dead_copies(f.code, effects)),
        ("fuse", lambda f, effects: fuse(f.code, effects)),
        ("coalesce", lambda f, effects: coalesce_loops(f.code, effects, f.parameters)),
        ("redundant-copies", lambda f, effects: remove_redundant_copies(f.code, effects)),
        ("dead-copies-2", lambda f, effects: remove_dead_copies(f.code, effects)),
        ("jumps-2", lambda f, effects: _simplify_jumps(f.code)),
        ("tails", lambda f, effects: _copy_tails(f.code)),
        ("jumps-3", lambda f, effects: _simplify_jumps(f.code)),
        ("compact", lambda f, effects: compact(f, effects)),
    ),
}


def _each(run: Callable[[Code], None], lowered: Sequence[LoweredFunction]) -> None:
    for function in lowered:
        run(function.code)


# By level: what follows, of all functions together.
LAST: dict[int, tuple[tuple[str, Callable[[Sequence[LoweredFunction]], object]], ...]] = {
    0: (),
    1: (
        ("inline", inline),
        ("repeat", lambda lowered: _each(repeat, lowered)),
        ("join", lambda lowered: _each(join, lowered)),
    ),
}


def _simplify_jumps(code: Code) -> None:
    for _ in range(_ROUNDS):
        _thread_jumps(code)
        _remove_unreachable(code)
        if not _drop_jumps(code, invert=True):
            return


def _thread_jumps(code: Code) -> None:
    """What goes to a jump goes to the jump's target instead."""
    known: dict[int, int] = {}  # position of a jump -> the label where it leads in the end

    def final(label: int) -> int:
        path: dict[int, None] = {}
        while True:
            at = code.labels[label]
            step = code.steps[at]
            if at in known or step.op != "jump" or at in path:
                label = known.get(at, label)
                break
            path[at] = None
            code.fold(step.site, "threaded jump")
            assert step.target is not None
            label = step.target
        known.update(dict.fromkeys(path, label))
        return label

    for i, step in enumerate(code.steps):
        if step.target is not None or step.targets:
            target = None if step.target is None else final(step.target)
            targets = tuple(final(label) for label in step.targets)
            if target != step.target or targets != step.targets:
                code.steps[i] = step.but(target=target, targets=targets)


def _remove_unreachable(code: Code) -> None:
    steps = code.steps
    reached = [False] * len(steps)
    pending = [0]
    while pending:
        at = pending.pop()
        while not reached[at]:
            reached[at] = True
            step = steps[at]
            if step.target is not None or step.targets:
                pending += [code.labels[label] for label in labels_of(step)]
            at += OPERATIONS[step.op].falls_through
    if not all(reached):
        left = {step.site for step, keep in zip(code.steps, reached, strict=True) if keep}
        gone = {step.site for step, keep in zip(code.steps, reached, strict=True) if not keep} - left
        code.keep(reached)
        for site in gone - code.folded.keys():
            code.fold(site, "unreachable code")


def _drop_jumps(code: Code, invert: bool) -> bool:
    """Remove jumps to the step that follows; invert: also `br.c A; jump B; A:` becomes `br.not-c B; A:`.

    From the last step to the first, so that what goes makes room for what stands before it. Returns whether any went.
    """
    count = len(code.steps)
    kept = [True] * count
    first_kept = list(range(count + 1))  # from a position on; behind removed steps, followed like a union-find
    entered = [False] * (count + 1)  # whether something goes there, or to removed steps just before
    for label in code.target_counts():
        entered[code.labels[label]] = True

    def from_(at: int) -> int:
        while first_kept[at] != at:
            first_kept[at] = first_kept[first_kept[at]]
            at = first_kept[at]
        return at

    def drop(at: int, rule: str) -> None:
        code.fold(code.steps[at].site, rule)
        kept[at], first_kept[at] = False, at + 1
        entered[from_(at)] |= entered[at]

    for i in range(count - 1, -1, -1):
        step = code.steps[i]
        if step.target is None or code.labels[step.target] <= i:
            continue
        target, following = from_(code.labels[step.target]), from_(i + 1)
        if step.op == "jump" and target == following:
            drop(i, "jump to the next step")
        elif invert and _is_branch(step) and following < count and not entered[following]:
            jump = code.steps[following]
            if jump.op == "jump" and target == from_(following + 1):
                assert jump.target is not None
                code.steps[i] = inverted(step, jump.target)
                drop(following, "inverted branch")
    code.keep(kept)
    return not all(kept)


def _is_branch(step: Step) -> bool:
    return step.operation.branches


def _copy_tails(code: Code) -> None:
    """Replace jumps by copies of the few steps at their targets. A loop that tests first comes to test last."""
    steps: list[Step] = []
    labels_at: dict[int, list[int]] = {}
    for label, at in code.labels.items():
        labels_at.setdefault(at, []).append(label)
    moved: dict[int, int] = {}

    def label_of(position: int) -> int:
        """A label for what stands at this position in the old order."""
        if position not in labels_at:
            labels_at[position] = [code.new_label()]
            if position in new_position:
                moved[labels_at[position][0]] = new_position[position]
        return labels_at[position][0]

    new_position: dict[int, int] = {}
    for i, step in enumerate(code.steps):
        new_position[i] = len(steps)
        for label in labels_at.get(i, ()):
            moved[label] = len(steps)
        tail = _tail(code, i)
        if tail is None:
            steps.append(step)
            continue
        code.fold(step.site, "copied tail")
        steps += code.steps[tail.start : tail.stop - 1]
        last = code.steps[tail.stop - 1]
        if _is_branch(last):
            # The path that goes on behind the original is the one that costs nothing here.
            assert last.target is not None
            steps.append(inverted(last, label_of(tail.stop)))
            steps.append(Step("jump", target=last.target))
        else:
            steps.append(last)
    for label in labels_at.get(len(code.steps), ()):
        moved[label] = len(steps)
    code.steps, code.labels = steps, moved


def _tail(code: Code, at: int) -> range | None:
    """The steps that may stand in place of the jump steps[at], up to the first that does not just go on."""
    jump = code.steps[at]
    if jump.op != "jump":
        return None
    assert jump.target is not None
    start = code.labels[jump.target]
    limit = _BACKWARD_COPY if start <= at else _FORWARD_COPY
    for stop in range(start, min(start + limit, len(code.steps))):
        step = code.steps[stop]
        if stop == at:
            return None
        if _is_branch(step) or not falls_through(step):
            return range(start, stop + 1)
    return None
