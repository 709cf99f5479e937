"""One measurement, in a process of its own: a JSON request on stdin, a JSON answer on stdout.

Times are wall-clock seconds. Memory is the most that the process had resident, in MiB, the interpreter included.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

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


def compile_program(request: dict[str, Any]) -> dict[str, Any]:
    """program, export, level, output (where the checkpoint goes), repeat -> seconds of each compilation, steps."""
    from ...compiler.compile import compile
    from ...compiler.wasm.source import load_file

    source = load_file(request["program"])
    seconds = []
    for _ in range(request["repeat"]):
        start = time.perf_counter()
        model = compile(source, request["level"], [request["export"]])
        seconds.append(time.perf_counter() - start)
    model.save(request["output"])
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


def decode(request: dict[str, Any]) -> dict[str, Any]:
    """model, engine, export, args, stdin, argv, limit, repeat -> tokens, seconds of each repetition (engine warm).

    The fast engine's code is the one that long sequences come to.
    """
    from ...compiler.format.checkpoint import load
    from ...compiler.format.errors import EnvelopeError
    from ..errors import Trap, Unfinished
    from ..instance import Instance
    from ..results import Run

    model = load(request["model"])
    seconds, tokens, steps = [], 0, 0
    for _ in range(request["repeat"]):
        vm = Instance(model, request["engine"], stdin=bytes.fromhex(request["stdin"]), args=request["argv"])
        _improved(vm)
        start = time.perf_counter()
        run: Run | None = None
        try:
            run = vm.invoke(request["export"], *request["args"], max_tokens=request["limit"])
        except Trap as trap:
            run = trap.run
        except Unfinished:
            pass
        except EnvelopeError as error:
            return {"refused": str(error)}
        seconds.append(time.perf_counter() - start)
        tokens = len(run.tokens) if run else request["limit"]
        steps = run.steps if run else 0
        del vm, run
    return {"tokens": tokens, "steps": steps, "seconds": seconds, "peak": peak_memory()}


def _improved(vm: Any) -> None:
    improve = getattr(vm._engine, "improve", None)
    if improve is not None:
        improve()


def first_token(request: dict[str, Any]) -> dict[str, Any]:
    """model, export, args, ... -> answers as soon as the first token is there; the parent holds the watch."""
    from ...compiler.format.checkpoint import load
    from ..errors import Trap, Unfinished
    from ..instance import Instance

    vm = Instance(
        load(request["model"]), request["engine"], stdin=bytes.fromhex(request["stdin"]), args=request["argv"]
    )
    with suppress(Trap, Unfinished):
        vm.invoke(request["export"], *request["args"], max_tokens=1)
    return {}


def wasmtime_native(request: dict[str, Any]) -> dict[str, Any]:
    """program, export, args, stdin, argv, repeat -> seconds of each call in a fresh instance."""
    import wasmtime

    from ...compiler.wasm.source import load_file

    wasm = load_file(request["program"]).wasm
    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, wasm)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stdin").write_bytes(bytes.fromhex(request["stdin"]))
        for _ in range(request["repeat"]):
            store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
            linker.define_wasi()
            wasi = wasmtime.WasiConfig()
            wasi.argv = request["argv"]
            wasi.stdin_file = f"{folder}/stdin"
            wasi.stdout_file = f"{folder}/stdout"
            store.set_wasi(wasi)
            function: Any = linker.instantiate(store, module).exports(store)[request["export"]]
            start = time.perf_counter()
            with suppress(wasmtime.Trap, wasmtime.ExitTrap):
                function(store, *request["args"])
            seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


def pywasm_interpreter(request: dict[str, Any]) -> dict[str, Any]:
    """The same in pywasm, once: it takes long enough."""
    from ...compiler.wasm.source import load_file

    source = load_file(request["program"])
    try:
        import pywasm
    except ImportError:
        return {"refused": "pip install 'wasm2xformer[bench]'"}
    if source.module.imports:
        return {"refused": "has imports"}
    with tempfile.NamedTemporaryFile(suffix=".wasm") as file:
        file.write(source.wasm)
        file.flush()
        runtime = pywasm.Runtime()
        instance = runtime.instance_from_file(file.name)
    start = time.perf_counter()
    try:
        runtime.invocate(instance, request["export"], list(request["args"]))
    except Exception as error:  # whatever it raises for a trap
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"seconds": [time.perf_counter() - start]}


def scaling(request: dict[str, Any]) -> dict[str, Any]:
    """longest, engine -> one growing trace; (tokens so far, seconds so far, MiB) after every part of it."""
    from ...compiler.compile import compile
    from ..errors import Unfinished
    from ..instance import Instance

    vm = Instance(compile(SCALING), request["engine"])
    _improved(vm)
    points: list[tuple[int, float, float]] = []
    start = time.perf_counter()
    with suppress(Unfinished):
        vm.invoke(
            "mix", 2**31 - 1, max_tokens=request["longest"],
            progress=lambda count: points.append((count, time.perf_counter() - start, peak_memory())),
        )  # fmt: skip
    return {"points": points}


MEASUREMENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "compile": compile_program,
    "decode": decode,
    "first": first_token,
    "wasmtime": wasmtime_native,
    "pywasm": pywasm_interpreter,
    "scaling": scaling,
}


def main() -> None:
    """Refusals are answers too; anything else that fails is a bug, and its traceback goes to stderr."""
    from ...compiler.format.errors import CompileError

    request = json.load(sys.stdin)
    try:
        answer = MEASUREMENTS[request["measure"]](request)
    except CompileError as error:
        answer = {"refused": str(error.reasons[0])}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
