"""The linked module to the step program."""

from __future__ import annotations

from ..errors import CompileError, Reason
from ..frontend.module import FuncType
from ..link.linked import LinkedModule
from .cleanup import clean
from .context import MEMORY_BYTES
from .function import FunctionLowering
from .isa import FRAME_SIZE_LIMIT, Entry, Program, Slot, Step, StepFunction
from .liveness import Effects


def lower(linked: LinkedModule, opt_level: int) -> Program:
    """The step program of a linked module, at -O0 (one step per instruction) or -O1.

    Functions come first, in the order of their indices, then the entry of every export and of the start functions.
    Raises CompileError with every function that cannot be lowered: an instruction without a step operation, a frame
    larger than isa.FRAME_SIZE_LIMIT.
    """
    if opt_level not in (0, 1):
        raise ValueError(f"opt_level is 0 or 1, not {opt_level}")
    steps: list[Step] = []
    functions: dict[int, StepFunction] = {}
    reasons: list[Reason] = []
    types = dict(enumerate(function.type for function in linked.module.functions))
    for index, function in enumerate(linked.module.functions):
        if function.imported is not None:
            continue
        lowering = FunctionLowering(linked, index, opt_level)
        try:
            code = lowering.run()
        except CompileError as error:
            reasons += error.reasons
            continue
        effects = Effects(types, len(function.type.results), lowering.frame_size)
        frame_size = clean(code, effects, len(function.type.params), len(function.locals), opt_level)
        if frame_size > FRAME_SIZE_LIMIT:
            reasons.append(
                Reason(f"needs a frame of {frame_size} slots; the most is {FRAME_SIZE_LIMIT}", function.name)
            )
        start = len(steps)
        steps += code.resolved(start)
        internal = index not in linked.origin
        functions[index] = StepFunction(index, function.name, function.type, start, len(steps), frame_size, internal)
    if reasons:
        raise CompileError(reasons)

    entries = {name: _entry(linked, steps, name, (index,), types[index]) for name, index in linked.exports.items()}
    start_entry = _entry(linked, steps, "start", linked.start, FuncType()) if linked.start else None
    host = _host_access(steps) if linked.memory_exported else {}
    initial = {Slot("global", index): value for index, value in linked.global_values.items()}
    initial |= {Slot("hidden", name): value for name, value in linked.registers.items()}
    return Program(
        steps=tuple(steps),
        functions=functions,
        entries=entries,
        start=start_entry,
        host=host,
        initial=initial,
        segments=linked.segments,
        references=linked.references,
        hidden_bytes=linked.hidden_bytes,
        memory_pages=linked.memory_pages,
        memory_maximum=linked.memory_maximum,
        opt_level=opt_level,
        inputs=linked.inputs,
        exported_globals={
            name: (_global(linked, index), type_) for name, (index, type_) in linked.exported_globals.items()
        },
    )


def _entry(linked: LinkedModule, steps: list[Step], name: str, callees: tuple[int, ...], type_: FuncType) -> Entry:
    """Append the steps that call these functions (one, unless they take and return nothing)."""
    entry = Entry(name, len(steps), type_.params, type_.results, linked.input_registers)
    steps += [Step("param", dest=Slot("hidden", register)) for register in linked.input_registers]
    # A callee's frame may begin at slot 1 at the earliest, so this is where its parameters stand.
    for i, param in enumerate(type_.params):
        steps.append(Step("param", dest=Slot("frame", 1 + i), wide=param in ("i64", "f64")))
    steps += [Step("call", callee=callee, imm=1) for callee in callees]
    for i, result in enumerate(type_.results):
        steps.append(Step("result", a=Slot("frame", 1 + i), wide=result in ("i64", "f64")))
    steps.append(Step("halt"))
    return entry


def _host_access(steps: list[Step]) -> dict[str, Entry]:
    """Append an entry for each single load and store with which the host reads and writes exported memory."""
    address, value = Slot("frame", 1), Slot("frame", 2)
    entries = {}
    for op in ("i32.load", "i32.load8_u"):
        entries[op] = Entry(f"memory {op}", len(steps), ("i32",), ("i32",))
        load = Step(op, a=address, c=MEMORY_BYTES, dest=value)
        steps += [Step("param", dest=address), load, Step("result", a=value), Step("halt")]
    for op in ("i32.store", "i32.store8"):
        entries[op] = Entry(f"memory {op}", len(steps), ("i32", "i32"), ())
        store = Step(op, a=address, b=value, c=MEMORY_BYTES)
        steps += [Step("param", dest=address), Step("param", dest=value), store, Step("halt")]
    return entries


def _global(linked: LinkedModule, index: int) -> Slot:
    register = linked.register_globals.get(index)
    return Slot("global", index) if register is None else Slot("hidden", register)
