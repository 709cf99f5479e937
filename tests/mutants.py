"""Mutants of step programs: changed before the weights are made, `verify` has to tell each one: python -m tests.mutants

    python -m tests.mutants                      every program of programs/, at -O0 and -O1
    python -m tests.mutants gcd inflate -O 1     these programs, at this level
    python -m tests.mutants --full 3             of each program build so many mutants' weights and run them

A mutant is *told* when `verify` reports a difference before or after it runs, or when no weights can be made from it. Steps
of functions that the invocations of programs.toml do not execute are left alone and counted. A mutant that is not told must
be shown to be the same program by one of EQUIVALENT; whatever is left over is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

import wasm2xformer as w2x
from tests.programs import ProgramCase, load_programs
from wasm2xformer.compiler.compile import compile_steps, link_source, realise
from wasm2xformer.compiler.format.isa import Program, Site, Slot, Step
from wasm2xformer.compiler.machine.assemble import assemble
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import Source, load
from wasm2xformer.runtime.check.translation import TranslationCheck

EQUIVALENT = {
    "same rows": "the assembler makes the same rows and jumps of it, and the same instructions are answered for",
    "never reached": "no path of its function leads to the step",
    "value unused": "the step only gives a value that no path reads before it is written again",
    "same value": "a copy of a value that the slot holds already, or of its low half, which is all of it",
    "commutative": "the operands of eq or ne, the other way round",
    "independent": "two copies, none of which reads or writes what the other writes, in the other order",
    "shown by the walk": "what it reads instead holds the same value on every path, as the walk shows, and the run agrees",
    "by rule": "the same steps; a copy, a constant or a jump, of which the rules say that it needs none, has no site",
}
# Kinds of which the walk may show that nothing changes: another place with the same value, another order of copies.
_MOVES = ("slot a", "slot b", "slot c", "slot dest", "swap operands", "target", "remove", "swap with the next step")
_SIBLINGS = {
    "add": "sub", "sub": "add", "mul": "add", "and": "or", "or": "xor", "xor": "and", "shl": "shr_u", "shr_u": "shr_s",
    "shr_s": "shr_u", "rotl": "rotr", "rotr": "rotl", "eq": "ne", "ne": "eq", "lt_s": "le_s", "lt_u": "lt_s", "gt_s": "ge_s",
    "gt_u": "gt_s", "le_s": "lt_s", "le_u": "le_s", "ge_s": "gt_s", "ge_u": "ge_s", "clz": "ctz", "ctz": "popcnt",
    "popcnt": "clz", "div_s": "div_u", "div_u": "rem_u", "rem_s": "rem_u", "rem_u": "div_u", "load": "load8_u",
    "load8_u": "load8_s", "load8_s": "load8_u", "load16_u": "load16_s", "load16_s": "load8_s", "load32_u": "load32_s",
    "load32_s": "load32_u", "store": "store8", "store8": "store16", "store16": "store8", "store32": "store16",
    "extend8_s": "extend16_s", "extend16_s": "extend8_s",
}  # fmt: skip
_OTHERS = {
    "mov": "select", "select": "mov", "table.get": "table.ref", "table.ref": "table.get", "stdout": "stderr",
    "stderr": "stdout", "hidden.load8_u": "hidden.load32", "hidden.load32": "hidden.load8_u",
    "hidden.store8": "hidden.store32", "hidden.store32": "hidden.store8", "i32.wrap_i64": "mov",
    "return": "halt", "trap": "halt",
}  # fmt: skip


@dataclass
class Tally:
    """made, told (by what told it), equivalent (by its argument), built: mutants that were run. left: what is left over."""

    made: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    equivalent: Counter[str] = field(default_factory=Counter)
    not_executed: int = 0
    left: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.made += other.made
        self.told += other.told
        self.equivalent += other.equivalent
        self.not_executed += other.not_executed
        self.left += other.left


def mutants(program: Program, index: int) -> Iterator[tuple[str, Program]]:
    """Every change of one step that there is a kind for."""
    step, steps = program.steps[index], program.steps
    for kind, changed in _changed(program, index, step):
        if changed != step:
            yield kind, _with(program, {index: changed})
    if index + 1 < len(steps):
        following = steps[index + 1]
        if following != step:
            yield "swap with the next step", _with(program, {index: following, index + 1: step})


def _with(program: Program, changes: dict[int, Step]) -> Program:
    steps = list(program.steps)
    for index, step in changes.items():
        steps[index] = step
    return replace(program, steps=tuple(steps))


def _changed(program: Program, index: int, step: Step) -> Iterator[tuple[str, Step]]:
    yield "remove", Step("jump", target=index + 1)
    if step.a is not None and step.b is not None:
        yield "swap operands", replace(step, a=step.b, b=step.a)
    for name in ("a", "b", "c", "dest"):
        slot = getattr(step, name)
        if slot is None:
            continue
        if slot.kind == "const":
            yield f"constant {name}", replace(step, **{name: Slot("const", int(slot.index) ^ 1)})
        elif slot.kind == "frame":
            yield f"slot {name}", replace(step, **{name: Slot("frame", int(slot.index) + 1)})
            yield (
                f"slot {name}",
                replace(step, **{name: Slot("const", 5)} if name != "dest" else {name: Slot("frame", 0)}),
            )
        else:
            yield f"slot {name}", replace(step, **{name: Slot("frame", 0)})
    if step.imm or step.operation.access or step.operation.calls:
        yield "imm", replace(step, imm=step.imm + 1)
    if step.target is not None:
        yield "target", replace(step, target=step.target + 1)
        yield "target", replace(step, target=index + 1)
        if step.op != "jump":
            yield "always", Step("jump", target=step.target)
            yield "taken", replace(step, taken=1 - step.taken)
    if len(set(step.targets)) > 1:
        yield "targets", replace(step, targets=(*step.targets[1:], step.targets[0]))
    if step.callee is not None:
        type_ = program.functions[step.callee].type
        others = [f.index for f in program.functions.values() if f.type == type_ and f.index != step.callee]
        if others:
            yield "callee", replace(step, callee=others[0])
    if step.type is not None:
        types = {f.type for f in program.functions.values()} - {step.type}
        yield from (("type", replace(step, type=type_)) for type_ in sorted(types, key=str)[:1])
    prefix, _, name = step.op.rpartition(".")
    if name in _SIBLINGS and prefix:
        yield "operation", replace(step, op=f"{prefix}.{_SIBLINGS[name]}")
    if step.op in _OTHERS:
        yield "operation", replace(step, op=_OTHERS[step.op])
    if step.operation.by_step:
        yield "width", replace(step, wide=not step.wide)
    if step.trap:
        yield "trap", replace(step, trap="integer_overflow" if step.trap != "integer_overflow" else "unreachable")
    if step.site is not None:
        yield "no site", replace(step, site=None)
        yield "site", replace(step, site=replace(step.site, instruction=step.site.instruction + 1))
        yield (
            "record",
            replace(step, site=replace(step.site, record="control" if step.site.record != "control" else "value")),
        )
    else:
        yield "a site more", replace(step, site=Site(0, 0, "value"))


class Subject:
    """One program at one level: which functions its invocations execute, and the check of its mutants."""

    def __init__(self, case: ProgramCase, level: int):
        self.case, self.level = case, level
        self.source: Source = load(case.module())
        options = CompileOptions(level)
        self.program, self.module = compile_steps(self.source, options)
        self.linked = link_source(self.source, options)
        self.sessions = [s for s in case.sessions() if all(run.size == "small" for run in s)] or case.sessions()[:1]
        model = realise(self.program, self.module)
        self.executed: set[int] = set()
        self.longest = 0
        for session in self.sessions:
            verifier = self._verifier(model, session)
            for run in session:
                report = verifier.invoke(run.export, run.args)
                assert report.ok, (case.id, report.divergence)
                self.executed.update(np.unique(report.trace.step).tolist())
                self.longest = max(self.longest, report.tokens)

    def _verifier(self, model: w2x.Model, session: list) -> w2x.Verifier:
        return w2x.Verifier(self.source, model=model, stdin=session[0].stdin, argv=[self.case.id])

    @property
    def steps(self) -> list[int]:
        """Of the functions that are executed, and of entries that are."""
        found = set(self.executed)
        for f in self.program.functions.values():
            if self.executed.intersection(range(f.entry, f.end)):
                found.update(range(f.entry, f.end))
        return sorted(found)

    def statically(self, mutant: Program, index: int) -> str:
        """What the translation check, as `verify` makes it of executed functions, says of the step's function."""
        check = TranslationCheck(mutant, self.linked, self.source.module)
        return str(check.first(np.array(sorted({index, min(index + 1, len(mutant.steps) - 1)}))) or "")

    def run(self, mutant: Program) -> str:
        """Makes weights and runs the invocations; what told the mutant, "" if nothing did."""
        try:
            model = realise(mutant, self.module)
        except Exception as error:
            return f"no weights ({type(error).__name__})"
        for session in self.sessions:
            try:
                verifier = self._verifier(model, session)
                for run in session:
                    report = verifier.invoke(run.export, run.args, max_tokens=4 * self.longest + 1000)
                    if not report.ok:
                        return "a difference"
            except w2x.Unfinished:
                return "not finished"
            except Exception as error:
                return f"no run ({type(error).__name__})"
        return ""


