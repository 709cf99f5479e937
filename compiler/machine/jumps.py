"""How jumps are said in tokens: the frequent ones by one token each, all others by two or three that every jump shares.

A jump moves the instruction pointer by a distance, and a call or return the frame too. A token of its own, `J.{j}`, for each
would make a vocabulary that grows with the square of the program (every return behind every call, every case of every
br_table), so only so many as `SINGLE_JUMPS` get one. A *far* jump spells its distance out:

    X.{v}  the high digit: the instruction pointer moves by (v - B/2) B
    Y.{v}  the low digit, of a jump: moves on by v, and ends the step
    Z.{v}  the low digit, of a call or a return: moves on by v
    F.{k}  moves the frame, and ends the step

B is a power of two with B^2/2 >= number of steps, so two digits reach from anywhere to anywhere. Where a far br_table
or call_indirect goes is looked up in a table in hidden memory, by min(A, cases); where a far return goes, and by how much the
frame moves, is what its call has left behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..format.isa import Program, Step
from ..format.operations import END, NEXT
from .call_graph import call_graph
from .call_sites import CallSites
from .frequency import frequencies

# Jumps that may have a token of their own.
SINGLE_JUMPS = 2048


@dataclass(frozen=True)
class Jump:
    """A jump token: the instruction pointer moves by `delta`, the frame by `frame`.

    caller: for calls, the number under which the callee's return finds this call; None for other jumps.
    """

    delta: int
    frame: int = 0
    caller: int | None = None


@dataclass(frozen=True)
class Jumps:
    """The jump tokens of a program.

    sites: its calls. singles: J.0, J.1, ... first: number of the token of each step whose jump is a token of its own; of
    the first one where it is one of several (a return's are consecutive by caller, an indirect call's by callee, a
    br_table's by case). Every other jumping step is far.
    base: B. spells: whether there are far jumps; and of which frames: by how much the frame may move in far calls
    and returns, ascending.
    """

    sites: CallSites
    singles: list[Jump]
    first: dict[int, int]
    base: int
    far: bool
    far_frames: list[int]
    far_returns: bool

    @property
    def tokens(self) -> list[tuple[str, int, int]]:
        """(name, instruction pointer's delta, frame's delta) of all jump tokens, in the order of their ids."""
        made = [(f"J.{j}", jump.delta, jump.frame) for j, jump in enumerate(self.singles)]
        if self.far:
            made += [(f"X.{v}", (v - self.base // 2) * self.base, 0) for v in range(self.base)]
            made += [(f"Y.{v}", v, 0) for v in range(self.base)]
        if self.far_frames:
            made += [(f"Z.{v}", v, 0) for v in range(self.base)]
            moves = [*self.far_frames, *(-frame for frame in self.far_frames)]
            made += [(f"F.{k}", 0, move) for k, move in enumerate(moves)]
        return made


def jumps_of(program: Program, single_jumps: int = SINGLE_JUMPS) -> Jumps:
    """Chooses the jumps that get tokens of their own: those that save the most tokens, estimated, for each that they take."""
    sites = CallSites(program)
    single = _chosen(program, sites, single_jumps)
    singles: list[Jump] = []
    first: dict[int, int] = {}
    shared: dict[Jump, int] = {}
    far: list[int] = []
    for index, step in enumerate(program.steps):
        if not _jumps(step):
            continue
        if index not in single:
            far.append(index)
            continue
        block = _block(program, sites, index, step)
        if len(block) == 1 and step.op not in ("br_table", "return") and not step.operation.indirect:
            first[index] = shared.setdefault(block[0], len(singles))
            if first[index] < len(singles):
                continue
        first[index] = len(singles)
        singles += block
    ops = {program.steps[index].op for index in far}
    frames = {program.steps[i].imm for i in far if program.steps[i].operation.calls}
    if "return" in ops:
        frames |= {step.imm for step in program.steps if step.operation.calls}
    base = 16
    while base * base // 2 < len(program.step_at):
        base *= 2
    return Jumps(sites, singles, first, base, bool(far), sorted(frames), "return" in ops)


def _jumps(step: Step) -> bool:
    return step.operation.control not in (NEXT, END)


def _block(program: Program, sites: CallSites, index: int, step: Step) -> list[Jump]:
    """The jumps that a step may make, in the order of its selector."""
    functions, steps, row = program.functions, program.steps, program.row_of
    here = row[index]
    if step.op == "call":
        assert step.callee is not None
        return [Jump(row[functions[step.callee].entry] - here, step.imm, sites.number(index))]
    if step.operation.calls:
        caller = sites.number(index)
        return [Jump(row[functions[f].entry] - here, step.imm, caller) for _, f in sites.choices(index)]
    if step.op == "return_call":
        assert step.callee is not None
        return [Jump(row[functions[step.callee].entry] - here)]
    if step.operation.tail:
        return [Jump(row[functions[f].entry] - here) for _, f in sites.choices(index)]
    if step.op == "return":
        return [Jump(row[site + 1] - here, -steps[site].imm) for site in sites.of(sites.owner[index])]
    targets = step.targets if step.op == "br_table" else (step.target,)
    return [Jump(row[target] - here) for target in targets if target is not None]


def _chosen(program: Program, sites: CallSites, most: int) -> set[int]:
    """Steps whose jumps get tokens of their own, at most so many tokens."""
    candidates = list(_candidates(program, sites))
    if sum(cost for _, cost, _ in candidates) <= most:
        return {index for indices, _, _ in candidates for index in indices}
    runs = frequencies(program, call_graph(program))

    def gain(candidate: tuple[list[int], int, int]) -> float:
        indices, cost, saved = candidate
        return saved * sum(runs[i] for i in indices) / max(cost, 1)

    chosen: set[int] = set()
    for indices, cost, _ in sorted(candidates, key=gain, reverse=True):
        if cost <= most:
            most -= cost
            chosen.update(indices)
    return chosen


def _candidates(program: Program, sites: CallSites) -> Iterator[tuple[list[int], int, int]]:
    """(steps that share tokens, number of those tokens, tokens saved each time one of the steps runs)."""
    plain: dict[int, list[int]] = defaultdict(list)
    row = program.row_of
    for index, step in enumerate(program.steps):
        match step.op:
            case "br_table":
                yield [index], len(step.targets), 1
            case "call":
                yield [index], 1, 2
            case "call_indirect" | "call_ref":
                yield [index], len(sites.choices(index)), 2
            case "return_call":
                assert step.callee is not None
                plain[row[program.functions[step.callee].entry] - row[index]].append(index)
            case "return_call_indirect" | "return_call_ref":
                yield [index], len(sites.choices(index)), 1
            case "return":
                yield [index], sites.count(sites.owner[index]), 2
            case _ if step.target is not None:
                plain[row[step.target] - row[index]].append(index)
    for indices in plain.values():
        yield indices, 1, 1


@dataclass(frozen=True)
class Tables:
    """Where far br_tables and indirect calls go: entries of `width` bytes, each the step of a case or reference.

    entries: by step, (offset of its first entry in bytes, number of entries).
    """

    bytes: bytes = b""
    width: int = 2
    entries: dict[int, tuple[int, int]] = field(default_factory=dict)


def tables_of(program: Program, jumps: Jumps) -> Tables:
    """Equal tables are one."""
    row = program.row_of
    width = 2 if len(program.step_at) <= 1 << 16 else 4
    made = bytearray()
    found: dict[tuple[int, ...], tuple[int, int]] = {}  # () for the table of references

    def table(key: tuple[int, ...], targets: Iterable[int]) -> tuple[int, int]:
        if key not in found:
            first = len(made)
            for target in targets:
                made.extend(row[target].to_bytes(width, "little"))
            found[key] = first, (len(made) - first) // width
        return found[key]

    entries: dict[int, tuple[int, int]] = {}
    for index, step in enumerate(program.steps):
        if index in jumps.first:
            continue
        if step.op == "br_table":
            entries[index] = table(step.targets, step.targets)
        elif step.operation.indirect:
            entries[index] = table((), _entered(program))
    return Tables(bytes(made), width, entries)


def _entered(program: Program) -> Iterator[int]:
    """The first step of the function of each reference, from reference 0 (null) on."""
    for reference in range(max(program.references, default=0) + 1):
        function = program.references.get(reference)
        yield 0 if function is None else program.functions[function].entry


__all__ = ["SINGLE_JUMPS", "Jump", "Jumps", "Tables", "jumps_of", "tables_of"]
