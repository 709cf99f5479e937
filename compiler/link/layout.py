"""Instantiation at compile time: initial values, segments, and where hidden state lies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..format.errors import CompileError, Reason
from ..format.isa import MEMORY_LIMIT, TRAPS, Segment
from ..wasm.module import Instr, Limits, Module
from .indices import Indices
from .linked import TableLayout
from .reach import Reached
from .units import Definition, Intrinsic, Layout, Units

PAGE = 1 << 16
MAXIMUM_PAGES = MEMORY_LIMIT // PAGE
# A table may grow by this many elements where its declared maximum is further away.
TABLE_GROWTH = 4096
# Zeros in a row that are worth a new segment.
ZERO_RUN = 8
# Areas of hidden memory that an invocation's prompt fills: size, and the registers that describe the contents. How much
# of stdin has been read ("stdin_position") is the program's state, and lasts from one invocation to the next.
INPUTS = {
    "stdin": (1 << 20, ("stdin_length",)),
    "args": (1 << 16, ("args_count", "args_bytes")),
    "environ": (1 << 16, ("environ_count", "environ_bytes")),
    "random": (256, ("random_position",)),
    "clock": (0, ("clock_seconds", "clock_nanoseconds")),
}


@dataclass
class Instantiation:
    """The state after instantiation; fields as in LinkedModule, but globals by their definitions.

    constants: the values of immutable layout imports.
    """

    global_values: dict[Definition, int] = field(default_factory=dict)
    tables: list[TableLayout] = field(default_factory=list)
    registers: dict[str, int] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    hidden_bytes: int = 0
    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    memory_pages: int = 0
    memory_maximum: int = 0
    constants: dict[Layout, int] = field(default_factory=dict)


def lay_out(units: Units, reached: Reached, indices: Indices, max_memory_pages: int | None = None) -> Instantiation:
    """Instantiates the live part of all units: globals, tables, then memory, each unit behind those it imports from.

    max_memory_pages: the memory does not grow further (None: than MAXIMUM_PAGES).
    Raises CompileError when instantiation would trap or needs more memory than there is.
    """
    return _LayOut(units, reached, indices, max_memory_pages).run()


def register_name(units: Units, indices: Indices, register: Intrinsic | Layout) -> str:
    """The hidden register's own name, or for a size one like "table0_size", "data3_size"."""
    if isinstance(register, Intrinsic) or register.owner is None:
        return register.name
    owner = register.owner
    if owner.kind == "table":
        return f"table{indices.tables[owner]}_{register.name}"
    unit = units.all[owner.unit].name
    return f"{unit + '.' if unit else ''}{owner.kind}{owner.index}_{register.name}"


