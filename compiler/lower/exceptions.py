"""Exceptions: one in flight is in hidden registers (see `link.exceptions`), and every place that it may come from looks at them.

A function that an exception leaves returns as always. What throws, and the branch behind every call of a function that may,
goes to the *landing* of the innermost try_table around it: a branch for each of its handlers, then on to the landing of the next
try_table outwards; behind the last one the function returns. Landings stand behind the function's own steps, so who does not
throw passes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..format.isa import Slot, Step
from ..link.exceptions import EXCEPTION, REFERENCE, VALUE
from ..link.linked import LinkedModule
from ..wasm.module import CATCHES, FuncType, Instr
from .code import Move
from .context import ZERO, Frame, FunctionContext
from .operations import WIDE

PENDING, PENDING_VALUE = Slot("hidden", EXCEPTION), Slot("hidden", REFERENCE)


def carried(place: int) -> Slot:
    """The register of a value of the exception in flight."""
    return Slot("hidden", f"{VALUE}{place}")


def uncaught(at: int) -> list[Step]:
    """Steps, of which the first is number `at`, that end an invocation if an exception has left it."""
    return [
        Step("br.i32.eq", a=PENDING, b=ZERO, target=at + 3),
        Step("mov", a=ZERO, dest=PENDING),
        Step("trap", trap="uncaught_exception"),
    ]


@dataclass
class Landing:
    """Of a try_table. label: None while nothing goes there. handlers: (kind, tag or None, the block that it branches to).

    height: of the operand stack below what the try_table takes. outer: the next one outwards, None for the function's end.
    """

    handlers: list[tuple[str, int | None, Frame]]
    height: int
    outer: Landing | None
    label: int | None = None


@dataclass
class Landings:
    """Of one function. inner: of the innermost open try_table. closed: in the order of their ends. unwind: the label of the
    function's end for exceptions."""

    inner: Landing | None = None
    closed: list[Landing] = field(default_factory=list)
    unwind: int | None = None


class ExceptionLowering(FunctionContext):
    """try_table, throw, throw_ref, and what follows a call that may throw."""

    def __init__(self, linked: LinkedModule, index: int, opt_level: int):
        super().__init__(linked, index, opt_level)
        self.landings = Landings()

    def _open_try(self, instr: Instr) -> None:
        """Before its block is opened: what handlers branch to is counted from outside of it."""
        handlers = []
        for kind, *tag, depth in instr.args[1]:
            frame = self.frames[-1 - depth]
            frame.used = True
            handlers.append((CATCHES[kind], tag[0] if tag else None, frame))
        height = len(self.stack) - len(instr.args[0].params)
        self.landings.inner = Landing(handlers, height, self.landings.inner)

    def _close_try(self) -> None:
        landing = self.landings.inner
        assert landing is not None
        self.landings.closed.append(landing)
        self.landings.inner = landing.outer

    def _throw(self, instr: Instr) -> None:
        (tag,) = instr.args
        type_ = self.module.tags[tag].type
        for place, operand in enumerate(self.stack.take(len(type_.params))):
            self.code.emit(Step("mov", a=operand.slot, dest=carried(place), wide=operand.wide))
        assert self.linked.exceptions is not None
        if self.linked.exceptions.capture is not None:
            self.code.emit(Step("mov", a=ZERO, dest=PENDING_VALUE))
        self._fly(Slot("const", tag + 1))

    def _throw_ref(self, instr: Instr) -> None:
        assert self.linked.exceptions is not None
        self.stack.settle(1)
        first = self.stack.canonical(len(self.stack) - 1)
        self.code.emit(Step("call", callee=self.linked.exceptions.restore, imm=int(first.index)))
        self.stack.pop()
        self._fly(first)

    def _fly(self, tag: Slot) -> None:
        """From here on the exception is in flight: this is the step that answers for the instruction."""
        site = self._site("throw")
        self.code.emit(Step("mov", a=tag, dest=PENDING, site=site))
        if site is not None:
            self.code.computed.add(site)
        self.code.emit(Step("jump", target=self._landing_label(self.landings.inner)))
        self.reachable = False

    def _look(self, throws: bool) -> None:
        """Behind a call. throws: whether an exception may leave what was called."""
        if throws:
            label = self._landing_label(self.landings.inner)
            self.code.emit(Step("br.i32.ne", a=PENDING, b=ZERO, target=label))

    def _may_throw(self, function: int) -> bool:
        return self.linked.exceptions is not None and function in self.linked.exceptions.functions

    def _type_may_throw(self, type_: FuncType) -> bool:
        return self.linked.exceptions is not None and type_ in self.linked.exceptions.types

    def _landing_label(self, landing: Landing | None) -> int:
        if landing is not None:
            if landing.label is None:
                landing.label = self.code.new_label()
            return landing.label
        if self.landings.unwind is None:
            self.landings.unwind = self.code.new_label()
        return self.landings.unwind

    def _land(self) -> None:
        """The landings, behind the function's last step. An inner one may ask for one further out, which was closed later."""
        for landing in self.landings.closed:
            if landing.label is not None:
                self.code.bind(landing.label)
                self._handlers(landing)
        if self.landings.unwind is not None:
            self.code.bind(self.landings.unwind)
            # Nobody reads the results; the frame has them all the same.
            for place, type_ in enumerate(self.function.type.results):
                self.code.emit(Step("mov", a=ZERO, dest=Slot("frame", place), wide=type_ in WIDE))
            self.code.emit(Step("return"))

    def _handlers(self, landing: Landing) -> None:
        for kind, tag, frame in landing.handlers:
            if tag is None:
                self._handle(landing, kind, tag, frame)
                return
            skip = self.code.new_label()
            self.code.emit(Step("br.i32.ne", a=PENDING, b=Slot("const", tag + 1), target=skip))
            self._handle(landing, kind, tag, frame)
            self.code.bind(skip)
        self.code.emit(Step("jump", target=self._landing_label(landing.outer)))

    def _handle(self, landing: Landing, kind: str, tag: int | None, frame: Frame) -> None:
        """Puts what the handler takes where the block that it branches to wants it, and goes there."""
        types = () if tag is None else self.module.tags[tag].type.params
        values = [(carried(place), type_ in WIDE) for place, type_ in enumerate(types)]
        if kind.endswith("_ref"):
            assert self.linked.exceptions is not None
            # Above all that is needed where the handler goes: what the try_table found below its parameters.
            first = self.stack.canonical(landing.height)
            self.code.emit(Step("call", callee=self.linked.exceptions.capture, imm=int(first.index)))
            values.append((first, False))
        self.code.emit(Step("mov", a=ZERO, dest=PENDING))
        places = self._branch_places(frame)
        moves: list[Move] = [(place, slot, wide) for place, (slot, wide) in zip(places, values, strict=True)]
        self.code.emit_moves(moves, lambda: self.stack.canonical(landing.height + 1))
        if frame.kind == "function":
            self.code.emit(Step("return"))
        else:
            self.code.emit(Step("jump", target=frame.label))

    def _branch_places(self, frame: Frame) -> list[Slot]:
        """Where a branch to the frame has to bring what it carries."""
        if frame.kind == "loop":
            return [self.stack.canonical(frame.height + i) for i in range(len(frame.type.params))]
        return frame.places
