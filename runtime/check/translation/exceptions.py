"""Where exceptions go: points of the instructions' side that are no instruction of their own.

Behind a call of what may throw the instructions ask whether an exception is in flight (LOOK). If so, and behind a throw, they
go through the handlers of the try_table around them (HANDLER), then through those of the next one outwards, and leave the
function behind the last one (UNWIND). A handler that hands the exception on makes a value of it first (CAPTURE). All this
follows from the module alone; the steps have to ask the same questions in the same order.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from ....compiler.format.isa import Slot, Step
from ....compiler.format.types import is_wide
from ....compiler.link.exceptions import EXCEPTION, REFERENCE, VALUE, registers_of
from ....compiler.link.linked import LinkedModule
from ....compiler.wasm.module import CATCHES
from .body import Body
from .state import AbstractState
from .values import Values

if TYPE_CHECKING:
    from .events import Events, Fork

LOOK, HANDLER, CAPTURE, UNWIND = "look", "handler", "capture", "unwind"
PENDING, PENDING_VALUE = Slot("hidden", EXCEPTION), Slot("hidden", REFERENCE)
# (kind, the call or the try_table, number of the handler)
Point = tuple[str, int, int]


class ExceptionPoints:
    """The points of one function, numbered on from its instructions."""

    def __init__(self, linked: LinkedModule, body: Body, values: Values):
        self.linked, self.body, self.values = linked, body, values
        self._first = len(body.instrs)
        self._points: list[Point] = []
        self._numbers: dict[Point, int] = {}

    def number(self, kind: str, at: int = -1, handler: int = 0) -> int:
        point = (kind, at, handler)
        if point not in self._numbers:
            self._numbers[point] = self._first + len(self._points)
            self._points.append(point)
        return self._numbers[point]

    def point(self, at: int) -> Point | None:
        """None for an instruction."""
        return self._points[at - self._first] if at >= self._first else None

    def is_event(self, at: int) -> bool:
        """All but a handler of everything that does not hand on the exception."""
        kind, of, handler = self._points[at - self._first]
        return kind != HANDLER or self._catches(of, handler) != "catch_all"

    def _catches(self, of: int, handler: int) -> str:
        return CATCHES[self.body.instrs[of].args[1][handler][0]]

    def registers(self) -> set[Slot]:
        return {Slot("hidden", name) for name in registers_of(self.linked.exceptions)}

    def is_wide(self, slot: Slot) -> bool:
        """Of a hidden register: whether it may hold more than 32 bits."""
        place = str(slot.index).removeprefix(VALUE)
        exceptions = self.linked.exceptions
        return exceptions is not None and place.isdigit() and exceptions.widths[int(place)]

    def throw(self, state: AbstractState, at: int) -> int:
        """Passes a throw; the exception's tag."""
        (tag,) = self.body.instrs[at].args
        for place in reversed(range(len(self.linked.module.tags[tag].type.params))):
            state.module[Slot("hidden", f"{VALUE}{place}")] = state.stack.pop()
        assert self.linked.exceptions is not None
        if self.linked.exceptions.capture is not None:
            state.module[PENDING_VALUE] = self.values.const(0)
        state.module[PENDING] = self.values.const(tag + 1)
        return state.module[PENDING]

    def behind_call(self, at: int, throws: bool) -> int:
        return self.number(LOOK, at) if throws else at + 1

    def may_throw(self, function: int) -> bool:
        return self.linked.exceptions is not None and function in self.linked.exceptions.functions

    def landing(self, state: AbstractState, at: int, heights: dict[int, int]) -> int:
        """Where an exception goes that comes from this instruction, or from the handlers of this try_table."""
        of = self.body.outer[at]
        while of >= 0 and self.body.instrs[of].name != "try_table":
            of = self.body.outer[of]
        del state.stack[0 if of < 0 else heights[of] :]
        return self.number(UNWIND) if of < 0 else self.following(state, of, 0, heights)

    def following(self, state: AbstractState, of: int, handler: int, heights: dict[int, int]) -> int:
        """Where it goes from there: to this handler, or on from the last one."""
        if handler < len(self.body.instrs[of].args[1]):
            return self.number(HANDLER, of, handler)
        return self.landing(state, of, heights)

    def caught(self, state: AbstractState, of: int, handler: int) -> int:
        """Puts on the stack what the handler takes, and ends the flight; the depth of its branch."""
        _, *tag, depth = self.body.instrs[of].args[1][handler]
        for place, type_ in enumerate(self.linked.module.tags[tag[0]].type.params if tag else ()):
            value = state.module[Slot("hidden", f"{VALUE}{place}")]
            state.stack.append(value if is_wide(type_) else self.values.low(value))
        state.module[PENDING] = self.values.const(0)
        return depth


