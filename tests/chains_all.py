"""Chains made for a sequence decode the same tokens as the code without them. `python -m tests.chains_all [ID ...]`: the longest
session of every program; `--random N [--kind K] [--seed S]`: N random modules of each kind, at both levels, with chains for the
first of two passes over some of their calls.

For each: how many tokens it decodes, the part that chains decode, and how long making them takes. Exit status: 1 when a token
differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.runtime import instance as runtime_instance
from wasm2xformer.runtime.errors import Trap
from wasm2xformer.runtime.fast import chain_plan, chained, engine, samples
from wasm2xformer.runtime.fast.chained import Wanted
from wasm2xformer.runtime.fast.image import ChainCode
from wasm2xformer.runtime.fast.samples import Sample

from .chain_engines import chains_for, instance
from .programs import SIZES, load_programs
from .random.kinds import KINDS

LONGEST, LONGEST_RANDOM = 3_000_000, 50_000
CALLS, MOST = 8, 150  # of a random module, each twice; and situations that code is made for
BLOCK, ENGINE_CHUNKS = 20, (engine.FIRST_CHUNK, engine.LAST_CHUNK)  # tokens decoded at a time
OWN = ("expressions", "structured", "exceptions")  # kinds that need no other program

# A call of an instance: its name, its arguments.
Session = Sequence[tuple[str, Sequence]]


def decoded(model: Model, session: Session, longest: int, code: ChainCode | None = None, quick: bool = False, **world):
    """The tokens of a session, how many of them `special` has decoded, chains for its first half and the seconds they took."""
    small = longest == LONGEST_RANDOM and code is None  # so that most of it is a sample
    engine.FIRST_CHUNK, engine.LAST_CHUNK = (BLOCK, BLOCK) if small else ENGINE_CHUNKS
    vm, counted = instance(model, code, **world)
    found: list[np.ndarray] = []
    half: list[Sample] = []
    for k, (export, args) in enumerate(session):
        if code is None and k == (len(session) + 1) // 2:
            half = vm._engine._chains.samples.copied()
        try:
            found.append(vm.invoke(export, *args, max_tokens=longest).tokens)
        except Trap as trap:
            found.append(trap.run.tokens)
        except w2x.Unfinished:
            break
    often = (MOST, 1, True) if longest == LONGEST_RANDOM else (chained.ALL, chained.OFTEN, quick)
    wanted = Wanted(*often, part=0.0)  # also where they do not pay
    make = partial(chains_for, vm, samples=half or None, wanted=wanted)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int32), counted.tokens, make


def check(name: str, model: Model, session: Session, longest: int, **world) -> bool:
    """Whether it holds; prints what there is to tell."""
    expected, _, make = decoded(model, session, longest, **world)
    began = time.process_time()
    code = make()
    seconds = time.process_time() - began
    if code is None:
        print(f"{name}: {len(expected):,} tokens, no chains", flush=True)
        return True
    got, special, _ = decoded(model, session, longest, code, **world)
    same = np.array_equal(expected, got)
    part = 1 - special / max(1, len(got))
    print(
        f"{name}: {len(got):,} tokens, {part:.1%} by chains, {seconds:.1f} s{'' if same else ', DIFFERENT'}", flush=True
    )
    return same


def programs(ids: Sequence[str], quick: bool) -> int:
    """How many differ."""
    wrong = 0
    for program in load_programs():
        if ids and program.id not in ids:
            continue
        longest = max(program.sessions(), key=lambda session: sum(10 ** list(SIZES).index(run.size) for run in session))
        world = {"stdin": longest[0].stdin, "args": ["program"], "random": bytes(256), "clock": 0}
        session = [(run.export, run.args) for run in longest]
        wrong += not check(program.id, w2x.compile(program.module()), session, LONGEST, quick=quick, **world)
    return wrong


def random_modules(kinds: Sequence[str], seeds: range) -> int:
    """How many differ. Code is made for all of it, and begins anywhere."""
    runtime_instance.FIRST_CHUNK, samples.BLOCKS, chain_plan.STRIDE, wrong = 4096, 4000, 1, 0
    for seed in seeds:
        for kind in kinds:
            case = KINDS[kind](seed)
            for level in (0, 1):
                name = f"{kind} {seed} -O{level}"
                try:
                    model = w2x.compile(
                        case.source, opt_level=level, exports=case.exports, libraries=dict(case.libraries)
                    )
                    session = 2 * [(call.export, call.args) for call in case.calls[:CALLS]]
                    wrong += not check(name, model, session, LONGEST_RANDOM)
                except (w2x.CompileError, Trap, w2x.Unfinished) as error:  # also of a start function
                    print(f"{name}: {str(error).splitlines()[0]}", flush=True)
    return wrong


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chains_all", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help="programs (all of them)")
    parser.add_argument("--random", type=int, metavar="N", help="N random modules of each kind instead")
    parser.add_argument("--quick", action="store_true", help="chains as they are made first")
    parser.add_argument("--kind", action="append", choices=tuple(KINDS), help=f"only these ({', '.join(OWN)})")
    parser.add_argument("--seed", type=int, default=0, help="of the first random module (%(default)s)")
    options = parser.parse_args(arguments)
    os.environ["WASM2XFORMER_CHAINS"], os.environ["WASM2XFORMER_CODE"] = "1", "whole"  # short sessions have samples, too
    chained.LEAST, chained.EARLY, chained.TRIAL = 0, 0, chained.ALL
    if options.random is None:
        return int(bool(programs(options.ids, options.quick)))
    return int(bool(random_modules(options.kind or OWN, range(options.seed, options.seed + options.random))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
