"""A decoded invocation as lines: a table for people, JSON for machines. Needs nothing but the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...compiler.format.checkpoint import Model
from ...compiler.format.printable import printable
from ..instance import Run
from ..trace import Trace, TraceStep, decode, table_of
from .output import to_json
from .values import format_outcome


def decode_run(model: Model, run: Run) -> Trace:
    """The executed steps of one invocation."""
    return decode(np.concatenate([run.prompt, run.tokens]), table_of(model), model.program)


def text_lines(model: Model, name: str, values: Sequence[Any], run: Run, limit: int | None = None) -> Iterator[str]:
    """One line per executed step: its number, what it does, for which WASM instruction, the result, the tokens."""
    trace = decode_run(model, run)
    yield printable(f"{name}({', '.join(map(str, values))})")
    for step in _steps(model, trace, limit):
        yield printable(str(step).rstrip())
    if limit is not None and len(trace) > limit:
        yield f"... {len(trace) - limit:,} more steps"
    results = model.program.entries[name].results
    equals = "= " if run.returned else ""
    yield f"{equals}{format_outcome(results, run)}: {len(trace):,} steps, {len(run.tokens):,} tokens"


def json_lines(model: Model, name: str, values: Sequence[Any], run: Run, limit: int | None = None) -> Iterator[str]:
    """One object per executed step, then one for the whole call (with "outcome")."""
    trace = decode_run(model, run)
    for step in _steps(model, trace, limit):
        yield to_json(step.to_json())
    outcome = "trap" if run.trap else "exit" if run.exit_code is not None else "halt"
    yield to_json(
        {
            "call": name,
            "arguments": list(values),
            "outcome": outcome,
            "trap": run.trap,
            "exit_code": run.exit_code,
            "results": run.values,
            "bits": run.bits,
            "steps": len(trace),
            "tokens": len(run.tokens),
            "stdout": run.stdout.decode(errors="replace"),
            "stderr": run.stderr.decode(errors="replace"),
        }
    )


def _steps(model: Model, trace: Trace, limit: int | None) -> Iterator[TraceStep]:
    shown = len(trace) if limit is None else min(limit, len(trace))
    return (trace.view(number, model.program, model.texts) for number in range(shown))
