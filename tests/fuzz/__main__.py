"""`python -m tests.fuzz --count N --seed S`: random modules at -O0 and -O1, every step compared with wasmtime.

Exit status: 0 no difference, 1 a difference (the smallest module found is printed), 2 wrong use.
"""

from __future__ import annotations

import argparse
import sys
import time

from .campaign import KINDS, campaign
from .check import Difference


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="modules of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind (repeatable)")
    parser.add_argument("--opt-level", type=int, choices=(0, 1), action="append", help="only this level")
    options = parser.parse_args(arguments)
    for kind in options.kind or KINDS:
        began = time.monotonic()
        try:
            counts = campaign(kind, options.count, options.seed, tuple(options.opt_level or (0, 1)))
        except Difference as difference:
            print(f"{kind}, seed {options.seed}: {difference}")
            return 1
        print(f"{kind}, seed {options.seed}, {time.monotonic() - began:.0f} s: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
