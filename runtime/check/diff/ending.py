"""How the invocation ends: trap, exit or halt, the results, and the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....compiler.format.isa import TRAPS, Entry, Site
from ....compiler.format.limits import EXCEPTION_BYTES, HEAP_BYTES
from ....compiler.format.references import NUMBER, OUTSIDE
from ....compiler.format.tokens import Kind
from ....compiler.format.types import OBJECTS, ValType, halved, is_reference, is_wide
from ...bit_patterns import FOREIGN, Reference, decode, fits
from ...trace import show_value
from .context import Context
from .divergence import Finding
from .state import external_bits


def check_results(c: Context) -> Iterator[Finding]:
    """What the `result` steps emit: the results, or the exit code."""
    run, trace = c.run, c.trace
    if run.outcome not in ("ok", "exit"):
        return
    at = np.flatnonzero(c.steps.result[trace.step] & (trace.kind == Kind.DIGIT))
    entry = _entry(c)
    types = entry.results if entry is not None and run.outcome == "ok" else ("i32",) * len(run.results)
    results, types = _halves(run.results, types)
    for k, (i, result, type_) in enumerate(zip(at, results, types, strict=False)):
        actual = int(trace.value[i])
        if is_reference(type_):
            found = decode(type_, actual, c.program.function_references) if fits(type_, actual) else FOREIGN
            words = [_reference(type_, v) for v in (result, found)]
            expected, actual = _reference_bits(c, type_, result, actual), actual
        else:
            wide = is_wide(type_)
            expected = int(result or 0) % 2 ** (64 if wide else 32)
            words = [show_value(v, wide) for v in (expected, actual)]
        if expected != actual:
            yield c.finding("result", f"result {k}", words[0], words[1], i)
            return
    if len(at) != len(results) and trace.outcome == "halt":
        yield c.at_end("missing", "number of results", len(results), len(at))


def _halves(results: Sequence[int | None], types: Sequence[ValType]) -> tuple[list[int | None], tuple[ValType, ...]]:
    """With the two halves in the place of each vector."""
    parts: list[int | None] = []
    for result, type_ in zip(results, types, strict=False):
        parts += [int(result or 0) % 2**64, int(result or 0) >> 64] if type_ == "v128" else [result]
    return [*parts, *results[len(types) :]], halved(types)


def _reference_bits(c: Context, type_: ValType, result: int | None, actual: int) -> int:
    """What stands for a reference here. Of a function that it does not know wasmtime says only that it is one."""
    if result is None:
        return 0
    if type_ == "externref":
        return external_bits(result, actual)
    if type_ in OBJECTS:  # of an object wasmtime says only that it is one
        return result if result >= 0 else actual if 0 < actual < OUTSIDE else -1
    if result < 0:
        return actual or -1
    return c.program.function_references.get(result, -1)


def _reference(type_: ValType, value: Any) -> str:
    if value is None:
        return "null"
    if type_ == "exnref":
        return "an exception"
    if isinstance(value, Reference):
        return str(value)
    if type_ in OBJECTS or (type_ == "externref" and not 0 <= value < NUMBER):
        return "an object" if value < 0 else f"i31 {value % NUMBER}"
    return f"externref {value}" if type_ == "externref" else "a function" if value < 0 else f"function {value}"


def check_output(c: Context) -> Iterator[Finding]:
    for name, kind, expected in (("stdout", Kind.STDOUT, c.run.stdout), ("stderr", Kind.STDERR, c.run.stderr)):
        at = np.flatnonzero(c.trace.kind == kind)
        actual, wanted = c.trace.value[at].astype(np.uint8), np.frombuffer(expected, np.uint8)
        n = min(len(actual), len(wanted))
        for k in np.flatnonzero(actual[:n] != wanted[:n])[:1].tolist():
            expected_byte, actual_byte = (repr(bytes([int(b)])) for b in (wanted[k], actual[k]))
            yield c.finding("output", f"byte {k} of {name}", expected_byte, actual_byte, at[k])
        if len(actual) > n:
            yield c.finding("output", f"length of {name}", f"{n} bytes", "more", at[n])
        elif len(wanted) > n:
            yield c.at_end("missing", f"length of {name}", f"{len(wanted)} bytes", f"{n} bytes")


def check_outcome(c: Context) -> Iterator[Finding]:
    run, trace = c.run, c.trace
    expected = "halt" if run.outcome in ("ok", "exit") else run.outcome
    actual = TRAPS.get(trace.outcome, trace.outcome)
    if trace.outcome == "exceptions_exhausted":
        limit = f"exceptions that are values take {EXCEPTION_BYTES >> 20} MiB at most"
        yield replace(c.at_end("record", "outcome", c.run_outcome(), c.trace_outcome()), limit=limit)
        return
    if trace.outcome == "heap_exhausted":
        limit = f"structs and arrays take {HEAP_BYTES >> 20} MiB at most"
        yield replace(c.at_end("record", "outcome", c.run_outcome(), c.trace_outcome()), limit=limit)
        return
    if expected != actual:
        yield c.at_end("outcome", "outcome", c.run_outcome(), c.trace_outcome())
        return
    if actual != "halt":
        yield from _check_trap_site(c)
    else:
        # proc_exit halts inside its routine, a return behind the entry's results.
        exited = any(f.entry <= trace.step[-1] < f.end for f in c.program.functions.values())
        if exited != (run.outcome == "exit"):
            words = ("the end of the exported function", "an exit by the program")
            yield c.at_end("outcome", "halt", words[run.outcome == "exit"], words[exited])


def _check_trap_site(c: Context) -> Iterator[Finding]:
    """The step that trapped stands for the instruction that trapped, where both are known."""
    site = _trapping_site(c)
    if site is not None and c.run.trap_site not in (None, (site.function, site.instruction)):
        expected = c.instruction(*c.run.trap_site)  # type: ignore[misc]
        yield c.at_end("trap site", "trapping instruction", expected, c.instruction(site.function, site.instruction))


def _trapping_site(c: Context) -> Site | None:
    """The last step's own; of a step inside a routine, or of one that prepares another, that of the instruction."""
    user = np.flatnonzero(~c.steps.internal[c.trace.step])
    if not len(user):
        return None
    index = int(c.trace.step[user[-1]])  # the step that trapped, or the call that led into the routine that did
    end = next((f.end for f in c.program.functions.values() if f.entry <= index < f.end), index)
    # A step without a site prepares the next one that has one (table.ref before call_indirect), or is the call of a
    # routine, whose value the next one takes.
    return next((step.site for step in c.program.steps[index:end] if step.site is not None), None)


def _entry(c: Context) -> Entry | None:
    first = int(c.trace.table.ip_delta[c.trace.tokens[c.trace.entry]])
    entries = (*c.program.entries.values(), c.program.start)
    return next((e for e in entries if e is not None and c.program.row_of[e.entry] == first), None)
