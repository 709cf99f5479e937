"""Compiled programs as mixtures of experts: what `generate` decodes, which expert the routers choose, and what is true of both.

    python -m tests.mixtures            20 programs: tokens and choices compared at every token, parameters read for one; and how
                                        fast the torch engines decode, with the experts that are chosen alone and with all
    python -m tests.mixtures gcd        one of them

Exit code 1 when a token or a choice differs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
import torch

import wasm2xformer as w2x
from tests.hf import run_of
from tests.programs import ProgramCase, load_programs
from wasm2xformer.compiler.format.mixture import Mixture
from wasm2xformer.compiler.format.tokens import TokenTable
from wasm2xformer.compiler.format.transformer import Transformer
from wasm2xformer.compiler.stock_form import stock_form
from wasm2xformer.runtime.engine import Engine
from wasm2xformer.runtime.mixture_engine import MixtureEngine
from wasm2xformer.runtime.torch_engine import TorchEngine
from wasm2xformer.runtime.trace import decode, table_of

PROGRAMS = {
    "sum": 0, "product": 0, "factorial": 0, "fibonacci": 0, "fibonacci_recursive": 0, "power": 0, "gcd": 0, "sieve": 0,
    "xorshift": 0, "fnv1a": 0, "nqueens": 0, "string_reverse": 0, "hanoi": 0, "rule110": 0, "edit_distance": 2, "xxhash64": 0,
    "siphash": 0, "brainfuck": 6, "dispatch_vm": 6, "bulk": 0,
}  # fmt: skip
# Of each run so many tokens are compared at most.
TOKENS = 300
# So many tokens are decoded at a time where engines take turns.
PART = 25


def routed(model, ids: np.ndarray) -> np.ndarray:
    """The expert that each layer with experts chooses at each position: int [layers, positions]."""
    found: list[np.ndarray] = []
    gates = [layer.mlp.gate for layer in model.model.layers if hasattr(layer.mlp, "experts")]
    hooks = [gate.register_forward_hook(lambda _m, _i, out: found.append(out[2][:, 0].numpy().copy())) for gate in gates]
    with torch.no_grad():
        model(torch.as_tensor(ids.astype(np.int64))[None], logits_to_keep=1)
    for hook in hooks:
        hook.remove()
    return np.stack(found) if found else np.zeros((0, len(ids)), dtype=np.int64)


def operations_of(model: w2x.Model, run: w2x.Run) -> np.ndarray:
    """Of each token of an invocation, prompt included, the step that emits or takes it; -1 before the entry."""
    trace = decode(np.concatenate([run.prompt, run.tokens]), table_of(model), model.program)
    steps = np.full(len(run.prompt) + len(run.tokens), -1)
    for step, end, length in zip(trace.step, trace.end, trace.length, strict=True):
        steps[end - length + 1 : end + 1] = step
    return steps


def generated(model, prefix: np.ndarray, run: w2x.Run, count: int = TOKENS) -> np.ndarray:
    ids = torch.as_tensor(np.concatenate([prefix, run.prompt]).astype(np.int64))[None]
    found = model.generate(ids, attention_mask=torch.ones_like(ids), max_length=ids.shape[1] + min(count, len(run.tokens)))
    return found[0, ids.shape[1] :].numpy()


def compare(program: ProgramCase, number: int) -> tuple[str, str, bool]:
    """A line for people, one on speed, and whether all is as it should be."""
    compiled = w2x.compile(program.module())
    run = run_of(program, compiled, number)
    dense, stock = stock_form(compiled), w2x.to_hf(compiled, moe=True)
    m = stock.mixture
    llama = w2x.to_hf(compiled)
    seconds = []
    for one in (llama, stock):
        start = time.process_time()
        tokens = generated(one, m.shared.prefix, run)
        seconds.append(time.process_time() - start)
    same = np.array_equal(tokens, run.tokens[:TOKENS])
    before = len(m.shared.prefix) + len(run.prompt) - 1
    ids = np.concatenate([m.shared.prefix, run.prompt, run.tokens[:TOKENS]])[:-1]
    truth = m.steps[operations_of(compiled, run)[len(run.prompt) :][:TOKENS]]
    choices = routed(stock, ids)[:, before:]
    right = (choices == truth).all(0)
    read = sum(3 * y.gate.size for y in dense.layers)  # all of the MLPs
    active, stored = m.active()
    used = sum(name != "no neuron" for y in dense.layers for name in y.neuron_names)
    mine = sum(name != "no neuron" for y in m.shared.layers for name in y.neuron_names)
    mine += np.mean([sum(len(y.neuron_names[e]) for y in m.layers if y) for e in truth])
    line = (
        f"{program.id:<20}{len(m.experts):>8}{len(choices):>7}{len(tokens):>8}{'yes' if same else 'NO':>6}"
        f"{right.sum():>6} of {len(right):<6}{read:>10,}{active:>10,}{stored:>12,}{active / read:>7.2f}{used:>7}{mine:>8.0f}"
        f"{len(tokens) / seconds[0]:>8.1f}{len(tokens) / seconds[1]:>8.1f}"
    )
    fast_line, equal = speeds(program.id, compiled, dense, m, run)
    return line, fast_line, bool(same and right.all() and equal)


def speeds(name: str, compiled: w2x.Model, dense: Transformer, m: Mixture, run: w2x.Run) -> tuple[str, bool]:
    """Three engines take turns, PART tokens at a time: the dense form, the mixture with all experts computed, and with the
    chosen ones alone."""
    engines: list[Engine] = [TorchEngine(dense), MixtureEngine(m, sparse=False), MixtureEngine(m)]
    stops, wanted = TokenTable.build(dense.vocabulary, compiled.jumps, compiled.entries).stops, run.tokens[:TOKENS]
    found: list[list[np.ndarray]] = [[] for _ in engines]
    seconds = np.zeros(len(engines))
    for engine in engines:
        engine.append(run.prompt)
    for done in range(0, len(wanted), PART):
        for k in range(len(engines)):
            start = time.process_time()
            found[k].append(engines[k].decode(stops, min(PART, len(wanted) - done)))
            seconds[k] += time.process_time() - start
    same = all(np.array_equal(np.concatenate(parts), wanted) for parts in found)
    every, one = (sum(3 * y.gate[which].size for y in m.layers if y) for which in (slice(None), slice(1)))
    shared = m.active()[0] - one
    read = [sum(3 * y.gate.size for y in dense.layers), shared + every, shared + one]
    rates = "".join(f"{len(wanted) / s:>9.0f}" for s in seconds)
    return (
        f"{name:<20}{len(wanted):>7}{'yes' if same else 'NO':>6}{read[0]:>12,}{read[1]:>12,}{read[2]:>12,}{rates}"
        f"{seconds[1] / seconds[2]:>9.2f}{seconds[0] / seconds[2]:>9.2f}"
    ), same


def main(ids: Sequence[str]) -> int:
    torch.set_num_threads(1)
    programs = {program.id: program for program in load_programs()}
    wrong = 0
    print(
        f"{'':<60}parameters of MLPs                     neurons       tokens/s\n{'program':<20} experts layers  tokens  same"
        "  router right     dense    active      stored  ratio  dense mixture   dense mixture"
    )
    lines = []
    for id_ in ids or PROGRAMS:
        line, speed, fine = compare(programs[id_], PROGRAMS.get(id_, 0))
        print(line, flush=True)
        lines.append(speed)
        wrong += not fine
    print(
        f"\nthe torch engines\n{'':<35}parameters of MLPs computed        tokens/s                   "
        "chosen alone, times as fast as\n"
        f"{'program':<20} tokens  same       dense all experts      chosen    dense      all   chosen      all    dense"
    )
    print("\n".join(lines), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
