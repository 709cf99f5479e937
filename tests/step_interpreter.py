"""Runs step programs in plain Python, so that lowering and optimiser can be tested without weights, and circuits against it.

Never the judge of a run: whether a program is right says wasmtime.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from wasm2xformer.compiler.format.isa import Entry, Program, Slot, Step
from wasm2xformer.compiler.format.limits import FRAME_LIMIT, PAGE, pages_of
from wasm2xformer.compiler.format.operations import FLOAT_RELATIONS, Operation


class StepTrap(Exception):
    """kind: a key of isa.TRAPS."""

    def __init__(self, kind: str):
        super().__init__(kind)
        self.kind = kind


class WrongClaim(AssertionError):
    """An operand is more than the lowering said it could be."""


class Exhausted(Exception):
    """More steps than wanted."""


def signed(value: int, width: int) -> int:
    """The unsigned integer of `width` bytes as a signed one."""
    return value - 2 ** (8 * width) if value >> (8 * width - 1) else value


def _divide(o: Operation, a: int, b: int) -> int:
    if b == 0:
        raise StepTrap("divide_by_zero")
    if o.signed:
        a, b = signed(a, o.width), signed(b, o.width)
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if o.does == "rem":
        return a - b * quotient
    if o.signed and quotient == 2 ** (8 * o.width - 1):
        raise StepTrap("integer_overflow")
    return quotient


def _rotate(o: Operation, a: int, count: int) -> int:
    bits = 8 * o.width
    count %= bits
    return a << count | a >> (bits - count)


def _float(operation: Callable[[float, float], float]) -> Callable[[Operation, int, int], int]:
    """On bit patterns; NaN is the canonical one."""

    def compute(o: Operation, a: int, b: int) -> int:
        bits, number, nan = (np.uint32, np.float32, 0x7FC00000) if o.width == 4 else (np.uint64, np.float64, 0x7FF8 << 48)
        with np.errstate(all="ignore"):
            value = operation(*np.array([a, b], bits).view(number))
        return nan if np.isnan(value) else int(value.view(bits))

    return compute


def _float_of(o: Operation, a: int, _: int) -> int:
    """An integer, or a number of the other format, as a number of a format."""
    if o.does == "float_integer":
        value = (np.int64 if o.signed else np.uint64)(signed(a, o.operand_width) if o.signed else a)
    else:
        value = np.array([a], np.uint32 if o.width == 8 else np.uint64).view(np.float32 if o.width == 8 else np.float64)[0]
    bits, number, nan = (np.uint32, np.float32, 0x7FC00000) if o.width == 4 else (np.uint64, np.float64, 0x7FF8 << 48)
    with np.errstate(all="ignore"):
        converted = value.astype(number)
    return nan if np.isnan(converted) else int(converted.view(bits))


def _float_order(o: Operation, a: int, b: int) -> int:
    """Comparisons, the lesser and the greater one."""
    bits, number, nan = (np.uint32, np.float32, 0x7FC00000) if o.operand_width == 4 else (np.uint64, np.float64, 0x7FF8 << 48)
    x, y = np.array([a, b], bits).view(number)
    does = o.does.removeprefix("float_")
    if does not in ("min", "max"):
        return int(getattr(operator, does)(x, y))
    if np.isnan(x) or np.isnan(y):
        return nan
    lesser = a if x < y or (x == y and np.signbit(x)) else b
    return lesser if does == "min" else a + b - lesser


def _of_one(operation: Callable[[np.floating], np.floating]) -> Callable[[Operation, int, int], int]:
    """A root, or an integer that is a number of the same format."""
    return lambda o, a, b: _float(lambda x, _: operation(x))(o, a, 0)


def _integer_of(o: Operation, a: int, _: int) -> int:
    """Towards zero; what is out of range traps, or becomes the nearest integer."""
    bits, number = (np.uint32, np.float32) if o.operand_width == 4 else (np.uint64, np.float64)
    value = float(np.array([a], bits).view(number)[0])
    low, high = (-(2 ** (8 * o.width - 1)), 2 ** (8 * o.width - 1) - 1) if o.signed else (0, 2 ** (8 * o.width) - 1)
    if np.isnan(value):
        integer, kind = 0, "invalid_conversion"
    else:
        integer, kind = (int(value) if np.isfinite(value) else int(np.sign(value)) << 99), "integer_overflow"
        if low <= integer <= high:
            return integer
    if o.may_trap:
        raise StepTrap(kind)
    return max(low, min(high, integer))


_ARITHMETIC: dict[str, Callable[[Operation, int, int], int]] = {
    "add": lambda o, a, b: a + b,
    "sub": lambda o, a, b: a - b,
    "mul": lambda o, a, b: a * b,
    "div": _divide,
    "rem": _divide,
    "and": lambda o, a, b: a & b,
    "or": lambda o, a, b: a | b,
    "xor": lambda o, a, b: a ^ b,
    "shl": lambda o, a, b: a << b % (8 * o.width),
    "shr": lambda o, a, b: (signed(a, o.width) if o.signed else a) >> b % (8 * o.width),
    "rotl": _rotate,
    "rotr": lambda o, a, b: _rotate(o, a, -b),
    "clz": lambda o, a, b: 8 * o.width - a.bit_length(),
    "ctz": lambda o, a, b: (a & -a).bit_length() - 1 if a else 8 * o.width,
    "popcnt": lambda o, a, b: a.bit_count(),
    "extend": lambda o, a, b: signed(a % 2 ** (8 * o.access), o.access),
    "wrap": lambda o, a, b: a,
    "float_add": _float(operator.add),
    "float_sub": _float(operator.sub),
    "float_mul": _float(operator.mul),
    "float_div": _float(np.divide),
    "float_sqrt": _of_one(np.sqrt),
    "float_integer": _float_of,
    "float_other": _float_of,
    "float_floor": _of_one(np.floor),
    "float_ceil": _of_one(np.ceil),
    "float_trunc": _of_one(np.trunc),
    "float_nearest": _of_one(np.rint),
    "float_to": _integer_of,
    "float_saturate": _integer_of,
    **{f"float_{name}": _float_order for name in (*FLOAT_RELATIONS, "min", "max")},
    "eq": lambda o, a, b: a == b,
    "ne": lambda o, a, b: a != b,
    "lt": lambda o, a, b: a < b,
    "gt": lambda o, a, b: a > b,
    "le": lambda o, a, b: a <= b,
    "ge": lambda o, a, b: a >= b,
}

_SUMS: dict[str, Callable[[int, int, int], int]] = {
    "add_add": lambda a, b, d: a + b + d,
    "add_sub": lambda a, b, d: a + b - d,
    "sub_add": lambda a, b, d: a - b + d,
    "sub_sub": lambda a, b, d: a - b - d,
    "mul_add": lambda a, b, d: a * b + d,
    "mul_sub": lambda a, b, d: a * b - d,
    "mul_rsub": lambda a, b, d: d - a * b,
}


def compute(step: Step, a: int, b: int = 0, c: int = 0, d: int = 0) -> int:
    """The value of a step that needs nothing but its operands; of a branch, whether it is taken. Raises StepTrap."""
    o = step.operation
    if o.does in ("mov", "select", "result"):
        value = b if o.does == "select" and c == 0 else a
    elif o.does in _SUMS:
        value = _SUMS[o.does](a, b, d)
    else:
        if o.comparison and o.signed:
            a, b = signed(a, o.operand_width), signed(b, o.operand_width)
        value = int(_ARITHMETIC[o.does](o, a, b))
    return value % (2**64 if o.branches or step.value_is_wide else 2**32)


@dataclass
class StepInterpreter:
    """An instance of the program. slots: constants excepted. memory: linear memory; hidden: hidden memory.

    steps: how many may be executed by an invocation (Exhausted). output: bytes on stdout and stderr.
    """

    program: Program
    steps: int = 1_000_000
    slots: dict[object, int] = field(default_factory=dict)
    memory: bytearray = field(default_factory=bytearray)
    hidden: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.slots |= self.program.initial
        ends = [m.base + PAGE * m.pages for m in self.program.memories] or [PAGE * self.program.memory_pages]
        self.memory = bytearray(max(ends))
        self.hidden = bytearray(self.program.hidden_bytes)
        for segment in self.program.segments:
            memory = self.hidden if segment.hidden else self.memory
            memory[segment.address : segment.address + len(segment.bytes)] = segment.bytes
        if self.program.start is not None:
            self.run(self.program.start, [])

    def invoke(self, export: str, *arguments: int) -> list[int]:
        """The results as bit patterns, of arguments as bit patterns."""
        return self.run(self.program.entries[export], list(arguments))

    def run(self, entry: Entry, arguments: list[int]) -> list[int]:
        at, base, calls, results = entry.entry, 0, [], list[int]()
        registers = [0] * len(entry.registers)
        given = iter(registers + arguments)
        for _ in range(self.steps):
            step = self.program.steps[at]
            o = step.operation
            a, b, c, d = (self._read(slot, base) for slot in (step.a, step.b, step.c, step.d))
            if any(value > limit for value, limit in zip((a, b), step.limits)):
                raise WrongClaim(f"step {at}: {step.op} of {a:#x}, {b:#x}, said to be at most {step.limits}")
            following = at + 1
            if o.control == "jump" or (o.branches and compute(step, a, b)):
                following = step.target
            elif o.control == "table":
                following = step.targets[min(a, len(step.targets) - 1)]
            elif o.calls:
                callee = self.program.functions[self._callee(step, a)]
                calls.append((at + 1, base))
                base += step.imm
                if base > FRAME_LIMIT:
                    raise StepTrap("stack_exhausted")
                following = callee.entry
            elif o.tail:
                following = self.program.functions[self._callee(step, a)].entry
            elif o.control == "return":
                following, base = calls.pop()
            elif step.op == "trap":
                raise StepTrap(step.trap)
            elif step.op == "halt":
                return results
            elif o.effect == "output":
                self.output.append(a % 256)
            elif o.effect == "result":
                results.append(compute(step, a))
            elif o.effect == "store":
                memory, address = self._address(step, a, c, b, d)
                memory[address : address + o.access] = (b % 2 ** (8 * o.access)).to_bytes(o.access, "little")
            elif o.effect == "value":
                self._write(step.dest, base, next(given) if step.op == "param" else self._value(step, a, b, c, d))
            at = following
        raise Exhausted(f"{self.steps} steps")

    def _read(self, slot: Slot | None, base: int) -> int:
        if slot is None or slot.kind == "const":
            return 0 if slot is None else slot.index
        return self.slots[base + slot.index] if slot.kind == "frame" else self.slots.get(slot, 0)

    def _write(self, slot: Slot, base: int, value: int) -> None:
        self.slots[base + slot.index if slot.kind == "frame" else slot] = value

    def _value(self, step: Step, a: int, b: int, c: int, d: int) -> int:
        o = step.operation
        if not o.space:
            return compute(step, a, b, c, d)
        memory, address = self._address(step, a, c, b, d)
        value = int.from_bytes(memory[address : address + o.access], "little")
        return (signed(value, o.access) if o.signed else value) % 2 ** (8 * o.width)

    def _address(self, step: Step, a: int, c: int, b: int, d: int) -> tuple[bytearray, int]:
        o = step.operation
        if o.index:
            a = (a + {"b": b, "d": d}[o.index]) % 2**32
        if o.space == "linear":
            size = PAGE * pages_of(c)
            if a + step.imm + o.access > size:
                raise StepTrap("memory_out_of_bounds")
            base = self.program.memory_base(step)
            self.memory.extend(bytes(max(0, base + size - len(self.memory))))  # it has grown
            return self.memory, base + a + step.imm
        if o.space == "table" and a >= c:
            raise StepTrap("table_out_of_bounds")
        return self.hidden, step.imm + a * (4 if o.space == "table" else 1)

    def _callee(self, step: Step, reference: int) -> int:
        if step.callee is not None:
            return step.callee
        if reference == 0:
            raise StepTrap("null_reference")
        function = self.program.references[reference]
        if self.program.functions[function].type != step.type:
            raise StepTrap("type_mismatch")
        return function
