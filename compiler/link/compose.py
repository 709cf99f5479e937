"""Several instances as one module: what their modules import from each other is resolved, before anything else is linked.

A module with several memories can hold the state of several instances. So instances that share memories, tables or globals
become one module, an ordinary one, which is compiled and checked as any other. That an instance begins to be when others have
run already is a call in it: an added function does what instantiation does to what is there (`Composition.instantiate`).

Active segments of memories and tables of the instance's own stay as they are: nobody sees these before, and where one does
not fit there is no instance. If one goes into an imported memory or table, all of the module's become passive ones, which
the added function copies in their order: what stands before a trap stays, as the specification says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..format.errors import CompileError
from ..format.types import FuncType, HeapType
from ..wasm.encode import by_kind
from ..wasm.module import Data, Element, Export, Function, Global, Import, Instr, Module, TableType, ValType
from ..wasm.opcodes import BY_NAME
from .heap import makes_objects
from .parts import Part, check_hosts, for_hosts, index_space, only_wasi, owner
from .units import EXPORTED_AS

T = TypeVar("T")
KINDS = ("func", "table", "memory", "global", "tag")
# What the added functions do to the memory that a part exports: operands but the address, results.
_ACCESSES: dict[str, tuple[tuple[ValType, ...], tuple[ValType, ...]]] = {
    "i32.load": ((), ("i32",)), "i32.load8_u": ((), ("i32",)), "i32.store": (("i32",), ()), "i32.store8": (("i32",), ()),
}  # fmt: skip


@dataclass(frozen=True)
class Composition:
    """module: of all parts. indices: by kind and place of a part, the index in it of each of the part's own indices."""

    parts: tuple[Part, ...]
    module: Module
    indices: Mapping[tuple[str, int], Sequence[int]]


def compose(parts: Sequence[Part]) -> Composition:
    """One module of all parts, in their order; their imports of each other have to fit. Raises CompileError where a function of
    the host could not tell whose memory it is to work on."""
    return _Composer(parts).run()


