"""LLVM text -> object code -> a callable."""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import llvmlite.binding as llvm

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, ctypes.c_int64, *[ctypes.c_void_p] * 3)


def _machine(level: int = 1) -> llvm.TargetMachine:
    """A new one each time: an execution engine takes its own with it when it goes."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=level, jit=True)


def host() -> str:
    """Names what object code depends on besides its source."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features} {llvm.llvm_version_info}"


def compile_object(text: str, quick: bool = False) -> bytes:
    """No optimisation passes: the code is simplified before it is written, and they gain nothing measurable. quick: registers
    are given out in a third of the time, and the code runs a fifth to a third slower.

    In a thread of its own: LLVM does not return before it is done, and Ctrl-C is for the main thread to see.
    """
    return _waited_for(lambda: _object(text, quick))


def _object(text: str, quick: bool = False) -> bytes:
    # A context of its own: the process may end while a thread that nobody waits for still works in it.
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    return _machine(0 if quick else 1).emit_object(module)


def compile_optimised(text: str, level: int = 1) -> bytes:
    """Object code, after LLVM's passes of a level; in the thread that calls it."""
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    machine = _machine(level)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


def compile_lightly(text: str) -> bytes:
    """The same, after the two passes that matter most: in a fifth of the time, and the code runs at two thirds of the speed."""
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    machine = _machine(0)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return machine.emit_object(module)


def _waited_for(work: Callable[[], bytes]) -> bytes:
    """What `work` returns or raises; it goes on in the background when the wait is interrupted."""
    results: list[bytes | BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="LLVM", daemon=True)
    thread.start()
    try:
        while not done.wait(0.1):  # a wait without end is deaf to signals on Windows
            pass
    except BaseException:
        leave_behind(thread)
        raise
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result


def leave_behind(thread: threading.Thread) -> None:
    """When the process ends, LLVM's global objects must not go while a thread still works with them: the process ends before
    that, or, where the C library cannot be told so, waits for the thread."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        with suppress(AttributeError):  # not every C library has it
            library.on_exit(ctypes.cast(library._exit, ctypes.c_void_p), None)
            return
    atexit.register(thread.join)


def code_engine(code: bytes) -> llvm.ExecutionEngine:
    """Object code in memory, as long as this lives."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


class Loaded:
    """Object code in memory: the functions of loop.generate; `general` stands for those that are not there."""

    def __init__(self, code: bytes):
        self._engine = code_engine(code)
        self.general = _SIGNATURE(self._engine.get_function_address("general"))
        read = self._engine.get_function_address("read")
        self.read = _SIGNATURE(read) if read else self.general
        special = self._engine.get_function_address("special")
        self.special = _SIGNATURE(special) if special else self.general
