"""What is measured: invocations of programs."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import wasm2xformer

from ...compiler.wasm.source import load_file
from ..check.oracle import NOTHING, count_instructions

# Size classes of the collection, in order.
_SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Case:
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


def collection(ids: Sequence[str] = ()) -> list[Case]:
    """The longest invocation of each program in programs/, or of those with these ids; empty outside a checkout.

    Raises ValueError for an unknown id.
    """
    path = Path(wasm2xformer.__file__).resolve().parent.parent / "programs" / "programs.toml"
    programs = tomllib.loads(path.read_text(encoding="utf-8"))["program"] if path.is_file() else []
    known = [entry["id"] for entry in programs]
    unknown = set(ids) - set(known)
    if unknown:
        raise ValueError(f"no program {', '.join(sorted(unknown))}; there are: {', '.join(known) or 'none'}")
    return [_longest(path.parent, entry) for entry in programs if not ids or entry["id"] in ids]


def _longest(folder: Path, entry: dict[str, Any]) -> Case:
    """Only invocations of a fresh instance: others need what came before them."""
    runs = [run for run in entry["run"] if not run.get("continues")]
    size = max(_SIZES.index(run["size"]) for run in runs)
    cases = [_case(folder, entry, run) for run in runs if _SIZES.index(run["size"]) == size]
    return max(cases, key=Case.instructions) if len(cases) > 1 else cases[0]


def _case(folder: Path, entry: dict[str, Any], run: dict[str, Any]) -> Case:
    stdin = (folder / run["stdin_file"]).read_bytes() if "stdin_file" in run else run.get("stdin", "").encode()
    program = folder / entry.get("wasm", entry["source"])
    return Case(entry["id"], program, run["export"], tuple(run.get("args", ())), stdin)
