"""Calls: of functions, of linked routines, of what is in a table, and of intrinsics, which are steps."""

from __future__ import annotations

from ..format.isa import TRAPS, Slot, Step
from ..link.linked import INTRINSIC_MODULE
from ..wasm.module import FuncType, Instr
from .exceptions import ExceptionLowering
from .operations import INTRINSICS, WIDE


class CallLowering(ExceptionLowering):
    """call, call_indirect, and the same in tail position."""

    def _call(self, instr: Instr) -> None:
        (index,) = instr.args
        callee = self.module.functions[index]
        if callee.imported is not None:
            self._intrinsic(instr, callee.imported.module, callee.imported.name)
            return
        routine = self.linked.routines.get(index)
        record = "control" if routine is None else routine
        site = None if record == "value" else self._site(record)
        # A routine does not touch the user's globals.
        first = self._begin_call(callee.type, 0, keeps_globals=routine in ("value", "bulk") and self.origin is not None)
        self.code.emit(Step("call", callee=index, imm=int(first.index), site=site))
        self._look(self._may_throw(index))
        self._end_call(callee.type, 0)
        value = self._site("value")
        if routine is not None and callee.type.results and value is not None:
            # The routine's result is this instruction's value: the step that says so.
            result = self.stack.pop()
            dest = self.stack.push_new(result.wide)
            self.code.emit(Step("mov", a=result.slot, dest=dest, site=value, wide=result.wide))
            self.code.computed.add(value)

    def _call_indirect(self, instr: Instr) -> None:
        type_index, table = instr.args
        type_ = self.module.function_type(type_index)
        layout = self.linked.tables[table]
        index = self.stack.entries[-1].slot
        first = self._begin_call(type_, 1, keeps_globals=False)
        # The reference goes where the index was, or would have been: behind the arguments.
        reference = self.stack.canonical(len(self.stack) - 1)
        size = Slot("hidden", layout.size_register)
        self.code.emit(Step("table.ref", a=index, c=size, dest=reference, imm=layout.offset, wide=layout.wide))
        site = self._site("control")
        self.code.emit(Step("call_indirect", a=reference, type=type_, imm=int(first.index), site=site))
        self._look(self._type_may_throw(type_))
        self._end_call(type_, 1)

    def _call_ref(self, instr: Instr) -> None:
        type_ = self.module.function_type(instr.args[0])
        reference = self.stack.entries[-1].slot
        first = self._begin_call(type_, 1, keeps_globals=False)
        site = self._site("control")
        self.code.emit(Step("call_ref", a=reference, type=type_, imm=int(first.index), site=site))
        self._look(self._type_may_throw(type_))
        self._end_call(type_, 1)

    def _return_call_ref(self, instr: Instr) -> None:
        type_ = self.module.function_type(instr.args[0])
        # Above all that is in use, the places of the arguments too.
        self.stack.reserve(len(type_.params))
        reference = Slot("frame", self._scratch())
        self.code.emit(Step("mov", a=self.stack.pop().slot, dest=reference))
        self._replace_arguments(len(type_.params))
        self.code.emit(Step("return_call_ref", a=reference, type=type_, site=self._site("control")))
        self.reachable = False

    def _return_call(self, instr: Instr) -> None:
        """The callee takes the place of this function: its arguments go into the first slots of this frame."""
        (index,) = instr.args
        callee = self.module.functions[index]
        if callee.imported is not None:
            raise self._refusal(f'the import "{callee.imported.module}" "{callee.imported.name}" is not provided', instr)
        self._replace_arguments(len(callee.type.params))
        record = "control" if self.linked.routines.get(index) is None else "host"
        self.code.emit(Step("return_call", callee=index, site=self._site(record)))
        self.reachable = False

    def _return_call_indirect(self, instr: Instr) -> None:
        type_index, table = instr.args
        type_ = self.module.function_type(type_index)
        layout = self.linked.tables[table]
        # The reference is read first, and stands beyond the arguments' places and everything else.
        self.stack.reserve(len(type_.params))
        reference = Slot("frame", self.stack.high_water)
        self.stack.reserve(self.stack.high_water + 1)
        size = Slot("hidden", layout.size_register)
        index = self.stack.pop().slot
        self.code.emit(Step("table.ref", a=index, c=size, dest=reference, imm=layout.offset, wide=layout.wide))
        self._replace_arguments(len(type_.params))
        self.code.emit(Step("return_call_indirect", a=reference, type=type_, site=self._site("control")))
        self.reachable = False

    def _replace_arguments(self, count: int) -> None:
        """The topmost entries into slots 0, 1, ... of the frame; what stood there is not needed any more."""
        arguments = self.stack.entries[len(self.stack) - count :]
        moves = [(Slot("frame", i), operand.slot, operand.wide) for i, operand in enumerate(arguments)]
        self.stack.reserve(count)
        self.code.emit_moves(moves, lambda: Slot("frame", self._scratch()))

    def _scratch(self) -> int:
        """A new slot, above all that are in use."""
        self.stack.reserve(self.stack.high_water + 1)
        return self.stack.high_water - 1

    def _begin_call(self, type_: FuncType, extra: int, keeps_globals: bool) -> Slot:
        """Put the arguments (under `extra` other entries) where the callee wants them; the callee's first slot."""
        count = len(type_.params)
        changed = ("hidden",) if keeps_globals else ("hidden", "global")
        self.stack.spill(lambda slot: slot.kind in changed, below=len(self.stack) - count - extra)
        self.stack.settle(count, under=extra)
        first = len(self.stack) - count - extra
        self.stack.reserve(self.stack.base + first + max(1, len(type_.results)))
        return self.stack.canonical(first)

    def _end_call(self, type_: FuncType, extra: int) -> None:
        self.stack.take(len(type_.params) + extra)
        for result in type_.results:
            self.stack.push_new(result in WIDE)

    def _intrinsic(self, instr: Instr, module: str, name: str) -> None:
        if module != INTRINSIC_MODULE:
            raise self._refusal(f'the import "{module}" "{name}" is not provided', instr)
        trap = name.removeprefix("trap_")
        if name == "exit":
            self.code.emit(Step("result", a=self.stack.pop().slot))
            self.code.emit(Step("halt", site=self._site("host")))
            self.reachable = False
        elif name != trap and trap in TRAPS:
            self._trap(trap, self._site("host"))
        elif (plain := name.partition("+")[0]) in INTRINSICS:
            op, parameters, results = INTRINSICS[plain]
            operands, offset = self.stack.take(parameters), int(name.partition("+")[2] or 0)
            if results:
                self._compute(op, *operands, wide=False, imm=offset)
            else:
                a, b = ([o.slot for o in operands] + [None])[:2]
                self.code.emit(Step(op, a=a, b=b, imm=offset, site=self._site("host")))
        else:
            raise self._refusal(f'no intrinsic is named "{name}"', instr)
