"""Every invocation of every program in programs/, each step compared with wasmtime: python -m tests.verify_all

    python -m tests.verify_all                  all of them, at -O0 and -O1
    python -m tests.verify_all sudoku -O 1      these programs, at this level
    python -m tests.verify_all --sample 12 --seed 7    twelve of them, chosen by this seed
    python -m tests.verify_all --distributed local:2   on a Dask cluster: two workers here, or tcp://host:8786

Also compared are the results, the output, the trap and the exit code that programs.toml states. Exit code 1 when
anything differs or a session has no result. Programs that are refused are listed with the reason.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import wasm2xformer as w2x
from tests.campaign import CampaignError, Failed, add_options, campaign
from tests.programs import SIZES, Invocation, ProgramCase, load_programs
from wasm2xformer.runtime.bench.measure import peak_memory


@dataclass
class Total:
    """What was verified of one program at one level. longest: tokens of its longest invocation. seconds: of processor time,
    summed over processes. memory: MiB, the most that one process has had. refused: why the program is, "" if it is not."""

    steps: int = 0
    tokens: int = 0
    longest: int = 0
    invocations: int = 0
    seconds: float = 0.0
    memory: float = 0.0
    refused: str = ""
    problems: list[str] = field(default_factory=list)

    def add(self, other: Total) -> None:
        for name in ("steps", "tokens", "invocations", "seconds", "problems"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("longest", "memory", "refused"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))


# A program's number in programs.toml would change with the file: its id, the level, and which of its sessions.
Session = tuple[str, int, int]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.verify_all")
    parser.add_argument("ids", nargs="*", metavar="ID", help="programs of programs.toml; all if none is named")
    parser.add_argument("-O", dest="levels", type=int, choices=(0, 1), action="append", help="level; both if not given")
    parser.add_argument("--sample", type=int, metavar="N", help="only N of the programs, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (%(default)s)")
    add_options(parser, processes=1)
    options = parser.parse_args(arguments)
    programs = [p for p in load_programs() if not options.ids or p.id in options.ids]
    unknown = set(options.ids) - {p.id for p in programs}
    if unknown:
        parser.error(f"no program {', '.join(sorted(unknown))}")
    if options.sample is not None:
        chosen = random.Random(options.seed).sample(programs, min(options.sample, len(programs)))
        programs = [p for p in programs if p in chosen]

    began = time.monotonic()
    print(f"{'program':<22}{'level':>5}{'calls':>7}{'steps':>14}{'tokens':>14}{'longest':>14}{'cpu':>9}")
    levels = options.levels or (0, 1)
    items = [(p.id, level, number) for p in programs for level in levels for number in range(len(p.sessions()))]
    totals = {(p.id, level): Total() for p in programs for level in levels}
    left = Counter(item[:2] for item in items)
    lost = 0
    try:
        for item, found in campaign("tests.verify_all:verify_session", items, options.distributed, options.jobs):
            which = item[:2]
            if isinstance(found, Failed):
                found, lost = Total(problems=[f"  {item[0]} -O{item[1]}, session {item[2]}: NO RESULT: {found.why}"]), lost + 1
            totals[which].add(found)
            left[which] -= 1
            if not left[which]:
                _print(*which, totals[which])
    except CampaignError as error:
        print(f"error: {error}", flush=True)
        return 1
    for (program_id, level), sessions in left.items():
        if sessions:  # which would be a defect of `campaign`
            totals[program_id, level].problems.append(f"  {program_id} -O{level}: NO RESULT of {sessions} sessions")
            _print(program_id, level, totals[program_id, level])
    return _summary(totals, len(items), lost + sum(left.values()), time.monotonic() - began)


def _print(program_id: str, level: int, total: Total) -> None:
    if not total.refused:
        print(
            f"{program_id:<22}{f'-O{level}':>5}{total.invocations:>7,}{total.steps:>14,}{total.tokens:>14,}"
            f"{total.longest:>14,}{total.seconds:>9.1f}",
            flush=True,
        )
    for problem in total.problems:
        print(problem, flush=True)


def _summary(totals: dict[tuple[str, int], Total], planned: int, lost: int, seconds: float) -> int:
    """lost: sessions without a result, of the planned ones."""
    for program_id, reason in {key[0]: total.refused for key, total in totals.items() if total.refused}.items():
        print(f"{program_id}: refused: {reason}")
    whole = Total()
    for total in totals.values():
        whole.add(total)
    differences = sum("NO RESULT" not in problem for problem in whole.problems)
    print(
        f"{whole.invocations:,} invocations, {whole.steps:,} steps, "
        f"{whole.tokens:,} tokens, the longest trace {whole.longest:,} tokens: {differences} differences; "
        f"peak memory {whole.memory:.0f} MiB"
    )
    print(f"{planned - lost:,} of {planned:,} sessions have a result, {seconds:.0f} s, {whole.seconds:.0f} s of processor time")
    return 1 if whole.problems or lost else 0


def verify_session(item: Session) -> Total:
    """One session of a program: the item of a campaign. Sessions of a program one after another compile it once."""
    program_id, level, number = item
    began = time.process_time()
    program = next(p for p in load_programs() if p.id == program_id)
    try:
        total = _verify(program, level, program.sessions()[number])
    except w2x.CompileError as error:
        total = Total(refused=str(error.reasons[0]))
    total.seconds, total.memory = time.process_time() - began, peak_memory()
    return total


def verify_program(program: ProgramCase, level: int, sizes: Collection[str] = tuple(SIZES)) -> Total:
    """Runs its sessions, those with invocations of these sizes only."""
    total = Total()
    for session in program.sessions():
        if all(run.size in sizes for run in session):
            total.add(_verify(program, level, session))
    return total


def _verify(program: ProgramCase, level: int, session: Sequence[Invocation]) -> Total:
    total, source = Total(), program.module()
    verifier = w2x.Verifier(source, model=_model(source, level), stdin=session[0].stdin, argv=[program.id])
    for run in session:
        report = verifier.invoke(run.export, run.args)
        total.invocations += 1
        total.steps += report.steps
        total.tokens += report.tokens
        total.longest = max(total.longest, report.tokens)
        name = f"  {program.id} -O{level} {run.export}({', '.join(map(str, run.args))})"
        if not report.ok:
            total.problems.append(f"{name}: {report.divergence}")
        elif wrong := unexpected(run, report.run):
            total.problems.append(f"{name}: {wrong}")
    return total


@lru_cache(maxsize=1)
def _model(source: str | bytes, level: int) -> w2x.Model:
    return w2x.compile(source, level)


def unexpected(expected: Invocation, actual: w2x.Run) -> str:
    """What is not as programs.toml says, "" if all is. Output is compared where the toml has some."""
    if (actual.trap or "") != expected.trap:
        return f"trap {actual.trap!r}, expected {expected.trap!r}"
    if (actual.exit_code or 0) != expected.exit_code:
        return f"exit code {actual.exit_code}, expected {expected.exit_code}"
    if not expected.trap and tuple(actual.values) != expected.results:
        return f"results {actual.values}, expected {list(expected.results)}"
    if actual.stdout != expected.stdout:
        return f"stdout {actual.stdout!r}, expected {expected.stdout!r}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
