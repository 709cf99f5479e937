"""LLVM text -> object code -> a callable.

LLVM's library is loaded by what needs it: not by who has object code that `elf` puts into memory, out of the cache.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .elf import ObjectMemory, known_platform

if TYPE_CHECKING:
    import llvmlite.binding as llvm

# Bytes in which Linux has described a processor, and how lines begin that change while it runs.
PROCESSOR, CHANGING = (
    1 << 13,
    ("processor", "cpu MHz", "core id", "physical id", "apicid", "initial apicid", "bogomips", "BogoMIPS"),
)
_TOTAL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
_RESPOND = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 2, ctypes.c_int64, *[ctypes.c_void_p] * 3)


def _machine(level: int = 1) -> llvm.TargetMachine:
    """A new one each time: an execution engine takes its own with it when it goes.

    Where `elf` puts code into memory, constants are near it and reached by their distance: 32 bits in the instruction that reads
    them, instead of an instruction of 10 bytes before it. Chains are up to a fourteenth faster.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    reach = {"codemodel": "small", "reloc": "pic"} if known_platform() else {}
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=level, jit=True, **reach)


def host() -> str:
    """Names what object code depends on besides its source: the processor and the library."""
    processor, library = _processor(), _library()
    if processor and library:
        return f"{sys.platform} {os.uname().machine} {processor} {library}"
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features} {llvm.llvm_version_info}"


def _processor() -> str:
    """The first processor as Linux describes it, in the lines that stay as they are; "" where nobody says what it can do."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(PROCESSOR).decode(errors="replace")
    except OSError:
        return ""
    first, blank, _ = text.partition("\n\n")
    lines = dict(line.partition(":")[::2] for line in first.splitlines())
    kept = {key.strip(): value.strip() for key, value in lines.items() if not key.startswith(CHANGING)}
    return repr(kept) if blank and ("flags" in kept or "Features" in kept) else ""


def _library() -> str:
    """Which llvmlite, and which file of it; "" where that is not where it is expected. It is not loaded."""
    found = importlib.util.find_spec("llvmlite")
    for folder in (found.submodule_search_locations or ()) if found else ():
        with suppress(OSError):
            files = [(each.name, each.stat()) for each in sorted(Path(folder, "binding").glob("*llvmlite.*"))]
            version = Path(folder, "_version.py").read_text()
            if files:
                return repr((version, [(name, status.st_size, status.st_mtime_ns) for name, status in files]))
    return ""


def compile_object(text: str, quick: bool = False) -> bytes:
    """quick: without LLVM's passes, and registers are given out in a third of the time: a sixth of the time in all. The code runs
    a fifth to a half slower; the passes are worth up to a sixth, where there are circuits for floats.

    In a thread of its own: LLVM does not return before it is done, and Ctrl-C is for the main thread to see.
    """
    return _waited_for(lambda: _object(text, quick))


def _object(text: str, quick: bool = False) -> bytes:
    if not quick:
        return compile_optimised(text)
    import llvmlite.binding as llvm

    # A context of its own: the process may end while a thread that nobody waits for still works in it.
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    return _machine(0).emit_object(module)


def compile_optimised(text: str, level: int = 2, passes: int = 2) -> bytes:
    """Object code, after LLVM's passes of a level; in the thread that calls it. level: of making instructions of that."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    machine = _machine(level)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=passes))
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


def compile_lightly(text: str) -> bytes:
    """The same, after the two passes that matter most: in a fifth of the time, and the code runs at two thirds of the speed."""
    import llvmlite.binding as llvm

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
    """Object code in memory, as long as this lives; where it is not `elf` that puts it there. Sections may be far from each
    other, which code whose constants are to be near does not survive."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


class CodeMemory:
    """Object code in memory, as long as this lives; by `elf` where that knows the platform. Raises Unknown."""

    def __init__(self, code: bytes):
        self._memory: ObjectMemory | llvm.ExecutionEngine = ObjectMemory(code) if known_platform() else code_engine(code)

    def function(self, name: str) -> int:
        """Its address; 0 if there is none of that name."""
        memory = self._memory
        return memory.addresses.get(name, 0) if isinstance(memory, ObjectMemory) else memory.get_function_address(name)

    def variable(self, name: str) -> int:
        """The address of a global variable."""
        memory = self._memory
        return memory.addresses[name] if isinstance(memory, ObjectMemory) else memory.get_global_value_address(name)


class Loaded:
    """Object code in memory: the functions of loop.generate; `general` stands for those that are not there."""

    def __init__(self, code: bytes):
        self._memory = CodeMemory(code)
        self.general = _SIGNATURE(self._memory.function("general"))
        read, special = self._memory.function("read"), self._memory.function("special")
        self.read = _SIGNATURE(read) if read else self.general
        self.total = _TOTAL(self._memory.function("total"))
        self.special = _SIGNATURE(special) if special else self.general
        self.respond = _RESPOND(self._memory.function("respond"))
