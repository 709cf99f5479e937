"""A decoded WebAssembly module as plain values. Nothing here computes; `decode.py` makes it, `encode.py` writes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..format.records import Immutable
from ..format.types import FuncType, HeapType, ValType


class Instr(Immutable, frozen=True):
    """One instruction: text name, immediates, byte offset in the module (-1 for made-up instructions).

    Immediates by name:
      block, loop, if                  (FuncType,)              else, end: ()
      br, br_if                        (depth,)
      br_table                         ((depth, ...), default_depth)
      call, return_call                (function_index,)
      call_indirect, return_call_...   (type_index, table_index)
      local.get/set/tee                (local_index,)
      global.get/set                   (global_index,)
      loads and stores                 (align_log2, offset)     offset is unsigned
      memory.size/grow/copy/fill       ()
      memory.init, data.drop           (data_index,)
      table.get/set/size/grow/fill     (table_index,)
      table.copy                       (destination_table, source_table)
      table.init                       (elem_index, table_index)
      elem.drop                        (elem_index,)
      i32.const, i64.const             (signed value,)
      f32.const, f64.const             (bit pattern as unsigned int,)
      ref.null                         (ValType,)               "funcref", "externref" or a nullable RefType
      call_ref, return_call_ref        (type_index,)
      br_on_null, br_on_non_null       (depth,)
      ref.func                         (function_index,)
      ref.is_null, ref.as_non_null     ()
      select                           () or (ValType,) for the typed form
      try_table                        (FuncType, ((kind, tag, depth) or (kind, depth), ...))   kind: its place in CATCHES
      throw                            (tag_index,)
      ref.test, ref.cast               (type,)                  a reference type
      br_on_cast, br_on_cast_fail      (depth, from_type, to_type)   reference types
      struct.*, array.*                (type_index, ...)        then: a field, of array.new_fixed how many elements, of
                                                                array.copy the source's type, or a segment
      everything else                  () ; an opcode outside the table is decoded as far as its immediates are
                                       known, so that it can be refused by name
    """

    name: str
    args: tuple = ()
    offset: int = -1


# Instructions that an `end` belongs to.
BLOCKS = frozenset({"block", "loop", "if", "try_table"})
# Handlers of a try_table by their numbers: the first two name a tag; the second and the last hand on the exception itself.
CATCHES = ("catch", "catch_ref", "catch_all", "catch_all_ref")


@dataclass(frozen=True)
class Limits:
    """Of a memory in pages, of a table in elements. wide: addresses, indices and sizes are i64. shared: of a memory that threads
    may share."""

    minimum: int
    maximum: int | None = None
    wide: bool = False
    shared: bool = False


@dataclass(frozen=True)
class TableType:
    """init: the constant expression of all elements, () for null."""

    element: ValType
    limits: Limits
    init: tuple[Instr, ...] = ()


@dataclass(frozen=True)
class GlobalType:
    type: ValType
    mutable: bool


@dataclass(frozen=True)
class Import:
    """desc: FuncType for "func", TableType for "table", Limits for "memory", GlobalType for "global", Tag for "tag"."""

    module: str
    name: str
    kind: str
    desc: object


@dataclass(frozen=True)
class Tag:
    """A kind of exception. type: the values that one carries, as parameters; no results."""

    type: FuncType
    imported: Import | None = None


@dataclass(frozen=True)
class Function:
    """A function of the joint index space. An imported one has `imported` set and no body.

    locals: the types of the declared locals only (parameters are in `type.params`).
    body: flat, structured as in the binary, ending with its final `end`.
    name: from the name section, else the first export name, else "func[i]".
    """

    type: FuncType
    locals: tuple[ValType, ...] = ()
    body: tuple[Instr, ...] = ()
    name: str = ""
    imported: Import | None = None


@dataclass(frozen=True)
class Global:
    type: GlobalType
    init: tuple[Instr, ...] = ()  # constant expression without its `end`; empty for an imported global
    imported: Import | None = None


@dataclass(frozen=True)
class Export:
    name: str
    kind: str  # "func", "table", "memory", "global", "tag"
    index: int


@dataclass(frozen=True)
class Element:
    """mode: "active", "passive" or "declarative". items: one constant expression per element."""

    mode: str
    type: ValType
    items: tuple[tuple[Instr, ...], ...]
    table: int = 0
    offset: tuple[Instr, ...] = ()


@dataclass(frozen=True)
class Data:
    """mode: "active" or "passive"."""

    mode: str
    bytes: bytes
    memory: int = 0
    offset: tuple[Instr, ...] = ()


@dataclass(frozen=True)
class Module:
    """Index spaces are joint: imported functions, tables, memories, globals and tags come first, as in the binary.

    groups: sizes of the groups in which the first types are defined; every other type is defined alone.
    """

    types: tuple[HeapType, ...] = ()
    functions: tuple[Function, ...] = ()
    tables: tuple[TableType, ...] = ()
    memories: tuple[Limits, ...] = ()
    globals: tuple[Global, ...] = ()
    exports: tuple[Export, ...] = ()
    start: int | None = None
    elements: tuple[Element, ...] = ()
    data: tuple[Data, ...] = ()
    imports: tuple[Import, ...] = field(default=())
    tags: tuple[Tag, ...] = ()
    groups: tuple[int, ...] = ()

    def function_type(self, index: int) -> FuncType:
        """A type that is one of functions, as validation has shown."""
        type_ = self.types[index]
        assert isinstance(type_, FuncType)
        return type_