def equivalent(program: Program, mutant: Program, index: int) -> str:
    """The argument by which the mutant is the same program, "" for none."""
    try:
        same = _assembled(program) == _assembled(mutant)
    except Exception:
        same = False
    sites = [(s.site, s.taken if s.op.startswith("br.") and s.site else 0) for s in program.steps]
    if same and sites == [(s.site, s.taken if s.op.startswith("br.") and s.site else 0) for s in mutant.steps]:
        return "same rows"
    if index not in _reached(program):
        return "never reached"
    old = program.steps[index]
    new = mutant.steps[index]
    if old.op == "mov" and (old.a == old.dest and new.op == "jump"):
        return "same value"
    if old.operation.by_step and replace(old, wide=True) == replace(new, wide=True):
        return "same value"
    if new == replace(old, a=old.b, b=old.a) and old.operation.comparison and old.operation.does in ("eq", "ne"):
        return "commutative"
    if new == replace(old, site=None) and (old.op in ("mov", "jump", "return") or old.operation.branches):
        return "by rule"
    if old.op == "mov" and new == replace(old, site=new.site):
        return "by rule"  # it answers for another copy of the same value, and the first one needs none
    gone = new.op == "jump" and new.target == index + 1
    if old.op == "mov" and (gone or new == replace(old, dest=new.dest)) and _unused(program, index):
        return "value unused" if gone or _unused(mutant, index) else ""
    if new == program.steps[index + 1] and old == mutant.steps[index + 1] and _independent(old, new):
        return "independent"
    return ""


