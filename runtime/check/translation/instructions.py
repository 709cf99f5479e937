"""The instructions' side of the walk: up to the next event, everything moves values or computes pure ones."""

from __future__ import annotations

from collections.abc import Mapping

from ....compiler.format.isa import Site, Slot
from ....compiler.format.operations import OPERATIONS
from ....compiler.link.linked import LinkedModule
from ....compiler.wasm.module import BLOCKS, Instr
from .body import Body
from .exceptions import ExceptionPoints
from .rules import SILENT
from .state import AbstractState
from .values import PURE, Values

_SIGN = {"f32": 2**31, "f64": 2**63}
_SAME_BITS = frozenset({
    "i64.extend_i32_u", "i32.reinterpret_f32", "i64.reinterpret_f64", "f32.reinterpret_i32", "f64.reinterpret_i64",
})  # fmt: skip
COMPUTES = PURE | {
    "ref.is_null", "ref.eq", "ref.i31", "memory.size", "i32.eqz", "i64.eqz",
    *(f"{t}.{name}" for t in _SIGN for name in ("neg", "abs", "copysign")),
}  # fmt: skip
# What is passed on the way to an event.
_QUIET = COMPUTES | _SAME_BITS | {
    "br", "return", "else", "throw", "local.get", "local.set", "local.tee", "global.get", "global.set", "i32.const", "i64.const",
    "f32.const", "f64.const", "ref.null", "ref.func", "table.size",
}  # fmt: skip


