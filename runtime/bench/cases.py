"""What is measured: invocations of programs."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasm2xformer

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


def collection() -> list[Case]:
    """The longest invocation of each program in programs/; empty outside a checkout."""
    path = Path(wasm2xformer.__file__).resolve().parent.parent / "programs" / "programs.toml"
    if not path.is_file():
        return []
    return [_case(path.parent, entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["program"]]


def select(cases: Sequence[Case], ids: Sequence[str]) -> list[Case]:
    """Those with these ids (none: all), in the order of the collection. Raises ValueError for an unknown id."""
    unknown = set(ids) - {case.id for case in cases}
    if unknown:
        raise ValueError(
            f"no program {', '.join(sorted(unknown))}; there are: {', '.join(c.id for c in cases) or 'none'}"
        )
    return [case for case in cases if not ids or case.id in ids]


def _case(folder: Path, entry: dict[str, Any]) -> Case:
    """Only invocations of a fresh instance: others need what came before them."""
    runs = [run for run in entry["run"] if not run.get("continues")]
    run = max(runs, key=lambda r: (_SIZES.index(r["size"]), not r.get("trap")))
    stdin = (folder / run["stdin_file"]).read_bytes() if "stdin_file" in run else run.get("stdin", "").encode()
    program = folder / entry.get("wasm", entry["source"])
    return Case(entry["id"], program, run["export"], tuple(run.get("args", ())), stdin)
