"""All mutants of a program: which are told, which are the same program, and what is left over."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from tests.programs import ProgramCase

from .changes import mutants
from .equivalence import equivalent
from .subject import Subject

# Kinds of which the walk may show that nothing changes: another place with the same value, another order of copies.
_MOVES = ("slot a", "slot b", "slot c", "slot dest", "swap operands", "target", "remove", "swap with the next step")


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
            if told and not seen:
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
