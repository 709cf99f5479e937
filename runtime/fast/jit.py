"""LLVM text -> object code -> a callable."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

import llvmlite.binding as llvm

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, ctypes.c_int64, *[ctypes.c_void_p] * 3)


def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=1, jit=True)


def host() -> str:
    """Names what object code depends on besides its source."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features} {llvm.llvm_version_info}"


def compile_object(text: str) -> bytes:
    """No optimisation passes: the code is simplified before it is written, and they gain nothing measurable.

    In a thread of its own: LLVM does not return before it is done, and Ctrl-C is for the main thread to see.
    """
    return _waited_for(lambda: _object(text))


def _object(text: str) -> bytes:
    # A context of its own: the process may end while a thread that nobody waits for still works in it.
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    return _machine().emit_object(module)


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

    threading.Thread(target=run, name="LLVM", daemon=True).start()
    while not done.wait(0.1):  # a wait without end is deaf to signals on Windows
        pass
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result


class Loaded:
    """Object code in memory: the functions `general` and `special` (see loop.generate; the same where there is only one)."""

    def __init__(self, code: bytes):
        machine = _machine()
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.general = _SIGNATURE(self._engine.get_function_address("general"))
        special = self._engine.get_function_address("special")
        self.special = _SIGNATURE(special) if special else self.general
