"""Runs every check and tells the first difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ....compiler.format.isa import Program, Site
from ....compiler.wasm.module import Module
from ...results import Run
from ...trace import Location, Trace, location
from ..oracle import OracleRun
from ..translation import Mistranslation
from .agreement import Agreement, PassRoom
from .context import WINDOW, Context
from .copies import Copies, SlotTable
from .divergence import CONTEXT, Divergence, Finding
from .ending import check_outcome, check_output, check_results
from .records import Records
from .state import ModelState, StateDifference
from .steps import BULK, StepTable
from .structure import Calls, check_ends, check_form, check_jumps
from .tables import PassTables, pass_tables


class Comparison:
    """Compares traces of `program` with runs of `module`, the module that it was compiled from.

    sites, references: of the oracle. What it records and no step answers for is not compared here: whether that may be
    is what `translation` decides.
    """

    def __init__(self, program: Program, module: Module, sites: Sequence[Site], references: np.ndarray):
        self.program, self.module = program, module
        self._steps, self._slots = StepTable(program, sites, references), SlotTable(program)
        self._tables: PassTables | None = None
        self._room: PassRoom | None = None

    @property
    def steps(self) -> StepTable:
        """The program's steps as arrays."""
        return self._steps

    @property
    def answered(self) -> np.ndarray:
        """bool, by site: a step answers for it."""
        return self._steps.answered

    def agreement(self, run: Run, state: ModelState, keep: bool = False) -> Agreement:
        """To be told wasmtime's records of the call while it runs there. state: before that call; its memory follows along. keep:
        the records are kept in any case."""
        if self._tables is None or self._room is None:
            self._tables = pass_tables(self.program, self.module, state.table, self._steps, self._slots)
            self._room = PassRoom(self._tables)
        agreement = Agreement(self._tables, run, state.table, state.memory, state.hidden, keep, self._room)
        state.begin(agreement.tokens[: agreement.entry], run.probed)
        return agreement

    def agrees(self, agreement: Agreement, oracle: OracleRun, trace: Callable[[], Trace]) -> bool:
        """Whether `first` finds nothing, but for what the call leaves behind. See `Agreement.ends_with`."""
        return agreement.ends_with(self.program, self.module, self._steps, oracle, trace)

    def first(
        self, trace: Trace, run: OracleRun, window: int = WINDOW, fault: Mistranslation | None = None,
        after: Callable[[], StateDifference | None] | None = None, compared: int = 0,
    ) -> Divergence | None:  # fmt: skip
        """The first difference. window: executed steps that are checked at a time. fault: one of the program's own.
        after: says what differs in what the call leaves behind, when nothing else does. compared: records that steps answer for
        that have been compared and that the run has not kept.
        """
        c = Context(self.program, self.module, self._steps, trace, run)
        calls = Calls(BULK)
        findings = [*check_form(c), *check_results(c), *check_output(c), *check_outcome(c)]
        findings += _structure(c, calls, Copies(self._slots), window)
        findings += _records(c, Records(c, calls.returned, compared), window)
        if fault is not None:
            findings.append(_fault(c, fault))
        if findings:
            return _divergence(c, min(findings, key=lambda f: f.order))
        difference = after() if after else None
        if difference is None:
            return None
        return _divergence(c, c.at_end("missing", difference.what, difference.expected, difference.actual))


def compare(program: Program, module: Module, trace: Trace, run: OracleRun, window: int = WINDOW) -> Divergence | None:
    """The first difference between one trace and one run, as `Comparison` finds it.

    Raises ValueError when a site of the program is not among those of the run.
    """
    missing = {step.site for step in program.steps} - {None, *run.sites}
    if missing:
        raise ValueError(f"{len(missing)} sites of the program were not recorded, e.g. {missing.pop()}")
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


def _fault(c: Context, fault: Mistranslation) -> Finding:
    """Told where the step is executed first; if it is not, where its function is."""
    at = np.flatnonzero(c.trace.step == fault.index)
    if not len(at):
        here = (f for f in c.program.functions.values() if f.entry <= fault.index < f.end)
        first, end = next(((f.entry, f.end) for f in here), (0, len(c.program.steps)))
        at = np.flatnonzero((c.trace.step >= first) & (c.trace.step < end))
    what = f"translation (step {fault.index} of the program)"
    if not len(at):
        return c.at_end("translation", what, fault.wanted, fault.found)
    return c.finding("translation", what, fault.wanted, fault.found, at[0])


def _divergence(c: Context, finding: Finding) -> Divergence:
    start = max(finding.token - CONTEXT, 0)
    where, index = Location("the entry"), None
    if finding.step is not None:
        index = int(c.trace.step[finding.step])
        where = location(c.program, c.module, index)
    return Divergence(
        finding.what, where, finding.expected, finding.actual, finding.step, index, finding.token, start,
        tuple(c.trace.names(start, finding.token + CONTEXT + 1)), finding.limit,
    )  # fmt: skip
