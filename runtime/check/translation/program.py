"""What of a program is not steps of functions: the entries, and the state that it begins with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....compiler.format.consistency import GLOBAL
from ....compiler.format.isa import EXCEPTION_REGISTER, IS, Entry, Program, Slot, Step
from ....compiler.format.limits import HOST_WORDS
from ....compiler.format.types import FuncType, general, is_wide, joined_halves, passed
from ....compiler.link.linked import LinkedModule
from .function import Mistranslation

# Fields of a step that nothing depends on where its operation does not use them.
_FIELDS = ("op", "a", "b", "c", "d", "dest", "imm", "callee", "target", "trap", "wide", "site")


def check_program(program: Program, linked: LinkedModule) -> None:
    """Entries call what the module exports, and everything begins as the linker laid it out. Raises Mistranslation."""
    for what, wanted, found in _facts(program, linked):
        if wanted != found:
            raise Mistranslation(0, f"{what}: {wanted}", str(found))
    for name, index in linked.exports.items():
        type_ = linked.module.functions[index].type
        _check_entry(program, program.entries[name], (index,), type_, linked)
    if program.start is not None:
        _check_entry(program, program.start, linked.start, FuncType(), linked)
    memory = linked.memories[linked.memory_exported].register if linked.memory_exported is not None else ""
    for op, entry in program.host.items():
        _check_host(program, op, entry, Slot("hidden", memory), linked)


def _facts(program: Program, linked: LinkedModule) -> Iterator[tuple[str, object, object]]:
    yield "exported functions", sorted(linked.exports), sorted(program.entries)
    yield "a start function", bool(linked.start), program.start is not None
    yield (
        "functions",
        _functions(linked),
        {f.index: (f.type, f.internal) for f in program.functions.values() if f.index in program.functions},
    )
    yield "access to memory from outside", linked.memory_exported is not None, "i32.load" in program.host
    wanted = [f"{GLOBAL}{name}" for name in linked.exported_globals]
    yield "access to globals from outside", wanted, [name for name in program.host if name.startswith(GLOBAL)]
    yield "types that are asked for", [f"{IS}{t}" for t in linked.asked], [name for name in program.host if name.startswith(IS)]
    yield "access to files from outside", "files" in linked.inputs, "hidden.load32" in program.host
    if linked.exceptions is not None:
        named = {t.name: t for t in linked.module.types if isinstance(t, FuncType) and t.name}
        thrown = {linked.module.functions[f].type for f in linked.references.values() if f in linked.exceptions.functions}
        throwing = {above for t in thrown for above in (t, *(named[name] for name in t.above))}
        yield "types of functions that may throw", throwing, set(linked.exceptions.types)
    yield "memories", linked.memories_to_tell, program.memories
    for name in (
        "references",
        "function_references",
        "table_capacity",
        "hidden_bytes",
        "memory_pages",
        "memory_maximum",
        "inputs",
    ):
        yield name, getattr(linked, name), getattr(program, name)
    globals_ = {name: (_slot(linked, i), type_) for name, (i, type_) in linked.exported_globals.items()}
    yield "exported globals", globals_, program.exported_globals
    if program.initial or program.segments:  # a checkpoint has them in its prompt's prefix alone
        initial = {Slot("global", i): v for i, v in linked.global_values.items()}
        initial |= {Slot("hidden", name): value for name, value in linked.registers.items()}
        yield "initial values", initial, program.initial
        yield "segments", tuple(linked.segments), tuple(program.segments)


def _functions(linked: LinkedModule) -> dict[int, tuple[FuncType, bool]]:
    functions = enumerate(linked.module.functions)
    return {i: (f.type, i not in linked.origin) for i, f in functions if f.imported is None}


def _slot(linked: LinkedModule, index: int) -> Slot:
    register = linked.register_globals.get(index)
    return Slot("global", index) if register is None else Slot("hidden", register)


def _check_entry(
    program: Program, entry: Entry, callees: Sequence[int], type_: FuncType, linked: LinkedModule
) -> None:
    """Registers and parameters come from the prompt, then the calls, then the results."""
    registers = linked.input_registers(callees)
    wanted = [Step("param", dest=Slot("hidden", r)) for r in registers]
    wanted += [Step("param", dest=Slot("frame", 1 + i), wide=_wide(t)) for i, t in enumerate(type_.params)]
    for callee in callees:
        wanted.append(Step("call", callee=callee, imm=1))
        if linked.exceptions is not None and callee in linked.exceptions.functions:
            wanted += _uncaught(entry.entry + len(wanted))
    wanted += [Step("result", a=Slot("frame", 1 + i), wide=_wide(t)) for i, t in enumerate(type_.results)]
    _check_steps(program, entry, [*wanted, Step("halt")])
    params, results = joined_halves(map(passed, type_.params)), joined_halves(map(general, type_.results))
    declared = Entry(entry.name, entry.entry, params, results, tuple(registers))
    if entry != declared:
        raise Mistranslation(entry.entry, str(declared), str(entry))


def _uncaught(at: int) -> list[Step]:
    """From step `at` on: an exception that has left a call ends the invocation, and is in flight no more."""
    pending, zero = Slot("hidden", EXCEPTION_REGISTER), Slot("const", 0)
    branch = Step("br.i32.eq", a=pending, b=zero, target=at + 3)
    return [branch, Step("mov", a=zero, dest=pending), Step("trap", trap="uncaught_exception")]


def _check_host(program: Program, name: str, entry: Entry, size: Slot, linked: LinkedModule) -> None:
    if name.startswith(GLOBAL):
        slot, type_ = program.exported_globals[name.removeprefix(GLOBAL)]
        _check_steps(program, entry, [Step("result", a=slot, wide=_wide(type_)), Step("halt")])
        return
    address, value = Slot("frame", 1), Slot("frame", 2)
    params = [Step("param", dest=address)]
    if name.startswith(IS):
        asked = {f"{IS}{type_}": function for type_, function in linked.asked.items()}
        rest = [Step("call", callee=asked[name], imm=1), Step("result", a=address)]
    elif name == "hidden.load32":
        values = [Slot("frame", 2 + k) for k in range(HOST_WORDS)]
        rest = [Step(name, a=address, dest=v, imm=4 * k) for k, v in enumerate(values)]
        rest += [Step("result", a=v) for v in values]
    elif "load" in name:
        rest = [Step(name, a=address, c=size, dest=value), Step("result", a=value)]
    else:
        params.append(Step("param", dest=value))
        rest = [Step(name, a=address, b=value, c=size)]
    _check_steps(program, entry, [*params, *rest, Step("halt")])


def _check_steps(program: Program, entry: Entry, wanted: Sequence[Step]) -> None:
    for index, step in enumerate(wanted, entry.entry):
        found = program.steps[index] if index < len(program.steps) else None
        for name in _FIELDS:
            if found is None or getattr(step, name) != getattr(found, name):
                raise Mistranslation(index, f"{name} {getattr(step, name)}", str(getattr(found, name, "no step")))


def _wide(type_: str) -> bool:
    return is_wide(type_)
