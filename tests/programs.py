"""The collection of programs in programs/: the benchmark's, where the one loader of programs.toml is."""

from wasm2xformer.runtime.bench.programs import FOLDER, SIZES, Invocation, ProgramCase, load_programs

__all__ = ["FOLDER", "SIZES", "Invocation", "ProgramCase", "load_programs"]