class ExceptionEvents:
    """Matches events at these points."""

    def __init__(self, events: Events):
        self.events, self.points, self.values = events, events.instructions.points, events.values
        self.heights = events.instructions.heights

    def match(self, point: Point, index: int, state: AbstractState, step: Step, origin: Hashable) -> list[Fork]:
        kind, of, handler = point
        if kind == LOOK:
            return self._look(of, index, state, step)
        if state.pending:
            raise self.events.wrong(index, "a step that answers for an instruction before the exception", step.op)
        if kind == UNWIND:
            return self._unwind(index, state, step)
        if kind == CAPTURE or not self.events.instructions.instrs[of].args[1][handler][1:-1]:
            return self._capture(of, handler, index, state, step, origin)
        return self._handler(of, handler, index, state, step)

    def _look(self, of: int, index: int, state: AbstractState, step: Step) -> list[Fork]:
        flying, none = state, state.copy()
        flying.pending = ()
        condition = self.values.term("i32.ne", state.module[PENDING], self.values.const(0))
        landing = self.points.landing(flying, of, self.heights)
        return self.events.decide(index, step, condition, (landing, flying), (of + 1, none))

    def _handler(self, of: int, handler: int, index: int, state: AbstractState, step: Step) -> list[Fork]:
        instr = self.events.instructions.instrs[of]
        kind, tag, _ = instr.args[1][handler]
        caught, other = state, state.copy()
        condition = self.values.term("i32.eq", state.module[PENDING], self.values.const(tag + 1))
        following = self.points.following(other, of, handler + 1, self.heights)
        if CATCHES[kind].endswith("_ref"):
            here = self.points.number(CAPTURE, of, handler)
        else:
            here = self.events.instructions.leave(caught, of, self.points.caught(caught, of, handler))
        return self.events.decide(index, step, condition, (here, caught), (following, other))

    def _capture(
        self, of: int, handler: int, index: int, state: AbstractState, step: Step, origin: Hashable
    ) -> list[Fork]:
        """The exception as a value, from the routine that makes it one."""
        exceptions = self.points.linked.exceptions
        assert exceptions is not None
        self.events.same_state(index, state)
        value = self.events.routine(exceptions.capture, (), "exnref", index, state, step, origin)
        depth = self.points.caught(state, of, handler)
        state.stack.append(value)
        return [self.events.fork(self.events.instructions.leave(state, of, depth), index + 1, state)]

    def throw_ref(self, at: int, index: int, state: AbstractState, step: Step, origin: Hashable) -> list[Fork]:
        """The routine that throws a value; the step behind it, which answers for the instruction, takes the tag from it."""
        exceptions = self.points.linked.exceptions
        assert exceptions is not None
        value = self.events.routine(exceptions.restore, (state.stack.pop(),), "i32", index, state, step, origin)
        state.module[PENDING] = value
        if self.events.check.origin is not None:
            state.pending = ((at, value),)
        return [self.events.fork(self.points.landing(state, at, self.heights), index + 1, state)]

    def _unwind(self, index: int, state: AbstractState, step: Step) -> list[Fork]:
        """The function returns, and what is in flight stays so; its results are nobody's."""
        if not self.points.may_throw(self.events.check.index):
            raise self.events.wrong(index, "no exception that leaves the function", "one")
        if step.op != "return" or step.site is not None:
            raise self.events.wrong(index, "a return without a site", step.op)
        self.events.same_state(index, state)
        return []
