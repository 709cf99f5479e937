"""Runs every check and tells the first difference."""

from __future__ import annotations

from ...compiler.frontend.module import Module
from ...compiler.steps.isa import Program
from ..oracle import OracleRun
from ..trace import Location, Trace, location
from .context import Context
from .divergence import CONTEXT, Divergence, Finding
from .ending import check_outcome, check_output, check_results
from .records import check_records
from .structure import check_ends, check_form, check_jumps, check_returns, returns_of


def compare(program: Program, module: Module, trace: Trace, run: OracleRun) -> Divergence | None:
    """The first difference between a trace of `program` and a run of `module`, the module that it was compiled from.

    Raises ValueError when the run was not recorded for this program: a site of the program is not among the run's.
    """
    c = Context(program, module, trace, run)
    calls, returns, lonely = returns_of(c)
    findings: list[Finding] = [
        *check_form(c),
        *check_ends(c),
        *check_jumps(c),
        *check_returns(c, calls, returns, lonely),
        *check_records(c, calls, returns),
        *check_results(c),
        *check_output(c),
        *check_outcome(c),
    ]
    return _divergence(c, min(findings, key=lambda f: f.order)) if findings else None


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
