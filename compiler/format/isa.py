"""The step program: what the transformer executes. One step is one row of the program, see machine/sections.py.

A step reads up to four operand slots, produces at most one value (emitted as digit tokens, most significant
first), and moves the instruction pointer. Every operand is a slot: constants too are slots that the prompt fills.
An i32 lives in a slot as 0..2^32-1, an i64 as 0..2^64-1; an i32 slot's high word is always 0.

What the operations (`Step.op`) are, and what a step with each of them has, stands in `operations.py`.

Frames overlap: a call with imm = f makes the callee's slot 0 the caller's slot f, so the arguments stand at the
caller's slots f, f+1, ... and the results come back there. f is at least 1 for every call (the return lookup is keyed
by the frame base), so operand stacks begin at slot max(1, number of locals).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Annotated, Literal

from msgspec import Meta

from .operations import OPERATIONS, Operation
from .records import Immutable
from .types import FuncType, ValType

# What a stranger's checkpoint may hold of these (see `metadata`); nothing is looked at when the compiler makes them.
Natural = Annotated[int, Meta(ge=0, le=2**31 - 1)]  # indices, sizes
Name = Annotated[str, Meta(max_length=2**16)]
SlotKind = Literal["frame", "const", "global", "hidden"]
Record = Annotated[str, Meta(pattern="^[a-z_]{1,20}\\Z")]

# Traps for which only those programs have tokens that can meet one: of null where a reference has to be one; of exceptions
# ("exceptions exhausted" is a limit of the machine); of atomic accesses; of casts and arrays ("heap exhausted" is a limit, too).
# A program with the token of one has those of all before.
SELDOM_TRAPS = {
    "null_access": "null reference",
    "uncaught_exception": "thrown Wasm exception",
    "exceptions_exhausted": "exceptions exhausted",
    "unaligned_atomic": "unaligned atomic",
    "wait_unshared": "atomic wait on non-shared memory",
    "endless_wait": "atomic wait that no other thread can end",
    "cast_failure": "cast failure",
    "array_out_of_bounds": "out of bounds array access",
    "heap_exhausted": "heap exhausted",
}
# Token classes of traps, in the order of their tokens; the text is what wasmtime says.
TRAPS = {
    "unreachable": "wasm `unreachable` instruction executed",
    "divide_by_zero": "integer divide by zero",
    "integer_overflow": "integer overflow",
    "memory_out_of_bounds": "out of bounds memory access",
    "stack_exhausted": "call stack exhausted",
    "table_out_of_bounds": "undefined element: out of bounds table access",
    "null_reference": "uninitialized element",
    "type_mismatch": "indirect call type mismatch",
    "host_error": "invalid argument of a host function",
    "invalid_conversion": "invalid conversion to integer",
    **SELDOM_TRAPS,
}

# Before a type's name: the host's question whether a reference is of it, see `Program.host`.
IS = "is "
# The register that says whether an exception is in flight: the number of its tag, 0 for none.
EXCEPTION_REGISTER = "exception"
# Areas of hidden memory that an invocation's prompt fills, with the registers that describe their contents. How much of stdin
# has been read ("stdin_position") is the program's state, and lasts from one invocation to the next.
INPUTS = {
    "stdin": ("stdin_length",),
    "args": ("args_count", "args_bytes"),
    "environ": ("environ_count", "environ_bytes"),
    "random": ("random_position",),
    "clock": ("clock_seconds", "clock_nanoseconds"),
    "files": ("files_bytes",),
}


class Slot(Immutable, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a value lives.

    kind "frame":  index = offset from the frame base (int)
    kind "const":  index = the value, 0..2^64-1 (int); filled once by the prompt
    kind "global": index = the module's global index (int)
    kind "hidden": index = a register's name (str), e.g. "memory_bytes", "table0_size"
    """

    kind: SlotKind
    index: int | Name


