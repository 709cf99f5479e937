"""A call as lines: a table for people, JSON for machines. Needs nothing but the checkpoint and the call's tokens."""

from __future__ import annotations

from collections.abc import Iterator

from ...compiler.format.checkpoint import Model
from ...compiler.format.printable import printable
from ..calls import ReadCall
from ..trace import TraceStep
from .numbers import format_call
from .output import to_json
from .values import format_outcome


def title(call: ReadCall) -> str:
    """gcd(48, 18)"""
    return printable(format_call(call.name, call.arguments))


def text_lines(model: Model, call: ReadCall, limit: int | None = None) -> Iterator[str]:
    """One line per executed step: its number, what it does, for which WASM instruction, the result, the tokens."""
    yield title(call)
    for step in _steps(model, call, limit):
        yield printable(str(step).rstrip())
    if limit is not None and len(call.trace) > limit:
        yield f"... {len(call.trace) - limit:,} more steps"
    yield ending(call)


def ending(call: ReadCall) -> str:
    """= 6: 19 steps, 20 tokens"""
    counts = f"{len(call.trace):,} steps, {call.decoded:,} tokens"
    if call.run is None:
        return f"not finished: {counts}"
    return f"{'= ' if call.run.returned else ''}{format_outcome(call.results, call.run)}: {counts}"


def json_lines(model: Model, call: ReadCall, limit: int | None = None) -> Iterator[str]:
    """One object per executed step, then one for the whole call (with "outcome")."""
    for step in _steps(model, call, limit):
        yield to_json(step.to_json())
    yield json_ending(call)


def json_ending(call: ReadCall) -> str:
    """The object for the whole call. "results" and "bits" are null where the tokens end before the call does."""
    run, trace = call.run, call.trace
    outcome = "unfinished" if run is None else "trap" if run.trap else "exit" if run.exit_code is not None else "halt"
    return to_json(
        {
            "call": call.name,
            "arguments": call.arguments,
            "outcome": outcome,
            "trap": run and run.trap,
            "exit_code": run and run.exit_code,
            "results": run and run.values,
            "bits": run and run.bits,
            "steps": len(trace),
            "tokens": call.decoded,
            "stdout": trace.stdout.decode(errors="replace"),
            "stderr": trace.stderr.decode(errors="replace"),
        }
    )


def _steps(model: Model, call: ReadCall, limit: int | None) -> Iterator[TraceStep]:
    trace = call.trace
    shown = len(trace) if limit is None else min(limit, len(trace))
    return (trace.view(number, model.program, model.texts) for number in range(shown))