class _Composer:
    """types: the index of each. left: imports of no part. spaces: by kind, the index of each definition (place of the part, index
    in it) and of each import that is left. indices: by kind and part, what its own indices become. elements, data: the number of
    each part's first one."""

    def __init__(self, parts: Sequence[Part]):
        self.parts = parts
        self.types: dict[HeapType, int] = {}
        self.groups: list[int] = []
        self._take_types()
        self.left = tuple(dict.fromkeys(i for p in parts for i in p.module.imports if i.module not in p.imports))
        self.spaces: dict[str, dict[tuple[int, int] | Import, int]] = {}
        for kind in KINDS:
            keys: list[tuple[int, int] | Import] = [i for i in self.left if i.kind == kind]
            for place, part in enumerate(parts):
                keys += [(place, k) for k in range(len(part.imported(kind)), len(index_space(part.module, kind)))]
            self.spaces[kind] = {key: number for number, key in enumerate(keys)}
        self.indices = {
            (kind, place): [self.spaces[kind][owner(parts, place, kind, k)] for k in range(len(index_space(part.module, kind)))]
            for kind in KINDS
            for place, part in enumerate(parts)
        }
        self.elements = _starts(len(p.module.elements) for p in parts)
        self.data = _starts(len(p.module.data) for p in parts)

    def run(self) -> Composition:
        check_hosts(self.parts)
        added = [f for place in range(len(self.parts)) for f in self._added(place)]
        first = len(self.spaces["func"])
        exports = [e for place in range(len(self.parts)) for e in self._exports(place)]
        exports += [Export(f.name, "func", first + k) for k, f in enumerate(added)]
        module = Module(
            types=tuple(self.types),
            groups=tuple(self.groups),
            imports=self.left,
            functions=(*self._all("func", self._function), *added),
            tables=self._all("table", self._table),
            memories=self._all("memory", lambda place, memory: memory),
            globals=self._all("global", self._global),
            tags=self._all("tag", lambda place, tag: tag),
            elements=tuple(self._element(place, e) for place, p in enumerate(self.parts) for e in p.module.elements),
            data=tuple(self._data(place, d) for place, p in enumerate(self.parts) for d in p.module.data),
            exports=tuple(exports),
        )
        return Composition(tuple(self.parts), module, self.indices)

    def _take_types(self) -> None:
        """Groups of types stay together, and what a type names stands before it, as in its own module."""
        for part in self.parts:
            types = part.module.types
            sizes = [*part.module.groups, *[1] * (len(types) - sum(part.module.groups))]
            for first, size in zip(_starts(sizes), sizes):
                group = types[first : first + size]
                if group and group[0] not in self.types:
                    self.groups.append(size)
                    self.types |= {type_: len(self.types) + k for k, type_ in enumerate(group)}

    # Index spaces

    def _index(self, place: int, kind: str, index: int) -> int:
        return self.indices[kind, place][index]

    def _all(self, kind: str, change: Callable[[int, Any], T]) -> tuple[T, ...]:
        """The whole index space."""
        found = []
        for key in self.spaces[kind]:
            if isinstance(key, Import):
                wants = (key in p.module.imports and key.module not in p.imports for p in self.parts)
                place = list(wants).index(True)
                index = self.parts[place].imported(kind).index(key)
            else:
                place, index = key
            found.append(change(place, index_space(self.parts[place].module, kind)[index]))
        return tuple(found)

    def _function(self, place: int, function: Function) -> Function:
        if function.imported is not None:
            return function
        name = self.parts[place].exported(function.name)
        return replace(function, name=name, body=self._code(place, function.body))

    def _table(self, place: int, table: TableType) -> TableType:
        """Tables stand before globals, so an initial value names none but those of the host."""
        return replace(table, init=self._code_of(self._without_globals(place, table.init)))

    def _without_globals(self, place: int, code: Iterable[Instr], of_global: bool = False) -> Iterator[tuple[int, Instr]]:
        """With the initial values of globals in their place, which cannot change; and whose module each instruction is of.
        Raises CompileError where one is an object, of which there would be two."""
        for instruction in code:
            found = owner(self.parts, place, "global", instruction.args[0]) if instruction.name == "global.get" else None
            if isinstance(found, tuple):
                yield from self._without_globals(found[0], self.parts[found[0]].module.globals[found[1]].init, True)
            elif of_global and makes_objects(instruction):
                raise CompileError("a table of an instance that shares state cannot begin with an object that a global has")
            else:
                yield place, instruction

    def _code_of(self, code: Iterable[tuple[int, Instr]]) -> tuple[Instr, ...]:
        return tuple(self._instruction(place, instruction) for place, instruction in code)

    def _global(self, place: int, entry: Global) -> Global:
        return replace(entry, init=self._code(place, entry.init))

    def _element(self, place: int, element: Element) -> Element:
        items = tuple(self._code(place, item) for item in element.items)
        if element.mode == "active" and self._passive(place):
            return replace(element, mode="passive", items=items, table=0, offset=())
        if element.mode != "active":
            return replace(element, items=items)
        table = self._index(place, "table", element.table)
        return replace(element, items=items, table=table, offset=self._code(place, element.offset))

    def _data(self, place: int, data: Data) -> Data:
        if data.mode != "active":
            return data
        if self._passive(place):
            return replace(data, mode="passive", memory=0, offset=())
        return replace(data, memory=self._index(place, "memory", data.memory), offset=self._code(place, data.offset))

    def _passive(self, place: int) -> bool:
        """Whether no segment of this part is active: those of one that is not present concern nobody."""
        return self.parts[place].copies or not self.parts[place].present

    # Instructions

    def _code(self, place: int, code: Iterable[Instr]) -> tuple[Instr, ...]:
        return tuple(self._instruction(place, i) for i in code)

    def _instruction(self, place: int, instruction: Instr) -> Instr:
        kinds = BY_NAME[instruction.name].immediates
        if instruction.name == "select" or not kinds:
            return instruction
        args: list[Any] = []
        for kind, values in by_kind(BY_NAME[instruction.name], instruction.args):
            args += self._immediate(place, kind, values)
        if kinds[-1] == "memory":
            count = kinds.count("memory")
            args = args if any(args[-count:]) else args[:-count]
        return instruction.but(args=tuple(args))

    def _immediate(self, place: int, kind: str, values: tuple) -> tuple:
        match kind:
            case "func" | "table" | "global" | "tag" | "memory":
                return (self._index(place, kind, values[0]),)
            case "memarg":
                memory = self._index(place, "memory", values[2] if len(values) > 2 else 0)
                return (*values[:2], memory) if memory else values[:2]
            case "elem":
                return (self.elements[place] + values[0],)
            case "data":
                return (self.data[place] + values[0],)
            case "type":
                return (self.types[self.parts[place].module.types[values[0]]],)
            case "catches":
                return (tuple(self._handler(place, handler) for handler in values[0]),)
        return values

    def _handler(self, place: int, handler: tuple[int, ...]) -> tuple[int, ...]:
        kind, *tags, depth = handler
        return (kind, *(self._index(place, "tag", tag) for tag in tags), depth)

    # What is added

    def _exports(self, place: int) -> Iterator[Export]:
        """Functions and globals, which a host can ask for; and what functions of the host look for by its own name."""
        part = self.parts[place]
        if not part.present:
            return
        for export in part.module.exports:
            if export.kind in ("func", "global"):
                yield Export(part.exported(export.name), export.kind, self._index(place, export.kind, export.index))
        if not part.hosted:
            return
        for kind, name in EXPORTED_AS.items():
            if (found := for_hosts(part, kind)) is not None and not any(p.hosted for p in self.parts[:place]):
                yield Export(name, kind, self._index(place, kind, found))
        for export in part.module.exports if part.name and not only_wasi(part) else ():
            if export.kind == "func":
                yield Export(export.name, "func", self._index(place, "func", export.index))

    def _added(self, place: int) -> Iterator[Function]:
        """Their names are those of exports."""
        part = self.parts[place]
        if not part.present:
            return
        if part.instantiating:
            yield Function(FuncType(), body=(*self._instantiation(place), Instr("end")), name=part.instantiating)
        for kind, index in part.sized:
            wide = part.module.memories[index].wide if kind == "memory" else part.module.tables[index].limits.wide
            size = self._instruction(place, Instr(f"{kind}.size", (index,)))
            yield Function(FuncType((), ("i64" if wide else "i32",)), body=(size, Instr("end")), name=part.sizing(kind, index))
        if part.shown_memory is not None:
            address = "i64" if part.module.memories[part.shown_memory].wide else "i32"
            for name, (operands, results) in _ACCESSES.items():
                given = tuple(Instr("local.get", (k,)) for k in range(1 + len(operands)))
                access = self._instruction(place, Instr(name, (0, 0, part.shown_memory)))
                type_ = FuncType((address, *operands), results)
                yield Function(type_, body=(*given, access, Instr("end")), name=part.accessing(name))

    def _instantiation(self, place: int) -> Iterator[Instr]:
        """What the specification says of instantiation, behind the initial values: it is made of these instructions there."""
        part = self.parts[place]
        for k, element in enumerate(part.module.elements if part.copies else ()):
            if element.mode == "active":
                number, table = self.elements[place] + k, self._index(place, "table", element.table)
                yield from self._code(place, element.offset)
                yield from (Instr("i32.const", (0,)), Instr("i32.const", (len(element.items),)))
                yield from (Instr("table.init", (number, table)), Instr("elem.drop", (number,)))
        for k, data in enumerate(part.module.data if part.copies else ()):
            if data.mode == "active":
                number, memory = self.data[place] + k, self._index(place, "memory", data.memory)
                yield from self._code(place, data.offset)
                yield from (Instr("i32.const", (0,)), Instr("i32.const", (len(data.bytes),)))
                yield from (Instr("memory.init", (number, memory) if memory else (number,)), Instr("data.drop", (number,)))
        if part.module.start is not None:
            yield Instr("call", (self._index(place, "func", part.module.start),))


def _starts(counts: Iterable[int]) -> list[int]:
    """The sum of all counts before each."""
    found, total = [], 0
    for count in counts:
        found.append(total)
        total += count
    return found
