"""Structured control: blocks become labels, and values are moved to where paths join."""

from __future__ import annotations

from ..format.isa import Site, Slot, Step
from ..format.operations import branch_on
from ..wasm.module import BLOCKS, FuncType, Instr
from .code import Move
from .conditions import Condition
from .context import ZERO, Frame
from .exceptions import ExceptionLowering
from .operations import WIDE
from .stack import Operand


class ControlLowering(ExceptionLowering):
    """block, loop, if, else, try_table, end, br, br_if, br_on_null, br_on_cast, br_table, return, unreachable, and the dead code
    behind some of them."""

    def _dead(self, instr: Instr) -> None:
        """Code that cannot be reached makes no steps; only its structure matters."""
        if instr.name in BLOCKS:
            self.dead_blocks += 1
        elif instr.name == "else" and not self.dead_blocks:
            self._fold("unreachable code", "control")
            self._else(instr)
        elif instr.name == "end":
            if self.dead_blocks:
                self.dead_blocks -= 1
            else:
                self._end(instr)
        else:
            self._fold("unreachable code", "control")

    def _open(self, instr: Instr, kind: str) -> Frame:
        type_: FuncType = instr.args[0]
        height = len(self.stack) - len(type_.params)
        places = self._places(self.blocks[self.at].end, type_, height)
        frame = Frame(kind, type_, height, places, self.code.new_label())
        if self.lazy:
            block = self.blocks[self.at]
            written = {self.slots[local] for local in block.locals} | {self._global_slot(i) for i in block.globals}
            written.update(places)
            self.stack.spill(
                lambda slot: slot in written or (block.calls and slot.kind in ("global", "hidden")), below=height
            )
        self.frames.append(frame)
        return frame

    def _places(self, end: int, type_: FuncType, height: int) -> list[Slot]:
        """Where the results of the block that ends at body[end] should be: where the next instruction wants them."""
        count = len(type_.results)
        places = [self.stack.canonical(height + i) for i in range(count)]
        if not self.lazy or not count:
            return places
        following = self.body[end + 1]
        if following.name in ("local.set", "local.tee"):
            places[-1] = self.slots[following.args[0]]
        target = None
        if following.name in ("end", "else"):
            target = self.frames[-1]
        elif following.name == "return":
            target = self.frames[0]
        elif following.name == "br" and self.frames[-1 - following.args[0]].kind != "loop":
            target = self.frames[-1 - following.args[0]]
        # Such a target takes its results from the top of the stack and nothing else is needed any more.
        if target is not None and len(target.places) == count:
            return target.places
        return places

    def _block(self, instr: Instr) -> None:
        self._open(instr, "block")

    def _loop(self, instr: Instr) -> None:
        frame = self._open(instr, "loop")
        self.stack.settle(len(frame.type.params))
        # What is known of the values with which the loop begins need not hold for those that branches bring.
        self.stack.forget(len(frame.type.params))
        self.code.bind(frame.label)

    def _try_table(self, instr: Instr) -> None:
        self._open_try(instr)
        self._open(instr, "try")

    def _if(self, instr: Instr) -> None:
        condition = self._condition()
        frame = self._open(instr, "if")
        frame.otherwise = self.code.new_label()
        frame.parameters = tuple(self.stack.entries[frame.height :])
        self._branch_if(condition.inverted(), frame.otherwise, taken=0, site=self._site("branch"))

    def _else(self, instr: Instr) -> None:
        frame = self.frames[-1]
        if self.reachable:
            self._join(frame)
            frame.used = True
            self.code.emit(Step("jump", target=frame.label, site=self._site("control")))
        self._begin_else(frame)

    def _begin_else(self, frame: Frame) -> None:
        assert frame.otherwise is not None
        self.code.bind(frame.otherwise)
        frame.kind = "else"
        self.stack.entries[frame.height :] = frame.parameters
        self.reachable = True

    def _end(self, instr: Instr) -> None:
        frame = self.frames[-1]
        if frame.kind == "if":
            # No else part: the parameters are the results.
            if self.reachable and frame.type.params:
                self._join(frame)
                frame.used = True
                self.code.emit(Step("jump", target=frame.label))
                self._begin_else(frame)
            else:
                assert frame.otherwise is not None
                self.code.bind(frame.otherwise)
                self.stack.entries[frame.height :] = frame.parameters
                self.reachable = True
        if frame.kind == "function":
            if self.reachable:
                self._join(frame)
            self.code.bind(frame.label)
            if self.reachable or frame.used:
                self.code.emit(Step("return"))
            self._land()
            self.frames.pop()
            self.reachable = False
            return
        if frame.kind == "try":
            self._close_try()
        if frame.kind == "loop":
            # Branches go to the beginning: only one path arrives here.
            self.frames.pop()
            if not self.reachable:
                del self.stack.entries[frame.height :]
            return
        if frame.used:
            if self.reachable:
                self._join(frame)
            self.code.bind(frame.label)
            del self.stack.entries[frame.height :]
            for place, type_ in zip(frame.places, frame.type.results, strict=True):
                self.stack.push(Operand(place, type_ in WIDE))
            self.reachable = True
        elif not self.reachable:
            del self.stack.entries[frame.height :]
        self.frames.pop()

    def _moves(self, frame: Frame, places: list[Slot]) -> list[Move]:
        """What brings the top of the stack to these places."""
        values = self.stack.entries[len(self.stack) - len(places) :]
        return [(place, v.slot, v.wide) for place, v in zip(places, values, strict=True) if place != v.slot]

    def _join(self, frame: Frame) -> None:
        self.code.emit_moves(self._moves(frame, frame.places), self.stack.temporary)

    def _branch_moves(self, frame: Frame) -> list[Move]:
        return self._moves(frame, self._branch_places(frame))

    def _leave(self, frame: Frame, site: Site | None) -> None:
        """Branch to the frame, values and all. The stack at compile time stays as it is."""
        self.code.emit_moves(self._branch_moves(frame), self.stack.temporary)
        if frame.kind == "function":
            self.code.emit(Step("return", site=site))
        else:
            frame.used = True
            self.code.emit(Step("jump", target=frame.label, site=site))

    def _condition(self) -> Condition:
        """Pop the condition of a branch."""
        if self.pending is not None:
            condition, self.pending = self.pending, None
            return condition
        return Condition("i32.ne", self.stack.pop().slot, ZERO)

    def _branch_if(self, condition: Condition, label: int, taken: int, site: Site | None) -> None:
        op = branch_on(condition.comparison)
        self.code.emit(Step(op, a=condition.a, b=condition.b, target=label, taken=taken, site=site))

    def _br(self, instr: Instr) -> None:
        self._leave(self.frames[-1 - instr.args[0]], self._site("control"))
        self.reachable = False

    def _br_if(self, instr: Instr) -> None:
        self._branch_out(self._condition(), self.frames[-1 - instr.args[0]])

    def _branch_out(self, condition: Condition, frame: Frame) -> None:
        if self._branch_moves(frame):
            skip = self.code.new_label()
            self._branch_if(condition.inverted(), skip, taken=0, site=self._site("branch"))
            self._leave(frame, None)
            self.code.bind(skip)
        else:
            frame.used = True
            self._branch_if(condition, frame.label, taken=1, site=self._site("branch"))

    def _br_on_null(self, instr: Instr) -> None:
        """As br_if; without the branch the reference stays."""
        operand = self.stack.pop()
        self._branch_out(Condition("i32.eq", operand.slot, ZERO), self.frames[-1 - instr.args[0]])
        self.stack.push(operand)

    def _br_on_non_null(self, instr: Instr) -> None:
        """The branch carries the reference; without it, it goes."""
        operand = self.stack.entries[-1]
        self._branch_out(Condition("i32.ne", operand.slot, ZERO), self.frames[-1 - instr.args[0]])
        self.stack.pop()

    def _br_on_cast(self, instr: Instr) -> None:
        """A routine says whether the reference is of the type; it stays where it is, carried or not."""
        depth, _, type_ = instr.args
        operand = self.stack.entries[-1]
        self.stack.push(Operand(operand.slot, False))
        self.stack.spill(lambda slot: slot.kind == "hidden", below=len(self.stack) - 1)
        # The copy goes where the routine wants its argument, and its answer comes back there.
        answer = self.stack.canonical(len(self.stack) - 1)
        self.code.emit(Step("mov", a=operand.slot, dest=answer))
        self.stack.pop()
        self.code.emit(Step("call", callee=self.linked.casts[type_], imm=int(answer.index)))
        comparison = "i32.ne" if instr.name == "br_on_cast" else "i32.eq"
        self._branch_out(Condition(comparison, answer, ZERO), self.frames[-1 - depth])

    def _br_table(self, instr: Instr) -> None:
        depths, default = instr.args
        index = self.stack.pop()
        labels: dict[int, int] = {}  # depth -> label
        stubs = []
        for depth in sorted({*depths, default}):
            frame = self.frames[-1 - depth]
            if self._branch_moves(frame):
                labels[depth] = self.code.new_label()
                stubs.append((labels[depth], frame))
            else:
                labels[depth] = frame.label
                frame.used = True
        targets = tuple(labels[depth] for depth in (*depths, default))
        self.code.emit(Step("br_table", a=index.slot, targets=targets, site=self._site("br_table")))
        for label, frame in stubs:
            self.code.bind(label)
            self._leave(frame, None)
        self.reachable = False

    def _return(self, instr: Instr) -> None:
        self._leave(self.frames[0], self._site("control"))
        self.reachable = False

    def _unreachable(self, instr: Instr) -> None:
        self._trap("unreachable", self._site("control"))
