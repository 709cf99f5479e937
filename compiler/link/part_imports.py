"""Of instances that are composed (`compose`): whether imports fit, and whether anything can change that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from ..format.errors import Reason
from ..format.types import is_reference
from ..wasm.module import Export, Import, Instr, Limits, Module, TableType
from ..wasm.opcodes import BY_NAME
from .matching import mismatch
from .parts import Part, owner
from .reach import INDEX_KINDS

# Of the memory or table with this (kind, place of its part, index in it) how large it is now.
SizeOf = Callable[[str, int, int], int]


def wrong_imports(parts: Sequence[Part], place: int, size_of: SizeOf) -> list[Reason]:
    """What a part wants to import and the others do not have, or not as it is declared. What counts of a memory or a table is
    how large it is, not how large it was."""
    part, reasons = parts[place], []
    for entry in part.module.imports:
        if entry.module not in part.imports:
            continue
        provider = parts[part.imports[entry.module]].module
        export = next((e for e in provider.exports if e.name == entry.name), None)
        what = f'"{entry.module}" "{entry.name}" ({entry.kind})'
        if export is None:
            reasons.append(Reason(f"the import {what} is not provided"))
        elif wrong := _wrong(parts, part.imports[entry.module], entry, export, size_of):
            reasons.append(Reason(f"incompatible import type for {what}: {wrong}"))
    return reasons


def _wrong(parts: Sequence[Part], place: int, entry: Import, export: Export, size_of: SizeOf) -> str:
    if export.kind != entry.kind:
        return f"imported as a {entry.kind}, {entry.module} has a {export.kind}"
    provider = parts[place].module
    given = _described(provider, export)
    if isinstance(given, (Limits, TableType)) and (found := owner(parts, place, entry.kind, export.index)):
        assert not isinstance(found, Import)
        given = _at_least(given, lambda: size_of(entry.kind, *found), _minimum(entry.desc))
    return mismatch(entry.desc, given, entry.module, provider.types)


def _minimum(type_: object) -> int:
    limits = type_.limits if isinstance(type_, TableType) else type_
    return limits.minimum if isinstance(limits, Limits) else 0


def _at_least(type_: Limits | TableType, size: Callable[[], int], wanted: int) -> Limits | TableType:
    """Of a memory or table as it is now; its size is only asked for if that is needed."""
    if _minimum(type_) >= wanted:
        return type_
    if isinstance(type_, TableType):
        return replace(type_, limits=replace(type_.limits, minimum=size()))
    return replace(type_, minimum=size())


def _described(module: Module, export: Export) -> object:
    """What an import of it has to fit."""
    match export.kind:
        case "func":
            return module.functions[export.index].type
        case "table":
            return module.tables[export.index]
        case "memory":
            return module.memories[export.index]
        case "global":
            return module.globals[export.index].type
    return module.tags[export.index]


def shared_with(parts: Sequence[Part], place: int) -> set[int]:
    """The parts whose state this one can see or change: of all others a copy will do as well, which cannot be told from them."""
    part = parts[place]
    found = set()
    for entry in part.module.imports:
        if entry.module in part.imports and part.imports[entry.module] not in found:
            provider = part.imports[entry.module]
            export = next((e for e in parts[provider].module.exports if e.name == entry.name), None)
            if export is not None and not _is_constant(parts, provider, export.kind, export.index):
                found.add(provider)
    return found


def _is_constant(parts: Sequence[Part], place: int, kind: str, index: int) -> bool:
    """Whether nothing that can change is reached from here: an immutable number, or a function of calls and arithmetic."""
    todo = [(place, kind, index)]
    seen = set(todo)
    while todo:
        place, kind, index = todo.pop()
        found = owner(parts, place, kind, index)
        if isinstance(found, Import):
            return False  # of the host
        module = parts[found[0]].module
        if kind == "func":
            code = module.functions[found[1]].body
        elif kind == "global" and not module.globals[found[1]].type.mutable:
            code = module.globals[found[1]].init
            if is_reference(module.globals[found[1]].type.type):
                return False
        else:
            return False
        following = {(found[0], k, i) for k, i in _named(code)} - seen
        todo += following
        seen |= following
    return True


_STATE = frozenset({*INDEX_KINDS, "memarg", "catches"})


def _named(code: Iterable[Instr]) -> Iterator[tuple[str, int]]:
    """What these instructions name; of what is neither a call nor a global only that it is something."""
    for instruction in code:
        if instruction.name in ("call", "return_call"):
            yield "func", instruction.args[0]
        elif instruction.name == "global.get":
            yield "global", instruction.args[0]
        elif "call_" in instruction.name or _STATE.intersection(BY_NAME[instruction.name].immediates):
            yield "state", 0


def can_change(module: Module) -> bool:
    """Whether a call can leave anything behind for the next one, in memories, tables, globals, objects or with the host."""
    return bool(module.imports) or any(_changes(i.name) for f in module.functions for i in f.body)


def _changes(name: str) -> bool:
    reads = name in ("global.get", "table.get", "memory.size", "table.size") or ".load" in name
    of_state = name.startswith(("global.", "table.", "memory.", "struct.", "array.", "elem.", "data.", "throw", "try_table"))
    return not reads and (of_state or ".store" in name or ".atomic" in name)
