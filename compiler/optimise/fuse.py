"""Two computations in one step, where the first one's value is nothing but an operand of the second: it is never emitted.

- x = a + b (i32), read by accesses alone, as their address: they add a and b themselves.
- x = a + b, a - b or a * b, read by one addition or subtraction alone: that one step computes both.

The first computation moves to where its value is used, so its operands must still hold there what they held. It cannot trap,
and its instruction's value is recorded no more: `folded` says so. It does not move behind a branch: what is copied or repeated
later leads other paths to there, and whether all of them have brought the same operands is nothing that a check of the program
could see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..format.isa import Slot, Step
from ..format.operations import INDEXED, OPERATIONS, SUMS
from ..lower.code import Code, falls_through, labels_of
from ..lower.stack import UNKNOWN
from .liveness import Effects, frame_bit, live_after

# A value that is used further behind its step than so many steps is not looked for.
_NEAR = 64


def fuse(code: Code, effects: Effects) -> bool:
    """First addresses, then sums. Returns whether any step went."""
    addresses = _Fusion(code, effects).run(_into_accesses, "folded into address")
    return _Fusion(code, effects).run(_into_sum, "fused sum") or addresses


class _Fusion:
    """live: by step, the slots needed behind it. entered: steps that labels mark."""

    def __init__(self, code: Code, effects: Effects):
        self.code, self.effects = code, effects
        self.live = live_after(code, effects)
        self.entered = {code.labels[label] for label in code.target_counts()}

    def run(self, rewrite: Callable[[Step, list[Step]], list[Step] | None], rule: str) -> bool:
        """rewrite: (the step, those that use its value) -> what these become, or None."""
        steps = self.code.steps
        kept = [True] * len(steps)
        for i, step in enumerate(steps):
            if step.op not in _FIRST or step.dest is None or step.dest.kind != "frame":
                continue
            users = self._users(i, step)
            made = rewrite(step, [steps[j] for j in users]) if users else None
            if made is None:
                continue
            for j, new in zip(users, made, strict=True):
                steps[j] = new
            kept[i] = False
        return self.code.remove(kept, rule)

    def _users(self, i: int, step: Step) -> list[int]:
        """The steps that read the value, as long as both operands are as they were; empty if others may read it, too."""
        steps, bit = self.code.steps, frame_bit(step.dest)
        users: list[int] = []
        for j in range(i + 1, min(i + 1 + _NEAR, len(steps))):
            if j in self.entered:
                return [] if self._needed_at(j, bit) else users
            user = steps[j]
            if self.effects.reads(user) & bit:
                if bit not in map(frame_bit, (user.a, user.b)):
                    return []
                users.append(j)
            if labels_of(user) and self.live[j] & bit:
                return []
            if self.effects.writes(user) & bit or not falls_through(user) or not self.live[j] & bit:
                return users
            if self._changes(user, step):
                return []
        return []

    def _needed_at(self, at: int, bit: int) -> bool:
        step = self.code.steps[at]
        return bool((self.effects.reads(step) | self.live[at] & ~self.effects.writes(step)) & bit)

    def _changes(self, step: Step, first: Step) -> bool:
        """Whether a step may write an operand of another one."""
        written = self.effects.writes(step)
        for slot in (first.a, first.b):
            assert slot is not None
            if frame_bit(slot) & written or slot == step.dest:
                return True
            if slot.kind in ("global", "hidden") and step.operation.calls:
                return True
        return False


# What may move to its use, and steps that take it up.
_FIRST = frozenset(f"{t}.{first}" for t in ("i32", "i64") for first, _ in SUMS)


def _into_accesses(step: Step, users: list[Step]) -> list[Step] | None:
    """The accesses, with the operands of the addition."""
    made = list(_accesses(step, users)) if step.op == "i32.add" else []
    return made if made and len(made) == len(users) else None


def _accesses(step: Step, users: list[Step]) -> Iterator[Step]:
    for user in users:
        o = user.operation
        if o.space != "linear" or o.index or user.a != step.dest or step.dest in (user.b, user.c):
            return
        indexed = OPERATIONS[user.op + INDEXED]
        limits = (UNKNOWN, *user.limits[1:]) if user.limits[1:] else ()
        yield user.but(op=indexed.name, a=step.a, limits=limits, **{indexed.index: step.b})


def _into_sum(step: Step, users: list[Step]) -> list[Step] | None:
    """The one step that does both."""
    user, o = users[0], step.operation
    if len(users) > 1 or user.op not in (f"{o.type}.add", f"{o.type}.sub") or user.a == user.b:
        return None
    second = user.operation.does
    if user.b == step.dest and second == "sub":
        second = "rsub"
    if (o.does, second) not in SUMS:
        return None
    other: Slot | None = user.b if user.a == step.dest else user.a
    return [user.but(op=f"{step.op}.{second}", a=step.a, b=step.b, d=other, limits=())]
