"""WASM bytes -> Module. Source: WebAssembly Core Specification 2.0, section 5 (binary format) and appendix 7.4 (names).

Decoding checks that the bytes can be read, not that the module is valid: `source.load` has wasmtime validate first.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..format.errors import CompileError, Reason
from ..format.limits import LOCALS
from ..format.types import HeapType, RefType
from .module import (
    BLOCKS,
    Data,
    Element,
    Export,
    Function,
    FuncType,
    Global,
    GlobalType,
    Import,
    Instr,
    Limits,
    Module,
    TableType,
    Tag,
    ValType,
)
from .opcodes import (
    ARRAY_TYPE,
    BY_CODE,
    CAST_BRANCHES,
    EMPTY_BLOCK,
    EXTERNAL_KINDS,
    FINAL_TYPE,
    FUNCTION_TYPE,
    HEAP_TYPES,
    MAGIC,
    NON_NULL,
    NULLABLE,
    NULLABLE_CASTS,
    OPEN_TYPE,
    PACKED_TYPES,
    SECTIONS,
    STRUCT_TYPE,
    TABLE_WITH_VALUE,
    TYPE_GROUP,
    VALTYPES,
    VERSION,
)
from .reader import Reader
from .type_names import RawDefinition, RawType, TypeIndex, named, reference_to

T = TypeVar("T")
# Kinds of immediates that are more than one unsigned number, see `_immediate`.
_NOT_A_NUMBER = frozenset(
    {"block", "labels", "memarg", "valtypes", "reftype", "i32", "i64", "f32", "f64", "v128", "lanes", "lane", "zero", "catches"}
)


def decode(wasm: bytes) -> Module:
    """The module that the bytes describe. Raises CompileError when they are malformed."""
    return _Decoder(wasm).module()


class _Decoder:
    """Collects the sections; imports come first in every index space because their section does."""

    def __init__(self, wasm: bytes):
        self.r = Reader(wasm)
        self.types: list[HeapType] = []
        self.groups: list[int] = []
        self.imports: list[Import] = []
        self.functions: list[Function] = []
        self.tables: list[TableType] = []
        self.memories: list[Limits] = []
        self.globals: list[Global] = []
        self.tags: list[Tag] = []
        self.exports: list[Export] = []
        self.start: int | None = None
        self.elements: list[Element] = []
        self.segments: list[Data] = []
        self.names: dict[int, str] = {}
        self.bodies = 0  # read so far

    def module(self) -> Module:
        if self.r.take(4) != MAGIC or self.r.take(4) != VERSION:
            raise self.r.error("no WASM module of version 1")
        order = list(SECTIONS.values())
        last = -1
        while self.r.position < self.r.end:
            section = self.r.byte()
            outer, self.r = self.r, self.r.part()
            if section == 0:
                self._custom()
            elif section not in order or order.index(section) <= last:
                raise self.r.error(f"section {section} is unknown or out of order")
            else:
                last = order.index(section)
                self._section(section)
                if self.r.position != self.r.end:
                    raise self.r.error("section size mismatch")
            self.r = outer
        defined_from = sum(i.kind == "func" for i in self.imports)
        if self.bodies != len(self.functions) - defined_from:
            raise self.r.error("numbers of functions and of bodies differ")
        return Module(
            types=tuple(self.types),
            functions=tuple(self._named_functions()),
            tables=tuple(self.tables),
            memories=tuple(self.memories),
            globals=tuple(self.globals),
            exports=tuple(self.exports),
            start=self.start,
            elements=tuple(self.elements),
            data=tuple(self.segments),
            imports=tuple(self.imports),
            tags=tuple(self.tags),
            groups=tuple(self.groups) if any(size != 1 for size in self.groups) else (),
        )

    def _section(self, section: int) -> None:
        r = self.r
        match section:
            case 1:
                for _ in range(r.unsigned()):  # a type may name those before it, and those of its group
                    self._type_group()
            case 2:
                r.vector(self._import)
            case 3:
                self.functions += r.vector(lambda: Function(self._type()))
            case 4:
                self.tables += r.vector(self._table)
            case 5:
                self.memories += r.vector(self._limits)
            case 6:
                self.globals += r.vector(lambda: Global(self._global_type(), self._constant()))
            case 7:
                self.exports += r.vector(lambda: Export(r.name(), self._external_kind(), r.unsigned()))
            case 8:
                self.start = r.unsigned()
            case 9:
                self.elements += r.vector(self._element)
            case 10:
                first = sum(f.imported is not None for f in self.functions)
                for index in range(r.unsigned()):
                    self._body(first + index)
            case 11:
                self.segments += r.vector(self._data)
            case 12:
                r.unsigned()  # data count: for one-pass validators
            case 13:
                self.tags += r.vector(lambda: Tag(self._tag_type()))

    # Types

    def _valtype(self) -> ValType:
        type_ = self._raw_type()
        return self._known(type_) if isinstance(type_, TypeIndex) else type_

    def _raw_type(self) -> RawType:
        code = self.r.byte()
        if code in (NULLABLE, NON_NULL):
            return self._heap_type(code == NULLABLE)
        if code not in VALTYPES:
            raise self._refusal(f"value type 0x{code:02x}")
        return VALTYPES[code]

    def _heap_type(self, nullable: bool) -> RawType:
        """The type of references to what the heap type that follows says."""
        code = self.r.signed(33)
        if code >= 0:
            return TypeIndex(nullable, code)
        heap = HEAP_TYPES.get(code & 0x7F)
        if heap is None:
            raise self._refusal(f"heap type 0x{code & 0x7F:02x}")
        return VALTYPES[code & 0x7F] if nullable else RefType(False, heap)

    def _reference(self, nullable: bool) -> ValType:
        type_ = self._heap_type(nullable)
        return self._known(type_) if isinstance(type_, TypeIndex) else type_

    def _known(self, type_: TypeIndex) -> ValType:
        return reference_to(self._at(self.types, type_.index, "type"), type_.nullable)

    def _type_group(self) -> None:
        if self.r.data[self.r.position : self.r.position + 1] == bytes([TYPE_GROUP]):
            self.r.byte()
            group = self.r.vector(self._definition)
        else:
            group = [self._definition()]
        indices = (t.index for d in group for t, _ in d.parts if isinstance(t, TypeIndex))
        if max(indices, default=-1) >= len(self.types) + len(group):
            raise self.r.error("unknown type")
        self.types += named(group, self.types)
        self.groups.append(len(group))

    def _definition(self) -> RawDefinition:
        form, above, final = self.r.byte(), None, True
        if form in (OPEN_TYPE, FINAL_TYPE):
            final = form == FINAL_TYPE
            above = next(iter(self.r.vector(self.r.unsigned)), None)
            form = self.r.byte()
        if form == FUNCTION_TYPE:
            params, results = self.r.vector(self._raw_type), self.r.vector(self._raw_type)
            return RawDefinition("func", tuple((t, False) for t in (*params, *results)), len(params), above, final)
        if form == STRUCT_TYPE:
            return RawDefinition("struct", tuple(self.r.vector(self._field)), 0, above, final)
        if form == ARRAY_TYPE:
            return RawDefinition("array", (self._field(),), 0, above, final)
        raise self._refusal(f"type of the form 0x{form:02x}")

    def _field(self) -> tuple[RawType, bool]:
        code = self.r.data[self.r.position : self.r.position + 1]
        type_: RawType
        if code and code[0] in PACKED_TYPES:
            type_ = PACKED_TYPES[self.r.byte()]
        else:
            type_ = self._raw_type()
        mutable = self.r.byte()
        if mutable > 1:
            raise self.r.error("unknown mutability")
        return type_, bool(mutable)

    def _refusal(self, what: str) -> CompileError:
        return CompileError([Reason(f"{what} is not supported", offset=self.r.position)])

    def _type(self) -> FuncType:
        return self._function_type(self.r.unsigned())

    def _function_type(self, index: int) -> FuncType:
        type_ = self._at(self.types, index, "type")
        if not isinstance(type_, FuncType):
            raise self.r.error(f"type {index} is none of functions")
        return type_

    def _at(self, items: Sequence[T], index: int, what: str) -> T:
        if not 0 <= index < len(items):
            raise self.r.error(f"unknown {what} {index}")
        return items[index]

    def _limits(self) -> Limits:
        flags = self.r.byte()
        if flags & ~7:
            raise self._refusal("custom page size")
        wide = bool(flags & 4)
        bits = 64 if wide else 32
        return Limits(self.r.unsigned(bits), self.r.unsigned(bits) if flags & 1 else None, wide, bool(flags & 2))

    def _table(self) -> TableType:
        if self.r.data[self.r.position : self.r.position + 1] != bytes([TABLE_WITH_VALUE]):
            return self._table_type()
        self.r.take(2)
        return replace(self._table_type(), init=self._constant())

    def _table_type(self) -> TableType:
        return TableType(self._valtype(), self._limits())

    def _global_type(self) -> GlobalType:
        type, mutable = self._valtype(), self.r.byte()
        if mutable > 1:
            raise self.r.error("unknown mutability")
        return GlobalType(type, bool(mutable))

    def _tag_type(self) -> FuncType:
        if self.r.byte():
            raise self.r.error("unknown kind of tag")
        return self._type()

    def _external_kind(self) -> str:
        return self._at(EXTERNAL_KINDS, self.r.byte(), "external kind")

    # Module fields

    def _import(self) -> None:
        module, name, kind = self.r.name(), self.r.name(), self._external_kind()
        desc: Any
        if kind == "func":
            desc = self._type()
            self.functions.append(Function(desc, imported=Import(module, name, kind, desc)))
        elif kind == "table":
            desc = self._table_type()
            self.tables.append(desc)
        elif kind == "memory":
            desc = self._limits()
            self.memories.append(desc)
        elif kind == "global":
            desc = self._global_type()
            self.globals.append(Global(desc, imported=Import(module, name, kind, desc)))
        else:
            desc = Tag(self._tag_type())
            self.tags.append(replace(desc, imported=Import(module, name, kind, desc)))
        self.imports.append(Import(module, name, kind, desc))

    def _element(self) -> Element:
        """Flag bits: 1 not active; 2 explicit table index, or declarative; 4 items are expressions."""
        flags = self.r.unsigned()
        if flags > 7:
            raise self.r.error(f"unknown element segment flags {flags}")
        mode = ("declarative" if flags & 2 else "passive") if flags & 1 else "active"
        table = self.r.unsigned() if mode == "active" and flags & 2 else 0
        offset = self._constant() if mode == "active" else ()
        type: ValType = "funcref"
        if flags & 3:
            if flags & 4:
                type = self._valtype()
            elif self.r.byte() != 0:
                raise self.r.error("unknown kind of element segment")
        items = self.r.vector(self._constant if flags & 4 else self._function_item)
        return Element(mode, type, tuple(items), table, offset)

    def _function_item(self) -> tuple[Instr, ...]:
        return (Instr("ref.func", (self.r.unsigned(),)),)

    def _data(self) -> Data:
        flags = self.r.unsigned()
        if flags > 2:
            raise self.r.error(f"unknown data segment flags {flags}")
        memory = self.r.unsigned() if flags == 2 else 0
        offset = self._constant() if flags != 1 else ()
        return Data("passive" if flags == 1 else "active", self.r.take(self.r.unsigned()), memory, offset)

    # Code

    def _body(self, index: int) -> None:
        function = self._at(self.functions, index, "function")
        outer, self.r = self.r, self.r.part()
        types: list[ValType] = []
        for _ in range(self.r.unsigned()):
            count = self.r.unsigned()
            if len(types) + count > LOCALS:
                raise self.r.error(f"more than {LOCALS} locals in function {index}")
            types += [self._valtype()] * count
        body = self._expression()
        if self.r.position != self.r.end:
            raise self.r.error("bytes behind the end of a function")
        self.r = outer
        self.functions[index] = replace(function, locals=tuple(types), body=body)
        self.bodies += 1

    def _constant(self) -> tuple[Instr, ...]:
        return self._expression()[:-1]

    def _expression(self) -> tuple[Instr, ...]:
        """Instructions up to and including the `end` that closes no block of theirs."""
        body = []
        depth = 1
        while depth:
            instruction = self._instruction()
            body.append(instruction)
            if instruction.name in BLOCKS or instruction.name == "try":
                depth += 1
            elif instruction.name in ("end", "delegate"):
                depth -= 1
        return tuple(body)

    def _instruction(self) -> Instr:
        r = self.r
        offset = r.position
        byte = r.byte()
        code = (byte, r.unsigned()) if 0xFB <= byte <= 0xFE else (byte,)
        opcode = BY_CODE.get(code)
        if opcode is None:
            r.position = offset
            raise self._refusal(f"the instruction with opcode {' '.join(f'0x{c:02x}' for c in code)}")
        args: list[Any] = []
        if opcode.code in CAST_BRANCHES:
            flags, label = r.byte(), r.unsigned()
            return Instr(opcode.name, (label, self._reference(bool(flags & 1)), self._reference(bool(flags & 2))), offset)
        for kind in opcode.immediates:
            args += (self._reference(code in NULLABLE_CASTS),) if kind == "cast" else self._immediate(kind)
        if opcode.immediates[-1:] == ("memory",):
            memories = opcode.immediates.count("memory")
            if not any(args[-memories:]):
                del args[-memories:]
        return Instr(opcode.name, tuple(args), offset)

    def _immediate(self, kind: str) -> tuple:
        r = self.r
        if kind not in _NOT_A_NUMBER:
            return (r.unsigned(),)
        match kind:
            case "block":
                return (self._block_type(),)
            case "labels":
                return (tuple(r.vector(r.unsigned)),)
            case "memarg":
                align = r.unsigned()
                memory = (r.unsigned(),) if align & 0x40 else ()
                return (align & ~0x40, r.unsigned(64), *memory)
            case "valtypes":
                return tuple(r.vector(self._valtype))
            case "reftype":
                return (self._reference(True),)
            case "i32" | "i64":
                return (r.signed(int(kind[1:])),)
            case "f32":
                return struct.unpack("<I", r.take(4))
            case "f64":
                return struct.unpack("<Q", r.take(8))
            case "v128" | "lanes":
                return (int.from_bytes(r.take(16), "little"),)
            case "lane" | "zero":
                return (r.byte(),)
            case "catches":
                return (tuple(r.vector(self._handler)),)
        raise AssertionError(kind)

    def _handler(self) -> tuple[int, ...]:
        """catch and catch_ref (0, 1) have a tag and a label, catch_all and catch_all_ref (2, 3) only a label."""
        kind = self.r.byte()
        return (kind, *(self.r.unsigned() for _ in range(2 if kind < 2 else 1)))

    def _block_type(self) -> FuncType:
        if self.r.data[self.r.position] in (NULLABLE, NON_NULL):
            return FuncType((), (self._valtype(),))
        code = self.r.signed(33)
        if code >= 0:
            return self._function_type(code)
        if code & 0x7F == EMPTY_BLOCK:
            return FuncType()
        if code & 0x7F not in VALTYPES:
            raise self.r.error("unknown block type")
        return FuncType((), (VALTYPES[code & 0x7F],))

    # Names

    def _custom(self) -> None:
        """Reads function names. What is wrong in a custom section does not make a module malformed."""
        names: dict[int, str] = {}
        try:
            if self.r.name() != "name":
                return
            while self.r.position < self.r.end:
                kind = self.r.byte()
                part = self.r.part()
                if kind == 1:
                    names.update(part.vector(lambda p=part: (p.unsigned(), p.name())))  # type: ignore[misc]
        except CompileError:
            return
        self.names = names

    def _named_functions(self) -> list[Function]:
        """Unique names: from the name section, else the first export's, else func[i]; [i] tells equal names apart."""
        exported: dict[int, str] = {}
        for export in self.exports:
            if export.kind == "func":
                exported.setdefault(export.index, export.name)
        used: set[str] = set()
        functions = []
        for index, function in enumerate(self.functions):
            name = self.names.get(index) or exported.get(index) or f"func[{index}]"
            if name in used:
                name = self._told_apart(name, index, used)
            used.add(name)
            functions.append(replace(function, name=name))
        return functions

    def _told_apart(self, name: str, index: int, used: set[str]) -> str:
        """[i] is a number that no other function adds, so a second one is hardly ever needed."""
        name += f"[{index}]"
        while name in used:
            name += "'"
        return name
