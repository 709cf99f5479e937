"""Runs every check and tells the first difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....compiler.format.isa import Program, Site
from ....compiler.wasm.module import Module
from ...trace import Location, Trace, location
from ..oracle import OracleRun
from .context import WINDOW, Context
from .copies import Copies, SlotTable
from .divergence import CONTEXT, Divergence, Finding
from .ending import check_outcome, check_output, check_results
from .records import Records
from .steps import BULK, StepTable
from .structure import Calls, check_ends, check_form, check_jumps


class Comparison:
    """Compares traces of `program` with runs of `module`, the module that it was compiled from.

    sites, references: of the oracle. Raises ValueError when a site of the program is not among them.
    """

    def __init__(self, program: Program, module: Module, sites: Sequence[Site], references: np.ndarray):
        self.program, self.module = program, module
        self._steps, self._slots = StepTable(program, sites, references), SlotTable(program)

    def first(self, trace: Trace, run: OracleRun, window: int = WINDOW) -> Divergence | None:
        """The first difference. window: executed steps that are checked at a time."""
        c = Context(self.program, self.module, self._steps, trace, run)
        calls = Calls(BULK)
        findings = [*check_form(c), *check_results(c), *check_output(c), *check_outcome(c)]
        findings += _structure(c, calls, Copies(self._slots), window)
        findings += _records(c, Records(c, calls.returned), window)
        return _divergence(c, min(findings, key=lambda f: f.order)) if findings else None


def compare(program: Program, module: Module, trace: Trace, run: OracleRun, window: int = WINDOW) -> Divergence | None:
    """The first difference between one trace and one run, as `Comparison` finds it."""
    return Comparison(program, module, run.sites, run.references).first(trace, run, window)


def _structure(c: Context, calls: Calls, copies: Copies, window: int) -> list[Finding]:
    """What the first window shows that shows anything."""
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
