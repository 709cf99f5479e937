"""Speed and memory: each figure measured in a process of its own, beside wasmtime and an interpreter in Python."""

from .bench import Options, bench, failures
from .cases import Case, collection

__all__ = ["Case", "Options", "bench", "collection", "failures"]