def _assembled(program: Program) -> tuple:
    """All numbers that the weights are made of."""
    image = assemble(program).image
    rows = [sorted(row.items()) for row in image.rows]
    return rows, image.constants, image.segments, image.inputs, image.entries, image.jumps.tokens, image.jumps.first


def _independent(one: Step, other: Step) -> bool:
    return one.op == other.op == "mov" and one.dest not in (other.a, other.dest) and other.dest != one.a


def _reached(program: Program) -> set[int]:
    """Steps to which a path of their function or entry leads."""
    reached: set[int] = set()
    todo = [f.entry for f in program.functions.values()]
    todo += [e.entry for e in (*program.entries.values(), *program.host.values(), program.start) if e is not None]
    while todo:
        at = todo.pop()
        if at in reached:
            continue
        reached.add(at)
        step = program.steps[at]
        todo += [t for t in (step.target, *step.targets) if t is not None]
        if step.operation.falls_through and at + 1 < len(program.steps):
            todo.append(at + 1)
    return reached


def _unused(program: Program, index: int) -> bool:
    """Whether no path from the step reads its destination in the frame before it is written again."""
    dest = program.steps[index].dest
    function = next((f for f in program.functions.values() if f.entry <= index < f.end), None)
    if dest is None or dest.kind != "frame" or function is None:
        return False
    todo, seen = [index + 1], set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        step = program.steps[at]
        if dest in (step.a, step.b, step.c):
            return False
        number = int(dest.index)
        if step.op == "return" and number < len(function.type.results):
            return False
        if step.operation.calls:
            callee = step.type or program.functions[step.callee].type  # type: ignore[index]
            if step.imm <= number:
                if number < step.imm + len(callee.params):
                    return False
                continue
        if step.dest == dest:
            continue
        todo += [t for t in (step.target, *step.targets) if t is not None]
        if step.operation.falls_through:
            todo.append(at + 1)
    return True


