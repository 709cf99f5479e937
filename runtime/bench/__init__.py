"""Speed and memory: each figure measured in a process of its own, beside wasmtime and an interpreter in Python."""

from .bench import BenchOptions, bench, failures
from .cases import BenchCase, collection

__all__ = ["BenchCase", "BenchOptions", "bench", "collection", "failures"]
