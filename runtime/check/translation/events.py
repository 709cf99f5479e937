"""Events: what both sides must do at the same time, with the same values."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....compiler.format.isa import TRAPS, Slot, Step
from ....compiler.format.operations import comparison_of
from ....compiler.format.types import FuncType, is_wide
from ....compiler.link.linked import INTRINSIC_MODULE
from ....compiler.wasm.heap_types import CAST_BRANCHES
from ....compiler.wasm.module import Instr
from ....compiler.wasm.opcodes import LOADS, STORES
from .exceptions import ExceptionEvents
from .state import AbstractState
from .values import TRAPPING

if TYPE_CHECKING:
    from .function import FunctionCheck

_INTRINSICS = {
    "stdout": "stdout", "stderr": "stderr", "hidden_load8": "hidden.load8_u", "hidden_load32": "hidden.load32",
    "hidden_store8": "hidden.store8", "hidden_store32": "hidden.store32",
}  # fmt: skip


_CONTROL = frozenset({
    "br", "return", "else", "call_indirect", "return_call_indirect", "call_ref", "return_call_ref", "unreachable",
})  # fmt: skip


@dataclass(frozen=True)
class Fork:
    """Where both sides go on: the instruction, the step, what is known."""

    at: int
    index: int
    state: AbstractState


class Events:
    """Matches events of one function."""

    def __init__(self, check: FunctionCheck):
        self.check, self.linked = check, check.linked
        self.folded: set[int] = set()  # values of which a branch or an address is made
        self.values, self.steps, self.instructions = check.values, check.steps, check.instructions
        self.exceptions = ExceptionEvents(self)

    def record(self, at: int) -> str:
        """The kind of record of the instruction, which follows from the module alone."""
        instr = self.instructions.instrs[at]
        name = instr.name
        if name in ("br_if", "if", "br_on_null", "br_on_non_null", *CAST_BRANCHES):
            return "branch"
        if name == "br_table":
            return "br_table"
        if name in STORES or name == "table.set":
            return "store"
        if name == "return_call":
            return "control" if self.linked.routines.get(instr.args[0]) is None else "host"
        if name == "call":
            index = instr.args[0]
            if self.linked.module.functions[index].imported is not None:
                return "host"
            return self.linked.routines.get(index, "control")
        if name in ("throw", "throw_ref"):
            return "throw"
        return "control" if name in _CONTROL else "value"

    def record_of_value(self, at: int) -> str:
        """The same for the step that moves or computes its value: a call of a routine has one, too."""
        return "value" if self.instructions.instrs[at].name == "call" else self.record(at)

    def match(self, at: int, index: int, state: AbstractState, step: Step, origin: Hashable) -> list[Fork]:
        """Where the walk goes on. Raises Mistranslation."""
        point = self.instructions.points.point(at)
        if point is not None:
            return self.exceptions.match(point, index, state, step, origin)
        instr = self.instructions.instrs[at]
        if at == len(self.instructions.instrs) - 1:
            return self._return(index, state, step)
        if state.pending:
            waiting = ", ".join(str(self.instructions.instrs[w].name) for w, _ in state.pending)
            raise self.wrong(index, f"a step that answers for {waiting}", step.op)
        name = instr.name
        if name in ("br_if", "if", "br_on_null", "br_on_non_null"):
            return self._branch(at, index, state, step, instr)
        if name in CAST_BRANCHES:
            return self._cast_branch(at, index, state, step, instr, origin)
        if name == "br_table":
            return self._br_table(at, index, state, step, instr)
        self.same_state(index, state)
        if name in LOADS or name in STORES:
            return self._access(at, index, state, step, instr, origin)
        if name in TRAPPING:
            return self._trapping(at, index, state, step, instr)
        if name in ("table.get", "table.set"):
            return self._table(at, index, state, step, instr, origin)
        if name == "call":
            return self._call(at, index, state, step, instr, origin)
        if name == "return_call":
            return self._return_call(at, index, state, step, instr)
        if name in ("call_ref", "return_call_ref"):
            return self._call_ref(at, index, state, step, instr, origin)
        if name in ("call_indirect", "return_call_indirect"):
            return self._call_indirect(at, index, state, step, instr, origin)
        if name == "throw_ref":
            return self.exceptions.throw_ref(at, index, state, step, origin)
        if name == "unreachable":
            return self._trap(at, index, step, "unreachable")
        raise self.wrong(index, f"a step for {name}", step.op)

    # Words

    def wrong(self, index: int, wanted: str, found: str) -> Exception:
        from .function import Mistranslation

        return Mistranslation(index, wanted, found)

    def _operation(self, index: int, step: Step, wanted: str) -> None:
        if step.op != wanted:
            raise self.wrong(index, wanted, step.op)

    def _operand(self, index: int, state: AbstractState, step: Step, name: str, wanted: int, what: str) -> None:
        if self.steps.read(state, getattr(step, name), index, name) != wanted:
            raise self.wrong(index, f"operand {name}: the {what}", f"slot {_shown(getattr(step, name))}")

    def _field(self, index: int, what: str, wanted: object, found: object) -> None:
        if wanted != found:
            raise self.wrong(index, f"{what} {wanted}", str(found))

    def same_state(self, index: int, state: AbstractState) -> None:
        """Globals and registers are what the instructions made them."""
        for slot in self.check.shared:
            if state.module[slot] != state.slots[slot]:
                raise self.wrong(index, f"{_shown(slot)} as the instructions set it", "another value")

    # Events by kind

    def _return(self, index: int, state: AbstractState, step: Step) -> list[Fork]:
        self._operation(index, step, "return")
        if step.site is not None:
            self.check.answers(len(self.instructions.instrs) - 1, state, index, step, None)
        if state.pending:
            raise self.wrong(index, "steps that answer for what came before the return", "return")
        self.same_state(index, state)
        count = self.instructions.body.results
        for i, wanted in enumerate(state.stack[len(state.stack) - count :]):
            if self.steps.read(state, Slot("frame", i), index, "a") != wanted:
                raise self.wrong(index, f"result {i} in frame slot {i}", "another value")
        return []

    def _branch(self, at: int, index: int, state: AbstractState, step: Step, instr: Instr) -> list[Fork]:
        self.check.check_site(index, step, at)
        condition = self._condition(state, instr)
        self.folded.update(self.values.within(condition))
        yes, no = state, state.copy()
        at_yes, at_no = self._ways(at, yes, no, instr)
        return self.decide(index, step, condition, (at_yes, yes), (at_no, no))

    def _cast_branch(
        self, at: int, index: int, state: AbstractState, step: Step, instr: Instr, origin: Hashable
    ) -> list[Fork]:
        """Two steps: the routine that says whether the reference is of the type, then the branch."""
        if state.stage is None:
            self.same_state(index, state)
            kept = state.stack[-1]
            answer = self.routine(self.linked.casts[instr.args[2]], (kept,), "i32", index, state, step, origin)
            state.stage = answer
            return [Fork(at, index + 1, state)]
        comparison = "i32.ne" if instr.name == "br_on_cast" else "i32.eq"
        condition = self.values.term(comparison, state.stage, self.values.const(0))
        state.stage = None
        self.check.check_site(index, step, at)
        yes, no = state, state.copy()
        return self.decide(
            index, step, condition, (self.instructions.leave(yes, at, instr.args[0]), yes), (at + 1, no)
        )  # fmt: skip

    def routine(
        self, routine: int | None, arguments: tuple[int, ...], result: str,
        index: int, state: AbstractState, step: Step, origin: Hashable,
    ) -> int:  # fmt: skip
        """The result of a routine that is called on the way, with these arguments; the stack stays as it is."""
        if step.op != "call" or step.callee != routine or step.site is not None:
            raise self.wrong(index, f"a call of function {routine}, without a site", step.op)
        state.stack += arguments
        self.arguments(index, state, step, ("i32",) * len(arguments))
        self.results(state, step, (result,), origin, keeps_globals=self.check.origin is not None)
        return state.stack.pop()

    def decide(
        self, index: int, step: Step, condition: int, yes: tuple[int, AbstractState], no: tuple[int, AbstractState]
    ) -> list[Fork]:
        """A branch on a condition. yes, no: where the instructions go on when it holds and when not."""
        if not step.operation.branches or step.target is None:
            raise self.wrong(index, "a branch", step.op)
        operands = [self.steps.read(yes[1], getattr(step, n), index, n) for n in "ab"]
        wanted, positive = self.values.condition(condition)
        found, taken = self.values.relation(comparison_of(step.op), *operands)
        if wanted != found:
            raise self.wrong(index, "the condition of the instruction", f"{step.op} of other values")
        if step.site is not None:
            self._field(index, "the condition for which it is taken:", int(positive == taken), step.taken)
        jump, on = (yes, no) if positive == taken else (no, yes)
        return [self.fork(jump[0], step.target, jump[1]), self.fork(on[0], index + 1, on[1])]

    def fork(self, at: int, index: int, state: AbstractState) -> Fork:
        return Fork(at, index, state)

    def _condition(self, state: AbstractState, instr: Instr) -> int:
        """What is asked, off the stack; a reference that is asked for stays until the ways part."""
        if instr.name.startswith("br_on"):
            comparison = "i32.eq" if instr.name == "br_on_null" else "i32.ne"
            return self.values.term(comparison, state.stack[-1], self.values.const(0))
        return state.stack.pop()

    def _ways(self, at: int, yes: AbstractState, no: AbstractState, instr: Instr) -> tuple[int, int]:
        """Where the instructions go on when the condition holds, and when not."""
        body, instructions = self.instructions.body, self.instructions
        if instr.name == "br_on_null":
            yes.stack.pop()
        elif instr.name == "br_on_non_null":
            no.stack.pop()
        if instr.name != "if":
            return instructions.leave(yes, at, instr.args[0]), at + 1
        instructions.heights[at] = len(yes.stack) - len(instr.args[0].params)
        otherwise = body.otherwise.get(at)
        return at + 1, (body.end[at] if otherwise is None else otherwise) + 1

    def _br_table(self, at: int, index: int, state: AbstractState, step: Step, instr: Instr) -> list[Fork]:
        self._operation(index, step, "br_table")
        self.check.check_site(index, step, at)
        self._operand(index, state, step, "a", state.stack.pop(), "index")
        depths = (*instr.args[0], instr.args[1])
        self._field(index, "number of targets", len(depths), len(step.targets))
        forks, states, body = [], dict[tuple[int, int], AbstractState](), self.instructions.body
        for depth, target in dict.fromkeys(zip(depths, step.targets, strict=True)):  # equal cases are one way
            block = body.label(at, depth)
            carried = self.instructions.carried(block)
            if carried not in states:  # ways to labels, where a state is met and not changed, share it
                states[carried] = state.copy()
                self.instructions.leave(states[carried], at, depth)
            forks.append(Fork(body.target(block), target, states[carried]))
        return forks

    def _access(
        self, at: int, index: int, state: AbstractState, step: Step, instr: Instr, origin: Hashable
    ) -> list[Fork]:
        if step.operation.plain != (wanted_op := f"i{instr.name[1:]}"):
            raise self.wrong(index, wanted_op, step.op)
        self.check.check_site(index, step, at)
        size = Slot("hidden", self.linked.memory_of(instr).register)
        self._field(index, "the size of memory in operand c:", size, step.c)
        if instr.name in STORES:
            self._operand(index, state, step, "b", state.stack.pop(), "value stored")
        base = self.steps.read(state, step.a, index, "a")
        if step.operation.index:
            which = step.operation.index
            base = self.values.term("i32.add", base, self.steps.read(state, getattr(step, which), index, which))
        # Larger ones are out of bounds, and so is this.
        address, offset = state.stack.pop(), min(instr.args[1], 2**32 - 1)
        self.folded.update(name for name, _ in self.values.sums(address))
        wanted = {(name, offset + extra) for name, extra in self.values.sums(address)}
        found = {(name, step.imm + extra) for name, extra in self._whole(base)}
        if not wanted & found:
            raise self.wrong(index, f"the address of {instr.name}", f"{_shown(step.a)} + {step.imm}")
        if instr.name in LOADS:
            value = self.values.given(origin, 0, step.operation.width > 4)
            self.steps.write(state, step, value)
            state.stack.append(value)
        return [Fork(at + 1, index + 1, state)]

    def _whole(self, base: int) -> set[tuple[int, int]]:
        """The base as the model has it: a constant, or a sum of constants, is a number, anything else itself."""
        constant = self.values.numbers[base]
        return {(base, 0)} | (set() if constant is None else {(self.values.const(0), constant)})

    def _trapping(self, at: int, index: int, state: AbstractState, step: Step, instr: Instr) -> list[Fork]:
        self._operation(index, step, instr.name)
        self.check.check_site(index, step, at)
        fields = "ab" if "b" in step.operation.operands else "a"
        operands = [state.stack.pop() for _ in fields][::-1]
        for field, operand in zip(fields, operands, strict=True):
            self._operand(index, state, step, field, operand, "operand")
        value = self.values.term(instr.name, *operands)
        self.steps.write(state, step, value)
        state.stack.append(value)
        return [Fork(at + 1, index + 1, state)]

    def _table(
        self, at: int, index: int, state: AbstractState, step: Step, instr: Instr, origin: Hashable
    ) -> list[Fork]:
        self._operation(index, step, instr.name)
        self.check.check_site(index, step, at)
        self._table_fields(index, step, instr.args[0])
        if instr.name == "table.set":
            self._operand(index, state, step, "b", state.stack.pop(), "reference")
            self._operand(index, state, step, "a", state.stack.pop(), "index")
        else:
            self._operand(index, state, step, "a", state.stack.pop(), "index")
            value = self.values.given(origin, 0, False)
            self.steps.write(state, step, value)
            state.stack.append(value)
        return [Fork(at + 1, index + 1, state)]

    def _table_fields(self, index: int, step: Step, table: int) -> None:
        layout = self.linked.tables[table]
        self._field(index, "the table's place", layout.offset, step.imm)
        self._field(index, "an index of 64 bits:", layout.wide, step.wide)
        self._field(index, "the table's size in operand c:", Slot("hidden", layout.size_register), step.c)

    def _call(
        self, at: int, index: int, state: AbstractState, step: Step, instr: Instr, origin: Hashable
    ) -> list[Fork]:
        callee = self.linked.module.functions[instr.args[0]]
        if callee.imported is not None:
            return self._intrinsic(at, index, state, step, callee.imported.module, callee.imported.name, origin)
        self._operation(index, step, "call")
        self._field(index, "function", instr.args[0], step.callee)
        routine = self.linked.routines.get(instr.args[0])
        if routine == "value":
            if step.site is not None:
                self.check.check_site(index, step, -1)
        else:
            self.check.check_site(index, step, at)
        self.arguments(index, state, step, callee.type.params)
        own = self.check.origin is not None
        self.results(state, step, callee.type.results, origin, keeps_globals=own and routine in ("value", "bulk"))
        answers = self.linked.site(self.check.index, at, "value") is not None
        if routine is not None and answers and callee.type.results:
            state.pending = ((at, state.stack[-1]),)
        return [Fork(self._behind_call(at, instr.args[0]), index + 1, state)]

    def _behind_call(self, at: int, callee: int | FuncType) -> int:
        """callee: the function, or the type of those that may be called."""
        return self.instructions.points.behind_call(at, self._throws(callee))

    def _throws(self, callee: int | FuncType) -> bool:
        exceptions = self.linked.exceptions
        if exceptions is None:
            return False
        return callee in (exceptions.functions if isinstance(callee, int) else exceptions.types)

    def _return_call(self, at: int, index: int, state: AbstractState, step: Step, instr: Instr) -> list[Fork]:
        """The arguments stand in the first slots of this frame; the callee returns to where this function would."""
        self._operation(index, step, "return_call")
        self._field(index, "function", instr.args[0], step.callee)
        self.check.check_site(index, step, at)
        self.arguments(index, state, step, self.linked.module.functions[instr.args[0]].type.params)
        return self._replaced(index, instr.args[0])

    def _replaced(self, index: int, callee: int | FuncType) -> list[Fork]:
        """The callee takes this function's place: an exception that leaves it leaves this function too."""
        if self._throws(callee) and not self._throws(self.check.index):
            raise self.wrong(index, "no exception that leaves the function", "one of a callee that takes its place")
        return []

    def arguments(self, index: int, state: AbstractState, step: Step, params: tuple[str, ...]) -> None:
        first = len(state.stack) - len(params)
        for i, wanted in enumerate(state.stack[first:]):
            if self.steps.read(state, Slot("frame", step.imm + i), index, "a") != wanted:
                raise self.wrong(index, f"argument {i} in frame slot {step.imm + i}", "another value")
        del state.stack[first:]

    def results(
        self, state: AbstractState, step: Step, results: tuple[str, ...], origin: Hashable, keeps_globals: bool = False
    ) -> None:
        """The callee's frame begins at its first argument: nothing above stays as it was. keeps_globals: a routine that
        stands for an instruction has no way to the program's globals."""
        state.slots = {s: v for s, v in state.slots.items() if not isinstance(s, int) or s < step.imm}
        for i, type_ in enumerate(results):
            value = self.values.given(origin, i, is_wide(type_))
            state.slots[step.imm + i] = value
            state.stack.append(value)
        self.check.forget(state, origin, keeps_globals)

    def _call_indirect(
        self, at: int, index: int, state: AbstractState, step: Step, instr: Instr, origin: Hashable
    ) -> list[Fork]:
        """Two steps: the reference out of the table, then the call of what it refers to."""
        type_ = self.linked.module.function_type(instr.args[0])
        if state.stage is None:
            self._operation(index, step, "table.ref")
            self._field(index, "site", None, step.site)
            self._table_fields(index, step, instr.args[1])
            self._operand(index, state, step, "a", state.stack.pop(), "index")
            state.stage = self.values.given(origin, 0, False)
            self.steps.write(state, step, state.stage)
            return [Fork(at, index + 1, state)]
        self._operation(index, step, instr.name)
        self.check.check_site(index, step, at)
        self._field(index, "type", type_, step.type)
        self._operand(index, state, step, "a", state.stage, "reference")
        state.stage = None
        self.arguments(index, state, step, type_.params)
        if step.operation.tail:
            return self._replaced(index, type_)
        self.results(state, step, type_.results, origin)
        return [Fork(self._behind_call(at, type_), index + 1, state)]

    def _call_ref(
        self, at: int, index: int, state: AbstractState, step: Step, instr: Instr, origin: Hashable
    ) -> list[Fork]:
        self._operation(index, step, instr.name)
        self.check.check_site(index, step, at)
        type_ = self.linked.module.function_type(instr.args[0])
        self._field(index, "type", type_, step.type)
        self._operand(index, state, step, "a", state.stack.pop(), "reference")
        self.arguments(index, state, step, type_.params)
        if step.operation.tail:
            return self._replaced(index, type_)
        self.results(state, step, type_.results, origin)
        return [Fork(self._behind_call(at, type_), index + 1, state)]

    def _trap(self, at: int, index: int, step: Step, kind: str) -> list[Fork]:
        self._operation(index, step, "trap")
        self.check.check_site(index, step, at)
        self._field(index, "trap", kind, step.trap)
        return []

    def _intrinsic(
        self, at: int, index: int, state: AbstractState, step: Step, module: str, name: str, origin: Hashable
    ) -> list[Fork]:
        if module != INTRINSIC_MODULE:
            raise self.wrong(index, "a call of something that is provided", f"{module}.{name}")
        if name == "exit":
            return self._exit(at, index, state, step)
        if name.removeprefix("trap_") != name and name.removeprefix("trap_") in TRAPS:
            return self._trap(at, index, step, name.removeprefix("trap_"))
        name, _, offset = name.partition("+")
        self._operation(index, step, _INTRINSICS.get(name, name))
        self._field(index, "offset", int(offset or 0), step.imm)
        if (self.check.origin is not None and "load" not in name) or self.check.origin is None:
            self.check.check_site(index, step, at)
        if "store" in name:
            self._operand(index, state, step, "b", state.stack.pop(), "value stored")
        self._operand(index, state, step, "a", state.stack.pop(), "address" if "hidden" in name else "byte")
        if "load" in name:
            value = self.values.given(origin, 0, False)
            self.steps.write(state, step, value)
            state.stack.append(value)
        return [Fork(at + 1, index + 1, state)]

    def _exit(self, at: int, index: int, state: AbstractState, step: Step) -> list[Fork]:
        """Two steps: the exit code as a result, then the halt."""
        if state.stage is None:
            self._operation(index, step, "result")
            self._operand(index, state, step, "a", state.stack[-1], "exit code")
            state.stage = state.stack.pop()
            return [Fork(at, index + 1, state)]
        self._operation(index, step, "halt")
        self.check.check_site(index, step, at)
        return []


def _shown(slot: Slot | None) -> str:
    return "none" if slot is None else f"{slot.kind} {slot.index}"
