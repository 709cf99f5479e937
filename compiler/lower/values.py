"""Instructions that move and compute values: variables, memory, tables, references, numbers."""

from __future__ import annotations

from dataclasses import replace

from ..format.isa import Slot, Step
from ..format.limits import MEMORY_PAGES
from ..format.operations import OPERATIONS
from ..wasm.module import Instr
from ..wasm.opcodes import LOADS, SIGNATURES, STORES
from .conditions import COMPARISONS, Condition
from .context import ZERO, FunctionContext
from .operations import CONSTANTS, COPIES, SAME, SIGN, SIGN_OPERATIONS, WIDE, bits_op
from .stack import Operand, limits_of

_PAGE_SHIFT = Slot("const", 16)
# An addition that stands further before its use than so many steps stays where it is.
_NEAR = 256
# A larger offset, which a memory with 64-bit addresses may have, is out of bounds whatever the address; so is this one.
LARGEST_OFFSET = 2**32 - 1


class ValueLowering(FunctionContext):
    """Everything that neither branches nor calls."""

    def _local_get(self, instr: Instr) -> None:
        (local,) = instr.args
        self._copy(Operand(self.slots[local], self.local_types[local] in WIDE))

    def _local_set(self, instr: Instr) -> None:
        self._write_local(instr.args[0], self.stack.pop())

    def _local_tee(self, instr: Instr) -> None:
        operand = self.stack.pop()
        slot = self._write_local(instr.args[0], operand)
        self.stack.push(Operand(slot, operand.wide, operand.limit) if self.lazy else operand)

    def _write_local(self, local: int, operand: Operand) -> Slot:
        """Steps that set the local to the value just popped."""
        slot = self.slots[local]
        if not self.lazy:
            self.code.emit(Step("mov", a=operand.slot, dest=slot, site=self._site("value"), wide=operand.wide))
        elif operand.slot == slot:
            self._fold("written in place")
        else:
            self._write_in_place(slot, operand)
        return slot

    def _write_in_place(self, slot: Slot, operand: Operand) -> None:
        """The step that computes the value just popped writes it to the slot, if it is the last one; else a copy does."""
        producer = self._take_producer(operand)
        self.stack.spill(lambda read: read == slot)
        if producer is not None:
            self._fold("written in place")
        else:
            producer = Step("mov", a=operand.slot, site=self._site("value"), wide=operand.wide)
        self.code.emit(producer.but(dest=slot))

    def _take_producer(self, operand: Operand) -> Step | None:
        """Take back the last step if all it does is compute the value just popped into its canonical slot."""
        last = len(self.code.steps) - 1
        own = self.stack.canonical(len(self.stack))
        if last < 0 or operand.slot != own or self.code.marked_after(last) or self.code.steps[last].dest != own:
            return None
        return self.code.steps.pop()

    def _global_get(self, instr: Instr) -> None:
        (index,) = instr.args
        self._copy(Operand(self._global_slot(index), self.module.globals[index].type.type in WIDE))

    def _global_set(self, instr: Instr) -> None:
        operand = self.stack.pop()
        slot = self._global_slot(instr.args[0])
        if self.lazy:
            self._write_in_place(slot, operand)
            return
        self.code.emit(Step("mov", a=operand.slot, dest=slot, site=self._site("value"), wide=operand.wide))

    def _drop(self, instr: Instr) -> None:
        self.stack.pop()

    def _nop(self, instr: Instr) -> None:
        pass

    def _select(self, instr: Instr) -> None:
        first, second, condition = self.stack.take(3)
        dest = self.stack.push_new(first.wide, max(first.limit, second.limit))
        step = Step("select", first.slot, second.slot, condition.slot, dest, wide=first.wide, site=self._site("value"))
        self.code.emit(step)

    def _load(self, instr: Instr) -> None:
        address, offset = self._address(self.stack.pop(), min(instr.args[1], LARGEST_OFFSET))
        wide = SIGNATURES[instr.name][1][0] in WIDE
        self._compute(bits_op(instr.name), address, wide=wide, imm=offset, c=self._memory_size_slot(instr))

    def _store(self, instr: Instr) -> None:
        base, value = self.stack.take(2)
        address, offset = self._address(base, min(instr.args[1], LARGEST_OFFSET))
        op, site = bits_op(instr.name), self._site("store")
        known = limits_of(address, value)
        size = self._memory_size_slot(instr)
        self.code.emit(Step(op, a=address.slot, b=value.slot, c=size, imm=offset, site=site, limits=known))

    def _address(self, operand: Operand, offset: int) -> tuple[Operand, int]:
        """Fold the addition of a constant into the offset, where `Operand.sum` says that it cannot wrap around.

        The addition's step goes, so its other operand must still be what it was.
        """
        addition = operand.sum
        if addition is None or addition.a is None or addition.b is None:
            return operand, offset
        base, constant = (addition.b, addition.a) if addition.a.kind == "const" else (addition.a, addition.b)
        last = len(self.code.steps)
        at = next((i for i in range(last - 1, max(-1, last - _NEAR), -1) if self.code.steps[i] is addition), None)
        if at is None or self.code.marked_after(at) or offset + int(constant.index) >= 2**32:
            return operand, offset
        for step in self.code.steps[at + 1 :]:
            if step.dest == base or step.target is not None or step.operation.calls:
                return operand, offset
        del self.code.steps[at]
        self.code.fold(addition.site, "folded into offset")
        return Operand(base, False, 2**32 - 1 - int(constant.index)), offset + int(constant.index)

    def _memory_size_slot(self, instr: Instr) -> Slot:
        return Slot("hidden", self.linked.memory_of(instr).register)

    def _memory_size(self, instr: Instr) -> None:
        size = Operand(self._memory_size_slot(instr), False)
        self._compute("i32.rotr", size, Operand(_PAGE_SHIFT, False), wide=False)
        self.stack.push(replace(self.stack.pop(), limit=MEMORY_PAGES))
        if self.linked.memory_of(instr).wide:
            self.stack.push(replace(self.stack.pop(), wide=True))

    def _table_size(self, instr: Instr) -> None:
        layout = self.linked.tables[instr.args[0]]
        self._copy(Operand(Slot("hidden", layout.size_register), layout.wide))

    def _table_get(self, instr: Instr) -> None:
        layout = self.linked.tables[instr.args[0]]
        size = Slot("hidden", layout.size_register)
        step = self._compute("table.get", self.stack.pop(), wide=False, imm=layout.offset, c=size)
        if layout.wide:
            self.code.steps[-1] = step.but(wide=True)

    def _table_set(self, instr: Instr) -> None:
        layout = self.linked.tables[instr.args[0]]
        index, value = self.stack.take(2)
        size = Slot("hidden", layout.size_register)
        site = self._site("store")
        self.code.emit(Step("table.set", index.slot, value.slot, size, imm=layout.offset, site=site, wide=layout.wide))

    def _ref_null(self, instr: Instr) -> None:
        self._push_constant(0, False)

    def _ref_func(self, instr: Instr) -> None:
        (index,) = instr.args
        reference = self.linked.reference_of.get(index)
        if reference is None:
            raise self._refusal(f"function {index} has no reference", instr)
        self._push_constant(reference, False)

    def _ref_is_null(self, instr: Instr) -> None:
        self._compare(Condition("i32.eq", self.stack.pop().slot, ZERO))

    def _ref_eq(self, instr: Instr) -> None:
        a, b = self.stack.take(2)
        self._compare(Condition("i32.eq", a.slot, b.slot))

    def _constant(self, instr: Instr) -> None:
        wide = instr.name[:3] in WIDE
        self._push_constant(instr.args[0] % (2**64 if wide else 2**32), wide)

    def _eqz(self, instr: Instr) -> None:
        if self.pending is not None:
            condition, self.pending = self.pending.inverted(), None
        else:
            condition = Condition(f"{instr.name[:3]}.eq", self.stack.pop().slot, ZERO)
        self._compare(condition)

    def _compare(self, condition: Condition) -> None:
        """A comparison: kept for a branch that follows, or for an eqz that inverts it; else a step."""
        if self.lazy and self._next().name in ("br_if", "if", "i32.eqz"):
            self.pending = condition
            self._fold("inverted comparison" if self._next().name == "i32.eqz" else "fused comparison")
            return
        dest = self.stack.push_new(False, 1)
        step = Step(condition.comparison, condition.a, condition.b, dest=dest, site=self._site("value"))
        self.code.emit(step)

    def _copysign(self, instr: Instr) -> None:
        magnitude, sign = self.stack.take(2)
        bits = SIGN[instr.name[:3]]
        prefix, wide = f"i{instr.name[1:3]}", bits == 2**63
        height = len(self.stack)
        # The two halves are internal; they stand where the operands stand or would have stood.
        first, second = self.stack.canonical(height), self.stack.canonical(height + 1)
        self.code.emit(Step(f"{prefix}.and", magnitude.slot, Slot("const", bits - 1), dest=first, wide=wide))
        self.code.emit(Step(f"{prefix}.and", sign.slot, Slot("const", bits), dest=second, wide=wide))
        self._compute(f"{prefix}.or", Operand(first, wide), Operand(second, wide), wide=wide)

    def _numeric(self, instr: Instr) -> None:
        """Everything whose operands and results do not depend on the context."""
        name = instr.name
        if name in LOADS:
            self._load(instr)
        elif name in STORES:
            self._store(instr)
        elif name in CONSTANTS:
            self._constant(instr)
        elif name in COPIES:
            self._copy(replace(self.stack.pop(), wide=SIGNATURES[name][1][0] in WIDE))
        elif name in SIGN_OPERATIONS:
            op, constant = SIGN_OPERATIONS[name]
            wide = OPERATIONS[op].type in WIDE
            self._compute(op, self.stack.pop(), Operand(Slot("const", constant), True), wide=wide)
        elif name in COMPARISONS:
            a, b = self.stack.take(2)
            self._compare(Condition(name, a.slot, b.slot))
        elif name in SAME:
            operands, results = SIGNATURES[name]
            taken = self.stack.take(len(operands))
            step = self._compute(name, *taken, wide=results[0] in WIDE)
            self._note_sum(step, taken)
        else:
            raise self._refusal("is not supported", instr)

    def _note_sum(self, step: Step, operands: list[Operand]) -> None:
        """Remember an addition of a constant that cannot wrap around: an address may take it into its offset."""
        if not self.lazy or step.op != "i32.add":
            return
        constants = sum(operand.slot.kind == "const" for operand in operands)
        if constants == 1 and sum(min(operand.limit, 2**32) for operand in operands) < 2**32:
            self.stack.push(replace(self.stack.pop(), sum=step))
