"""Why a mutant is the same program."""

from __future__ import annotations

from collections.abc import Iterator

from wasm2xformer.compiler.format.isa import Program, Site, Slot, Step
from wasm2xformer.compiler.machine.assemble import assemble

EQUIVALENT = {
    "same rows": "the assembler makes the same rows and jumps of it, and the same instructions are answered for",
    "never reached": "no path of its function leads to the step",
    "value unused": "the step only gives a value that no path reads before it is written again",
    "same value": "a copy of a value that the slot holds already, or of its low half, which is all of it or all that is wanted",
    "commutative": "the operands of eq or ne, the other way round",
    "frame": "a call that passes and returns nothing, its frame some slots higher, which no path reads before they are written",
    "independent": "two copies, none of which reads or writes what the other writes, in the other order",
    "shown by the walk": "what it reads instead holds the same value on every path, as the walk shows, and the run agrees",
    "by rule": "the same steps; a copy, a constant or a jump, of which the rules say that it needs none, has no site",
}


def equivalent(program: Program, mutant: Program, index: int) -> str:
    """The argument by which the mutant is the same program, "" for none."""
    try:
        same = _assembled(program) == _assembled(mutant)
    except Exception:
        same = False
    if same and _answers(program) == _answers(mutant):
        return "same rows"
    if index not in _reached(program):
        return "never reached"
    old = program.steps[index]
    new = mutant.steps[index]
    if old.op == "mov" and (old.a == old.dest and new.op == "jump"):
        return "same value"
    if old.operation.by_step and old.but(wide=True) == new.but(wide=True):
        return "same value"
    if old.op == "i32.wrap_i64" and new == old.but(op="mov", wide=False):
        return "same value"
    if new == old.but(a=old.b, b=old.a) and old.operation.comparison and old.operation.does in ("eq", "ne"):
        return "commutative"
    if new == old.but(site=None) and (old.op in ("mov", "jump", "return") or old.operation.branches):
        return "by rule"
    if old.op == "mov" and new == old.but(site=new.site):
        return "by rule"  # it answers for another copy of the same value, and the first one needs none
    if old.operation.calls and new == old.but(imm=new.imm) and _leaves_alone(program, index, new.imm):
        return "frame"
    gone = new.op == "jump" and new.target == index + 1
    if old.op == "mov" and (gone or new == old.but(dest=new.dest)) and _unused(program, index):
        return "value unused" if gone or _unused(mutant, index) else ""
    if new == program.steps[index + 1] and old == mutant.steps[index + 1] and _independent(old, new):
        return "independent"
    return ""


def _assembled(program: Program) -> tuple:
    """All numbers that the weights are made of."""
    image = assemble(program).image
    rows = [sorted(row.items()) for row in image.rows]
    return rows, image.constants, image.segments, image.inputs, image.entries, image.jumps.tokens, image.jumps.first


def _answers(program: Program) -> list[tuple[Site | None, int]]:
    """The site of each step, and for a branch with one when it counts as taken."""
    return [(s.site, s.taken if s.operation.branches and s.site else 0) for s in program.steps]


def _independent(one: Step, other: Step) -> bool:
    return one.op == other.op == "mov" and one.dest not in (other.a, other.dest) and other.dest != one.a


def _following(program: Program, at: int) -> Iterator[int]:
    """The steps that can run next in the same function or entry."""
    step = program.steps[at]
    yield from (t for t in (step.target, *step.targets) if t is not None)
    if step.operation.falls_through and at + 1 < len(program.steps):
        yield at + 1


def _reached(program: Program) -> set[int]:
    """Steps to which a path of their function or entry leads."""
    reached: set[int] = set()
    todo = [f.entry for f in program.functions.values()]
    todo += [e.entry for e in (*program.entries.values(), *program.host.values(), program.start) if e is not None]
    while todo:
        at = todo.pop()
        if at not in reached:
            reached.add(at)
            todo += _following(program, at)
    return reached


def _leaves_alone(program: Program, index: int, higher: int) -> bool:
    """Whether nothing goes through the frame of a call, and nobody reads the slots that it leaves when it begins higher."""
    step = program.steps[index]
    callee = step.type or program.functions[step.callee].type  # type: ignore[index]
    slots = (Slot("frame", number) for number in range(step.imm, higher))
    return not callee.params and not callee.results and higher > step.imm and all(_unread(program, index, s) for s in slots)


def _unused(program: Program, index: int) -> bool:
    """Whether no path from the step reads its destination in the frame before it is written again."""
    dest = program.steps[index].dest
    return dest is not None and _unread(program, index, dest)


def _unread(program: Program, index: int, dest: Slot) -> bool:
    """Whether no path behind the step reads this slot of the frame before it is written again."""
    function = next((f for f in program.functions.values() if f.entry <= index < f.end), None)
    if dest.kind != "frame" or function is None:
        return False
    todo, seen = [index + 1], set[int]()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        if _reads(program, program.steps[at], dest, len(function.type.results)):
            return False
        if not _writes(program.steps[at], dest):
            todo += _following(program, at)
    return True


def _reads(program: Program, step: Step, slot: Slot, results: int) -> bool:
    """Whether a step of a function with so many results needs what the frame's slot holds."""
    if slot in (step.a, step.b, step.c, step.d):
        return True
    number = int(slot.index)
    if step.op == "return":
        return number < results
    if step.operation.calls:
        callee = step.type or program.functions[step.callee].type  # type: ignore[index]
        return step.imm <= number < step.imm + len(callee.params)
    if step.operation.tail:
        callee = step.type or program.functions[step.callee].type  # type: ignore[index]
        return number < len(callee.params)
    return False


def _writes(step: Step, slot: Slot) -> bool:
    """Whether what the slot held is gone: a call takes the frame from there on."""
    return step.dest == slot or (step.operation.calls and step.imm <= int(slot.index))