class Site(Immutable, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A WASM instruction that a step answers for.

    function: joint function index; instruction: index in that function's body.
    record: what the oracle logs there and the diff compares:
      "value"    the value the instruction leaves on the stack (local.set/global.set: the value written)
      "store"    address and stored bytes
      "branch"   the condition as 0/1 (br_if, if; a fused comparison too)
      "br_table" min(index, number of labels)
      "control"  nothing but having been here (br, call, return, else)
      "throw"    nothing but having thrown (throw, throw_ref); the step writes the exception's tag
      "host"     a call to a provided import; its steps are internal
      "bulk"     memory.copy/fill/init and table operations done by a linked routine; its steps are internal
      "high_value", "high_store"   of a v128 the high half; the low one is in a record of its own
    """

    function: Natural
    instruction: Natural
    record: Record


# Of what is recorded of a v128's low half, the record of the high one.
HIGH_RECORDS = {"value": "high_value", "store": "high_store"}


class Step(Immutable, frozen=True):
    op: str
    a: Slot | None = None
    b: Slot | None = None
    c: Slot | None = None
    dest: Slot | None = None
    imm: int = 0
    target: int | None = None  # step index
    targets: tuple[int, ...] = ()  # br_table
    callee: int | None = None  # key in Program.functions
    type: FuncType | None = None  # call_indirect, call_ref, and in tail position
    trap: str = ""
    site: Site | None = None  # None: an internal step (copies that WASM does not have, routines, stubs)
    taken: int = 1  # br.*: the boolean of the WASM condition when the jump is taken (0 for an `if`)
    # the value moved or selected is 64 bits (display, and digits of `param`); of an access of a table: its index is
    wide: bool = False
    # Upper bounds of A and B that the lowering found and may have relied on; (): none. For checking the steps of functions
    # on their way to a `Program`, whose steps have none.
    limits: tuple[int, ...] = ()
    d: Slot | None = None
    joined: bool = False  # it has no row of its own: where the branch before it is not taken, that row does it, too

    @property
    def operation(self) -> Operation:
        """What there is to know about `op`. Raises KeyError when there is no such operation."""
        return OPERATIONS[self.op]

    @property
    def value_is_wide(self) -> bool:
        """Whether the value it produces, stores or emits has 64 bits."""
        operation = self.operation
        return self.wide if operation.by_step else (operation.width or operation.access) == 8


# Why an instruction of a compiled function may have no step that answers for it. Structure (block, loop, end, nop,
# drop) never has one. Nothing else goes without a rule: see `Program.folded`.
FOLDING_RULES = {
    "constant": "its value is an operand of the steps that use it",
    "copy": "the steps that use the value read it where it is already",
    "written in place": "the step that computes the value of a local.set, local.tee or global.set writes it to the variable",
    "fused comparison": "the branch that follows compares",
    "inverted comparison": "the eqz that follows is computed as the opposite comparison",
    "folded into offset": "the addition of a constant that cannot wrap around is part of an access's offset",
    "folded into address": "the accesses that use the sum as their address add up its operands",
    "inlined call": "the callee's steps stand in the place of the call; its returns lead behind them",
    "fused sum": "the addition or subtraction that uses the value computes it, too",
    "dead copy": "nobody reads the copy before it is overwritten",
    "redundant copy": "the value is there already",
    "coalesced copy": "source and destination share a slot",
    "jump to the next step": "what it goes to follows",
    "threaded jump": "those that go to it go to its target instead, some or all of them",
    "inverted branch": "the branch before it tests the opposite and goes to its target",
    "copied tail": "a copy of the steps at its target stands in its place",
    "unreachable code": "no path of the function leads to it",
}


# The name of a function that stands for an import that nobody provides begins with this; the import follows. It traps.
MISSING_IMPORT = "missing import "


@dataclass(frozen=True)
class StepFunction:
    """A function in the step program. index: joint function index of the (linked) module; entry: its first step."""

    index: int
    name: str
    type: FuncType
    entry: int
    end: int  # one past its last step
    frame_size: int  # slots used, parameters and locals included
    internal: bool = False  # a linked routine, not the user's code


class Inlined(Immutable, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Steps start to end - 1 are those of function `callee`, in a frame that begins at slot `imm` of the one they stand in; its
    returns go to `end`. site: of the call in whose place they stand."""

    start: Natural
    end: Natural
    callee: Natural
    imm: Natural
    site: Site


@dataclass(frozen=True)
class Entry:
    """An exported function as the runtime invokes it: at `entry`, `param` steps, a call, `result` steps, a halt.

    The first `param` steps fill the hidden registers named in `registers` (e.g. "stdin_length"), the others the
    parameters. The prompt of an invocation is: the bytes of the inputs that these describe, the entry token `I.{k}`, then those
    digits.
    """

    name: str
    entry: int
    params: tuple[ValType, ...]
    results: tuple[ValType, ...]
    registers: tuple[str, ...] = ()

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The areas of input that the registers describe."""
        return tuple(area for area, registers in INPUTS.items() if not set(registers).isdisjoint(self.registers))


@dataclass(frozen=True)
class Segment:
    """Bytes that the prompt puts into memory. hidden: the address counts in hidden memory."""

    address: int
    bytes: bytes
    hidden: bool = False


@dataclass(frozen=True)
class LinearMemory:
    """One of several memories, or one with 64-bit addresses. They lie one behind the other in the machine's address space.

    register: the hidden register with its size in bytes; as operand `c` of an access it says which memory is meant. base: where
    its address 0 is. pages: at first; maximum: pages to which it may grow. source: its index in the module that was compiled; -1
    for one of a library that the module does not import. wide: its addresses are i64.
    """

    register: str
    base: int
    pages: int
    maximum: int
    source: int
    wide: bool = False


@dataclass(frozen=True)
class Program:
    steps: tuple[Step, ...]
    functions: dict[int, StepFunction]
    entries: dict[str, Entry]
    start: Entry | None = None  # run once at instantiation
    host: dict[str, Entry] = field(default_factory=dict)  # access to exported memory from outside, see `lower`
    inlined: tuple[Inlined, ...] = ()  # in the order of their steps
    # initial values by slot; constants are not listed, the assembler collects them from the operands
    initial: dict[Slot, int] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    # function references: reference value (>= 1) -> function index; references of one type are consecutive
    references: dict[int, int] = field(default_factory=dict)
    # function index in the module that was compiled -> its reference value, for those functions that the module itself
    # refers to, imports included
    function_references: dict[int, int] = field(default_factory=dict)
    # tables of the module that was compiled which may grow: table index -> elements for which there is room
    table_capacity: dict[int, int] = field(default_factory=dict)
    hidden_bytes: int = 0  # size of hidden memory
    memory_pages: int = 0  # initial linear memory
    memory_maximum: int = 0  # pages to which it may grow
    # all memories of a program that uses several or one with 64-bit addresses, the one that memory_pages and memory_maximum
    # describe first; else none
    memories: tuple[LinearMemory, ...] = ()
    opt_level: int = 0
    # hidden memory areas that an invocation's prompt may fill: name -> (offset, size); e.g. "stdin"
    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    exported_globals: dict[str, tuple[Slot, ValType]] = field(default_factory=dict)
    # Instructions for which no step answers -> the rule (FOLDING_RULES) by which that is so. Not in checkpoints.
    folded: dict[Site, str] = field(default_factory=dict, compare=False)

    @cached_property
    def row_of(self) -> list[int]:
        """By step: its row, which it has alone or together with the branch before it. That is what instruction pointers count.
        Behind the last step: how many there are."""
        return [*(row - 1 for row in accumulate(not step.joined for step in self.steps)), len(self.step_at)]

    @cached_property
    def step_at(self) -> list[int]:
        """By row: its first step."""
        return [index for index, step in enumerate(self.steps) if not step.joined]

    def memory_of(self, step: Step) -> LinearMemory | None:
        """The memory that an access of linear memory means; None where there is one and it is as usual."""
        return next((m for m in self.memories if step.c is not None and step.c.index == m.register), None)

    def inlined_in(self, function: StepFunction) -> tuple[Inlined, ...]:
        """What stands in the place of calls in a function."""
        first, end = (bisect_left(self.inlined, at, key=lambda part: part.start) for at in (function.entry, function.end))
        return self.inlined[first:end]

    def memory_base(self, step: Step) -> int:
        """Where address 0 of that memory is, in the machine's addresses."""
        memory = self.memory_of(step)
        return memory.base if memory is not None else 0
