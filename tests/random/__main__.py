"""python -m tests.random [--count N] [--seconds T] [--seed S] [--opt-level 0|1|both] [--ttf] [--together K] [--without-weights]

N modules of each kind, made from the seeds S, S+1, ...; every step of every invocation is compared with wasmtime. Without
weights (some ten times as many modules in the same time) the steps are interpreted and the results, memory and globals are
compared, besides what `verify` shows of steps and instructions without running either.
--distributed local:N or tcp://host:8786 does it on a Dask cluster.
Exit status: 0 nothing differs; 1 something does (the module is saved, and what repeats it is printed), or an item has no result;
2 wrong use.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.campaign import CampaignError, Failed, add_options, campaign

from .check import Tally
from .kinds import KINDS
from .ttf3 import PROGRAM

OWN = ("expressions", "structured", "loops", "exceptions")  # those that need no other program
TTF = (*OWN, "ttf")
COLUMNS = ("modules", "invocations", "traps", "tokens", "steps", "compared", "unfinished")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    kinds = options.kind or (TTF if options.ttf else OWN)
    levels = (0, 1) if options.opt_level == "both" else (int(options.opt_level),)
    seeds = range(options.seed, options.seed + options.count)
    totals = {(kind, level): Tally() for kind in kinds for level in levels}
    began = time.monotonic()
    groups = [seeds[k : k + options.together] for k in range(0, len(seeds), options.together)]
    jobs = [(kind, group, level, not options.without_weights) for group in groups for kind in kinds for level in levels]
    done, cut = 0, False
    quiet = not sys.stderr.isatty()
    results = campaign("tests.random.kinds:run_job", jobs, options.distributed, options.jobs)
    try:
        for (kind, group, level, _), tally in track(
            results, "modules", len(jobs), console=Console(stderr=True), disable=quiet
        ):
            if isinstance(tally, Failed):
                tally = Tally(diverged=[f"NO RESULT: {tally.why}"])
            done += 1
            totals[kind, level].add(tally)
            for text in tally.diverged:
                print(f"\n{kind}, seed {group[0]}, -O{level}: {text}\n{_save(kind, group, level, options)}", flush=True)
            if cut := time.monotonic() - began > options.seconds:
                break
    except CampaignError as error:
        print(f"error: {error}", flush=True)
        return 1
    print(_table(totals))
    print(f"\n{time.monotonic() - began:.0f} s, seeds {seeds[0]} to {seeds[-1]}")
    print(f"{done:,} of {len(jobs):,} items have a result{', then the time was over' * cut}")
    return 1 if any(t.diverged for t in totals.values()) or (done != len(jobs) and not cut) else 0


def _save(kind: str, group: Sequence[int], level: int, options: argparse.Namespace) -> str:
    repeat = f"python -m tests.random --kind {kind} --seed {group[0]} --count {len(group)} --opt-level {level}"
    if len(group) > 1:
        return f"repeat with: {repeat} --together {len(group)}"
    options.folder.mkdir(parents=True, exist_ok=True)
    source = KINDS[kind](group[0]).source
    path = options.folder / f"{kind}-{group[0]}.{'wat' if isinstance(source, str) else 'wasm'}"
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    repeat += " --without-weights" * options.without_weights
    return f"saved as {path}\nrepeat with: {repeat}"


def _table(totals: dict[tuple[str, int], Tally]) -> str:
    head = f"{'kind':<14}{'level':>6}" + "".join(f"{c:>12}" for c in (*COLUMNS, "diverged", "refused"))
    lines = ["", head, "-" * len(head)]
    for (kind, level), tally in totals.items():
        counts = [*(getattr(tally, c) for c in COLUMNS), len(tally.diverged), tally.refused.total()]
        lines.append(f"{kind:<14}{f'-O{level}':>6}" + "".join(f"{n:>12,}" for n in counts))
    for (kind, level), tally in totals.items():
        lines += [f"{kind} -O{level} refused {n:>6}  {reason}" for reason, n in tally.refused.most_common()]
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.random")
    parser.add_argument("--count", type=int, default=25, help="modules of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first module (%(default)s)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="so long at most, then what there is by then")
    parser.add_argument("--opt-level", choices=("0", "1", "both"), default="both")
    parser.add_argument("--ttf", action="store_true", help="also modules by binaryen's wasm-opt -ttf")
    parser.add_argument("--kind", action="append", choices=tuple(KINDS), help="only these kinds (repeatable)")
    parser.add_argument("--without-weights", action="store_true", help="interpret the steps instead")
    parser.add_argument("--together", type=int, default=1, metavar="N",
                        help="N cases are one module: a third of the time, for the same comparisons")  # fmt: skip
    add_options(parser, processes=2)
    parser.add_argument(
        "--folder", type=Path, default=Path("build/random"), help="for modules that diverge (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error("--count must be at least 1")
    if (options.ttf or "ttf" in (options.kind or ())) and not shutil.which("wasm-opt"):
        parser.error("wasm-opt is not there; it is part of binaryen")
    if "ttf3" in (options.kind or ()) and not PROGRAM.exists():
        parser.error("a newer wasm-opt is needed: make binaryen")
    if options.together < 1 or (options.together > 1 and options.without_weights):
        parser.error("--together is at least 1, and only with weights")
    return options


if __name__ == "__main__":
    sys.exit(main())
