"""One function body to steps: WebAssembly's operand stack becomes frame slots.

At -O0 every entry of the operand stack lives in its canonical slot, and every instruction that does anything is a step.
At -O1 entries are lazy copies where possible (see `stack.OperandStack`), and this is what has to hold:

- before a local or a global is overwritten, entries that read it are spilled into their canonical slots;
- entries below a block are spilled before it is entered if anything in the block may overwrite what they read, so
  inside a block, on every path, the stack below it stays as it is;
- where paths join, values are in the places that the frame of the block names (`_Frame.places`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import CompileError, Reason
from ..frontend.module import FuncType, Instr
from ..frontend.opcodes import LOADS, SIGNATURES, STORES
from ..link.linked import INTRINSIC_MODULE, LinkedModule
from .bounds import bound
from .code import Code, Move
from .conditions import COMPARISONS, Condition
from .isa import TRAPS, Site, Slot, Step
from .stack import Operand, OperandStack
from .structure import blocks_of

ZERO = Slot("const", 0)
MEMORY_BYTES = Slot("hidden", "memory_bytes")
_PAGE_SHIFT = Slot("const", 16)

# WASM instructions that are a step operation of the same name. (i64 divisions are linked routines.)
_SAME = COMPARISONS | {
    f"{type_}.{name}"
    for type_, names in (
        ("i32", "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr clz ctz popcnt "
                "extend8_s extend16_s wrap_i64"),
        ("i64", "add sub mul and or xor shl shr_s shr_u rotl rotr clz ctz popcnt "
                "extend8_s extend16_s extend32_s extend_i32_s"),
    )
    for name in names.split()
}  # fmt: skip
# Instructions that leave the bits of the slot as they are.
_COPIES = frozenset({
    "i64.extend_i32_u", "i32.reinterpret_f32", "i64.reinterpret_f64", "f32.reinterpret_i32", "f64.reinterpret_i64",
})  # fmt: skip
# A float lives in its slot as its bit pattern, so these are operations on the sign bit: name -> (operation, constant).
_SIGN = {"f32": 2**31, "f64": 2**63}
_SIGN_OPERATIONS = {
    f"{type_}.{name}": (f"i{type_[1:]}.{op}", constant)
    for type_, sign in _SIGN.items()
    for name, op, constant in (("neg", "xor", sign), ("abs", "and", sign - 1))
}
_CONSTANTS = frozenset({"i32.const", "i64.const", "f32.const", "f64.const"})
_WIDE = frozenset({"i64", "f64"})
# Intrinsics of linked.py -> (step operation, number of parameters, number of results).
_INTRINSICS = {
    "stdout": ("stdout", 1, 0),
    "stderr": ("stderr", 1, 0),
    "hidden_load8": ("hidden.load8_u", 1, 1),
    "hidden_load32": ("hidden.load32", 1, 1),
    "hidden_store8": ("hidden.store8", 2, 0),
    "hidden_store32": ("hidden.store32", 2, 0),
}


def _bits_op(name: str) -> str:
    """The integer instruction that moves the same bits: "f32.load" -> "i32.load"."""
    return "i" + name[1:] if name.startswith("f") else name


@dataclass
class _Frame:
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


class FunctionLowering:
    """Lowers function `index` of the linked module; use it once: `FunctionLowering(linked, index, opt_level).run()`.

    Afterwards `frame_size` is the number of slots used.
    """

    def __init__(self, linked: LinkedModule, index: int, opt_level: int):
        self.linked = linked
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
        self.frames = [_Frame("function", FuncType((), results), 0, places, self.code.new_label())]
        self.reachable = True
        self.dead_blocks = 0  # open blocks that began in dead code
        self.pending: Condition | None = None  # a comparison whose user is the next instruction
        self.at = 0  # index of the instruction being lowered

    def run(self) -> Code:
        """The function's steps. Raises CompileError for what cannot be lowered."""
        for local, type_ in enumerate(self.local_types):
            parameter = local < len(self.function.type.params)
            source = Slot("frame", local) if parameter else ZERO
            if source != self.slots[local]:
                self.code.emit(Step("mov", a=source, dest=self.slots[local], wide=type_ in _WIDE))
        for at, instr in enumerate(self.body):
            self.at = at
            if self.reachable:
                handler = _HANDLERS.get(instr.name)
                if handler:
                    handler(self, instr)
                else:
                    self._numeric(instr)
            else:
                self._dead(instr)
        return self.code

    @property
    def frame_size(self) -> int:
        return self.stack.high_water

    # --- helpers ---

    def _refusal(self, message: str, instr: Instr) -> CompileError:
        offset = instr.offset if instr.offset >= 0 else None
        return CompileError([Reason(message, self.function.name, offset, instr.name)])

    def _site(self, record: str) -> Site | None:
        return None if self.origin is None else Site(self.origin, self.at, record)

    def _next(self) -> Instr:
        return self.body[self.at + 1]

    def _compute(self, op: str, *operands: Operand, wide: bool, imm: int = 0, c: Slot | None = None) -> Step:
        """Emit the step that computes this instruction's value, and push the value."""
        a, b = ([o.slot for o in operands] + [None, None])[:2]
        limits = [operand.limit for operand in operands]
        constant = int(b.index) if b is not None and b.kind == "const" else None
        limit = bound(op, limits, constant, wide)
        dest = self.stack.push_new(wide, limit)
        return self.code.emit(Step(op, a=a, b=b, c=c, dest=dest, imm=imm, site=self._site("value"), wide=wide))

    def _copy(self, operand: Operand) -> None:
        """Push a copy of a value that exists already."""
        if self.lazy:
            self.stack.push(operand)
            return
        dest = self.stack.push_new(operand.wide, operand.limit)
        self.code.emit(Step("mov", a=operand.slot, dest=dest, site=self._site("value"), wide=operand.wide))

    def _push_constant(self, bits: int, wide: bool) -> None:
        self._copy(Operand(Slot("const", bits), wide, bits))

    def _global_slot(self, index: int) -> Slot:
        register = self.linked.register_globals.get(index)
        return Slot("global", index) if register is None else Slot("hidden", register)

    # --- control ---

    def _dead(self, instr: Instr) -> None:
        """Code that cannot be reached makes no steps; only its structure matters."""
        if instr.name in ("block", "loop", "if"):
            self.dead_blocks += 1
        elif instr.name == "else" and not self.dead_blocks:
            self._else(instr)
        elif instr.name == "end":
            if self.dead_blocks:
                self.dead_blocks -= 1
            else:
                self._end(instr)

    def _open(self, instr: Instr, kind: str) -> _Frame:
        type_: FuncType = instr.args[0]
        height = len(self.stack) - len(type_.params)
        places = self._places(self.blocks[self.at].end, type_, height)
        frame = _Frame(kind, type_, height, places, self.code.new_label())
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
        self.code.bind(frame.label)

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

    def _begin_else(self, frame: _Frame) -> None:
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
            self.frames.pop()
            self.reachable = False
            return
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
                self.stack.push(Operand(place, type_ in _WIDE))
            self.reachable = True
        elif not self.reachable:
            del self.stack.entries[frame.height :]
        self.frames.pop()

    def _moves(self, frame: _Frame, places: list[Slot]) -> list[Move]:
        """What brings the top of the stack to these places."""
        values = self.stack.entries[len(self.stack) - len(places) :]
        return [(place, v.slot, v.wide) for place, v in zip(places, values, strict=True) if place != v.slot]

    def _join(self, frame: _Frame) -> None:
        self.code.emit_moves(self._moves(frame, frame.places), self.stack.temporary)

    def _branch_moves(self, frame: _Frame) -> list[Move]:
        if frame.kind == "loop":
            return self._moves(frame, [self.stack.canonical(frame.height + i) for i in range(len(frame.type.params))])
        return self._moves(frame, frame.places)

    def _leave(self, frame: _Frame, site: Site | None) -> None:
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
        op = f"br.{condition.comparison}"
        self.code.emit(Step(op, a=condition.a, b=condition.b, target=label, taken=taken, site=site))

    def _br(self, instr: Instr) -> None:
        self._leave(self.frames[-1 - instr.args[0]], self._site("control"))
        self.reachable = False

    def _br_if(self, instr: Instr) -> None:
        condition = self._condition()
        frame = self.frames[-1 - instr.args[0]]
        if self._branch_moves(frame):
            skip = self.code.new_label()
            self._branch_if(condition.inverted(), skip, taken=0, site=self._site("branch"))
            self._leave(frame, None)
            self.code.bind(skip)
        else:
            frame.used = True
            self._branch_if(condition, frame.label, taken=1, site=self._site("branch"))

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

    def _trap(self, kind: str, site: Site | None) -> None:
        self.code.emit(Step("trap", trap=kind, site=site))
        self.reachable = False

    # --- calls ---

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
        type_ = self.module.types[type_index]
        layout = self.linked.tables[table]
        index = self.stack.entries[-1].slot
        first = self._begin_call(type_, 1, keeps_globals=False)
        # The reference goes where the index was, or would have been: behind the arguments.
        reference = self.stack.canonical(len(self.stack) - 1)
        size = Slot("hidden", layout.size_register)
        self.code.emit(Step("table.ref", a=index, c=size, dest=reference, imm=layout.offset))
        site = self._site("control")
        self.code.emit(Step("call_indirect", a=reference, type=type_, imm=int(first.index), site=site))
        self._end_call(type_, 1)

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
            self.stack.push_new(result in _WIDE)

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
        elif name in _INTRINSICS:
            op, parameters, results = _INTRINSICS[name]
            operands = self.stack.take(parameters)
            if results:
                self._compute(op, *operands, wide=False)
            else:
                a, b = ([o.slot for o in operands] + [None])[:2]
                self.code.emit(Step(op, a=a, b=b, site=self._site("host")))
        else:
            raise self._refusal(f'no intrinsic is named "{name}"', instr)

    # --- variables and parametric instructions ---

    def _local_get(self, instr: Instr) -> None:
        (local,) = instr.args
        self._copy(Operand(self.slots[local], self.local_types[local] in _WIDE))

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
        elif operand.slot != slot:
            producer = self._take_producer(operand)
            self.stack.spill(lambda read: read == slot)
            if producer is None:
                producer = Step("mov", a=operand.slot, site=self._site("value"), wide=operand.wide)
            self.code.emit(replace(producer, dest=slot))
        return slot

    def _take_producer(self, operand: Operand) -> Step | None:
        """Take back the last step if all it does is compute the value just popped into its canonical slot."""
        last = len(self.code.steps) - 1
        own = self.stack.canonical(len(self.stack))
        if last < 0 or operand.slot != own or self.code.marked_after(last) or self.code.steps[last].dest != own:
            return None
        return self.code.steps.pop()

    def _global_get(self, instr: Instr) -> None:
        (index,) = instr.args
        self._copy(Operand(self._global_slot(index), self.module.globals[index].type.type in _WIDE))

    def _global_set(self, instr: Instr) -> None:
        operand = self.stack.pop()
        slot = self._global_slot(instr.args[0])
        self.stack.spill(lambda read: read == slot)
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

    # --- memory, tables, references ---

    def _load(self, instr: Instr) -> None:
        address, offset = self._address(self.stack.pop(), instr.args[1])
        wide = SIGNATURES[instr.name][1][0] in _WIDE
        self._compute(_bits_op(instr.name), address, wide=wide, imm=offset, c=MEMORY_BYTES)

    def _store(self, instr: Instr) -> None:
        base, value = self.stack.take(2)
        address, offset = self._address(base, instr.args[1])
        op, site = _bits_op(instr.name), self._site("store")
        self.code.emit(Step(op, a=address.slot, b=value.slot, c=MEMORY_BYTES, imm=offset, site=site))

    def _address(self, operand: Operand, offset: int) -> tuple[Operand, int]:
        """Fold the addition of a constant into the offset, where `Operand.sum` says that it cannot wrap around.

        The addition's step goes, so its other operand must still be what it was.
        """
        addition = operand.sum
        if addition is None or addition.a is None or addition.b is None:
            return operand, offset
        base, constant = (addition.b, addition.a) if addition.a.kind == "const" else (addition.a, addition.b)
        at = next((i for i in range(len(self.code.steps) - 1, -1, -1) if self.code.steps[i] is addition), None)
        if at is None or self.code.marked_after(at) or offset + int(constant.index) >= 2**32:
            return operand, offset
        for step in self.code.steps[at + 1 :]:
            if step.dest == base or step.target is not None or step.op in ("call", "call_indirect"):
                return operand, offset
        del self.code.steps[at]
        return Operand(base, False), offset + int(constant.index)

    def _memory_size(self, instr: Instr) -> None:
        self._compute("i32.shr_u", Operand(MEMORY_BYTES, False), Operand(_PAGE_SHIFT, False), wide=False)

    def _table_size(self, instr: Instr) -> None:
        self._copy(Operand(Slot("hidden", self.linked.tables[instr.args[0]].size_register), False))

    def _table_get(self, instr: Instr) -> None:
        layout = self.linked.tables[instr.args[0]]
        size = Slot("hidden", layout.size_register)
        self._compute("table.get", self.stack.pop(), wide=False, imm=layout.offset, c=size)

    def _table_set(self, instr: Instr) -> None:
        layout = self.linked.tables[instr.args[0]]
        index, value = self.stack.take(2)
        size = Slot("hidden", layout.size_register)
        step = Step("table.set", index.slot, value.slot, size, imm=layout.offset, site=self._site("store"))
        self.code.emit(step)

    def _ref_null(self, instr: Instr) -> None:
        self._push_constant(0, False)

    def _ref_func(self, instr: Instr) -> None:
        (index,) = instr.args
        reference = next((r for r, function in self.linked.references.items() if function == index), None)
        if reference is None:
            raise self._refusal(f"function {index} has no reference", instr)
        self._push_constant(reference, False)

    def _ref_is_null(self, instr: Instr) -> None:
        self._compare(Condition("i32.eq", self.stack.pop().slot, ZERO))

    # --- numeric instructions ---

    def _constant(self, instr: Instr) -> None:
        wide = instr.name[:3] in _WIDE
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
            return
        dest = self.stack.push_new(False, 1)
        step = Step(condition.comparison, condition.a, condition.b, dest=dest, site=self._site("value"))
        self.code.emit(step)

    def _copysign(self, instr: Instr) -> None:
        magnitude, sign = self.stack.take(2)
        bits = _SIGN[instr.name[:3]]
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
        elif name in _CONSTANTS:
            self._constant(instr)
        elif name in _COPIES:
            self._copy(replace(self.stack.pop(), wide=SIGNATURES[name][1][0] in _WIDE))
        elif name in _SIGN_OPERATIONS:
            op, constant = _SIGN_OPERATIONS[name]
            self._compute(op, self.stack.pop(), Operand(Slot("const", constant), True), wide=constant >= 2**32)
        elif name in COMPARISONS:
            a, b = self.stack.take(2)
            self._compare(Condition(name, a.slot, b.slot))
        elif name in _SAME:
            operands, results = SIGNATURES[name]
            taken = self.stack.take(len(operands))
            step = self._compute(name, *taken, wide=results[0] in _WIDE)
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


