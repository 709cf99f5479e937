"""Programs as folders, decoded by the stock class in a process that cannot import this project: python -m tests.hf

    python -m tests.hf                  short invocations of the programs below: all tokens equal to the fast engine's
    python -m tests.hf gcd --engine eager       one of them, with attention whose softmax is in float32

Exit code 1 when a token differs, or a program has no folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import wasm2xformer as w2x
from tests.programs import ProgramCase, load_programs
from wasm2xformer.compiler.stock import in_stock_form

# Each with one of its invocations in programs.toml, as short as they come but for trivial ones.
CASES = {
    "sum": 0, "product": 0, "factorial": 0, "fibonacci": 0, "fibonacci_recursive": 0, "power": 0, "gcd": 0, "sieve": 0,
    "xorshift": 0, "fnv1a": 0, "nqueens": 0, "string_reverse": 0, "hanoi": 0, "rule110": 0, "edit_distance": 2, "xxhash64": 0,
    "siphash": 0, "miller_rabin": 0, "json": 8, "lz4": 3, "brainfuck": 6, "dispatch_vm": 6, "registry": 0, "bulk": 0,
    "matrix_f32": 0, "statistics": 1, "hello_no_float": 0, "hello": 0,  # floats; C with a C library; both
}  # fmt: skip

# What runs in a process of its own. `generate` is given the prompt's names and stops by itself.
STRANGER = """
import sys
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "wasm2xformer":
            raise ImportError("this project is not to be used here")
sys.meta_path.insert(0, Barred())
try:
    import wasm2xformer
except ImportError:
    pass
else:
    sys.exit("this project can be imported")
import json, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
for line in sys.stdin:
    folder, prompts, attention, count, device, more = json.loads(line)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation=attention).to(device)
    inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(device)
    start = time.perf_counter()
    tokens = model.generate(**inputs, **({"max_new_tokens": count} if count else {}), **more)
    found = {
        "class": type(model).__name__, "dtype": str(model.dtype), "asked": inputs.input_ids.tolist(),
        "tokens": tokens.tolist(), "texts": tokenizer.batch_decode(tokens), "seconds": time.perf_counter() - start,
    }
    print(json.dumps(found), flush=True)
"""


class Stranger:
    """A process that has transformers and not this project. `with` it."""

    def __enter__(self) -> Stranger:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, "-I", "-c", STRANGER]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        return self

    def generate(
        self, folder: Path, prompts: Sequence[str], attention: str = "sdpa", count: int = 0, device: str = "cpu", **more: Any
    ) -> dict[str, Any]:
        """Whole sequences for these prompts, as one batch. count: of new tokens at most; 0: up to a halt or trap. device: as
        torch names it. more: of `generate` itself."""
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._process.stdin.write(json.dumps([str(folder), list(prompts), attention, count, device, more]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read()
        return json.loads(line)

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def run_of(program: ProgramCase, model: w2x.Model, number: int) -> w2x.Run:
    """What the fast engine makes of one of the program's invocations."""
    run = program.runs[number]
    try:
        vm = w2x.Instance(model, stdin=run.stdin, random=bytes(256), clock=0.0)
        return vm.invoke(run.export, *run.args)
    except w2x.Trap as trap:
        return trap.run


def compare(
    stranger: Stranger, program: ProgramCase, number: int, attention: str, level: int = 1, device: str = "cpu",
    bounded: bool = False, **more: Any
) -> dict[str, Any]:  # fmt: skip
    """bounded: whether `generate` is told how many tokens to make at most. more: of `generate`.
    tokens: how many were decoded; wrong: the position of the first that differs, or None; more for people."""
    model = w2x.compile(program.module(), level)
    run, stock = run_of(program, model, number), in_stock_form(model)
    names = stock.transformer.vocabulary
    with tempfile.TemporaryDirectory() as name:
        w2x.save_folder(stock, Path(name, "model"))
        prompts = [" ".join(names[t] for t in run.prompt)]
        count = len(run.tokens) if bounded else 0
        found = stranger.generate(Path(name, "model"), prompts, attention, count, device, **more)
    expected = np.concatenate([stock.transformer.prefix, run.prompt, run.tokens]).tolist()
    (tokens,) = found["tokens"]
    wrong = next((k for k, (a, b) in enumerate(zip(tokens, expected, strict=False)) if a != b), None)
    if wrong is None and len(tokens) != len(expected):
        wrong = min(len(tokens), len(expected))
    return {"transformer": stock.transformer, "tokens": len(run.tokens), "wrong": wrong, "seconds": found["seconds"]}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hf")
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa", help="(%(default)s)")
    parser.add_argument("--device", default="cpu", help="as torch names it (%(default)s)")
    parser.add_argument("-O", dest="level", type=int, choices=(0, 1), default=1, help="(%(default)s)")
    options = parser.parse_args(arguments)
    programs = {program.id: program for program in load_programs()}
    wrong = 0
    columns = "{:<20}{:>7}{:>6}{:>8}{:>6}{:>10}{:>8}{:>8}{:>10}  {}"
    print(
        columns.format(
            "program", "layers", "heads", "neurons", "width", "certif.", "prefix", "tokens", "tokens/s", "difference"
        )
    )
    with Stranger() as stranger:
        for id_ in options.ids or CASES:
            try:
                found = compare(stranger, programs[id_], CASES.get(id_, 0), options.attention, options.level, options.device)
            except (w2x.CompileError, ValueError, NotImplementedError) as error:
                wrong += 1
                print(f"{id_:<20}no folder: {error}", flush=True)
                continue
            t, layer = found["transformer"], found["transformer"].layers[0]
            wrong += found["wrong"] is not None
            told = "none" if found["wrong"] is None else f"token {found['wrong']:,}"
            shape = (
                len(t.layers),
                len(layer.q) // t.head_dim,
                len(layer.gate),
                t.width,
                f"2^{np.log2(t.envelope + 1):.1f}",
            )
            speed = f"{found['tokens'] / found['seconds']:.1f}"
            print(columns.format(id_, *shape, len(t.prefix), found["tokens"], speed, told), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    start = time.perf_counter()
    code = main()
    print(f"{time.perf_counter() - start:.0f} s")
    sys.exit(code)
