"""A checkpoint's metadata: one JSON object, of typed and bounded structures.

    version, config (for people and other programs), vocabulary, names, program, jumps, entries, inputs, texts

Decoding executes nothing and accepts nothing that is not described here; whether the parts fit together, and fit the tensors,
is checked by `consistency`. Fields at their default are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from .isa import Entry, Inlined, LinearMemory, Name, Natural, Program, Record, Site, Slot, Step, StepFunction
from .types import FuncType

VERSION: Literal[4] = 4

Distance = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Offset = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Names = tuple[Name, ...]
Key = Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,9})\\Z")]  # a number as a JSON key
Operation = Annotated[str, Meta(pattern=r"^[a-z0-9_.]{1,40}\Z")]
_REFERENCES = r"funcref|externref|exnref|anyref|eqref|i31ref|structref|arrayref|nullref|\(ref .{1,65536}\)"
Type = Annotated[str, Meta(pattern=rf"^(i32|i64|f32|f64|v128|v128\.low|v128\.high|{_REFERENCES})\Z")]
Types = tuple[Type, ...]


class StoredBound(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """certificate.HeadBound"""

    head: Name
    kind: Record
    tokens: Annotated[int, Meta(ge=1, le=2**53)]
    bits: Natural
    eps: Distance
    gap: Annotated[float, Meta(ge=0)]
    partial: Annotated[float, Meta(ge=0)]


class Config(Struct, forbid_unknown_fields=True):
    """What the tensors are; the shapes say the same."""

    architectures: tuple[Name, ...]
    hidden_size: Natural
    head_dim: Annotated[int, Meta(ge=1, le=1024)]
    num_hidden_layers: Natural
    num_attention_heads: tuple[Natural, ...]
    intermediate_size: tuple[Natural, ...]
    vocab_size: Natural
    hidden_act: Name
    torch_dtype: Name
    certificate: tuple[StoredBound, ...]
    probes: dict[Name, tuple[Natural, Natural]]
    float32_reads: bool = False


class LayerNames(Struct, forbid_unknown_fields=True):
    slots: Names
    heads: Names
    neurons: Names


class AllNames(Struct, forbid_unknown_fields=True):
    slots: Names
    layers: tuple[LayerNames, ...]


class StoredType(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    params: Types
    results: Types


class StoredStep(Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    op: Operation
    a: Slot | None = None
    b: Slot | None = None
    c: Slot | None = None
    d: Slot | None = None
    dest: Slot | None = None
    imm: Offset = 0
    target: Natural | None = None
    targets: tuple[Natural, ...] = ()
    callee: Natural | None = None
    type: StoredType | None = None
    type_names: Names = ()
    trap: Annotated[str, Meta(max_length=40)] = ""
    site: Site | None = None
    taken: Annotated[int, Meta(ge=0, le=1)] = 1
    wide: bool = False
    joined: bool = False


class StoredFunction(Struct, omit_defaults=True, forbid_unknown_fields=True):
    index: Natural
    name: Name
    type: StoredType
    entry: Natural
    end: Natural
    frame_size: Natural
    internal: bool = False
    type_names: Names = ()


class StoredEntry(Struct, omit_defaults=True, forbid_unknown_fields=True):
    name: Name
    entry: Natural
    params: Types = ()
    results: Types = ()
    registers: Names = ()


class StoredMemory(Struct, array_like=True, forbid_unknown_fields=True):
    """isa.LinearMemory"""

    register: Name
    base: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    pages: Natural
    maximum: Natural
    source: Distance
    wide: bool = False


class StoredProgram(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """isa.Program without segments and initial values, which the prompt's prefix holds."""

    steps: tuple[StoredStep, ...] = ()
    functions: dict[Key, StoredFunction] = {}
    entries: dict[Name, StoredEntry] = {}
    start: StoredEntry | None = None
    host: dict[Name, StoredEntry] = {}
    inlined: tuple[Inlined, ...] = ()
    references: dict[Key, Natural] = {}
    function_references: dict[Key, Natural] = {}
    table_capacity: dict[Key, Natural] = {}
    hidden_bytes: Natural = 0
    memory_pages: Natural = 0
    memory_maximum: Natural = 0
    memories: tuple[StoredMemory, ...] = ()
    opt_level: Natural = 0
    inputs: dict[Name, tuple[Natural, Natural]] = {}
    exported_globals: dict[Name, tuple[Slot, Type]] = {}


class Metadata(Struct, forbid_unknown_fields=True):
    """All of it. texts: by step. jumps, entries, inputs, texts: as in `Model`."""

    version: Literal[4]
    config: Config
    vocabulary: Names
    names: AllNames
    program: StoredProgram
    jumps: tuple[tuple[Distance, Distance], ...]
    entries: tuple[tuple[Name, Natural], ...]
    inputs: dict[Name, Natural]
    texts: dict[Key, Annotated[str, Meta(max_length=2**17)]]


class VersionOnly(Struct):
    """Of any metadata: the version that it says it is of."""

    version: int


def encode(metadata: Metadata) -> str:
    return msgspec.json.encode(metadata).decode()


