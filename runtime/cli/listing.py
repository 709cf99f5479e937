"""A decoded invocation as lines: a table for people, JSON for machines. Needs nothing but the checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...compiler.format.checkpoint import Model
from ..instance import Run
from ..trace import Kind, Location, TokenTable, Trace, TraceStep, decode
from .values import format_outcome


def decode_run(model: Model, run: Run) -> Trace:
    """The executed steps of one invocation."""
    deltas, frames = [d for d, _ in model.jumps], [f for _, f in model.jumps]
    table = TokenTable.build(model.transformer.vocabulary, deltas, frames, [entry for _, entry in model.entries])
    return decode(np.concatenate([run.prompt, run.tokens]), table, model.program)


def text_lines(model: Model, name: str, values: Sequence[Any], run: Run, limit: int | None = None) -> Iterator[str]:
    """One line per executed step: its number, what it does, for which WASM instruction, the result, the tokens."""
    trace = decode_run(model, run)
    yield f"{name}({', '.join(map(str, values))})"
    for step in _steps(model, trace, limit):
        yield str(step).rstrip()
    if limit is not None and len(trace) > limit:
        yield f"... {len(trace) - limit:,} more steps"
    results = model.program.entries[name].results
    equals = "= " if run.returned else ""
    yield f"{equals}{format_outcome(results, run)}: {len(trace):,} steps, {len(run.tokens):,} tokens"


def json_lines(model: Model, name: str, values: Sequence[Any], run: Run, limit: int | None = None) -> Iterator[str]:
    """One object per executed step, then one for the whole call (with "outcome")."""
    trace = decode_run(model, run)
    for step in _steps(model, trace, limit):
        yield json.dumps(step.to_json())
    outcome = "trap" if run.trap else "exit" if run.exit_code is not None else "halt"
    yield json.dumps(
        {
            "call": name,
            "arguments": list(values),
            "outcome": outcome,
            "trap": run.trap,
            "exit_code": run.exit_code,
            "results": run.values,
            "steps": len(trace),
            "tokens": len(run.tokens),
            "stdout": run.stdout.decode(errors="replace"),
            "stderr": run.stderr.decode(errors="replace"),
        }
    )


def _steps(model: Model, trace: Trace, limit: int | None) -> Iterator[TraceStep]:
    shown = len(trace) if limit is None else min(limit, len(trace))
    for number in range(shown):
        index, end, kind = int(trace.step[number]), int(trace.end[number]), Kind(int(trace.kind[number]))
        value = int(trace.value[number])
        yield TraceStep(
            number=number,
            index=index,
            step=model.program.steps[index],
            where=location(model, index),
            kind=kind,
            value=value,
            trap=trace.table.traps[value] if kind == Kind.TRAP else "",
            following=int(trace.step[number + 1]) if number + 1 < len(trace) else None,
            position=end,
            tokens=trace.names(end + 1 - int(trace.length[number]), end + 1),
        )


def location(model: Model, index: int) -> Location:
    """The WASM instruction that a step stands for, or the function or entry that it belongs to."""
    text = re.fullmatch(r"(.*?) 0x([0-9a-f]+) (.*)", model.texts.get(index, ""))
    if text:
        return Location(text[1], text[3], int(text[2], 16))
    for function in model.program.functions.values():
        if function.entry <= index < function.end:
            return Location(function.name)
    entries = [(entry, name) for name, entry in model.entries if entry <= index]
    return Location(f"entry of {max(entries)[1] or 'the start function'}" if entries else "")
