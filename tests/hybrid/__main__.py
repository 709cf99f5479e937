"""The tables of docs/hybrid.md: python -m tests.hybrid [PART ...]. Trains two small models first where build/hybrid has
none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch

from wasm2xformer.runtime import hybrid

from . import measure, small_models


def main() -> int:
    torch.set_num_threads(1)
    experts = hybrid.built_in()
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "rewriting": measure.rewriting,
        "loops": lambda: measure.loops(experts),
        "router": lambda: measure.router(*_llama()),
        "bypass": lambda: measure.bypass(*_llama(), experts),
        "native": lambda: measure.native(*_olmoe(), experts),
        "tools": lambda: measure.tools(*_olmoe(), experts),
        "in_context": lambda: measure.in_context(*_llama()),
    }
    chosen = sys.argv[1:] or list(parts)
    if unknown := set(chosen) - set(parts):
        print(f"no part {sorted(unknown)[0]!r}; there are: {', '.join(parts)}")
        return 2
    needed = {small_models.LLAMA: {"router", "bypass", "in_context"}, small_models.OLMOE: {"native", "tools"}}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # each trains on one core
        list(
            pool.map(
                partial(small_models.folder_of, report=print),
                [recipe for recipe, of in needed.items() if of & set(chosen)],
            )
        )
    for name in chosen:
        began = time.process_time()
        for line in parts[name]():
            print(f"{name}: {line}", flush=True)
        print(f"{name}: {time.process_time() - began:.0f} s of processor time", flush=True)
    return 0


def _llama():
    return small_models.trained(small_models.LLAMA, print)


def _olmoe():
    return small_models.trained(small_models.OLMOE, print)


if __name__ == "__main__":
    sys.exit(main())