def version_alone() -> str:
    """For a header, where all of the metadata stands elsewhere."""
    return msgspec.json.encode(VersionOnly(VERSION)).decode()


def decode(text: str | bytes) -> Metadata:
    """Raises ValueError: what is wrong and where, e.g. "Expected `int`, got `str` - at `$.program.steps[3].imm`"."""
    try:
        return msgspec.json.decode(text, type=Metadata)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"metadata: {error}") from None


def version_of(text: str) -> int | None:
    """The version that it says it is of; everything else may be otherwise in another version."""
    try:
        return msgspec.json.decode(text, type=VersionOnly).version
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


# -- the step program -------------------------------------------------------------------------------------------------


_AS_THEY_ARE = ("inlined", "hidden_bytes", "memory_pages", "memory_maximum", "opt_level", "inputs")


def _with_text_keys(numbers: Mapping[int, int]) -> dict[str, int]:
    """JSON has no other keys."""
    return {str(k): v for k, v in numbers.items()}


def _with_number_keys(stored: Mapping[str, int]) -> dict[int, int]:
    return {int(k): v for k, v in stored.items()}


def stored_program(program: Program) -> StoredProgram:
    """What is kept of a program."""
    return StoredProgram(
        steps=tuple(_stored_step(step) for step in program.steps),
        functions={str(k): _stored_function(f) for k, f in program.functions.items()},
        entries={name: _stored_entry(e) for name, e in program.entries.items()},
        start=None if program.start is None else _stored_entry(program.start),
        host={name: _stored_entry(e) for name, e in program.host.items()},
        references=_with_text_keys(program.references),
        function_references=_with_text_keys(program.function_references),
        table_capacity=_with_text_keys(program.table_capacity),
        exported_globals=dict(program.exported_globals),
        memories=tuple(StoredMemory(m.register, m.base, m.pages, m.maximum, m.source, m.wide) for m in program.memories),
        **{name: getattr(program, name) for name in _AS_THEY_ARE},
    )


def _stored_type(type_: FuncType) -> StoredType:
    return StoredType(tuple(map(str, type_.params)), tuple(map(str, type_.results)))


def _type_names(type_: FuncType | None) -> Names:
    """Of a function type with a name that, whether it is final, and the names of those above it."""
    return () if type_ is None or not type_.name else (type_.name, "final" if type_.final else "", *type_.above)


def _function_type(stored: StoredType, names: Names) -> FuncType:
    """Raises ValueError."""
    if not names:
        return FuncType(stored.params, stored.results)
    if len(names) < 2 or not names[0]:
        raise ValueError("metadata: a function type with names that are none")
    return FuncType(stored.params, stored.results, names[0], names[2:], bool(names[1]))


def _stored_step(s: Step) -> StoredStep:
    return StoredStep(
        s.op, s.a, s.b, s.c, s.d, s.dest, s.imm, s.target, s.targets, s.callee, None if s.type is None else _stored_type(s.type),
        _type_names(s.type), s.trap, s.site, s.taken, s.wide, s.joined,
    )  # fmt: skip


def _stored_function(f: StepFunction) -> StoredFunction:
    return StoredFunction(
        f.index, f.name, _stored_type(f.type), f.entry, f.end, f.frame_size, f.internal, _type_names(f.type)
    )  # fmt: skip


def _stored_entry(e: Entry) -> StoredEntry:
    return StoredEntry(e.name, e.entry, tuple(map(str, e.params)), e.results, e.registers)  # type: ignore[arg-type]


def program_of(stored: StoredProgram) -> Program:
    """The inverse of `stored_program`."""
    return Program(
        steps=tuple(_step(step) for step in stored.steps),
        functions={int(k): _function(f) for k, f in stored.functions.items()},
        entries=_entries(stored.entries),
        start=None if stored.start is None else _entry(stored.start),
        host=_entries(stored.host),
        references=_with_number_keys(stored.references),
        function_references=_with_number_keys(stored.function_references),
        table_capacity=_with_number_keys(stored.table_capacity),
        exported_globals=dict(stored.exported_globals),
        memories=tuple(LinearMemory(m.register, m.base, m.pages, m.maximum, m.source, m.wide) for m in stored.memories),
        **{name: getattr(stored, name) for name in _AS_THEY_ARE},
    )


def _step(s: StoredStep) -> Step:
    return Step(
        s.op, s.a, s.b, s.c, s.dest, s.imm, s.target, s.targets, s.callee,
        None if s.type is None else _function_type(s.type, s.type_names), s.trap, s.site, s.taken, s.wide, d=s.d, joined=s.joined,
    )  # fmt: skip


def _function(f: StoredFunction) -> StepFunction:
    type_ = _function_type(f.type, f.type_names)
    return StepFunction(f.index, f.name, type_, f.entry, f.end, f.frame_size, f.internal)


def _entry(e: StoredEntry) -> Entry:
    return Entry(e.name, e.entry, e.params, e.results, e.registers)


def _entries(stored: Mapping[str, StoredEntry]) -> dict[str, Entry]:
    return {name: _entry(e) for name, e in stored.items()}
