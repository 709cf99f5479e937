"""What the linker hands to the lowering: one module with everything in it, and where its hidden state lives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..format.isa import HIGH_RECORDS, INPUTS, LinearMemory, Segment, Site
from ..format.types import FuncType
from ..wasm.module import Instr, Module, ValType
from ..wasm.split import SplitModule
from ..wasm.split_body import HIGH, INNER, OriginalInstruction


@dataclass(frozen=True)
class TableLayout:
    """A table in hidden memory: element i is the 4-byte little-endian reference at `offset + 4 * i`.

    size_register: hidden register with the current number of elements. capacity: elements reserved. wide: indices are i64.
    """

    offset: int
    capacity: int
    size_register: str
    wide: bool = False


@dataclass(frozen=True)
class Exceptions:
    """How exceptions are thrown: the registers below say what is in flight, and who calls what may throw looks at them.

    widths: for each place among the values of an exception, whether it may have 64 bits.
    functions, types: indices of functions that an exception may leave, and types of references to such functions.
    capture: index of the routine that makes a value of the exception in flight (catch_ref), restore: of the one that throws
    such a value again (throw_ref); None where there are no such values.
    """

    widths: tuple[bool, ...]
    functions: frozenset[int]
    types: frozenset[FuncType]
    capture: int | None = None
    restore: int | None = None


@dataclass(frozen=True)
class LinkedModule:
    """One module in which every import left is an intrinsic (module "w2x") that the lowering turns into steps.

    module: intrinsics, then user code in its original order (`origin` maps it), then linked functions. Instructions
        that routines implement (f64.div, memory.copy, ...) have been replaced one for one by calls, so instruction
        indices in a body are those of the original module. Tables, memory and segments have no contents here.
    routines: function index -> how a call to it is recorded: "value" (stands for one value-producing instruction),
        "bulk", or "host" (a provided import).
    origin: linked function index -> function index in the original module (user functions only).
    registers: initial values of hidden registers. A global imported from "w2x" *is* the hidden register of its name.
    references: reference value (>= 1) -> function index, references to functions of one type consecutive.
    function_references: function index in the original module -> its reference value, where that module refers to it.
    places: linked function index -> of each instruction, which one of the program's it is (`wasm.split`); of functions that
        have all of the program's, and no others, nothing.
    table_capacity: original table index -> elements for which there is room, of tables that may grow.
    start: function indices to call at instantiation, in order.
    casts: for each type that a br_on_cast asks for, the function that says whether a reference is of it.
    asked: of these, the types of which hosts have to pass references.
    exceptions: of a program that can throw one.
    """

    module: Module
    routines: dict[int, str] = field(default_factory=dict)
    origin: dict[int, int] = field(default_factory=dict)
    registers: dict[str, int] = field(default_factory=dict)
    register_globals: dict[int, str] = field(default_factory=dict)  # global index -> hidden register
    global_values: dict[int, int] = field(default_factory=dict)  # initial bits of every other global
    tables: tuple[TableLayout, ...] = ()
    references: dict[int, int] = field(default_factory=dict)
    function_references: dict[int, int] = field(default_factory=dict)
    table_capacity: dict[int, int] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    hidden_bytes: int = 0
    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)  # "stdin" -> (hidden offset, capacity)
    needed_inputs: Mapping[int, frozenset[str]] = field(default_factory=dict)  # function -> areas, if any
    memories: tuple[LinearMemory, ...] = ()  # by index in the linked module
    memory_exported: int | None = None  # index of the memory that the host may read and write
    exports: dict[str, int] = field(default_factory=dict)  # invocable functions: export name -> function index
    exported_globals: dict[str, tuple[int, ValType]] = field(default_factory=dict)
    start: tuple[int, ...] = ()
    exceptions: Exceptions | None = None
    casts: Mapping[ValType, int] = field(default_factory=dict)
    asked: Mapping[ValType, int] = field(default_factory=dict)
    places: Mapping[int, tuple[OriginalInstruction, ...]] = field(default_factory=dict)

    def site(self, function: int, at: int, record: str) -> Site | None:
        """Of what instruction `at` of a function leaves a record of this kind; None of a routine's, and of what is only on
        the way to what an instruction of the program's gives."""
        origin = self.origin.get(function)
        if origin is None:
            return None
        if function not in self.places:
            return Site(origin, at, record)
        place = self.places[function][at]
        if place.part == INNER:
            return None
        return Site(origin, place.instruction, HIGH_RECORDS.get(record, record) if place.part == HIGH else record)

    def input_registers(self, callees: Iterable[int]) -> tuple[str, ...]:
        """Those that the first param steps of an entry fill which calls these functions."""
        areas = frozenset[str]().union(*(self.needed_inputs.get(callee, ()) for callee in callees))
        return tuple(register for area in self.inputs if area in areas for register in INPUTS[area])

    @property
    def memory_pages(self) -> int:
        """Of the first memory, at first."""
        return self.memories[0].pages if self.memories else 0

    @property
    def memory_maximum(self) -> int:
        """Pages to which the first memory may grow."""
        return self.memories[0].maximum if self.memories else 0

    @property
    def memories_to_tell(self) -> tuple[LinearMemory, ...]:
        """As `Program.memories`: none where there is one and it is as usual."""
        return self.memories if len(self.memories) > 1 or any(m.wide for m in self.memories) else ()

    def memory_of(self, instruction: Instr) -> LinearMemory:
        """The memory that a load, a store, memory.size or memory.grow of the linked module means."""
        first = 0 if instruction.name in ("memory.size", "memory.grow") else 2
        index = instruction.args[first] if len(instruction.args) > first else 0
        return self.memories[index] if self.memories else LinearMemory("memory_bytes", 0, 0, 0, -1)

    @cached_property
    def reference_of(self) -> dict[int, int]:
        """Function index -> its reference value."""
        return {function: value for value, function in self.references.items()}


def with_places(linked: LinkedModule, whole: SplitModule) -> LinkedModule:
    """With what is known of the program that was split before it was linked."""
    bodies = linked.module.functions
    places = {i: whole.places[o] for i, o in linked.origin.items() if o in whole.places}
    # A function that is only referred to has no body of its own.
    return replace(linked, places={i: p for i, p in places.items() if len(p) == len(bodies[i].body)}) if places else linked


# Intrinsics: imports from module "w2x" that linked routines may use, and the steps they become.
#   functions  stdout (param i32), stderr (param i32)                     one output token, the low byte
#              hidden_load8 (param i32) (result i32)                      hidden memory byte at the address
#              hidden_load8+12 (and of the others likewise)               the same, 12 bytes further on
#              hidden_load32 (param i32) (result i32), hidden_store8 (param i32 i32), hidden_store32 (param i32 i32)
#              exit (param i32)                                           emits the value as a result, then halts
#              trap_<kind> (no parameters)                                stops with that kind of isa.TRAPS
#   globals    any hidden register by name, (mut i32)
#   memory     "memory", the program's
INTRINSIC_MODULE = "w2x"
