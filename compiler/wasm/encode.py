"""Module -> WASM bytes: the inverse of `decode`. Source: WebAssembly Core Specification 2.0, section 5."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from ..format.types import ArrayType, FieldType, HeapType, RefType, StructType
from .module import (
    Data,
    Element,
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
    BY_NAME,
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
    TYPED_SELECT,
    VALTYPES,
    VERSION,
    Opcode,
)

_VALTYPE_CODES = {name: code for code, name in VALTYPES.items()}
_HEAP_CODES = {name: code for code, name in HEAP_TYPES.items()}
_PACKED_CODES = {name: code for code, name in PACKED_TYPES.items()}


def encode(module: Module, name: str = "") -> bytes:
    """A binary of the whole module, with function names, and under this name.

    module.types stays as it is, so that type indices of call_indirect keep their meaning; function and block types
    that are not in it are written behind. Memory indices other than 0 use the multi-memory encoding.
    """
    return _Encoder(module, name).wasm()


def _unsigned(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _signed(value: int) -> bytes:
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def _sized(data: bytes) -> bytes:
    return _unsigned(len(data)) + data


def _name(text: str) -> bytes:
    return _sized(text.encode())


def _vector(items: Iterable[bytes]) -> bytes:
    items = list(items)
    return _unsigned(len(items)) + b"".join(items)


def _limits(limits: Limits) -> bytes:
    flags = 4 * limits.wide + 2 * limits.shared + (limits.maximum is not None)
    return bytes([flags]) + _unsigned(limits.minimum) + (b"" if limits.maximum is None else _unsigned(limits.maximum))


class _Encoder:
    def __init__(self, module: Module, name: str):
        self.module, self.name = module, name
        self.types: list[HeapType] = list(module.types)
        self.type_indices: dict[HeapType, int] = {}
        self.named: dict[str, int] = {}
        for index, type in enumerate(module.types):
            self.type_indices.setdefault(type, index)
            self.named.setdefault(type.name, index)

    def wasm(self) -> bytes:
        module = self.module
        functions = [f for f in module.functions if f.imported is None]
        tables = module.tables[sum(i.kind == "table" for i in module.imports) :]
        memories = module.memories[sum(i.kind == "memory" for i in module.imports) :]
        contents = {
            "import": _vector(map(self._import, module.imports)),
            "function": _vector(_unsigned(self._type_index(f.type)) for f in functions),
            "table": _vector(map(self._table, tables)),
            "memory": _vector(map(_limits, memories)),
            "tag": _vector(self._tag_type(t.type) for t in module.tags if t.imported is None),
            "global": _vector(self._global(g) for g in module.globals if g.imported is None),
            "export": _vector(
                _name(e.name) + bytes([EXTERNAL_KINDS.index(e.kind)]) + _unsigned(e.index) for e in module.exports
            ),
            "element": _vector(map(self._element, module.elements)),
            "data count": _unsigned(len(module.data)),
            "code": _vector(_sized(self._body(f)) for f in functions),
            "data": _vector(map(self._data, module.data)),
        }
        contents["type"] = _vector(self._type_groups())  # complete only now
        empty = b"\0"
        out = [MAGIC, VERSION]
        for section, number in SECTIONS.items():
            content = contents.get(section, empty)
            if section == "start" and module.start is not None:
                content = _unsigned(module.start)
            elif content == empty:
                continue
            out += [bytes([number]), _sized(content)]
        out += [b"\0", _sized(self._names())]
        return b"".join(out)

    def _type_index(self, type: FuncType) -> int:
        for inner in (*type.params, *type.results):
            if isinstance(inner, RefType) and isinstance(inner.to, FuncType):
                self._type_index(inner.to)  # stands before it
        if type not in self.type_indices:
            self.type_indices[type] = len(self.types)
            self.types.append(type)
        return self.type_indices[type]

    # Types

    def _valtype(self, type: ValType) -> bytes:
        if isinstance(type, RefType):
            return bytes([NULLABLE if type.nullable else NON_NULL]) + self._heap_type(type)
        return bytes([_VALTYPE_CODES[type]])

    def _heap_type(self, type: ValType) -> bytes:
        if not isinstance(type, RefType):
            return bytes([_VALTYPE_CODES[type]])
        if isinstance(type.to, FuncType):
            return _signed(self._type_index(type.to))
        return bytes([_HEAP_CODES[type.to]]) if type.to in _HEAP_CODES else _signed(self.named[type.to])

    def _table(self, table: TableType) -> bytes:
        if not table.init:
            return self._table_type(table)
        return bytes([TABLE_WITH_VALUE, 0]) + self._table_type(table) + self._constant(table.init)

    def _table_type(self, table: TableType) -> bytes:
        return self._valtype(table.element) + _limits(table.limits)

    def _global_type(self, type: GlobalType) -> bytes:
        return self._valtype(type.type) + bytes([type.mutable])

    def _type_groups(self) -> Iterator[bytes]:
        """Groups of several types first, as far as the module has any; a type that is named in its own group means that one."""
        sizes = [*self.module.groups, *[1] * (len(self.types) - sum(self.module.groups))]
        first = 0
        for size in sizes:
            group = self.types[first : first + size]
            outside, self.named = self.named, {**self.named, **{t.name: first + k for k, t in enumerate(group) if t.name}}
            text = [self._definition(type) for type in group]
            self.named, first = outside, first + size
            yield text[0] if size == 1 else bytes([TYPE_GROUP]) + _vector(text)

    def _definition(self, type: HeapType) -> bytes:
        above = _vector([_unsigned(self.named[type.above[0]])] if type.above else [])
        prefix = b"" if type.final and not type.above else bytes([FINAL_TYPE if type.final else OPEN_TYPE]) + above
        match type:
            case StructType():
                return prefix + bytes([STRUCT_TYPE]) + _vector(map(self._field, type.fields))
            case ArrayType():
                return prefix + bytes([ARRAY_TYPE]) + self._field(type.element)
        lists = (_vector(map(self._valtype, types)) for types in (type.params, type.results))
        return prefix + bytes([FUNCTION_TYPE]) + b"".join(lists)

    def _field(self, field: FieldType) -> bytes:
        packed = _PACKED_CODES.get(field.type)
        return (self._valtype(field.type) if packed is None else bytes([packed])) + bytes([field.mutable])

    # Module fields

    def _import(self, entry: Import) -> bytes:
        match entry.desc:
            case Tag():
                desc = self._tag_type(entry.desc.type)
            case FuncType():
                desc = _unsigned(self._type_index(entry.desc))
            case TableType():
                desc = self._table_type(entry.desc)
            case Limits():
                desc = _limits(entry.desc)
            case GlobalType():
                desc = self._global_type(entry.desc)
            case _:
                raise TypeError(f"import {entry.module}.{entry.name} of kind {entry.kind}")
        return _name(entry.module) + _name(entry.name) + bytes([EXTERNAL_KINDS.index(entry.kind)]) + desc

    def _tag_type(self, type: FuncType) -> bytes:
        return b"\0" + _unsigned(self._type_index(type))

    def _global(self, entry: Global) -> bytes:
        return self._global_type(entry.type) + self._constant(entry.init)

    def _element(self, element: Element) -> bytes:
        """Flag bits: 1 not active; 2 explicit table index, or declarative; 4 items are expressions."""
        by_index = element.type == "funcref" and all(
            len(item) == 1 and item[0].name == "ref.func" for item in element.items
        )
        flags = {"active": 0, "passive": 1, "declarative": 3}[element.mode]
        if element.mode == "active" and (element.table or element.type != "funcref"):
            flags |= 2
        out = _unsigned(flags | (0 if by_index else 4))
        if element.mode == "active":
            out += (_unsigned(element.table) if flags & 2 else b"") + self._constant(element.offset)
        if flags & 3:
            out += b"\0" if by_index else self._valtype(element.type)
        return out + _vector(_unsigned(i[0].args[0]) if by_index else self._constant(i) for i in element.items)

    def _data(self, data: Data) -> bytes:
        if data.mode == "passive":
            return b"\1" + _sized(data.bytes)
        memory = b"\2" + _unsigned(data.memory) if data.memory else b"\0"
        return memory + self._constant(data.offset) + _sized(data.bytes)

    def _names(self) -> bytes:
        functions = enumerate(self.module.functions)
        module = b"\0" + _sized(_name(self.name)) if self.name else b""
        named = _vector(_unsigned(i) + _name(f.name) for i, f in functions if f.name)
        return _name("name") + module + b"\1" + _sized(named)

    # Code

    def _body(self, function: Function) -> bytes:
        runs: list[list] = []  # consecutive locals of one type: [count, type]
        for type in function.locals:
            if runs and runs[-1][1] == type:
                runs[-1][0] += 1
            else:
                runs.append([1, type])
        declared = _vector(_unsigned(count) + self._valtype(type) for count, type in runs)
        return declared + b"".join(map(self._instruction, function.body))

    def _constant(self, expression: tuple[Instr, ...]) -> bytes:
        return b"".join(map(self._instruction, expression)) + bytes(BY_NAME["end"].code)

    def _instruction(self, instruction: Instr) -> bytes:
        opcode = BY_NAME[instruction.name]
        if instruction.name == "select" and instruction.args:
            opcode = TYPED_SELECT
        elif opcode.immediates == ("cast",) and _nullable(instruction.args[0]):
            opcode = BY_CODE[_NULLABLE_CAST[instruction.name]]
        out = [bytes(opcode.code[:1]), *map(_unsigned, opcode.code[1:])]
        if opcode.code in CAST_BRANCHES:
            out.append(bytes([sum(bit for bit, type in zip((1, 2), instruction.args[1:], strict=True) if _nullable(type))]))
        for kind, values in by_kind(opcode, instruction.args):
            out.append(self._immediate(kind, values))
        return b"".join(out)

    def _immediate(self, kind: str, values: tuple) -> bytes:
        match kind:
            case "block":
                return self._block_type(values[0])
            case "labels":
                return _vector(map(_unsigned, values[0]))
            case "memarg":
                align, offset, memory = (*values, 0)[:3]
                if memory:
                    return _unsigned(align | 0x40) + _unsigned(memory) + _unsigned(offset)
                return _unsigned(align) + _unsigned(offset)
            case "valtypes":
                return _vector(map(self._valtype, values))
            case "reftype" | "cast":
                return self._heap_type(values[0])
            case "i32" | "i64":
                return _signed(values[0])
            case "f32":
                return struct.pack("<I", values[0])
            case "f64":
                return struct.pack("<Q", values[0])
            case "v128" | "lanes":
                return values[0].to_bytes(16, "little")
            case "lane" | "zero":
                return bytes(values)
            case "catches":
                return _vector(b"".join(map(_unsigned, handler)) for handler in values[0])
            case _:
                return _unsigned(values[0])

    def _block_type(self, type: FuncType) -> bytes:
        if not type.params and not type.results:
            return bytes([EMPTY_BLOCK])
        if not type.params and len(type.results) == 1:
            return self._valtype(type.results[0])
        return _signed(self._type_index(type))


_NULLABLE_CAST = {BY_CODE[code].name: code for code in NULLABLE_CASTS}


def _nullable(type: ValType) -> bool:
    return type.nullable if isinstance(type, RefType) else True


def by_kind(opcode: Opcode, args: tuple) -> Iterable[tuple[str, tuple]]:
    """Pairs each kind of immediate with its values: a memory index may be missing, and a memarg has two or three."""
    kinds = opcode.immediates
    if kinds[-1:] == ("memory",) and len(args) < len(kinds):
        args += (0,) * (len(kinds) - len(args))
    if kinds[:1] in (("memarg",), ("valtypes",)):
        first = len(args) - (len(kinds) - 1)
        args = (args[:first], *((value,) for value in args[first:]))
    else:
        args = tuple((value,) for value in args)
    return zip(kinds, args, strict=True)
