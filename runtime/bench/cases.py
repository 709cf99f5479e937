"""What is measured: invocations of programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...compiler.wasm.source import load_file
from ..check.oracle import NOTHING, count_instructions
from .programs import SIZES, ProgramCase, load_programs


@dataclass(frozen=True)
class BenchCase:
    """One invocation. program: path of the source, or of the built .wasm. argv: without the program's name."""

    id: str
    program: Path
    export: str
    args: tuple[Any, ...] = ()
    stdin: bytes = b""
    argv: tuple[str, ...] = ()

    @property
    def invocation(self) -> str:
        return f"{self.export}({', '.join(map(str, self.args))})"

    def instructions(self) -> int:
        """WASM instructions that it executes, counted by wasmtime."""
        argv = [self.program.name, *self.argv]
        wasm = load_file(self.program).wasm
        return count_instructions(wasm, self.export, self.args, world=replace(NOTHING, stdin=self.stdin, argv=argv))


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
        BenchCase(program.id, path, run.export, run.args, run.stdin) for run in fresh if sizes.index(run.size) == size
    ]
    return max(cases, key=BenchCase.instructions) if len(cases) > 1 else cases[0]
