"""python -m tests.fuzz [--seconds N] [--door NAME] [--seed S] [--first K] [--count N] [--jobs N] [--input FILE]

Each door gets inputs made from the seed for so many seconds; every input runs in a process of its own, which may take so long
and so much memory. Exit status: 0 when all that came of them is documented; 1 when something else did: the input is saved, and
what repeats it is printed; 2 wrong use.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .doors import DOORS
from .watch import Outcome, Worker

KINDS = ("refused", "accepted", "failed", "crashed", "hung", "swollen")
BAD = KINDS[2:]
SHOWN = 5  # of one kind and message


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.input:
        return _again(options.door, options.input)
    print(f"seed {options.seed}\ndoor          inputs" + "".join(f"{kind:>10}" for kind in KINDS) + "   seconds", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:  # the inputs run in processes of their own
        try:
            bad = sum(pool.map(lambda door: _fuzz_and_tell(door, options), options.door or list(DOORS)))
        except KeyboardInterrupt:
            options.seconds = 0.0  # every door ends with the input that it is at
            raise
    return 1 if bad else 0


def _fuzz_and_tell(door: str, options: argparse.Namespace) -> int:
    """How many inputs showed something."""
    count, seconds = _fuzz(door, options)
    counts = "".join(f"{count[kind]:>10,}" for kind in KINDS)
    print(f"{door:<12}{count.total():>8,}{counts}{seconds:>10.0f}\n", end="", flush=True)
    return sum(count[kind] for kind in BAD)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Hostile input for each door.")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each door (default: 600)")
    parser.add_argument("--door", action="append", choices=list(DOORS), help="only this one; repeatable")
    parser.add_argument("--seed", type=int, help="default: a new one")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--count", type=int, help="so many inputs at most")
    parser.add_argument("--jobs", type=int, default=2, help="doors at a time (default: 2)")
    parser.add_argument("--input", type=Path, help="run this one input; needs --door")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="for inputs that show something")
    options = parser.parse_args(arguments)
    if options.input and len(options.door or ()) != 1:
        parser.error("--input needs one --door")
    if options.seed is None:
        options.seed = secrets.randbelow(10**9)
    return options


def _fuzz(door: str, options: argparse.Namespace) -> tuple[Counter[str], float]:
    """How many inputs there were of each kind, and the seconds it took."""
    maker, worker = DOORS[door](), Worker(door)
    count: Counter[str] = Counter()
    told: Counter[str] = Counter()
    began = time.monotonic()
    number = options.first
    try:
        while time.monotonic() - began < options.seconds and number - options.first != options.count:
            data = maker.make(random.Random(f"{options.seed} {door} {number}"))
            outcome = worker.run(data)
            count[outcome.kind] += 1
            if outcome.kind in BAD:
                key = f"{outcome.kind} {outcome.message.partition(chr(10))[0][:160]}"
                told[key] += 1
                if told[key] <= SHOWN:
                    _tell(door, number, data, outcome, options)
            number += 1
    finally:
        worker.stop()
    for key, times in told.items():
        if times > SHOWN:
            print(f"{door}: {times} times {key}", flush=True)
    return count, time.monotonic() - began


def _tell(door: str, number: int, data: bytes, outcome: Outcome, options: argparse.Namespace) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"{door}-{options.seed}-{number}"
    path.write_bytes(data)
    print(
        f"\n{door}: {outcome.kind}: {outcome.message}\nsaved as {path}\n"
        f"repeat with: python -m tests.fuzz --door {door} --input {shlex.quote(str(path))}\n",
        flush=True,
    )


def _again(doors: list[str], path: Path) -> int:
    worker = Worker(doors[0])
    outcome = worker.run(path.read_bytes())
    worker.stop()
    print(f"{outcome.kind}: {outcome.message}")
    return 1 if outcome.kind in BAD else 0


if __name__ == "__main__":
    sys.exit(main())
