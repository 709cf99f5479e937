"""Compile WebAssembly into hand-set transformer weights and run it by decoding tokens."""

from .compiler.checkpoint import CheckpointError, Model, load
from .compiler.compile import compile
from .compiler.errors import CompileError
from .runtime.generate import generate
from .runtime.instance import ArgumentError, Instance, Run, Trap
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
    "Verifier",
    "compile",
    "generate",
    "load",
    "verify",
]
