"""Compile WebAssembly into hand-set transformer weights and run it by decoding tokens."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .runtime.lazy import lazily

if TYPE_CHECKING:
    from .compiler.compile import compile
    from .compiler.format.checkpoint import CheckpointError, Model
    from .compiler.format.errors import CompileError, EnvelopeError
    from .compiler.stock import in_stock_form, save_folder
    from .runtime.check.verified_store import VerifiedStore
    from .runtime.check.verify import Report, Verifier, verify
    from .runtime.circuits.graph import circuits
    from .runtime.errors import (
        ArgumentError,
        DecodingError,
        DivergenceError,
        InstanceError,
        OracleError,
        Trap,
        Unfinished,
    )
    from .runtime.generate import generate
    from .runtime.instance import Instance
    from .runtime.loading import load
    from .runtime.results import Run
    from .runtime.store import Store
    from .runtime.store_instance import StoreInstance
    from .runtime.to_hf import to_hf

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "CompileError",
    "DecodingError",
    "DivergenceError",
    "EnvelopeError",
    "Instance",
    "InstanceError",
    "Model",
    "OracleError",
    "Report",
    "Run",
    "Store",
    "StoreInstance",
    "Trap",
    "Unfinished",
    "VerifiedStore",
    "Verifier",
    "circuits",
    "compile",
    "generate",
    "in_stock_form",
    "load",
    "save_folder",
    "to_hf",
    "verify",
]

# Parts of the library that are names of their own, with what they hold: w2x.hybrid.parse.
_ROOMS = ("hybrid", "moe")
_MODULES = {
    ".compiler.format.checkpoint": ("CheckpointError", "Model"),
    ".compiler.stock": ("in_stock_form", "save_folder"),
    ".runtime.to_hf": ("to_hf",),
    ".runtime.circuits.graph": ("circuits",),
    ".compiler.compile": ("compile",),
    ".compiler.format.errors": ("CompileError", "EnvelopeError"),
    ".runtime.generate": ("generate",),
    ".runtime.errors": (
        "ArgumentError", "DecodingError", "DivergenceError", "InstanceError", "OracleError", "Trap", "Unfinished",
    ),
    ".runtime.instance": ("Instance",),
    ".runtime.loading": ("load",),
    ".runtime.results": ("Run",),
    ".runtime.store": ("Store",),
    ".runtime.store_instance": ("StoreInstance",),
    ".runtime.check.verified_store": ("VerifiedStore",),
    ".runtime.check.verify": ("Report", "Verifier", "verify"),
}

_public = lazily(globals(), _MODULES)


def __getattr__(name: str) -> Any:
    """Each name is imported when it is first used: running a checkpoint needs neither the compiler nor the oracle."""
    if name in _ROOMS:
        return import_module(f".runtime.{name}", __name__)
    return _public(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
