"""What a step program has to be, as a check that can be run on any of them: linear in its size, nothing is executed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from msgspec.structs import astuple

from .isa import EXCEPTION_REGISTER, FOLDING_RULES, IS, TRAPS, Entry, Program, Site, Slot, Step, StepFunction
from .limits import FRAME_SIZE_LIMIT, MEMORY_LIMIT, PAGE
from .operations import OPERATIONS, Operation
from .types import HIGH_HALF, LOW_HALF, OBJECTS, FuncType, ValType, general, halved, is_wide, passed

# Which operations may answer for what the oracle records of an instruction.
RECORDS = {
    "value": lambda o: o.effect == "value",
    "store": lambda o: o.effect == "store",
    "high_value": lambda o: o.effect == "value",
    "high_store": lambda o: o.effect == "store",
    "branch": lambda o: o.branches,
    "br_table": lambda o: o.name == "br_table",
    "control": lambda o: o.control in ("jump", "call", "tail", "return", "end"),
    "throw": lambda o: o.effect == "value",
    "host": lambda o: o.effect != "value",
    "bulk": lambda o: o.calls,
}
# What says whether an exception is in flight.
EXCEPTION_SLOT = Slot("hidden", EXCEPTION_REGISTER)
# Slots that an operand may be; a constant is never written.
_READ, _WRITTEN = ("frame", "const", "global", "hidden"), ("frame", "global", "hidden")
_ABSENT: dict[str, Any] = {"a": None, "b": None, "c": None, "d": None, "dest": None, "imm": 0, "target": None, "targets": ()}
_ABSENT |= {"callee": None, "type": None, "trap": ""}
_TYPES = ("i32", "i64", "f32", "f64", "v128", LOW_HALF, HIGH_HALF, "funcref", "externref", "exnref", *OBJECTS)


class InvalidProgram(ValueError):
    """A step program that cannot be one. step: the number of the step that is wrong; None when it is none of them."""

    def __init__(self, message: str, step: int | None = None):
        super().__init__(message if step is None else f"step {step}: {message}")
        self.step = step


def validate(program: Program) -> None:
    """Raises InvalidProgram, with the first step that is wrong.

    Each step has the operands of its operation and no others, slots inside its frame, constants as wide as they are read;
    jumps stay in their function, and no path leaves it but by a return or an end; calls fit the frames; every step belongs to
    a function or to an entry, which is: parameters, calls or one access, results, halt. Sites say what the operation can
    answer for; at -O0 none is there twice, and none has a rule in `folded`.
    """
    owners = _owners(program)
    for function in program.functions.values():
        _check_function(program, function)
        for at in range(function.entry, function.end):
            step = program.steps[at]
            if not _is_usual(step, function.frame_size):
                _check_step(program, at, function.frame_size)
            if step.op == "param":
                raise InvalidProgram("a function has no param steps: its frame holds the parameters", at)
            if _form(step.op).goes:
                _check_control(program, at, function)
    for entry in _entries(program):
        _check_entry(program, entry, owners)
    if -1 in owners:
        raise InvalidProgram("belongs to no function and no entry", owners.index(-1))
    _check_inlined(program, owners)
    _check_joined(program, owners)
    _check_sites(program)
    _check_tables(program)


def check_operands(step: Step, frame_size: int) -> None:
    """That a step has what its operation has, in a frame of so many slots. Raises ValueError."""
    operation = OPERATIONS.get(step.op) if isinstance(step.op, str) else None
    if operation is None:
        raise ValueError(f"no operation is called {step.op!r}")
    for name, absent in _ABSENT.items():
        value = getattr(step, name)
        if name in operation.operands:
            if name != "imm" and value in (None, "", ()):
                raise ValueError(f"{step.op} has no `{name}`")
        elif value != absent:
            raise ValueError(f"{step.op} takes no `{name}`")
    for name in ("a", "b", "c", "d", "dest"):
        if name in operation.operands:
            _check_slot(getattr(step, name), name, frame_size, _most(operation, step, name))
    if type(step.imm) is not int or not 0 <= step.imm < 2**32:
        raise ValueError(f"imm is {step.imm!r}, not 0 to 2^32 - 1")
    if type(step.wide) is not bool or step.taken not in (0, 1) or not (step.taken or operation.branches):
        raise ValueError(f"wide is {step.wide!r} and taken is {step.taken!r}")
    if step.trap and step.trap not in TRAPS:
        raise ValueError(f"no trap is called {step.trap!r}")


class _Form(NamedTuple):
    """What steps with one operation look like, by the positions of their fields.

    absent: gives those fields that they do not have, which are then `nothing`. slots, others: fields that they have. goes:
    whether `_check_control` has anything to look at. taken: what `Step.taken` may be.
    """

    absent: Callable[[tuple], Any]
    nothing: Any
    slots: tuple[int, ...]
    others: tuple[int, ...]
    goes: bool
    taken: tuple[int, ...]


_FIELDS = {name: at for at, name in enumerate(Step.__struct_fields__)}
_DEST = _FIELDS["dest"]


@cache
def _form(op: str) -> _Form:
    """Raises KeyError."""
    operation = OPERATIONS[op]
    absent = itemgetter(*(_FIELDS[name] for name in _ABSENT if name not in operation.operands))
    others = {*_ABSENT} & operation.operands - {"a", "b", "c", "d", "dest", "imm"}
    goes = bool({"target", "targets"} & operation.operands) or operation.calls or operation.tail
    return _Form(
        absent, absent(astuple(Step(op))),
        tuple(_FIELDS[name] for name in ("a", "b", "c", "d", "dest") if name in operation.operands),
        tuple(_FIELDS[name] for name in others), goes, (0, 1) if operation.branches else (1,),
    )  # fmt: skip


def _is_usual(step: Step, frame_size: int) -> bool:
    """True where `check_operands` and `_check_address` certainly find nothing, in a fifth of the time; else they have to look."""
    if type(step) is not Step or type(step.op) is not str or step.op not in OPERATIONS:
        return False
    form, values = _form(step.op), astuple(step)
    if form.absent(values) != form.nothing:
        return False
    for at in form.slots:
        slot = values[at]
        if type(slot) is not Slot:
            return False
        kind, index = slot.kind, slot.index
        if kind == "hidden":
            if type(index) is not str or not index:
                return False
        elif type(index) is not int or index < 0:
            return False
        elif kind == "frame":
            if index >= frame_size:
                return False
        elif kind == "const":
            if index >= 2**32 or at == _DEST:
                return False
        elif kind != "global":
            return False
    for at in form.others:
        if values[at] in (None, "", ()):
            return False
    plain = type(step.imm) is int and type(step.wide) is bool and type(step.taken) is int
    return plain and 0 <= step.imm < 2**32 and step.taken in form.taken and (not step.trap or step.trap in TRAPS)


def _most(operation: Operation, step: Step, name: str) -> int:
    """The greatest constant that this operand may be: a value as wide as it is read."""
    if name == operation.index:
        return 2**32 - 1
    if operation.space == "linear" and name == "a":
        return 2**64 - 1  # what `_check_address` says of a memory with 32-bit addresses
    if operation.space == "table" and name == "a" and step.wide:
        return 2**64 - 1
    if name == "c" or operation.effect == "output" or (operation.space and name == "a"):
        return 2**32 - 1
    if operation.by_step:
        return 2**64 - 1 if step.wide else 2**32 - 1
    width = operation.operand_width or (operation.access if operation.access == 8 else 4)
    # A narrow store takes the low bytes of a wide value.
    return 2**64 - 1 if width == 8 or operation.type == "i64" else 2**32 - 1


def _check_slot(slot: Any, name: str, frame_size: int, most: int) -> None:
    kinds = _WRITTEN if name == "dest" else _READ
    if not isinstance(slot, Slot) or slot.kind not in kinds:
        raise ValueError(f"`{name}` is {slot!r}, not a slot that can be {'written' if name == 'dest' else 'read'}")
    if slot.kind == "hidden":
        if not isinstance(slot.index, str) or not slot.index:
            raise ValueError(f"`{name}` is a hidden register without a name")
        return
    if type(slot.index) is not int or slot.index < 0:
        raise ValueError(f"`{name}` is {slot.kind} {slot.index!r}")
    if slot.kind == "frame" and slot.index >= frame_size:
        raise ValueError(f"`{name}` is slot {slot.index} of a frame of {frame_size}")
    if slot.kind == "const" and slot.index > most:
        raise ValueError(f"`{name}` is the constant {slot.index}, more than is read of it")


def _check_address(program: Program, step: Step) -> None:
    memory = program.memory_of(step)
    constant = step.a is not None and step.a.kind == "const" and int(step.a.index) >= 2**32
    if step.operation.space == "linear" and constant and (memory is None or not memory.wide):
        raise ValueError(f"`a` is the constant {step.a.index}, more than is read of it")  # type: ignore[union-attr]


def _check_step(program: Program, at: int, frame_size: int) -> None:
    try:
        check_operands(program.steps[at], frame_size)
        _check_address(program, program.steps[at])
    except ValueError as error:
        raise InvalidProgram(str(error), at) from None


def _owners(program: Program) -> list[int]:
    """By step: which function it belongs to, as a position in `program.functions`; -1 for none."""
    owners = [-1] * len(program.steps)
    for number, (index, function) in enumerate(program.functions.items()):
        if function.index != index or not _is_type(function.type):
            raise InvalidProgram(f"function {index}: its index is {function.index!r}, its type {function.type!r}")
        within = all(type(n) is int for n in (function.entry, function.end, function.frame_size))
        if not within or not 0 <= function.entry < function.end <= len(program.steps):
            raise InvalidProgram(f"function {index}: steps {function.entry!r} to {function.end!r} are not there")
        if not 0 <= function.frame_size <= FRAME_SIZE_LIMIT:
            raise InvalidProgram(f"function {index}: a frame of {function.frame_size} slots")
        _claim(owners, function.entry, function.end, number)
    return owners


def _claim(owners: list[int], start: int, stop: int, owner: int) -> None:
    for at in range(start, stop):
        if owners[at] != -1:
            raise InvalidProgram("belongs to two functions or entries", at)
        owners[at] = owner


def _is_type(type_: Any) -> bool:
    return isinstance(type_, FuncType) and all(general(t) in _TYPES for t in (*type_.params, *type_.results))


def _check_function(program: Program, function: StepFunction) -> None:
    if max(len(function.type.params), len(function.type.results)) > function.frame_size:
        raise InvalidProgram(f"function {function.index}: its parameters or results are more than its frame", function.entry)
    last = program.steps[function.end - 1]
    if last.op in OPERATIONS and last.operation.falls_through:
        raise InvalidProgram(f"{last.op} is the last of its function, and goes on behind it", function.end - 1)


def _check_control(program: Program, at: int, function: StepFunction) -> None:
    step = program.steps[at]
    for target in step.targets if step.target is None else (step.target,):
        if type(target) is not int or not function.entry <= target < function.end:
            raise InvalidProgram(f"{step.op} goes to step {target!r}, outside its function", at)
    if step.operation.calls:
        type_ = _called(program, at)
        needed = step.imm + max(len(type_.params), len(type_.results))
        if step.imm < 1 or needed > function.frame_size:
            raise InvalidProgram(f"{step.op} needs slots {step.imm} to {needed} of a frame of {function.frame_size}", at)
    if step.operation.tail:
        type_ = _called(program, at)
        if len(type_.params) > function.frame_size:
            raise InvalidProgram(f"{step.op} needs slots 0 to {len(type_.params)} of a frame of {function.frame_size}", at)
        if list(map(is_wide, type_.results)) != list(map(is_wide, function.type.results)):
            raise InvalidProgram(f"{step.op} of a function with other results than its own", at)


def _called(program: Program, at: int) -> FuncType:
    step = program.steps[at]
    if step.callee is None:
        if not _is_type(step.type):
            raise InvalidProgram(f"{step.op} has the type {step.type!r}", at)
        assert step.type is not None
        return step.type
    if step.callee not in program.functions:
        raise InvalidProgram(f"{step.op} of function {step.callee!r}, which is not there", at)
    return program.functions[step.callee].type


def _entries(program: Program) -> Iterator[Entry]:
    yield from program.entries.values()
    yield from program.host.values()
    if program.start is not None:
        yield program.start


def _check_entry(program: Program, entry: Entry, owners: list[int]) -> None:
    """Registers, parameters, then calls (with what follows one that may throw) or one access, results, halt."""
    types = (*entry.params, *entry.results)
    if type(entry.entry) is not int or not 0 <= entry.entry < len(program.steps) or any(general(t) not in _TYPES for t in types):
        raise InvalidProgram(f"entry {entry.name!r} at step {entry.entry!r} of type {types!r} is not possible")
    at = entry.entry
    wanted: list[Slot] = [Slot("hidden", name) for name in entry.registers]
    params, results = halved(entry.params), halved(entry.results)
    wanted += [Slot("frame", 1 + i) for i in range(len(params))]
    wide = [False] * len(entry.registers) + [is_wide(t) for t in params]
    for dest, width in zip(wanted, wide, strict=True):
        at = _expect(program, entry, at, ("param",), dest=dest, wide=width)
    while at < len(program.steps) and program.steps[at].op not in ("result", "halt"):
        if program.steps[at].op == "br.i32.eq":  # an exception that has left what was called
            at = _expect(program, entry, at, ("br.i32.eq",), a=EXCEPTION_SLOT, b=Slot("const", 0), target=at + 3)
            at = _expect(program, entry, at, ("mov",), a=Slot("const", 0), dest=EXCEPTION_SLOT)
            at = _expect(program, entry, at, ("trap",), trap="uncaught_exception")
            continue
        at = _expect(program, entry, at, ("call", "i32.load", "i32.load8_u", "i32.store", "i32.store8", "hidden.load32"))
    for i, type_ in enumerate(results):
        # An access to memory leaves its value behind its address.
        key = entry.name.removeprefix("memory ")
        slot = Slot("frame", 1 + i + (program.host.get(key) is entry and not key.startswith(IS)))
        if program.host.get(key) is entry and key.removeprefix("global ") in program.exported_globals and not entry.params:
            slot = program.exported_globals[key.removeprefix("global ")][0]
        at = _expect(program, entry, at, ("result",), a=slot, wide=is_wide(type_))
    at = _expect(program, entry, at, ("halt",))
    _claim(owners, entry.entry, at, len(program.functions))


def _expect(program: Program, entry: Entry, at: int, ops: tuple[str, ...], **values: Any) -> int:
    """Checks the step of an entry and gives the number of the next one."""
    if at >= len(program.steps) or program.steps[at].op not in ops:
        raise InvalidProgram(f"entry {entry.name!r} has no {' or '.join(ops)} here", at)
    step = program.steps[at]
    params, results = halved(entry.params), halved(entry.results)
    _check_step(program, at, 3 + max(len(params), len(results)))
    for name, value in values.items():
        if getattr(step, name) != value:
            raise InvalidProgram(f"entry {entry.name!r}: `{name}` is {getattr(step, name)!r}, not {value!r}", at)
    if step.operation.calls:
        type_ = _called(program, at)
        called = tuple(map(passed, type_.params)), tuple(map(general, type_.results))
        if step.imm != 1 or called not in ((params, results), ((), ())):
            raise InvalidProgram(f"entry {entry.name!r} calls a function of another type", at)
    return at + 1


def _check_inlined(program: Program, owners: list[int]) -> None:
    """Parts of functions, one behind the other; what they do is for whoever knows what they are to do."""
    before = 0
    for part in program.inlined:
        if not before <= part.start < part.end < len(program.steps) or part.callee not in program.functions or not part.imm:
            raise InvalidProgram(f"no function can be inlined as {part}")
        if owners[part.start] != owners[part.end] or owners[part.start] >= len(program.functions):
            raise InvalidProgram("inlined across the end of a function", part.start)
        before = part.end


def _check_joined(program: Program, owners: list[int]) -> None:
    """A step that shares the row of a branch stands behind it, and nothing else leads to it."""
    joined = {at for at, step in enumerate(program.steps) if step.joined is not False}
    if not joined:
        return
    for at in sorted(joined):
        step, before = program.steps[at], program.steps[at - 1]
        if step.joined is not True or at == 0 or owners[at] != owners[at - 1] or owners[at] == len(program.functions):
            raise InvalidProgram("shares the row of no step of its function", at)
        if not before.operation.branches or before.joined or not step.operation.joins:
            raise InvalidProgram(f"{step.op} shares the row of {before.op}", at)
    ways = [target for step in program.steps for target in (step.target, *step.targets)]
    for target in (*ways, *(f.entry for f in program.functions.values())):
        if target in joined:
            raise InvalidProgram("shares the row of a branch, and something else leads to it", target)


def _check_sites(program: Program) -> None:
    seen: dict[Site, int] = {}
    for function in program.functions.values():
        for at in range(function.entry, function.end):
            step = program.steps[at]
            if step.site is None:
                continue
            if function.internal or not isinstance(step.site, Site) or not _is_site(step.site):
                raise InvalidProgram(f"has the site {step.site!r}", at)
            if not RECORDS[step.site.record](step.operation):
                raise InvalidProgram(f"{step.op} cannot answer for a {step.site.record!r}", at)
            first = seen.setdefault(step.site, at)
            if first != at and (program.opt_level == 0 or not _same(program.steps[first], step)):
                raise InvalidProgram(f"answers for the same instruction as step {first}", at)
    for site, rule in program.folded.items():
        if rule not in FOLDING_RULES:
            raise InvalidProgram(f"{site} has no step by the unknown rule {rule!r}")
        if site in seen:
            raise InvalidProgram(f"answers for an instruction that has no step by the rule {rule!r}", seen[site])


def _is_site(site: Site) -> bool:
    numbers = type(site.function) is int and type(site.instruction) is int
    return numbers and site.function >= 0 and site.instruction >= 0 and site.record in RECORDS


def _same(first: Step, second: Step) -> bool:
    """Whether the two may be copies: a branch may be the opposite of its original."""
    return first.op == second.op or (first.operation.branches and second.operation.branches)


def _check_tables(program: Program) -> None:
    def number(value: Any, most: int) -> bool:
        return type(value) is int and 0 <= value <= most

    for reference, function in program.references.items():
        if not number(reference, 2**32 - 1) or reference == 0 or function not in program.functions:
            raise InvalidProgram(f"reference {reference!r} is to function {function!r}")
    _check_consecutive(program.references, program.functions)
    for name in ("hidden_bytes", "memory_pages", "memory_maximum"):
        if not number(getattr(program, name), 2**32):
            raise InvalidProgram(f"{name} is {getattr(program, name)!r}")
    if program.opt_level not in (0, 1):
        raise InvalidProgram(f"opt_level is {program.opt_level!r}")
    for name, (offset, size) in program.inputs.items():
        if not number(offset, program.hidden_bytes) or not number(size, program.hidden_bytes - offset):
            raise InvalidProgram(f"input area {name!r} is not in hidden memory")
    for segment in program.segments:
        size = program.hidden_bytes if segment.hidden else _memory_end(program)
        if not number(segment.address, size) or segment.address + len(segment.bytes) > size:
            raise InvalidProgram(f"a segment of {len(segment.bytes)} bytes at {segment.address!r} is not in memory")
    globals_: Iterable[tuple[Slot, ValType]] = program.exported_globals.values()
    for slot in (*program.initial, *(s for s, _ in globals_)):
        try:
            _check_slot(slot, "dest", 0, 0)
        except ValueError as error:
            raise InvalidProgram(f"initial values and exported globals: {error}") from None


def _memory_end(program: Program) -> int:
    """All addresses that memories have at first are below. Raises InvalidProgram where they are not one behind the other."""
    end = 0
    for memory in program.memories:
        if memory.base % PAGE or memory.base < end or not 0 <= memory.pages <= memory.maximum:
            raise InvalidProgram(f"memory {memory.register!r} begins at {memory.base!r}, has {memory.pages!r} pages")
        end = memory.base + memory.maximum * PAGE
    if end > MEMORY_LIMIT:
        raise InvalidProgram(f"memories end at {end:,}, beyond {MEMORY_LIMIT:,}")
    return max((m.base + m.pages * PAGE for m in program.memories), default=program.memory_pages * PAGE)


def _check_consecutive(references: Mapping[int, int], functions: Mapping[int, StepFunction]) -> None:
    """References to functions of one type follow each other: that is how an indirect call checks the type."""
    done: set[FuncType] = set()
    before: FuncType | None = None
    for reference in sorted(references):
        type_ = functions[references[reference]].type
        if type_ != before:
            if type_ in done:
                raise InvalidProgram(f"reference {reference} is not next to the others of its type")
            done.add(type_)
            before = type_
    _check_subtypes([functions[references[reference]].type for reference in sorted(references)])


def _check_subtypes(types: Sequence[FuncType]) -> None:
    """And so do those to functions of a type and of all below it. types: of the functions, in the order of the references."""
    last: dict[str, int] = {}
    for at, type_ in enumerate(types):
        for name in {type_.name, *type_.above} - {""}:
            if last.get(name, at - 1) != at - 1:
                raise InvalidProgram(f"references to functions of the type {name} are not next to each other")
            last[name] = at


__all__ = ["RECORDS", "InvalidProgram", "check_operands", "validate"]
