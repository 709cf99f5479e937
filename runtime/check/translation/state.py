"""What is known of both sides at one point of the walk: which places hold which values."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from ....compiler.format.isa import Slot
from .values import Values

# An instruction that a step has to answer for, and the value that it gave (None where it gives none).
Pending = tuple[int, int | None]


@dataclass
class State:
    """locals, stack: of the instructions' side. module: its view of globals and registers; slots: the steps' frame slots
    (by number) and their view of the same globals and registers.

    pending: instructions passed that have a step of their own, which has not come yet. stage: within an instruction that
    is several steps, what the first of them gave.
    """

    locals: list[int]
    stack: list[int] = field(default_factory=list)
    module: dict[Slot, int] = field(default_factory=dict)
    slots: dict[int | Slot, int] = field(default_factory=dict)
    pending: tuple[Pending, ...] = ()
    stage: int | None = None

    def copy(self) -> State:
        return State(
            list(self.locals), list(self.stack), dict(self.module), dict(self.slots), self.pending, self.stage
        )  # fmt: skip

    def places(self) -> Iterator[tuple[Hashable, int]]:
        yield from ((("local", i), v) for i, v in enumerate(self.locals))
        yield from ((("stack", i), v) for i, v in enumerate(self.stack))
        yield from ((("module", s), v) for s, v in self.module.items())
        yield from ((("slot", s), v) for s, v in self.slots.items())

    def rename(self, names: dict[int, int]) -> None:
        """Every value by another name."""
        self.locals = [names.get(v, v) for v in self.locals]
        self.stack = [names.get(v, v) for v in self.stack]
        self.module = {s: names.get(v, v) for s, v in self.module.items()}
        self.slots = {s: names.get(v, v) for s, v in self.slots.items()}
        self.pending = tuple((w, v if v is None else names.get(v, v)) for w, v in self.pending)


def joined(values: Values, node: Hashable, old: State, new: State) -> State | None:
    """What holds on both paths into a point: places that agree with each other on both. None when that is `old`.

    Raises ValueError when the paths bring stacks of different heights, or different instructions to answer for.
    """
    if len(old.stack) != len(new.stack):
        raise ValueError("stacks of different heights")
    if [w for w, _ in old.pending] != [w for w, _ in new.pending]:
        raise ValueError("an instruction that is answered for on one path only")
    classes: dict[tuple[int, int], int] = {}
    changed = False

    def both(before: int, after: int, kind: str, place: Hashable) -> int:
        """The name of what is `before` on the one path and `after` on the other."""
        nonlocal changed
        if before == after and node not in values.made_by[before]:
            return before
        name = classes.get((before, after))
        if name is None:
            wide = values.wide[before] or values.wide[after]
            name = classes[before, after] = values.given(node, (kind, place), wide)
        changed |= name != before
        return name

    result = State(
        [both(v, w, "local", i) for i, (v, w) in enumerate(zip(old.locals, new.locals, strict=True))],
        [both(v, w, "stack", i) for i, (v, w) in enumerate(zip(old.stack, new.stack, strict=True))],
        {s: both(v, new.module[s], "module", s) for s, v in old.module.items()},
        # A slot that is not known on both paths is not known.
        {s: both(v, new.slots[s], "slot", s) for s, v in old.slots.items() if s in new.slots},
        tuple(
            (i, None if v is None or w is None else both(v, w, "pending", i))
            for (i, v), (_, w) in zip(old.pending, new.pending, strict=True)
        ),
        old.stage if old.stage is None or new.stage is None else both(old.stage, new.stage, "stage", 0),
    )
    return result if changed or len(result.slots) < len(old.slots) else None
