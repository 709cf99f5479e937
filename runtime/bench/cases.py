"""What is measured: invocations of programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...compiler.link.libraries import made_for
from ...compiler.options import CompileOptions
from ...compiler.wasm.encode import encode
from ...compiler.wasm.module import Module
from ...compiler.wasm.source import load, load_file
from ..check.oracle import NOTHING, count_instructions
from ..world import World
from .programs import SIZES, ProgramCase, load_programs


@dataclass(frozen=True)
class BenchCase:
    """One invocation. program: path of the source, or of the built .wasm. world, writes: what it finds, (address, bytes) of
    memory. options: how it is compiled, at whichever level."""

    id: str
    program: Path
    export: str
    args: tuple[Any, ...] = ()
    world: World = NOTHING
    writes: tuple[tuple[int, bytes], ...] = ()
    options: CompileOptions = field(default_factory=CompileOptions)

    @property
    def invocation(self) -> str:
        return f"{self.export}({', '.join(map(str, self.args))})"

    def instructions(self) -> int:
        """WASM instructions that it executes, counted by wasmtime; those of its libraries too. 0 for a function that takes or
        gives what is no number: the Python package has no vectors."""
        source = load_file(self.program)
        if not takes_numbers(source.module, self.export):
            return 0
        given = {name: load(module) for name, module in self.options.libraries.items()}
        modules = {name: library.module for name, library in given.items()}
        made = made_for(source.module, modules, self.options.unknown_imports_trap)
        libraries = [(name, library.wasm) for name, library in given.items()]
        libraries += [(library.name, encode(library.module)) for library in made]
        return count_instructions(source.wasm, self.export, self.args, libraries, self.world, self.writes)


def takes_numbers(module: Module, export: str) -> bool:
    """Whether all parameters and results of an exported function are numbers."""
    types = next(module.functions[e.index].type for e in module.exports if e.kind == "func" and e.name == export)
    return {*types.params, *types.results} <= {"i32", "i64", "f32", "f64"}


def collection(ids: Sequence[str] = ()) -> list[BenchCase]:
    """The longest invocation of each program in programs/, or of those with these ids; empty outside a checkout.

    Raises ValueError for an unknown id.
    """
    programs = load_programs()
    known = [program.id for program in programs]
    unknown = set(ids) - set(known)
    if unknown and known:
        raise ValueError(f"no program {', '.join(sorted(unknown))}; there are: {', '.join(known) or 'none'}")
    return [_longest(program) for program in programs if not ids or program.id in ids]


def _longest(program: ProgramCase) -> BenchCase:
    """Only invocations of a fresh instance: others need what came before them."""
    sizes, fresh = list(SIZES), [session[0] for session in program.sessions()]
    size = max(sizes.index(run.size) for run in fresh)
    path = program.wasm or program.source
    cases = [
        BenchCase(program.id, path, run.export, run.args, replace(NOTHING, stdin=run.stdin, argv=[path.name]))
        for run in fresh
        if sizes.index(run.size) == size
    ]
    return max(cases, key=BenchCase.instructions) if len(cases) > 1 else cases[0]
