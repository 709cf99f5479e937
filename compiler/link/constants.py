"""Constant expressions: their values at instantiation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..format.errors import CompileError, Reason
from ..format.limits import HEAP_BYTES
from ..format.references import NUMBER
from ..format.types import ArrayType, FieldType, StructType
from ..wasm.module import Instr
from .heap import HeapImage, converted
from .indices import Indices
from .units import Definition, Units


class Constants:
    """global_value: of a global that one reads. objects: where those that they make are put."""

    def __init__(self, units: Units, indices: Indices, global_value: Callable[[Definition], int], objects: HeapImage):
        self.units, self.indices, self.global_value, self.objects = units, indices, global_value, objects

    def value(self, unit: int, code: Iterable[Instr]) -> int:
        """As an unsigned bit pattern; a reference as its number."""
        stack: list[int] = []
        for instruction in code:
            match instruction.name:
                case "i32.const" | "i64.const" | "f32.const" | "f64.const":
                    stack.append(instruction.args[0] & _mask(instruction.name))
                case "ref.null":
                    stack.append(0)
                case "ref.func":
                    target = self.units.resolve(unit, "func", instruction.args[0])
                    assert isinstance(target, Definition)
                    stack.append(self.indices.references[target])
                case "global.get":
                    target = self.units.resolve(unit, "global", instruction.args[0])
                    if not isinstance(target, Definition):
                        raise CompileError(f"global {target.name} has no value at instantiation")
                    stack.append(self.global_value(target))
                case "i32.add" | "i32.sub" | "i32.mul" | "i64.add" | "i64.sub" | "i64.mul":
                    b, a = stack.pop(), stack.pop()
                    result = {"add": a + b, "sub": a - b, "mul": a * b}[instruction.name[4:]]
                    stack.append(result & _mask(instruction.name))
                case "ref.i31":
                    stack.append(NUMBER | stack.pop() % NUMBER)
                case "any.convert_extern" | "extern.convert_any":
                    stack.append(converted(stack.pop()))
                case "struct.new" | "struct.new_default" | "array.new" | "array.new_default" | "array.new_fixed":
                    stack.append(self._object(unit, instruction, stack))
                case _:
                    raise CompileError([Reason("not supported in a constant expression", instruction=instruction.name)])
        return stack[-1]

    def _object(self, unit: int, instruction: Instr, stack: list[int]) -> int:
        type_ = self.units.all[unit].module.types[instruction.args[0]]
        assert isinstance(type_, (StructType, ArrayType))
        fields = type_.fields if isinstance(type_, StructType) else (type_.element,)
        default = instruction.name.endswith("default")
        if isinstance(type_, StructType):
            values = [0] * len(fields) if default else _taken(stack, fields)
            return self.objects.struct(type_, values)
        if instruction.name == "array.new_fixed":
            return self.objects.array(type_, _taken(stack, fields * instruction.args[1]))
        count = stack.pop()
        if count > HEAP_BYTES:
            raise CompileError(f"an array of {count:,} elements: objects take {HEAP_BYTES >> 20} MiB at most")
        return self.objects.array(type_, ([0] if default else _taken(stack, fields)) * count)


def _taken(stack: list[int], fields: Sequence[FieldType]) -> list[int]:
    """The values of these fields, off the stack: of a vector both halves stand there."""
    taken = [stack.pop() << 64 | stack.pop() if f.type == "v128" else stack.pop() for f in reversed(fields)]
    return taken[::-1]


def _mask(name: str) -> int:
    return (1 << int(name[1:3])) - 1
