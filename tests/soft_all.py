"""Every program's first tokens, and some whole traces, under real softmax: python -m tests.soft_all

    python -m tests.soft_all                    the prefix, the prompt and 300 decoded tokens of every program, at -O1
    python -m tests.soft_all sha256 --tokens 20000      so many of this one
    python -m tests.soft_all --stock            the same for the stock form, which the fast engine decodes too

The tokens come from the fast engine; the dense matrices then read them in blocks, with torch's softmax in float64, and must
choose each decoded one. Exit code 1 when a token differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch

import wasm2xformer as w2x
from tests.programs import ProgramCase, load_programs
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.stock_form import stock_form
from wasm2xformer.runtime.fast import FastEngine
from wasm2xformer.runtime.torch_engine import TorchEngine


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soft_all")
    parser.add_argument("ids", nargs="*", metavar="ID", help="programs of programs.toml; all if none is named")
    parser.add_argument("--tokens", type=int, default=300, help="decoded tokens of each (%(default)s)")
    parser.add_argument("-O", dest="level", type=int, choices=(0, 1), default=1, help="level (%(default)s)")
    parser.add_argument("--stock", action="store_true", help="check the stock form")
    options = parser.parse_args(arguments)
    programs = [p for p in load_programs() if not options.ids or p.id in options.ids]
    print(f"{'program':<22}{'certificate':>13}{'prompt':>9}{'decoded':>9}{'seconds':>9}  first difference")
    wrong = 0
    for program in programs:
        start = time.perf_counter()
        compiled = w2x.compile(program.module(), options.level)
        model = compiled.transformer
        tokens, prompt = trace(program, compiled, options.tokens)
        found = None
        if options.stock:
            model = stock_form(compiled)
            found = decoded_otherwise(model, tokens, prompt)
        found = difference(model, tokens, prompt) if found is None else found
        wrong += found is not None
        seconds = time.perf_counter() - start
        told = "none" if found is None else f"token {found:,}"
        decoded = len(tokens) - prompt
        print(f"{program.id:<22}{model.envelope:>13,}{prompt:>9,}{decoded:>9,}{seconds:>9.1f}  {told}", flush=True)
    return 1 if wrong else 0


def trace(program: ProgramCase, model: w2x.Model, limit: int) -> tuple[np.ndarray, int]:
    """The tokens of the first invocation's beginning, the prefix included, and how many of them the model did not choose."""
    run = program.runs[0]
    vm = w2x.Instance(model, stdin=run.stdin)
    engine, read, prompts = vm._engine, vm._engine.append, [0]

    def append(tokens: np.ndarray) -> None:
        read(tokens)
        prompts.append(engine.position)

    engine.append = append  # type: ignore[method-assign]
    with suppress(w2x.Unfinished, w2x.Trap):
        vm.invoke(run.export, *run.args, max_tokens=limit)
    return np.concatenate([model.transformer.prefix, *engine._history]), prompts[-1]  # type: ignore[attr-defined]


def decoded_otherwise(model: Transformer, tokens: np.ndarray, prompt: int) -> int | None:
    """Position of the first token behind the prompt that the fast engine decodes otherwise from this model."""
    fast = FastEngine(model)
    fast.append(tokens[len(model.prefix) : prompt])
    found = fast.decode(np.zeros(len(model.vocabulary), dtype=bool), len(tokens) - prompt)
    differs = np.flatnonzero(found != tokens[prompt:])
    return prompt + int(differs[0]) if len(differs) else None


def difference(model: Transformer, tokens: np.ndarray, prompt: int) -> int | None:
    """Position of the first token behind the prompt that the dense matrices do not choose."""
    dense = TorchEngine(model, read_prefix=False)
    for start in range(0, len(tokens) - 1, 256):
        part = tokens[start : min(start + 256, len(tokens) - 1)]
        chosen = torch.argmax(dense.forward(part), dim=1).numpy()
        at = np.arange(start + 1, start + len(part) + 1)
        differs = at[(chosen != tokens[at]) & (at >= prompt)]
        if len(differs):
            return int(differs[0])
    return None


if __name__ == "__main__":
    sys.exit(main())
