"""The step program: the functions one behind the other, then the entries through which the runtime calls them."""

from __future__ import annotations

from collections.abc import Sequence

from ..format.errors import CompileError, Reason
from ..format.isa import IS, Entry, Inlined, LinearMemory, Program, Site, Slot, Step, StepFunction
from ..format.limits import FRAME_SIZE_LIMIT, HOST_WORDS
from ..format.types import FuncType, general, is_wide, joined_halves, passed
from ..link.linked import LinkedModule
from .exceptions import uncaught
from .lower import LoweredFunction


def program_of(linked: LinkedModule, lowered: Sequence[LoweredFunction], opt_level: int) -> Program:
    """Functions come first, in the order given, then the entry of every export and of the start functions.

    Raises CompileError with every function whose frame is larger than isa.FRAME_SIZE_LIMIT.
    """
    reasons = [
        Reason(f"needs a frame of {f.frame_size} slots; the most is {FRAME_SIZE_LIMIT}", f.name)
        for f in lowered
        if f.frame_size > FRAME_SIZE_LIMIT
    ]
    if reasons:
        raise CompileError(reasons)
    steps: list[Step] = []
    functions: dict[int, StepFunction] = {}
    folded: dict[Site, str] = {}
    inlined: list[Inlined] = []
    for f in lowered:
        start = len(steps)
        steps += f.code.resolved(start)
        folded |= f.code.folded
        inlined += [i.but(start=start + i.start, end=start + i.end) for i in f.code.inlined]
        functions[f.index] = StepFunction(f.index, f.name, f.type, start, len(steps), f.frame_size, f.internal)

    def type_of(index: int) -> FuncType:
        return linked.module.functions[index].type

    entries = {name: _entry(linked, steps, name, (index,), type_of(index)) for name, index in linked.exports.items()}
    start_entry = _entry(linked, steps, "start", linked.start, FuncType()) if linked.start else None
    host = {} if linked.memory_exported is None else _host_access(steps, linked.memories[linked.memory_exported])
    host |= _global_access(linked, steps)
    host |= _questions(linked, steps)
    host |= _hidden_access(steps) if "files" in linked.inputs else {}
    initial = {Slot("global", index): value for index, value in linked.global_values.items()}
    initial |= {Slot("hidden", name): value for name, value in linked.registers.items()}
    return Program(
        steps=tuple(steps),
        functions=functions,
        entries=entries,
        start=start_entry,
        host=host,
        inlined=tuple(inlined),
        initial=initial,
        segments=linked.segments,
        references=linked.references,
        function_references=linked.function_references,
        table_capacity=linked.table_capacity,
        hidden_bytes=linked.hidden_bytes,
        memory_pages=linked.memory_pages,
        memory_maximum=linked.memory_maximum,
        memories=linked.memories_to_tell,
        opt_level=opt_level,
        inputs=linked.inputs,
        exported_globals={
            name: (_global(linked, index), type_) for name, (index, type_) in linked.exported_globals.items()
        },
        folded=folded,
    )


def _entry(linked: LinkedModule, steps: list[Step], name: str, callees: tuple[int, ...], type_: FuncType) -> Entry:
    """Append the steps that call these functions (one, unless they take and return nothing)."""
    params, results = joined_halves(map(passed, type_.params)), joined_halves(map(general, type_.results))
    registers = linked.input_registers(callees)
    entry = Entry(name, len(steps), params, results, registers)
    steps += [Step("param", dest=Slot("hidden", register)) for register in registers]
    # A callee's frame may begin at slot 1 at the earliest, so this is where its parameters stand.
    for i, param in enumerate(type_.params):
        steps.append(Step("param", dest=Slot("frame", 1 + i), wide=is_wide(param)))
    for callee in callees:
        steps.append(Step("call", callee=callee, imm=1))
        if linked.exceptions is not None and callee in linked.exceptions.functions:
            steps += uncaught(len(steps))
    for i, result in enumerate(type_.results):
        steps.append(Step("result", a=Slot("frame", 1 + i), wide=is_wide(result)))
    steps.append(Step("halt"))
    return entry


def _host_access(steps: list[Step], memory: LinearMemory) -> dict[str, Entry]:
    """Append an entry for each single load and store with which the host reads and writes exported memory."""
    address, value, size = Slot("frame", 1), Slot("frame", 2), Slot("hidden", memory.register)
    entries = {}
    for op in ("i32.load", "i32.load8_u"):
        entries[op] = Entry(f"memory {op}", len(steps), ("i32",), ("i32",))
        load = Step(op, a=address, c=size, dest=value)
        steps += [Step("param", dest=address), load, Step("result", a=value), Step("halt")]
    for op in ("i32.store", "i32.store8"):
        entries[op] = Entry(f"memory {op}", len(steps), ("i32", "i32"), ())
        store = Step(op, a=address, b=value, c=size)
        steps += [Step("param", dest=address), Step("param", dest=value), store, Step("halt")]
    return entries


def _global_access(linked: LinkedModule, steps: list[Step]) -> dict[str, Entry]:
    """Append an entry for each exported global, which says its value."""
    entries = {}
    for name, (index, type_) in linked.exported_globals.items():
        entries[f"global {name}"] = Entry(f"memory global {name}", len(steps), (), (type_,))
        steps += [Step("result", a=_global(linked, index), wide=is_wide(type_)), Step("halt")]
    return entries


def _questions(linked: LinkedModule, steps: list[Step]) -> dict[str, Entry]:
    """Append an entry for each type of which a host may pass a reference, which says whether one is of it (1) or not (0)."""
    entries = {}
    for type_, function in linked.asked.items():
        entries[f"{IS}{type_}"] = Entry(f"memory {IS}{type_}", len(steps), ("i32",), ("i32",))
        reference = Slot("frame", 1)
        steps += [Step("param", dest=reference), Step("call", callee=function, imm=1), Step("result", a=reference), Step("halt")]
    return entries


def _hidden_access(steps: list[Step]) -> dict[str, Entry]:
    """Append an entry with which the host reads hidden memory: what the program wrote into files."""
    address, op = Slot("frame", 1), "hidden.load32"
    entry = Entry(f"memory {op}", len(steps), ("i32",), ("i32",) * HOST_WORDS)
    values = [Slot("frame", 2 + k) for k in range(HOST_WORDS)]
    steps.append(Step("param", dest=address))
    steps += [Step(op, a=address, dest=value, imm=4 * k) for k, value in enumerate(values)]
    steps += [*(Step("result", a=value) for value in values), Step("halt")]
    return {op: entry}


def _global(linked: LinkedModule, index: int) -> Slot:
    register = linked.register_globals.get(index)
    return Slot("global", index) if register is None else Slot("hidden", register)