class Instructions:
    """Function `index` of the linked module. answered: instruction -> the site with which a step answers for it."""

    def __init__(self, linked: LinkedModule, index: int, answered: Mapping[int, Site], values: Values):
        self.linked, self.values, self.answered = linked, values, answered
        self.function = linked.module.functions[index]
        self.instrs = self.function.body
        self.body = Body(self.instrs, len(self.function.type.results))
        self.last = len(self.instrs) - 1
        self.heights: dict[int, int] = {}  # of each block: the stack below its parameters
        self.points = ExceptionPoints(linked, self.body, values)
        self.unanswered: dict[int, int | None] = {}  # instructions passed that no step answers for -> their value
        self._references = {function: value for value, function in linked.references.items()}

    def global_slot(self, index: int) -> Slot:
        register = self.linked.register_globals.get(index)
        return Slot("global", index) if register is None else Slot("hidden", register)

    def state_slots(self) -> set[Slot]:
        """The globals and registers that the instructions name."""
        found = self.points.registers()
        for instr in self.instrs:
            if instr.name in ("global.get", "global.set"):
                found.add(self.global_slot(instr.args[0]))
            elif instr.name == "memory.size":
                found.add(Slot("hidden", self.linked.memory_of(instr).register))
            elif instr.name == "table.size":
                found.add(Slot("hidden", self.linked.tables[instr.args[0]].size_register))
        return found

    def is_event(self, at: int) -> bool:
        if self.points.point(at) is not None:
            return self.points.is_event(at)
        name = self.instrs[at].name
        if name in SILENT:
            return at == self.last
        return name not in _QUIET

    def step(self, state: AbstractState, at: int) -> int:
        """Passes one instruction that is no event; where it goes on."""
        point = self.points.point(at)
        if point is not None:
            depth = self.points.caught(state, point[1], point[2])
            return self.leave(state, point[1], depth)
        instr = self.instrs[at]
        following, value = self._pass(state, at, instr)
        if instr.name not in SILENT:
            if at in self.answered:
                state.pending = (*state.pending, (at, value))
            else:
                self.unanswered[at] = value
        return following

    def _pass(self, state: AbstractState, at: int, instr: Instr) -> tuple[int, int | None]:
        """(the instruction to go on at, the value that this one gives)."""
        name, stack = instr.name, state.stack
        if name in SILENT and name in BLOCKS:
            self.heights[at] = len(stack) - len(instr.args[0].params)
        elif name == "else":
            return self.body.end[self.body.outer[at]] + 1, None
        elif name == "br":
            return self.leave(state, at, instr.args[0]), None
        elif name == "return":
            return self.leave(state, at, None), None
        elif name == "throw":
            value = self.points.throw(state, at)
            return self.points.landing(state, at, self.heights), value
        elif name == "drop":
            stack.pop()
        elif name not in SILENT:
            return at + 1, self._value(state, instr)
        return at + 1, None

    def leave(self, state: AbstractState, at: int, depth: int | None) -> int:
        """Takes a branch (None: a return); where it goes on."""
        block = -1 if depth is None else self.body.label(at, depth)
        height, count = self.carried(block)
        state.stack[height:] = state.stack[len(state.stack) - count :]
        return self.body.target(block)

    def carried(self, block: int) -> tuple[int, int]:
        """Of a branch to this block: the stack that it leaves as it is, and how many values it carries."""
        return 0 if block < 0 else self.heights[block], self.body.arity(block)

    def _value(self, state: AbstractState, instr: Instr) -> int:
        """What the instruction leaves or sets."""
        name, stack, values = instr.name, state.stack, self.values
        if name == "local.get":
            stack.append(state.locals[instr.args[0]])
        elif name in ("local.set", "local.tee"):
            value = state.locals[instr.args[0]] = stack[-1]
            if name == "local.set":
                stack.pop()
            return value
        elif name == "global.get":
            stack.append(state.module[self.global_slot(instr.args[0])])
        elif name == "global.set":
            state.module[self.global_slot(instr.args[0])] = value = stack.pop()
            return value
        elif name.endswith(".const"):
            bits = 2**64 if name[1:3] == "64" else 2**32
            stack.append(values.const(instr.args[0] % bits))
        elif name == "ref.null":
            stack.append(values.const(0))
        elif name == "ref.func":
            stack.append(values.const(self._references[instr.args[0]]))
        elif name == "memory.size":
            size = state.module[Slot("hidden", self.linked.memory_of(instr).register)]
            stack.append(values.term("i32.rotr", size, values.const(16)))
        elif name == "table.size":
            stack.append(state.module[Slot("hidden", self.linked.tables[instr.args[0]].size_register)])
        else:
            return self._pure(stack, name)
        return stack[-1]

    def _pure(self, stack: list[int], name: str) -> int:
        values = self.values
        prefix, _, operation = name.partition(".")
        if name == "ref.is_null" or operation == "eqz":
            comparison = "i32.eq" if name == "ref.is_null" else f"{prefix}.eq"
            stack.append(values.term(comparison, stack.pop(), values.const(0)))
        elif name == "ref.eq":
            second, first = stack.pop(), stack.pop()
            stack.append(values.term("i32.eq", first, second))
        elif name == "ref.i31":
            stack.append(values.term("i32.or", stack.pop(), values.const(2**31)))
        elif name in _SAME_BITS:
            pass
        elif prefix in _SIGN and operation in ("neg", "abs", "copysign"):
            self._sign(stack, prefix, operation)
        else:
            count = len(OPERATIONS[name].operands & {"a", "b", "c"})
            operands = stack[len(stack) - count :]
            del stack[len(stack) - count :]
            stack.append(values.term(name, *operands))
        return stack[-1]

    def _sign(self, stack: list[int], prefix: str, operation: str) -> None:
        """Operations on the sign bit."""
        values, sign, integer = self.values, _SIGN[prefix], f"i{prefix[1:]}"
        if operation == "copysign":
            second, first = stack.pop(), stack.pop()
            magnitude = values.term(f"{integer}.and", first, values.const(sign - 1))
            stack.append(
                values.term(f"{integer}.or", magnitude, values.term(f"{integer}.and", second, values.const(sign)))
            )
        elif operation == "neg":
            stack.append(values.term(f"{integer}.xor", stack.pop(), values.const(sign)))
        else:
            stack.append(values.term(f"{integer}.and", stack.pop(), values.const(sign - 1)))
