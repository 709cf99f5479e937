"""Compile WebAssembly into hand-set transformer weights and run it by decoding tokens."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler.checkpoint import CheckpointError, Model, load
    from .compiler.compile import compile
    from .compiler.errors import CompileError
    from .runtime.generate import generate
    from .runtime.instance import ArgumentError, Instance, Run, Trap, Unfinished
    from .runtime.verify import Report, Verifier, verify

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "CompileError",
    "Instance",
    "Model",
    "Report",
    "Run",
    "Trap",
    "Unfinished",
    "Verifier",
    "compile",
    "generate",
    "load",
    "verify",
]

_MODULES = {
    ".compiler.checkpoint": ("CheckpointError", "Model", "load"),
    ".compiler.compile": ("compile",),
    ".compiler.errors": ("CompileError",),
    ".runtime.generate": ("generate",),
    ".runtime.instance": ("ArgumentError", "Instance", "Run", "Trap", "Unfinished"),
    ".runtime.verify": ("Report", "Verifier", "verify"),
}


def __getattr__(name: str) -> Any:
    """Each name is imported when it is first used: running a checkpoint needs neither the compiler nor the oracle."""
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module, __name__), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
