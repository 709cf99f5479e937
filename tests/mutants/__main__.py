"""Mutants of step programs: changed before the weights are made, `verify` has to tell each one: python -m tests.mutants

    python -m tests.mutants                      every program of programs/, at -O0 and -O1
    python -m tests.mutants gcd inflate -O 1     these programs, at this level
    python -m tests.mutants --full 3             of each program build so many mutants' weights and run them
    python -m tests.mutants --distributed local:2    on a Dask cluster: two workers here, or tcp://host:8786

A mutant is *told* when `verify` reports a difference before or after it runs, or when no weights can be made from it. Steps
of functions that the invocations of programs.toml do not execute are left alone and counted. A mutant that is not told must
be shown to be the same program by one of the reasons in equivalence.py; whatever is left over is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.campaign import CampaignError, Failed, add_options, campaign
from tests.programs import load_programs

from .examine import Tally, examine

Item = tuple[str, int, int, int, int]  # program, level, and the options steps, full and seed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("ids", nargs="*", metavar="ID", help="programs of programs.toml; all if none is named")
    parser.add_argument("-O", dest="levels", type=int, choices=(0, 1), action="append", help="level; both if not given")
    parser.add_argument("--steps", type=int, default=25, help="steps of each program, chosen at random")
    parser.add_argument("--full", type=int, default=2, help="mutants of each program whose weights are made and run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="so long at most, then what there is by then")
    add_options(parser, processes=1)
    options = parser.parse_args(arguments)
    total, began, done, cut = Tally(), time.monotonic(), 0, False
    cases = [case for case in load_programs() if not options.ids or case.id in options.ids]
    how = (options.steps, options.full, options.seed)
    items: list[Item] = [(case.id, level, *how) for case in cases for level in options.levels or (0, 1)]
    try:
        for item, tally in campaign("tests.mutants.__main__:examined", items, options.distributed, options.jobs):
            name = f"{item[0]:<22} -O{item[1]}"
            if isinstance(tally, Failed):
                tally = Tally(left=[f"NO RESULT: {tally.why}"])
            done += 1
            total.add(tally)
            print(f"{name} {_line(tally)}", flush=True)
            for text in tally.left:
                print(f"  LEFT OVER {text}", flush=True)
            if cut := time.monotonic() - began > options.seconds:
                break
    except CampaignError as error:
        print(f"error: {error}", flush=True)
        return 1
    print(f"seed {options.seed}: {_line(total)}; {total.not_executed:,} steps of functions that do not run")
    print("by kind: " + ", ".join(f"{kind} {count}" for kind, count in total.made.most_common()))
    print("equivalent: " + (", ".join(f"{count} {kind}" for kind, count in total.equivalent.items()) or "none"))
    print(f"{done:,} of {len(items):,} items have a result{', then the time was over' * cut}")
    return 1 if total.left or (done != len(items) and not cut) else 0


def examined(item: Item) -> Tally:
    """The item of a campaign: its steps are chosen by the seed, the program and the level."""
    program_id, level, steps, full, seed = item
    case = next(case for case in load_programs() if case.id == program_id)
    return examine(case, level, steps, full, random.Random(f"{seed} {program_id} {level}"))


def _line(tally: Tally) -> str:
    told = ", ".join(f"{count:,} {how}" for how, count in tally.told.items()) or "none"
    return (
        f"{tally.made.total():,} mutants: told {tally.told.total():,} ({told}), "
        f"equivalent {tally.equivalent.total():,}, left over {len(tally.left)}"
    )


if __name__ == "__main__":
    sys.exit(main())