_HANDLERS: dict[str, Callable[[FunctionLowering, Instr], Any]] = {
    "unreachable": FunctionLowering._unreachable,
    "nop": FunctionLowering._nop,
    "block": FunctionLowering._block,
    "loop": FunctionLowering._loop,
    "if": FunctionLowering._if,
    "else": FunctionLowering._else,
    "end": FunctionLowering._end,
    "br": FunctionLowering._br,
    "br_if": FunctionLowering._br_if,
    "br_table": FunctionLowering._br_table,
    "return": FunctionLowering._return,
    "call": FunctionLowering._call,
    "call_indirect": FunctionLowering._call_indirect,
    "drop": FunctionLowering._drop,
    "select": FunctionLowering._select,
    "local.get": FunctionLowering._local_get,
    "local.set": FunctionLowering._local_set,
    "local.tee": FunctionLowering._local_tee,
    "global.get": FunctionLowering._global_get,
    "global.set": FunctionLowering._global_set,
    "memory.size": FunctionLowering._memory_size,
    "table.size": FunctionLowering._table_size,
    "table.get": FunctionLowering._table_get,
    "table.set": FunctionLowering._table_set,
    "ref.null": FunctionLowering._ref_null,
    "ref.func": FunctionLowering._ref_func,
    "ref.is_null": FunctionLowering._ref_is_null,
    "i32.eqz": FunctionLowering._eqz,
    "i64.eqz": FunctionLowering._eqz,
    **{f"{type_}.copysign": FunctionLowering._copysign for type_ in _SIGN},
}