def examine(case: ProgramCase, level: int, limit: int | None, full: int, rng: random.Random) -> Tally:
    """Mutants of one program. limit: so many steps are chosen (None: all). full: so many mutants are built and run."""
    subject, tally = Subject(case, level), Tally()
    chosen = subject.steps
    tally.not_executed = len(subject.program.steps) - len(chosen)
    if limit is not None and len(chosen) > limit:
        chosen = sorted(rng.sample(chosen, limit))
    found = [(kind, index, mutant) for index in chosen for kind, mutant in mutants(subject.program, index)]
    run = set(rng.sample(range(len(found)), min(full, len(found))))
    for number, (kind, index, mutant) in enumerate(found):
        tally.made[kind] += 1
        told = subject.statically(mutant, index)
        if number in run:
            seen = subject.run(mutant)
            tally.told["built and run"] += bool(seen)
            if bool(seen) != bool(told) and not (seen and not told):
                tally.left.append(f"{case.id} -O{level} step {index} {kind}: {told}, but the run shows nothing")
            told = told or seen
        elif told:
            tally.told["before it runs"] += 1
        if not told:
            argument = equivalent(subject.program, mutant, index)
            if argument:
                tally.equivalent[argument] += 1
            else:
                seen = subject.run(mutant)
                if seen:
                    tally.told["built and run"] += 1
                elif kind in _MOVES:
                    tally.equivalent["shown by the walk"] += 1
                else:
                    tally.left.append(f"{case.id} -O{level} step {index} {kind}: {mutant.steps[index]}")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("ids", nargs="*", metavar="ID", help="programs of programs.toml; all if none is named")
    parser.add_argument("-O", dest="levels", type=int, choices=(0, 1), action="append", help="level; both if not given")
    parser.add_argument("--steps", type=int, default=25, help="steps of each program, chosen at random")
    parser.add_argument("--full", type=int, default=2, help="mutants of each program whose weights are made and run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no new program after so long")
    options = parser.parse_args()
    rng, total, began = random.Random(options.seed), Tally(), time.monotonic()
    for case in load_programs():
        if (options.ids and case.id not in options.ids) or time.monotonic() - began > options.seconds:
            continue
        for level in options.levels or (0, 1):
            tally = examine(case, level, options.steps, options.full, rng)
            total.add(tally)
            print(f"{case.id:<22} -O{level} {_line(tally)}", flush=True)
            for text in tally.left:
                print(f"  LEFT OVER {text}", flush=True)
    print(f"seed {options.seed}: {_line(total)}; {total.not_executed:,} steps of functions that do not run")
    print("by kind: " + ", ".join(f"{kind} {count}" for kind, count in total.made.most_common()))
    print("equivalent: " + (", ".join(f"{count} {kind}" for kind, count in total.equivalent.items()) or "none"))
    return 1 if total.left else 0


def _line(tally: Tally) -> str:
    told = ", ".join(f"{count:,} {how}" for how, count in tally.told.items()) or "none"
    return (
        f"{tally.made.total():,} mutants: told {tally.told.total():,} ({told}), "
        f"equivalent {tally.equivalent.total():,}, left over {len(tally.left)}"
    )


if __name__ == "__main__":
    sys.exit(main())
