"""python -m tests.circuits [soften] [discovery] [training]: all of them when none is named."""

from __future__ import annotations

import sys

import torch

from tests.circuits import discovery, softening, training

PARTS = {"soften": softening.main, "discovery": discovery.main, "training": training.main}


def main(names: list[str]) -> int:
    torch.set_num_threads(1)
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
        return 2
    for name in names or PARTS:
        PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
