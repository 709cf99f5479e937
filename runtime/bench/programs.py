"""The collection in programs/ as values that can be run, compared and measured. It comes with a checkout only."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasm2xformer

FOLDER = Path(wasm2xformer.__file__).resolve().parent.parent / "programs"

# Size class -> the WASM instructions an invocation executes, as wasmtime's fuel counts them: at least, and below.
SIZES = {"small": (0, 10_000), "medium": (10_000, 300_000), "large": (300_000, 10_000_000)}


@dataclass(frozen=True)
class Invocation:
    """One invocation and what it must give.

    results: i32 and i64 values as signed integers, f32 and f64 as floats. trap: wasmtime's words, "" when the invocation returns.
    exit_code: the argument of proc_exit, 0 when `_start` returns. size: a key of SIZES.
    continues: the invocation goes on in the instance of the one before it; otherwise it gets a fresh one.
    """

    export: str
    args: tuple[int | float, ...] = ()
    results: tuple[int | float, ...] = ()
    stdin: bytes = b""
    stdout: bytes = b""
    trap: str = ""
    exit_code: int = 0
    size: str = "small"
    continues: bool = False


@dataclass(frozen=True)
class ProgramCase:
    """A program of programs.toml. wasm: the built file, None for a program in WAT. group: as in programs.toml."""

    id: str
    title: str
    shows: str
    group: str
    source: Path
    wasm: Path | None
    runs: tuple[Invocation, ...]

    def module(self) -> str | bytes:
        """The program as the compiler takes it: WAT text or WASM bytes."""
        return self.wasm.read_bytes() if self.wasm else self.source.read_text(encoding="utf-8")

    def sessions(self) -> list[list[Invocation]]:
        """The invocations, those on the same instance together."""
        sessions: list[list[Invocation]] = []
        for run in self.runs:
            if run.continues:
                sessions[-1].append(run)
            else:
                sessions.append([run])
        return sessions


def load_programs(group: str | None = None) -> list[ProgramCase]:
    """All programs, or those of one group, in the order of programs.toml; none outside a checkout."""
    path = FOLDER / "programs.toml"
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["program"] if path.is_file() else []
    return [_case(entry) for entry in entries if group in (None, entry["group"])]


def _case(entry: dict[str, Any]) -> ProgramCase:
    return ProgramCase(
        id=entry["id"],
        title=entry["title"],
        shows=entry["shows"],
        group=entry["group"],
        source=FOLDER / entry["source"],
        wasm=FOLDER / entry["wasm"] if "wasm" in entry else None,
        runs=tuple(_invocation(run) for run in entry["run"]),
    )


def _invocation(entry: dict[str, Any]) -> Invocation:
    """Text may stand in the toml itself (`stdout`) or in a file beside it (`stdout_file`)."""
    fields: dict[str, Any] = dict(entry)
    for stream in ("stdin", "stdout"):
        if f"{stream}_file" in fields:
            fields[stream] = (FOLDER / fields.pop(f"{stream}_file")).read_bytes()
        else:
            fields[stream] = fields.get(stream, "").encode()
    for key in ("args", "results"):
        fields[key] = tuple(fields.get(key, ()))
    return Invocation(**fields)
