"""Mutants of step programs: changed before the weights are made, `verify` has to tell each one: python -m tests.mutants

    python -m tests.mutants                      every program of programs/, at -O0 and -O1
    python -m tests.mutants gcd inflate -O 1     these programs, at this level
    python -m tests.mutants --full 3             of each program build so many mutants' weights and run them

A mutant is *told* when `verify` reports a difference before or after it runs, or when no weights can be made from it. Steps
of functions that the invocations of programs.toml do not execute are left alone and counted. A mutant that is not told must
be shown to be the same program by one of the reasons in equivalence.py; whatever is left over is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.programs import load_programs

from .examine import Tally, examine


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