class _LayOut:
    def __init__(self, units: Units, reached: Reached, indices: Indices, max_memory_pages: int | None):
        self.units = units
        self.reached = reached
        self.indices = indices
        self.max_memory_pages = max_memory_pages
        self.out = Instantiation()
        self.hidden = bytearray()

    def run(self) -> Instantiation:
        out = self.out
        order = {unit: k for k, unit in enumerate(self.reached.instantiated)}
        # What a global's value depends on comes before it.
        for definition in sorted(self.reached.globals, key=lambda g: (order.get(g.unit, len(order)), g)):
            self._global(definition)
        self._tables()
        self._element_segments()
        self._data_segments()
        out.hidden_bytes = len(self.hidden)
        out.segments += _segments(self.hidden, hidden=True)
        self._inputs()
        self._memory()
        if out.hidden_bytes > MEMORY_LIMIT:
            raise _too_large()
        return out

    # Constant expressions

    def _module(self, definition: Definition) -> Module:
        return self.units.all[definition.unit].module

    def _global(self, definition: Definition) -> int:
        values = self.out.global_values
        if definition not in values:
            code = self._module(definition).globals[definition.index].init
            values[definition] = self._evaluate(definition.unit, code)
        return values[definition]

    def _evaluate(self, unit: int, code: Iterable[Instr]) -> int:
        """The value of a constant expression as an unsigned bit pattern; a reference as its number."""
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
                    stack.append(self._global(target))
                case "i32.add" | "i32.sub" | "i32.mul" | "i64.add" | "i64.sub" | "i64.mul":
                    b, a = stack.pop(), stack.pop()
                    result = {"add": a + b, "sub": a - b, "mul": a * b}[instruction.name[4:]]
                    stack.append(result & _mask(instruction.name))
                case _:
                    raise CompileError([Reason("not supported in a constant expression", instruction=instruction.name)])
        return stack[-1]

    # Hidden memory

    def _reserve(self, size: int) -> int:
        """Offset of `size` more bytes."""
        offset = len(self.hidden)
        if offset + size > MEMORY_LIMIT:
            raise _too_large()
        self.hidden += bytes(size)
        return offset

    def _write_references(self, offset: int, values: Iterable[int]) -> None:
        for i, value in enumerate(values):
            self.hidden[offset + 4 * i : offset + 4 * i + 4] = value.to_bytes(4, "little")

    def _tables(self) -> None:
        for table in self.indices.tables:
            limits = self._module(table).tables[table.index].limits
            growable = Layout(table, "capacity") in self.reached.layouts
            capacity = min(_maximum(limits), limits.minimum + TABLE_GROWTH) if growable else limits.minimum
            layout = TableLayout(
                self._reserve(4 * capacity), capacity, register_name(self.units, self.indices, Layout(table, "size"))
            )
            self.out.tables.append(layout)
            self.out.registers[layout.size_register] = limits.minimum
            self.out.constants[Layout(table, "offset")] = layout.offset
            self.out.constants[Layout(table, "capacity")] = capacity
        for unit in self.reached.instantiated:
            for index, element in enumerate(self.units.all[unit].module.elements):
                if element.mode == "active":
                    self._active_elements(unit, index)

    def _active_elements(self, unit: int, index: int) -> None:
        element = self.units.all[unit].module.elements[index]
        table = self.units.resolve(unit, "table", element.table)
        assert isinstance(table, Definition)
        self._check_order(unit, table)
        start = self._evaluate(unit, element.offset)
        if start + len(element.items) > self._module(table).tables[table.index].limits.minimum:
            raise _instantiation_traps("table_out_of_bounds", f"element segment {index}")
        if table in self.indices.tables:
            offset = self.out.tables[self.indices.tables[table]].offset + 4 * start
            self._write_references(offset, (self._evaluate(unit, item) for item in element.items))

    def _check_order(self, unit: int, target: Definition) -> None:
        """All start functions run behind all segments here: a library's own must not see those of its importers."""
        if target.unit != unit and self._module(target).start is not None:
            name = self.units.all[target.unit].name
            raise CompileError(
                f"a segment for a {target.kind} of {name!r}, which has a start function, is not supported"
            )

    def _segments_in_use(self, kind: str) -> list[Definition]:
        return sorted({y.owner for y in self.reached.layouts if y.owner is not None and y.owner.kind == kind})

    def _size_register(self, owner: Definition, size: int) -> None:
        self.out.registers[register_name(self.units, self.indices, Layout(owner, "size"))] = size

    def _element_segments(self) -> None:
        """Those that live code copies from or drops. All but passive ones count as dropped already."""
        for owner in self._segments_in_use("elem"):
            element = self._module(owner).elements[owner.index]
            values = [self._evaluate(owner.unit, i) for i in element.items] if element.mode == "passive" else []
            self._size_register(owner, len(values))
            self.out.constants[Layout(owner, "offset")] = offset = self._reserve(4 * len(values))
            self._write_references(offset, values)

    def _data_segments(self) -> None:
        """As with element segments."""
        for owner in self._segments_in_use("data"):
            data = self._module(owner).data[owner.index]
            values = data.bytes if data.mode == "passive" else b""
            self._size_register(owner, len(values))
            self.out.constants[Layout(owner, "offset")] = offset = self._reserve(len(values))
            self.hidden[offset : offset + len(values)] = values

    def _inputs(self) -> None:
        """Areas for what live code reads of stdin, arguments and environment."""
        used = {target.name for target in self.reached.registers}
        for name, (size, registers) in INPUTS.items():
            if used.intersection(registers):
                self.out.inputs[name] = (self.out.hidden_bytes, size)
                self.out.constants[Layout(None, name)] = self.out.hidden_bytes
                self.out.hidden_bytes += size

    # Linear memory

    def _memory(self) -> None:
        out = self.out
        memory = next(iter(self.reached.memories), None)
        if memory is not None:
            limits = self._module(memory).memories[memory.index]
            if limits.minimum > MAXIMUM_PAGES:
                raise CompileError(
                    f"the memory has {limits.minimum} pages at first; at most {MAXIMUM_PAGES} are supported"
                )
            if self.max_memory_pages is not None and limits.minimum > self.max_memory_pages:
                raise CompileError(
                    f"the memory has {limits.minimum} pages at first, its maximum is to be {self.max_memory_pages}"
                )
            out.memory_pages = out.memory_maximum = limits.minimum
            if Layout(None, "maximum") in self.reached.layouts:
                out.memory_maximum = min(_maximum(limits), self.max_memory_pages or MAXIMUM_PAGES)
        out.registers["memory_bytes"] = out.memory_pages * PAGE
        out.constants[Layout(None, "maximum")] = out.memory_maximum
        image = bytearray()
        for unit in self.reached.instantiated:
            for index, data in enumerate(self.units.all[unit].module.data):
                if data.mode == "active":
                    self._active_data(unit, index, memory, image)
        out.segments += _segments(image, hidden=False)

    def _active_data(self, unit: int, index: int, memory: Definition | None, image: bytearray) -> None:
        data = self.units.all[unit].module.data[index]
        target = self.units.resolve(unit, "memory", data.memory)
        assert isinstance(target, Definition)
        self._check_order(unit, target)
        start = self._evaluate(unit, data.offset)
        end = start + len(data.bytes)
        if end > self._module(target).memories[target.index].minimum * PAGE:
            raise _instantiation_traps("memory_out_of_bounds", f"data segment {index}")
        if target == memory:
            image.extend(bytes(max(0, end - len(image))))
            image[start:end] = data.bytes


def _mask(name: str) -> int:
    return (1 << int(name[1:3])) - 1


def _maximum(limits: Limits) -> int:
    return 1 << 32 if limits.maximum is None else limits.maximum


def _instantiation_traps(kind: str, where: str) -> CompileError:
    return CompileError(f"instantiation traps: {TRAPS[kind]} ({where})")


def _too_large() -> CompileError:
    return CompileError(f"tables, passive segments and input need more than {MEMORY_LIMIT:,} bytes")


def _segments(image: bytearray, hidden: bool) -> Iterator[Segment]:
    """The image without its longer runs of zeros: memory that nothing was written to is zero."""
    start = 0
    for gap in re.finditer(rb"\0{%d,}|\Z" % ZERO_RUN, image):
        if gap.start() > start:
            yield Segment(start, bytes(image[start : gap.start()]), hidden)
        start = gap.end()
