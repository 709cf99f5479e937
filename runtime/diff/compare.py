"""Runs every check and tells the first difference."""

from __future__ import annotations

from ...compiler.frontend.module import Module
from ...compiler.steps.isa import Program
from ..oracle import OracleRun
from ..trace import Location, Trace, location
from .context import WINDOW, Context
from .copies import Copies
from .divergence import CONTEXT, Divergence, Finding
from .ending import check_outcome, check_output, check_results
from .records import Records
from .steps import BULK
from .structure import Calls, check_ends, check_form, check_jumps


def compare(program: Program, module: Module, trace: Trace, run: OracleRun, window: int = WINDOW) -> Divergence | None:
    """The first difference between a trace of `program` and a run of `module`, the module that it was compiled from.

    window: executed steps that are checked at a time. Raises ValueError when the run was not recorded for this program:
    a site of the program is not among the run's.
    """
    c = Context(program, module, trace, run)
    calls = Calls(BULK)
    findings = [*check_form(c), *check_results(c), *check_output(c), *check_outcome(c), *_structure(c, calls, window)]
    findings += _records(c, Records(c, calls.returned), window)
    return _divergence(c, min(findings, key=lambda f: f.order)) if findings else None


def _structure(c: Context, calls: Calls, window: int) -> list[Finding]:
    """What the first window shows that shows anything."""
    copies = Copies(c.program)
    for w in c.windows(window):
        findings = [*check_ends(w), *check_jumps(w), *calls.check(w), *copies.check(w)]
        if findings:
            return findings
    return []


def _records(c: Context, records: Records, window: int) -> list[Finding]:
    for w in c.windows(window):
        findings = list(records.check(w))
        if findings:
            return findings
    return list(records.check_end())


def _divergence(c: Context, finding: Finding) -> Divergence:
    start = max(finding.token - CONTEXT, 0)
    where, index = Location("the entry"), None
    if finding.step is not None:
        index = int(c.trace.step[finding.step])
        where = location(c.program, c.module, index)
    return Divergence(
        finding.what, where, finding.expected, finding.actual, finding.step, index, finding.token, start,
        tuple(c.trace.names(start, finding.token + CONTEXT + 1)),
    )  # fmt: skip
