"""One measurement, in a process of its own: its name and a pickled `Request` on stdin, a JSON answer on stdout.

Times are wall-clock seconds, where nothing else is said. Memory is the most that the process had resident, in MiB, the
interpreter included.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...compiler.format.checkpoint import Model
    from ..instance import Instance
    from .request import Request

# Tokens that are decoded before the code is made that long sequences come to.
WARM_TOKENS = 1 << 25
# What the scaling is measured on: random numbers stored to and loaded from 16 KiB of memory, in a loop.
SCALING = """
(module (memory 1)
  (func (export "mix") (param $n i32) (result i32) (local $x i32) (local $at i32) (local $sum i32)
    (local.set $x (i32.const 2463534242))
    (loop $again
      (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
      (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
      (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
      (local.set $at (i32.and (local.get $x) (i32.const 16380)))
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
      (i32.store (local.get $at) (local.get $x))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))
"""


def peak_memory() -> float:
    """MiB. On Linux from /proc: getrusage would count the parent's memory, which a child shares until it starts."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def compile_program(request: Request) -> dict[str, Any]:
    """Compiles `repeat` times -> seconds of each, steps, size. The checkpoint goes to `model`."""
    from ...compiler.compile import compile_with
    from ...compiler.wasm.source import load_file

    source = load_file(request.program)
    seconds = []
    for _ in range(request.repeat):
        start = time.perf_counter()
        model = compile_with(source, request.options)
        seconds.append(time.perf_counter() - start)
    model.save(request.model)
    t = model.transformer
    return {
        "seconds": seconds,
        "steps": len(model.program.steps),
        "layers": len(t.layers),
        "heads": sum(len(y.head_names) for y in t.layers),
        "neurons": sum(len(y.neuron_names) for y in t.layers),
        "envelope": t.envelope,
        "prefix": len(t.prefix),
    }


def tokens(request: Request) -> dict[str, Any]:
    """Compiles and decodes once -> tokens and steps (0 where the call was given up), without a time.

    The code is the one that a sequence of this length comes to by itself.
    """
    from ...compiler.compile import compile_with
    from ...compiler.format.errors import EnvelopeError
    from ...compiler.wasm.source import load_file
    from ..errors import Trap, Unfinished

    vm = fresh(compile_with(load_file(request.program), request.options), request)
    count, steps = request.limit or 0, 0
    try:
        run = vm.invoke(request.export, *request.args, max_tokens=request.limit)
        count, steps = len(run.tokens), run.steps
    except Trap as trap:
        count, steps = len(trap.run.tokens), trap.run.steps
    except Unfinished:
        pass
    except EnvelopeError as error:
        return {"refused": str(error)}
    return {"tokens": count, "steps": steps, "peak": peak_memory()}


def decode(request: Request) -> dict[str, Any]:
    """Decodes `repeat` times -> tokens, seconds of each (engine warm), the part of the tokens that chains decoded.

    The fast engine's code is the one that long sequences come to; chains are those that `warm` has left in the cache.
    """
    from ...compiler.format.errors import EnvelopeError
    from ..errors import Trap, Unfinished
    from ..loading import load
    from ..results import Run

    model = load(request.model)
    seconds, tokens, steps, by_chains = [], 0, 0, 0
    for _ in range(request.repeat):
        vm = fresh(model, request)
        improved(vm)
        start = time.perf_counter()
        run: Run | None = None
        try:
            run = vm.invoke(request.export, *request.args, max_tokens=request.limit)
        except Trap as trap:
            run = trap.run
        except Unfinished:
            pass
        except EnvelopeError as error:
            return {"refused": str(error)}
        seconds.append(time.perf_counter() - start)
        tokens = len(run.tokens) if run else request.limit or 0
        steps = run.steps if run else 0
        by_chains = getattr(vm._engine, "by_chains", 0)
        del vm, run
    part = by_chains / max(1, tokens)
    return {"tokens": tokens, "steps": steps, "seconds": seconds, "by_chains": part, "peak": peak_memory()}


def warm(request: Request) -> dict[str, Any]:
    """Decodes once, what scaling is measured on where there is no model, and has the fast engine make all the code that long
    sequences come to, before for what follows and behind for what there has been. The cache has it then."""
    from ...compiler.compile import compile
    from ...compiler.format.errors import EnvelopeError
    from ..errors import Trap, Unfinished
    from ..loading import load

    model = load(request.model) if request.model else compile(SCALING)
    export, args = (request.export, request.args) if request.model else ("mix", (2**31 - 1,))
    vm = fresh(model, request)
    improved(vm)
    with suppress(Trap, Unfinished, EnvelopeError):
        vm.invoke(export, *args, max_tokens=min(request.limit or WARM_TOKENS, WARM_TOKENS))
    improved(vm)
    return {}


def fresh(model: Model, request: Request) -> Instance:
    """A new instance with what the request writes into its memory."""
    from ..instance import Instance

    if request.engine == "hf" and not model.transformer.float32_reads:
        from ...compiler.stock import in_stock_form

        model = in_stock_form(model)
    vm = Instance(model, request.engine, world=request.world, device=request.device)
    for address, data in request.writes:
        vm.write_memory(address, data)
    return vm


def improved(vm: Instance) -> None:
    """The code that long sequences come to, where the engine has two."""
    improve = getattr(vm._engine, "improve", None)
    if improve is not None:
        improve()


def first_token(request: Request) -> dict[str, Any]:
    """Answers as soon as the first token is there; the parent holds the watch."""
    from ..errors import Trap, Unfinished
    from ..loading import load

    vm = fresh(load(request.model), request)
    with suppress(Trap, Unfinished):
        vm.invoke(request.export, *request.args, max_tokens=1)
    return {}


def scaling(request: Request) -> dict[str, Any]:
    """One growing trace of `longest` tokens -> (tokens so far, seconds so far, MiB) after every part of it."""
    from ...compiler.compile import compile
    from ..errors import Unfinished

    vm = fresh(compile(SCALING), request)
    improved(vm)
    points: list[tuple[int, float, float]] = []
    began, looked = time.perf_counter(), 0.0  # seconds that looking at the memory has taken, as much as thousands of tokens

    def look(count: int) -> None:
        nonlocal looked
        now = time.perf_counter()
        points.append((count, now - began - looked, peak_memory()))
        looked += time.perf_counter() - now

    with suppress(Unfinished):
        vm.invoke("mix", 2**31 - 1, max_tokens=request.longest, progress=look)
    return {"points": points}


def _measurement(name: str) -> Callable[[Request], dict[str, Any]]:
    from .checks import check, prepare
    from .others import compare, interpreted

    own = {"compile": compile_program, "warm": warm, "tokens": tokens, "decode": decode, "first": first_token, "scaling": scaling}
    return (own | {"compare": compare, "interpreted": interpreted, "prepare": prepare, "check": check})[name]


def main() -> None:
    """Refusals are answers too; anything else that fails is a bug, and its traceback goes to stderr."""
    from ...compiler.format.errors import CompileError
    from ..errors import Unfinished
    from ..watch import watched

    name, request = pickle.load(sys.stdin.buffer)
    try:
        with watched(None, request.memory_mib) if request.memory_mib else nullcontext():
            answer = _measurement(name)(request)
    except CompileError as error:
        answer = {"refused": str(error.reasons[0])}
    except Unfinished as error:
        answer = {"refused": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
