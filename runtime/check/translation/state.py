"""What is known of both sides at one point of the walk: which places hold which values."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from ....compiler.format.isa import Slot
from .values import Values

# An instruction that a step has to answer for, and the value that it gave (None where it gives none).
Pending = tuple[int, int | None]


@dataclass
class AbstractState:
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

    def copy(self) -> AbstractState:
        return AbstractState(
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


class JoinPoint:
    """What is known at a label, and what makes it quick to see that a path brings nothing new: most do not.

    What `joined` has named after the label (`node`) stands for any value, but equal names for equal ones; everything else
    has to be what it is.
    """

    def __init__(self, values: Values, node: Hashable, state: AbstractState):
        self.values, self.node, self.state = values, node, state
        self._names = tuple(value for _, value in state.places())
        self._distinct = len(set(self._names))
        self._fixed = [i for i, value in enumerate(self._names) if node not in values.made_by[value]]
        self._wanted = [self._names[i] for i in self._fixed]
        self._plain = not state.pending and state.stage is None

    def covers(self, new: AbstractState) -> bool:
        """If so, `joined` has nothing to add. If not, it may have."""
        old = self.state
        if not self._plain or new.pending or new.stage is not None or len(new.stack) != len(old.stack):
            return False
        found = [*new.locals, *new.stack, *map(new.module.get, old.module), *map(new.slots.get, old.slots)]
        return (
            None not in found
            and [found[i] for i in self._fixed] == self._wanted
            and len(set(zip(self._names, found, strict=True))) == self._distinct
        )


def joined(values: Values, node: Hashable, old: AbstractState, new: AbstractState) -> AbstractState | None:
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

    result = AbstractState(
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
