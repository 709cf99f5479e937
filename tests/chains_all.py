"""Every program with chains made for it: the same tokens as without them. `python -m tests.chains_all [ID ...]`.

For each program and its longest session: how many tokens it decodes, the part that is decoded by chains, and how long making
them takes.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np

import wasm2xformer as w2x
from wasm2xformer.compiler.format.checkpoint import Model
from wasm2xformer.runtime.errors import Trap
from wasm2xformer.runtime.fast.image import ChainCode

from .chain_engines import chains_for, instance
from .programs import SIZES, Invocation, load_programs

LONGEST = 3_000_000


def decoded(model: Model, session: list[Invocation], code: ChainCode | None = None):
    """The tokens of a session, how many of them `special` has decoded, and the instance."""
    first = session[0]
    vm, counted = instance(model, code, stdin=first.stdin, args=["program"], random=bytes(256), clock=0)
    found = []
    for run in session:
        try:
            found.append(vm.invoke(run.export, *run.args, max_tokens=LONGEST).tokens)
        except Trap as trap:
            found.append(trap.run.tokens)
        except w2x.Unfinished:
            break
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int32), counted.tokens, vm


def check(id: str, model: Model, session: list[Invocation]) -> bool:
    expected, _, vm = decoded(model, session)
    began = time.process_time()
    code = chains_for(vm)
    seconds = time.process_time() - began
    if code is None:
        print(f"{id}: {len(expected):,} tokens, no chains", flush=True)
        return True
    got, special, _ = decoded(model, session, code)
    same = np.array_equal(expected, got)
    part = 1 - special / max(1, len(got))
    print(
        f"{id}: {len(got):,} tokens, {part:.1%} by chains, {seconds:.1f} s{'' if same else ', DIFFERENT'}", flush=True
    )
    return same


def main(ids: list[str]) -> int:
    os.environ["WASM2XFORMER_CHAINS"] = "1"
    wrong = 0
    for program in load_programs():
        if ids and program.id not in ids:
            continue
        model = w2x.compile(program.module())
        longest = max(program.sessions(), key=lambda session: sum(10 ** list(SIZES).index(run.size) for run in session))
        wrong += not check(program.id, model, longest)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
