"""Long traces of programs under real softmax, every decoded position: python -m tests.replay_all

    python -m tests.replay_all                          ten programs, 75,000 to 150,000 decoded tokens each
    python -m tests.replay_all sudoku --margins         this one, and how far its decisions were from a tie
    python -m tests.replay_all --attention hard         the same traces with hard attention
    python -m tests.replay_all --device cuda            on a GPU
    python -m tests.replay_all --distributed local:2    on a Dask cluster: two workers here, or tcp://host:8786

The tokens come from the fast engine. Of each program it is the first invocation with at least --least tokens, cut off behind
--most. Each program has a process of its own, whose peak memory is shown (on a cluster it is the worker's). A position attends
to all before it, so a trace is one item, and what can be divided are programs. Exit code 1 when a position is not confirmed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import wasm2xformer as w2x
from tests.campaign import CampaignError, Failed, add_options, campaign
from tests.programs import ProgramCase, load_programs
from wasm2xformer.runtime.bench.measure import peak_memory
from wasm2xformer.runtime.check.replay import ATTENTION, replay
from wasm2xformer.runtime.check.replay.margins import Margins

PROGRAMS = (
    "fibonacci_recursive", "sudoku", "simpson", "brainfuck", "forth", "life", "mandelbrot", "stack_vm", "nbody",
    "spectral_norm",
)  # fmt: skip


@dataclass
class Confirmed:
    """What the replay of one program's trace showed. processor: its seconds. problem: "" when all was confirmed."""

    tokens: int
    layers: int
    width: int
    seconds: float
    processor: float
    memory: float
    problem: str
    margin: str


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.replay_all")
    parser.add_argument("ids", nargs="*", metavar="ID", help="programs of programs.toml; ten if none is named")
    parser.add_argument("--least", type=int, default=75_000, help="decoded tokens of a trace, at least (%(default)s)")
    parser.add_argument("--most", type=int, default=150_000, help="and at most (%(default)s)")
    parser.add_argument("--attention", choices=ATTENTION, default="softmax")
    parser.add_argument("--device", default="cpu", help="as torch names it (%(default)s)")
    parser.add_argument("--margins", action="store_true", help="also measure the smallest margins")
    add_options(parser, processes=1)
    options = parser.parse_args(arguments)
    ids = options.ids or PROGRAMS
    programs = [p for p in load_programs() if p.id in ids]
    if unknown := set(ids) - {p.id for p in programs}:
        parser.error(f"no program {', '.join(sorted(unknown))}")
    print(f"{'program':<22}{'layers':>7}{'width':>7}{'tokens':>10}{'seconds':>9}{'cpu':>8}{'tokens/s':>10}{'MiB':>8}  ", end="")
    print("not confirmed")
    how = (options.least, options.most, options.attention, options.device, options.margins)
    items = [(program.id, *how) for program in programs]
    failed = done = 0
    try:
        task = "tests.replay_all:confirm_item"
        for item, shown in campaign(task, items, options.distributed, options.jobs, fresh=True):
            done += 1
            failed += isinstance(shown, Failed) or bool(shown.problem)
            print(f"{item[0]:<22}  NO RESULT: {shown.why}" if isinstance(shown, Failed) else _line(item[0], shown), flush=True)
    except CampaignError as error:
        print(f"error: {error}", flush=True)
        return 1
    print(f"{done - failed} of {len(items)} traces are confirmed")
    return 1 if failed or done != len(items) else 0


def _line(program_id: str, shown: Confirmed) -> str:
    return (
        f"{program_id:<22}{shown.layers:>7}{shown.width:>7}{shown.tokens:>10,}{shown.seconds:>9.1f}"
        f"{shown.processor:>8.1f}{shown.tokens / shown.seconds:>10,.0f}{shown.memory:>8,.0f}  {shown.problem or 'none'}"
        + f"\n{shown.margin}" * bool(shown.margin)
    )


def confirm_item(item: tuple[str, int, int, str, str, bool]) -> Confirmed:
    """The item of a campaign: id of the program, and the other parameters of `confirm`."""
    program_id, *how = item
    return confirm(next(p for p in load_programs() if p.id == program_id), *how)


def confirm(program: ProgramCase, least: int, most: int, attention: str, device: str, measure: bool) -> Confirmed:
    """Decodes, then replays."""
    model = w2x.compile(program.module(), 1)
    transformer = model.transformer
    sequence, start = trace(program, model, least, most)
    margins = Margins(transformer.certificate) if measure else None
    began, processor = time.perf_counter(), time.process_time()
    found = replay(transformer, sequence, start, attention=attention, device=device, margins=margins)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    problem = "" if found is None else f"position {found.position:,}"
    if len(sequence) - start - 1 < least:
        problem = problem or f"only {len(sequence) - start - 1:,} tokens"
    if margins is not None and not margins.kept:
        problem = problem or "a margin is less than the certificate promises"
    return Confirmed(
        len(sequence), len(transformer.layers), transformer.width, seconds, processor, peak_memory(), problem,
        _smallest(margins, transformer.vocabulary) if margins else "",
    )  # fmt: skip


def trace(program: ProgramCase, model: w2x.Model, least: int, most: int) -> tuple[np.ndarray, int]:
    """The tokens from the prefix to the end of the first invocation that decodes `least`, cut off behind `most` (the longest
    one, when none does), and the position of the last token of its prompt."""
    best, start = np.empty(0, np.int32), 0
    for session in program.sessions():
        vm, tokens = w2x.Instance(model, stdin=session[0].stdin), [model.transformer.prefix]
        if vm.started is not None:
            tokens += [vm.started.prompt, vm.started.tokens]
        for run in session:
            try:
                done = vm.invoke(run.export, *run.args, max_tokens=most)
                prompt, decoded = done.prompt, done.tokens
            except w2x.Trap as trap:
                prompt, decoded = trap.run.prompt, trap.run.tokens
            except w2x.Unfinished as error:
                prompt, decoded = error.tokens[0], np.concatenate(error.tokens[1:])
            if len(decoded) > len(best) - start - 1:
                best = np.concatenate([*tokens, prompt, decoded])
                start = len(best) - len(decoded) - 1
            if len(decoded) >= least:
                return best, start
            tokens += [prompt, decoded]
    return best, start


def _smallest(margins: Margins, vocabulary: Sequence[str]) -> str:
    """The head and the choice that were nearest to a tie."""
    head = min(margins.heads, key=lambda h: h.least / (h.promised or 1.0))
    told = f"  least margins: {head.least:,.10g} in {head.head.partition(' -> ')[0]}, certificate {head.promised or 0:,.0f}"
    if margins.logits is None:
        return told
    best, second = vocabulary[margins.logits.best], vocabulary[margins.logits.second]
    return f"{told}; {margins.logits.least:.10g} in the logits ({best} before {second}, position {margins.logits.position:,})"


if __name__ == "__main__":
    sys.exit(main())
