"""Instantiation at compile time: initial values, segments, and where hidden state lies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..format.errors import CompileError
from ..format.isa import INPUTS as INPUT_REGISTERS
from ..format.isa import TRAPS, LinearMemory, Segment
from ..format.limits import (
    ARGUMENT_BYTES,
    DESCRIPTORS_BYTES,
    ENVIRONMENT_BYTES,
    EXCEPTION_BYTES,
    FILES_BYTES,
    HEAP_BYTES,
    HIDDEN_LIMIT,
    MEMORY_PAGES,
    PAGE,
    PAGES_TOGETHER,
    RANDOM_BYTES,
    SEGMENT_LIMIT,
    STDIN_BYTES,
    TABLE_ELEMENTS,
    size_register,
)
from ..format.types import RefType
from ..wasm.module import Instr, Limits, Module
from .constants import Constants
from .exceptions import EXCEPTIONS
from .heap import HEAP_TOP, HeapImage
from .heap_routines import FUNCTIONS_COUNT, FUNCTIONS_FIRST
from .indices import Indices
from .linked import TableLayout
from .reach import Reached
from .units import BYTES, PROGRAM, Definition, Intrinsic, Layout, Units

# Zeros in a row that are worth a new segment.
ZERO_RUN = 8
# The layout value that says where the bytes of the files end, and descriptors begin.
FILES_END = "files_end"
# Bytes of each area of hidden memory that an invocation's prompt fills, and the registers that describe the contents.
_SIZES = {
    "stdin": STDIN_BYTES, "args": ARGUMENT_BYTES, "environ": ENVIRONMENT_BYTES, "random": RANDOM_BYTES, "clock": 0,
    "files": FILES_BYTES,
}  # fmt: skip
INPUTS = {name: (_SIZES[name], registers) for name, registers in INPUT_REGISTERS.items()}


@dataclass
class Instantiation:
    """The state after instantiation; fields as in LinkedModule, but globals by their definitions, tables by theirs.

    constants: the values of immutable layout imports.
    """

    global_values: dict[Definition, int] = field(default_factory=dict)
    tables: dict[Definition, TableLayout] = field(default_factory=dict)
    registers: dict[str, int] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    hidden_bytes: int = 0
    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    memories: dict[Definition, LinearMemory] = field(default_factory=dict)
    constants: dict[Layout, int] = field(default_factory=dict)


def lay_out(units: Units, reached: Reached, indices: Indices, max_memory_pages: int | None = None) -> Instantiation:
    """Instantiates the live part of all units: globals, tables, then memory, each unit behind those it imports from.

    max_memory_pages: the memory does not grow further (None: than MEMORY_PAGES).
    Raises CompileError when instantiation would trap or needs more memory than there is.
    """
    return _LayOut(units, reached, indices, max_memory_pages).run()


def register_name(units: Units, indices: Indices, register: Intrinsic | Layout) -> str:
    """The hidden register's own name, or for a size one like "table0_size", "data3_size"."""
    if register.name == f"memory{BYTES}" and indices.host_memory is not None:
        return memory_register(indices.memories[indices.host_memory])
    if isinstance(register, Intrinsic) or register.owner is None:
        return register.name
    owner = register.owner
    if owner.kind == "memory":
        return memory_register(indices.memories[owner])
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
        self.hidden: list[tuple[int, bytearray]] = []  # offset and first contents of what lies in hidden memory
        self.objects = HeapImage(units.heap_types)
        self.constants = Constants(units, indices, self._global, self.objects)

    def run(self) -> Instantiation:
        out = self.out
        if self.reached.objects:
            self._reserve(HEAP_BYTES)  # the first of all: objects are found at their own addresses
        self._function_numbers()
        order = {unit: k for k, unit in enumerate(self.reached.instantiated)}
        # What a global's value depends on comes before it.
        for definition in sorted(self.reached.globals, key=lambda g: (order.get(g.unit, len(order)), g)):
            self._global(definition)
        self._element_segments()
        self._data_segments()
        self._inputs()
        if self.reached.exceptions:
            self.out.constants[Layout(None, EXCEPTIONS)] = self._reserve(EXCEPTION_BYTES)
        self._tables()
        if self.reached.objects:
            out.registers[HEAP_TOP] = len(self.objects.bytes)
            self.hidden.append((0, self.objects.bytes))
        for offset, contents in self.hidden:
            out.segments += _segments(contents, offset, hidden=True)
        self._memory()
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

    def _function_numbers(self) -> None:
        """For casts to types of functions: the numbers of those that have one, also of a type below it."""
        names = [y.name for y in self.reached.layouts if y.owner is None and y.name.startswith(FUNCTIONS_FIRST)]
        for name in names:
            wanted = name.removeprefix(FUNCTIONS_FIRST)
            found = [number for f, number in self.indices.references.items() if wanted in self._types_of(f)]
            self.out.constants[Layout(None, name)] = min(found, default=1)
            self.out.constants[Layout(None, FUNCTIONS_COUNT + wanted)] = len(found)

    def _types_of(self, function: Definition) -> list[str]:
        """Of references to a function: its own type, and those above it."""
        type_ = self._module(function).functions[function.index].type
        return [str(RefType(False, type_)), *(str(RefType(False, name)) for name in type_.above)]

    def _evaluate(self, unit: int, code: Iterable[Instr]) -> int:
        return self.constants.value(unit, code)

    # Hidden memory

    def _reserve(self, size: int, contents: bytearray | None = None) -> int:
        """Offset of `size` more bytes. contents: what stands there at first; the rest is zero."""
        offset = self.out.hidden_bytes
        if offset + size > HIDDEN_LIMIT:
            raise CompileError(f"tables, passive segments and input need more than {HIDDEN_LIMIT:,} bytes")
        self.out.hidden_bytes += size
        if contents:
            self.hidden.append((offset, contents))
        return offset

    def _tables(self) -> None:
        """In the order of their indices; those that may grow share what the others leave."""
        contents = {table: self._initial_elements(table) for table in self.indices.tables}
        for unit in self.reached.instantiated:
            for index, element in enumerate(self.units.all[unit].module.elements):
                if element.mode == "active":
                    self._active_elements(unit, index, contents)
        growing = [t for t in contents if Layout(t, "capacity") in self.reached.layouts]
        rest = HIDDEN_LIMIT - self.out.hidden_bytes - sum(map(len, contents.values()))
        capacity = {table: self._limits(table).minimum for table in contents}
        wanted = {t: min(_maximum(self._limits(t)), TABLE_ELEMENTS) - capacity[t] for t in growing}
        for place, table in enumerate(sorted(growing, key=lambda t: wanted[t])):  # who wants little leaves more
            more = max(0, min(wanted[table], rest // 4 // (len(growing) - place)))
            capacity[table] += more
            rest -= 4 * more
        for table, values in contents.items():
            offset = self._reserve(4 * capacity[table], values)
            register = register_name(self.units, self.indices, Layout(table, "size"))
            self.out.tables[table] = TableLayout(offset, capacity[table], register, self._limits(table).wide)
            self.out.registers[register] = self._limits(table).minimum
            self.out.constants[Layout(table, "offset")] = offset
            self.out.constants[Layout(table, "capacity")] = capacity[table]

    def _initial_elements(self, table: Definition) -> bytearray:
        init = self._module(table).tables[table.index].init
        value = self._evaluate(table.unit, init) if init else 0
        return _references([value]) * self._limits(table).minimum

    def _limits(self, table: Definition) -> Limits:
        return self._module(table).tables[table.index].limits

    def _active_elements(self, unit: int, index: int, contents: dict[Definition, bytearray]) -> None:
        element = self.units.all[unit].module.elements[index]
        table = self.units.resolve(unit, "table", element.table)
        assert isinstance(table, Definition)
        self._check_order(unit, table)
        start = self._evaluate(unit, element.offset)
        if start + len(element.items) > self._limits(table).minimum:
            raise _instantiation_traps("table_out_of_bounds", f"element segment {index}")
        if table in contents:
            values = _references(self._evaluate(unit, item) for item in element.items)
            contents[table][4 * start : 4 * start + len(values)] = values

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
            self.out.constants[Layout(owner, "offset")] = self._reserve(4 * len(values), _references(values))

    def _data_segments(self) -> None:
        """As with element segments."""
        for owner in self._segments_in_use("data"):
            data = self._module(owner).data[owner.index]
            values = data.bytes if data.mode == "passive" else b""
            self._size_register(owner, len(values))
            self.out.constants[Layout(owner, "offset")] = self._reserve(len(values), bytearray(values))

    def _inputs(self) -> None:
        """Areas for what live code reads of stdin, arguments and environment."""
        used = {target.name for target in self.reached.registers}
        for name, (size, registers) in INPUTS.items():
            if used.intersection(registers):
                self.out.constants[Layout(None, name)] = offset = self._reserve(size)
                self.out.inputs[name] = (offset, min(size, SEGMENT_LIMIT))
                if name == "files":
                    self.out.constants[Layout(None, FILES_END)] = offset + size - DESCRIPTORS_BYTES

    # Linear memory

    def _memory(self) -> None:
        """Memories lie one behind the other, each with the room to which it may grow; those that may share what is left."""
        out = self.out
        limits = {m: self._module(m).memories[m.index] for m in self.indices.memories}
        for each in limits.values():
            self._check_minimum(each)
        growing = [m for m in limits if Layout(m, "maximum") in self.reached.layouts]
        pages = {m: each.minimum for m, each in limits.items()}
        most = MEMORY_PAGES if len(pages) == 1 else PAGES_TOGETHER
        rest = most - sum(pages.values())
        if rest < 0:
            raise CompileError(f"the memories have {most - rest} pages at first; at most {most} are supported")
        wanted = {m: min(_maximum(limits[m]), self.max_memory_pages or MEMORY_PAGES) - pages[m] for m in growing}
        for place, memory in enumerate(sorted(growing, key=lambda m: wanted[m])):  # who wants little leaves more
            more = max(0, min(wanted[memory], rest // (len(growing) - place)))
            pages[memory] += more
            rest -= more
        base, sources = 0, self._sources()
        for memory, number in self.indices.memories.items():
            register, first = memory_register(number), limits[memory].minimum
            out.memories[memory] = LinearMemory(
                register, base, first, pages[memory], sources.get(memory, -1), limits[memory].wide
            )  # fmt: skip
            out.registers[register] = size_register(first)
            out.constants[Layout(memory, "maximum")] = pages[memory]
            base += pages[memory] * PAGE
        out.registers.setdefault("memory_bytes", 0)
        image: dict[int, bytearray] = {}
        for unit in self.reached.instantiated:
            for index, data in enumerate(self.units.all[unit].module.data):
                if data.mode == "active":
                    self._active_data(unit, index, image)
        for first, last in _runs(sorted(image)):
            contents = bytearray().join(image[page] for page in range(first, last + 1))
            out.segments += _segments(contents, first * PAGE, hidden=False)

    def _sources(self) -> dict[Definition, int]:
        """The least index of each memory in the program."""
        count = len(self.units.all[PROGRAM].module.memories)
        found = ((self.units.find(PROGRAM, "memory", index), index) for index in reversed(range(count)))
        return {memory: index for memory, index in found if isinstance(memory, Definition)}

    def _check_minimum(self, limits: Limits) -> None:
        if limits.minimum > MEMORY_PAGES:
            raise CompileError(f"the memory has {limits.minimum} pages at first; at most {MEMORY_PAGES} are supported")
        if self.max_memory_pages is not None and limits.minimum > self.max_memory_pages:
            raise CompileError(
                f"the memory has {limits.minimum} pages at first, its maximum is to be {self.max_memory_pages}"
            )

    def _active_data(self, unit: int, index: int, image: dict[int, bytearray]) -> None:
        """image: the pages of memory that have been written to, by number."""
        data = self.units.all[unit].module.data[index]
        target = self.units.resolve(unit, "memory", data.memory)
        assert isinstance(target, Definition)
        self._check_order(unit, target)
        start = self._evaluate(unit, data.offset)
        end = start + len(data.bytes)
        if end > self._module(target).memories[target.index].minimum * PAGE:
            raise _instantiation_traps("memory_out_of_bounds", f"data segment {index}")
        memory = self.out.memories.get(target)
        if memory is not None and data.bytes:
            start, end = start + memory.base, end + memory.base
            for page in range(start // PAGE, (end - 1) // PAGE + 1):
                contents = image.setdefault(page, bytearray(PAGE))
                at, stop = max(start, page * PAGE), min(end, (page + 1) * PAGE)
                contents[at - page * PAGE : stop - page * PAGE] = data.bytes[at - start : stop - start]


def memory_register(number: int) -> str:
    """The hidden register with the size of the memory with this index in the linked module, see `limits.size_register`."""
    return f"memory{number or ''}_bytes"


def _maximum(limits: Limits) -> int:
    return 1 << 32 if limits.maximum is None else limits.maximum


def _instantiation_traps(kind: str, where: str) -> CompileError:
    return CompileError(f"instantiation traps: {TRAPS[kind]} ({where})")


def _references(values: Iterable[int]) -> bytearray:
    return bytearray(b"".join(value.to_bytes(4, "little") for value in values))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    starts = [n for k, n in enumerate(numbers) if not k or numbers[k - 1] != n - 1]
    ends = [n for k, n in enumerate(numbers) if k == len(numbers) - 1 or numbers[k + 1] != n + 1]
    return zip(starts, ends)


def _segments(image: bytearray, address: int, hidden: bool) -> Iterator[Segment]:
    """The image, which lies at `address`, without its longer runs of zeros: what was never written to is zero."""
    start = 0
    for gap in re.finditer(rb"\0{%d,}|\Z" % ZERO_RUN, image):
        if gap.start() > start:
            yield Segment(address + start, bytes(image[start : gap.start()]), hidden)
        start = gap.end()
