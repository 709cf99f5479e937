"""Every invocation of every program in programs/, each step compared with wasmtime: python -m tests.verify_all

    python -m tests.verify_all                  all of them, at -O0 and -O1
    python -m tests.verify_all sudoku -O 1      these programs, at this level
    python -m tests.verify_all --sample 12 --seed 7    twelve of them, chosen by this seed

Also compared are the results, the output, the trap and the exit code that programs.toml states. Exit code 1 when
anything differs. Programs that are refused are listed with the reason.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import wasm2xformer as w2x
from tests.programs import SIZES, Invocation, ProgramCase, load_programs
from wasm2xformer.runtime.bench.measure import peak_memory


@dataclass
class Total:
    """What was verified of one program at one level. longest: tokens of its longest invocation."""

    steps: int = 0
    tokens: int = 0
    longest: int = 0
    invocations: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.verify_all")
    parser.add_argument("ids", nargs="*", metavar="ID", help="programs of programs.toml; all if none is named")
    parser.add_argument("-O", dest="levels", type=int, choices=(0, 1), action="append", help="level; both if not given")
    parser.add_argument("--sample", type=int, metavar="N", help="only N of the programs, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (%(default)s)")
    options = parser.parse_args(arguments)
    programs = [p for p in load_programs() if not options.ids or p.id in options.ids]
    unknown = set(options.ids) - {p.id for p in programs}
    if unknown:
        parser.error(f"no program {', '.join(sorted(unknown))}")
    if options.sample is not None:
        chosen = random.Random(options.seed).sample(programs, min(options.sample, len(programs)))
        programs = [p for p in programs if p in chosen]

    print(f"{'program':<22}{'level':>5}{'calls':>7}{'steps':>14}{'tokens':>14}{'longest':>14}{'seconds':>9}")
    sums, differences, refused = [], 0, {}
    for program in programs:
        for level in options.levels or (0, 1):
            start = time.perf_counter()
            try:
                total, problems = verify_program(program, level)
            except w2x.CompileError as error:
                refused[program.id] = str(error.reasons[0])
                continue
            sums.append(total)
            differences += len(problems)
            seconds = time.perf_counter() - start
            print(
                f"{program.id:<22}{f'-O{level}':>5}{total.invocations:>7,}{total.steps:>14,}{total.tokens:>14,}"
                f"{total.longest:>14,}{seconds:>9.1f}",
                flush=True,
            )
            for problem in problems:
                print(problem, flush=True)
    for program_id, reason in refused.items():
        print(f"{program_id}: refused: {reason}")
    longest = max((t.longest for t in sums), default=0)
    print(
        f"{sum(t.invocations for t in sums):,} invocations, {sum(t.steps for t in sums):,} steps, "
        f"{sum(t.tokens for t in sums):,} tokens, the longest trace {longest:,} tokens: {differences} differences; "
        f"peak memory {peak_memory():.0f} MiB"
    )
    return 1 if differences else 0


def verify_program(program: ProgramCase, level: int, sizes: Collection[str] = tuple(SIZES)) -> tuple[Total, list[str]]:
    """Runs its sessions, those with invocations of these sizes only. Returns the sums, and what differs, as text."""
    total, problems = Total(), []
    source = program.module()
    model = w2x.compile(source, level)
    for session in program.sessions():
        if any(run.size not in sizes for run in session):
            continue
        verifier = w2x.Verifier(source, model=model, stdin=session[0].stdin, argv=[program.id])
        for run in session:
            report = verifier.invoke(run.export, run.args)
            total.invocations += 1
            total.steps += report.steps
            total.tokens += report.tokens
            total.longest = max(total.longest, report.tokens)
            name = f"  {program.id} -O{level} {run.export}({', '.join(map(str, run.args))})"
            if not report.ok:
                problems.append(f"{name}: {report.divergence}")
            elif wrong := unexpected(run, report.run):
                problems.append(f"{name}: {wrong}")
    return total, problems


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
