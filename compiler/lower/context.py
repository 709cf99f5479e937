"""What all parts of the lowering of one function share: its code, its operand stack, its open blocks."""

from __future__ import annotations

from dataclasses import dataclass

from ..format.errors import CompileError, Reason
from ..format.isa import Site, Slot, Step
from ..link.linked import LinkedModule
from ..wasm.module import FuncType, Instr
from .bounds import bound
from .code import Code
from .conditions import Condition
from .stack import Operand, OperandStack, limits_of
from .structure import blocks_of

ZERO = Slot("const", 0)


@dataclass
class Frame:
    """An open block, loop, if, or the function itself.

    height: of the operand stack below its parameters. places: where the results must be behind its `end`.
    label: where a branch to it goes; used: whether one does. otherwise: the label of the else part of an `if`.
    parameters: the stack entries with which an `if` began.
    """

    kind: str
    type: FuncType
    height: int
    places: list[Slot]
    label: int
    used: bool = False
    otherwise: int | None = None
    parameters: tuple[Operand, ...] = ()


class FunctionContext:
    """The state while function `index` of the linked module is lowered."""

    def __init__(self, linked: LinkedModule, index: int, opt_level: int):
        self.linked, self.index = linked, index
        self.module = linked.module
        self.function = linked.module.functions[index]
        self.body = self.function.body
        self.origin = linked.origin.get(index)  # None: a linked routine, nothing in it is recorded
        self.lazy = opt_level > 0
        self.local_types = self.function.type.params + self.function.locals
        self.blocks = blocks_of(self.body)
        self.code = Code()
        count = len(self.local_types)
        self.slots = [Slot("frame", local) for local in range(count)]
        if self.lazy:
            # A parameter that is written gets a slot of its own, so that only its first value is tied to slot i of the
            # frame; `coalesce` joins the two again unless that would keep a copy in a loop.
            written = {instr.args[0] for instr in self.body if instr.name in ("local.set", "local.tee")}
            for local in sorted(written & set(range(len(self.function.type.params)))):
                self.slots[local] = Slot("frame", count)
                count += 1
        results = self.function.type.results
        self.stack = OperandStack(self.code, base=max(1, count), high_water=max(1, count, len(results)))
        places = [Slot("frame", i) for i in range(len(results))]
        self.frames = [Frame("function", FuncType((), results), 0, places, self.code.new_label())]
        self.reachable = True
        self.dead_blocks = 0  # open blocks that began in dead code
        self.pending: Condition | None = None  # a comparison whose user is the next instruction
        self.at = 0  # index of the instruction being lowered

    def _refusal(self, message: str, instr: Instr) -> CompileError:
        offset = instr.offset if instr.offset >= 0 else None
        return CompileError([Reason(message, self.function.name, offset, instr.name)])

    def _site(self, record: str) -> Site | None:
        return self.linked.site(self.index, self.at, record)

    def _fold(self, rule: str, record: str = "value") -> None:
        """This instruction gets no step of its own."""
        self.code.fold(self._site(record), rule)

    def _next(self) -> Instr:
        return self.body[self.at + 1]

    def _trap(self, kind: str, site: Site | None) -> None:
        self.code.emit(Step("trap", trap=kind, site=site))
        self.reachable = False

    def _compute(self, op: str, *operands: Operand, wide: bool, imm: int = 0, c: Slot | None = None) -> Step:
        """Emit the step that computes this instruction's value, and push the value."""
        a, b = ([o.slot for o in operands] + [None, None])[:2]
        limits = [operand.limit for operand in operands]
        constant = int(b.index) if b is not None and b.kind == "const" else None
        limit = bound(op, limits, constant)
        dest = self.stack.push_new(wide, limit)
        known = limits_of(*operands)
        step = Step(op, a=a, b=b, c=c, dest=dest, imm=imm, site=self._site("value"), wide=wide, limits=known)
        return self.code.emit(step)

    def _copy(self, operand: Operand, rule: str = "copy") -> None:
        """Push a copy of a value that exists already."""
        if self.lazy:
            self.stack.push(operand)
            self._fold(rule)
            return
        dest = self.stack.push_new(operand.wide, operand.limit)
        self.code.emit(Step("mov", a=operand.slot, dest=dest, site=self._site("value"), wide=operand.wide))

    def _push_constant(self, bits: int, wide: bool) -> None:
        self._copy(Operand(Slot("const", bits), wide, bits), "constant")

    def _global_slot(self, index: int) -> Slot:
        register = self.linked.register_globals.get(index)
        return Slot("global", index) if register is None else Slot("hidden", register)
