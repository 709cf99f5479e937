"""The same invocation by the fast engine and by others, one after the other and again: processor time of each.

What is not there, or does not run the program, has a reason in place of its times.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .cases import takes_numbers
from .measure import fresh, improved
from .request import Request

Call = Callable[[], None]  # the invocation alone; everything before it is done
STACK = 2**23  # bytes of wasm3's own stack


class NotMeasured(Exception):
    """Why somebody does not take part."""


def compare(request: Request) -> dict[str, Any]:
    """-> {"seconds": {name: processor seconds of each turn}, "reasons": {name: why there are none}}.

    A turn is one call of each, in a fresh instance, so that what else the machine does meets all of them.
    """
    seconds: dict[str, list[float]] = {}
    reasons: dict[str, str] = {}
    taking_part = dict(CONTESTANTS)
    for _ in range(request.repeat):
        for name, make in list(taking_part.items()):
            try:
                call = make(request)
                start = time.process_time()
                call()
                seconds.setdefault(name, []).append(time.process_time() - start)
            except NotMeasured as reason:
                reasons[name] = str(reason)
                del taking_part[name]
    return {"seconds": seconds, "reasons": reasons}


def _fast(request: Request) -> Call:
    from ...compiler.load import load
    from ..errors import Trap, Unfinished

    vm = fresh(load(request.model), request)
    improved(vm)

    def call() -> None:
        try:
            with suppress(Trap):
                vm.invoke(request.export, *request.args, max_tokens=request.limit)
        except Unfinished as error:
            raise NotMeasured(str(error)) from None

    return call


def _wasmtime(request: Request) -> Call:
    """Compiled by cranelift, before the time is taken."""
    import wasmtime

    _alone(request)
    config = wasmtime.Config()
    config.wasm_multi_memory = config.wasm_tail_call = config.wasm_memory64 = True
    config.wasm_function_references = config.wasm_exceptions = config.wasm_threads = config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    linker.define_wasi()
    wasi, folder = wasmtime.WasiConfig(), tempfile.TemporaryDirectory()
    (Path(folder.name) / "stdin").write_bytes(request.world.stdin)
    wasi.argv, wasi.env = list(request.world.argv), list(request.world.env.items())
    wasi.stdin_file, wasi.stdout_file = f"{folder.name}/stdin", f"{folder.name}/stdout"
    wasi.stderr_file = f"{folder.name}/stderr"
    for number, (name, contents) in enumerate(request.world.folders.items()):
        top = Path(folder.name) / f"folder{number}"
        top.mkdir()
        for path, data in contents.items():
            (top / path).mkdir() if data is None else (top / path).write_bytes(data)
        wasi.preopen_dir(str(top), name)
    store.set_wasi(wasi)
    try:
        exports = linker.instantiate(store, wasmtime.Module(engine, _wasm(request))).exports(store)
    except wasmtime.WasmtimeError as error:
        raise NotMeasured(str(error).splitlines()[0]) from None
    for address, data in request.writes:
        memory = next(e for e in exports.values() if isinstance(e, wasmtime.Memory))
        memory.write(store, data, address)
    function: Any = exports[request.export]

    def call() -> None:
        with folder, suppress(wasmtime.Trap, wasmtime.ExitTrap):
            function(store, *request.args)

    return call


def _wasm3(request: Request) -> Call:
    """An interpreter in C, by its Python package. It has no WASI there."""
    try:
        import wasm3
    except ImportError:
        raise NotMeasured("pip install pywasm3 (needs a C compiler)") from None
    _alone(request, imports=False)
    environment = wasm3.Environment()
    runtime = environment.new_runtime(STACK)
    try:
        runtime.load(environment.parse_module(_wasm(request)))
        function = runtime.find_function(request.export)
    except RuntimeError as error:
        raise NotMeasured(str(error)) from None
    for address, data in request.writes:
        runtime.get_memory(0)[address : address + len(data)] = data

    def call() -> None:
        try:
            function(*request.args)
        except RuntimeError as error:
            if "[trap]" not in str(error):
                raise NotMeasured(str(error)) from None

    return call


def _pywasm(request: Request) -> Call:
    """An interpreter in Python."""
    try:
        import pywasm
    except ImportError:
        raise NotMeasured("pip install 'wasm2xformer[bench]'") from None
    _alone(request, imports=False)
    if request.writes:
        raise NotMeasured("--write")
    with tempfile.NamedTemporaryFile(suffix=".wasm") as file:
        file.write(_wasm(request))
        file.flush()
        try:
            runtime = pywasm.Runtime()
            instance = runtime.instance_from_file(file.name)
        except Exception as error:  # whatever it raises for what it does not know
            raise NotMeasured(f"{type(error).__name__}: {error}") from None

    def call() -> None:
        try:
            runtime.invocate(instance, request.export, list(request.args))
        except Exception as error:  # whatever it raises for a trap
            raise NotMeasured(f"{type(error).__name__}: {error}") from None

    return call


def interpreted(request: Request) -> dict[str, Any]:
    """-> {"seconds": [processor seconds]} of pywasm, once: it takes long enough; or {"refused": why}."""
    try:
        call = _pywasm(request)
        start = time.process_time()
        call()
        return {"seconds": [time.process_time() - start]}
    except NotMeasured as reason:
        return {"refused": str(reason)}


def _wasm(request: Request) -> bytes:
    from ...compiler.wasm.source import load_file

    return load_file(request.program).wasm


def _alone(request: Request, imports: bool = True) -> None:
    from ...compiler.wasm.source import load_file

    module = load_file(request.program).module
    if request.options.libraries:
        raise NotMeasured("has libraries")
    if not imports and module.imports:
        raise NotMeasured("has imports")
    if not takes_numbers(module, request.export):
        raise NotMeasured("takes or gives what is no number")


CONTESTANTS: dict[str, Callable[[Request], Call]] = {"fast": _fast, "wasm3": _wasm3, "wasmtime": _wasmtime}
