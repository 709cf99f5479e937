"""Speed and memory: each figure measured in a process of its own, beside wasmtime and an interpreter in Python."""

from .bench import Options, bench
from .cases import Case, collection, select
from .report import print_tables

__all__ = ["Case", "Options", "bench", "collection", "print_tables", "select"]
