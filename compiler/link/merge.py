"""One module out of the reached parts of all units."""

from __future__ import annotations

from dataclasses import replace

from ..format.types import HIGH_HALF, LOW_HALF, general, is_reference
from ..wasm.module import Element, Function, Global, GlobalType, Import, Instr, Limits, Module, Tag
from ..wasm.names import UniqueNames
from ..wasm.opcodes import BY_NAME
from .indices import Indices
from .layout import Instantiation, register_name
from .linked import INTRINSIC_MODULE
from .reach import Reached, operands
from .units import Definition, Intrinsic, Layout, Unit, Units

REGISTER_TYPE = GlobalType("i32", True)
# The body of a function that has a reference but can never be called.
_STUB = (Instr("unreachable"), Instr("end"))


def merge(units: Units, reached: Reached, indices: Indices, state: Instantiation) -> Module:
    """The linked module: reached functions with rewritten indices, tables and memory without contents.

    Instructions with routines have become calls, one for one, and layout constants i32.const instructions.
    """
    return _Merge(units, reached, indices, state).run()


class _Merge:
    def __init__(self, units: Units, reached: Reached, indices: Indices, state: Instantiation):
        self.units = units
        self.reached = reached
        self.indices = indices
        self.state = state
        self.referenced = {number: function for function, number in indices.references.items()}
        self.spaces: dict[str, dict] = {
            "func": indices.functions,
            "table": indices.tables,
            "global": indices.globals,
            "tag": indices.tags,
        }

    def run(self) -> Module:
        imports = [Import(INTRINSIC_MODULE, i.name, "func", i.type) for i in self.reached.intrinsics]
        functions = [Function(i.desc, name=i.name, imported=i) for i in imports]  # type: ignore[arg-type]
        unique = UniqueNames("'{}".format)
        for definition in self.indices.functions:
            if isinstance(definition, Definition):
                function = self._function(definition)
                functions.append(replace(function, name=unique(function.name)))
        globals_ = []
        for target in self.indices.globals:
            if isinstance(target, Definition):
                type = self.units.all[target.unit].module.globals[target.index].type
                globals_.append(Global(type, self._initial(type, target)))
            else:
                name = register_name(self.units, self.indices, target)
                type = target.type if isinstance(target, Intrinsic) and isinstance(target.type, GlobalType) else REGISTER_TYPE
                imports.append(Import(INTRINSIC_MODULE, name, "global", type))
                globals_.append(Global(type, imported=imports[-1]))
        declared = tuple((Instr("ref.func", (self.indices.functions[f],)),) for f in self.indices.references)
        return Module(
            types=tuple(self.indices.types),
            functions=tuple(functions),
            tables=tuple(self.units.all[t.unit].module.tables[t.index] for t in self.indices.tables),
            memories=tuple(Limits(m.pages, m.maximum, m.wide) for m in self.state.memories.values()) or (Limits(0, 0),),
            globals=tuple(globals_),
            elements=(Element("declarative", "funcref", declared),) if declared else (),
            imports=tuple(imports),
            tags=tuple(Tag(self.units.all[t.unit].module.tags[t.index].type) for t in self.indices.tags),
        )

    def _initial(self, type: GlobalType, definition: Definition) -> tuple[Instr, ...]:
        value = self.state.global_values[definition]
        if is_reference(type.type):
            if value == 0:
                return (Instr("ref.null", (general(type.type),)),)
            if value not in self.referenced or general(type.type) != "funcref":
                return (Instr("i32.const", (value,)),)  # an object, an i31ref
            return (Instr("ref.func", (self.indices.functions[self.referenced[value]],)),)
        name = "i64" if type.type in (LOW_HALF, HIGH_HALF) else type.type
        if name in ("i32", "i64"):
            bits = int(name[1:])
            value -= (value >> (bits - 1)) << bits
        return (Instr(f"{name}.const", (value,)),)

    def _function(self, definition: Definition) -> Function:
        unit = self.units.all[definition.unit]
        function = unit.module.functions[definition.index]
        if definition not in self.reached.functions:
            return replace(function, locals=(), body=_STUB)
        body = tuple(self._instruction(definition.unit, unit, i) for i in function.body)
        return replace(function, body=body, name=function.name + unit.label)

    def _handler(self, unit_index: int, handler: tuple[int, ...]) -> tuple[int, ...]:
        kind, *tags, depth = handler
        return (kind, *(self.indices.tags[self.units.resolve(unit_index, "tag", tag)] for tag in tags), depth)  # type: ignore[index]

    def _memory(self, unit_index: int, instruction: Instr) -> int:
        """The index of its memory, which is left out where it is 0. A host's is that of the modules that call it."""
        (index,) = {index for kind, index in operands(instruction) if kind == "memory"}
        found = self.units.resolve(unit_index, "memory", index)
        target = found if isinstance(found, Definition) else self.indices.host_memory
        return 0 if target is None else self.indices.memories[target]

    def _instruction(self, unit_index: int, unit: Unit, instruction: Instr) -> Instr:
        """The same instruction in the linked index spaces, or the call that replaces it."""
        routine = self.reached.calls.get((unit_index, instruction.name, instruction.args))
        if routine is not None:
            return Instr("call", (self.indices.functions[routine],), instruction.offset)
        kinds = BY_NAME[instruction.name].immediates
        args = instruction.args
        if "memory" in kinds or "memarg" in kinds:
            memory = self._memory(unit_index, instruction)
            first = args[: 2 if "memarg" in kinds else kinds.index("memory")]
            return instruction.but(args=(*first, memory) if memory else first)
        if instruction.name == "select" or not kinds:
            return instruction
        new = []
        for kind, arg in zip(kinds, args, strict=True):
            if kind == "type":
                arg = self.indices.types[unit.module.types[arg]]
            elif kind == "catches":
                arg = tuple(self._handler(unit_index, handler) for handler in arg)
            elif kind in self.spaces:
                target = self.units.resolve(unit_index, kind, arg)
                if isinstance(target, Layout) and not target.is_register:
                    return Instr("i32.const", (self.state.constants[target],), instruction.offset)
                arg = self.spaces[kind][target]
            new.append(arg)
        return instruction.but(args=tuple(new))
