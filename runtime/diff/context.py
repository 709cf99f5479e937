"""What every check works on, and the words for what it finds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...compiler.frontend.module import Module
from ...compiler.steps.isa import TRAPS, Program
from ..oracle import OracleRun
from ..trace import Location, Trace, show_value
from .divergence import Finding
from .steps import RECORDS, StepTable


class Context:
    """steps: the program's steps as arrays. For every executed step: group (see `steps`), and `next`, the index of the
    step executed after it, -1 behind the last one."""

    def __init__(self, program: Program, module: Module, trace: Trace, run: OracleRun):
        self.program, self.module, self.trace, self.run = program, module, trace, run
        self.steps = StepTable(program, run.sites, run.references)
        self.group = self.steps.group[trace.step]
        self.next = np.append(trace.step[1:], -1)[: len(trace)].astype(np.int64)

    def has_bulk(self) -> bool:
        return bool((self.steps.record == RECORDS.index("bulk")).any())

    def finding(self, rank: str, what: str, expected: object, actual: object, step: int | np.integer) -> Finding:
        """At the token that ended an executed step."""
        return Finding(rank, what, str(expected), str(actual), int(step), int(self.trace.end[step]))

    def first(self, wrong: np.ndarray) -> Iterator[int]:
        """The index of the first True, if there is one."""
        at = np.flatnonzero(wrong)
        return iter(at[:1].tolist())

    def at_end(self, rank: str, what: str, expected: object, actual: object) -> Finding:
        """Where the trace ends, or is none any more."""
        trace = self.trace
        last = len(trace) - 1 if len(trace) else None
        token = trace.entry if last is None else int(trace.end[last])
        if trace.fault is not None:
            token = trace.fault.token
        return Finding(rank, what, str(expected), str(actual), last, token)

    def instruction(self, function: int, instruction: int) -> str:
        f = self.module.functions[function]
        instr = f.body[instruction]
        return str(Location(f.name or f"func[{function}]", instr.name, instr.offset))

    def recorded(self, k: int) -> str:
        """Record k, in words."""
        record = self.run.records[k]
        site = self.run.sites[record["site"]]
        text = self.instruction(site.function, site.instruction)
        match site.record:
            case "value":
                return f"{text} = {show_value(int(record['value']))}"
            case "store":
                return f"{text} = {show_value(int(record['value']))} at address {int(record['address'])}"
            case "branch" | "br_table":
                return f"{text}: {int(record['value'])}"
            case _:
                return text

    def executed(self, step: int) -> str:
        """An executed step, in words."""
        view = self.trace.view(int(step), self.program, self.module)
        return f"{view.where} = {view.result}" if view.step.dest else f"{view.where}: {view.result}"

    def run_outcome(self) -> str:
        run = self.run
        if run.outcome == "ok":
            return "halt"
        if run.outcome == "exit":
            return f"exit with code {run.results[0]}"
        return f"trap: {run.outcome}" + (f" at {self.instruction(*run.trap_site)}" if run.trap_site else "")

    def trace_outcome(self) -> str:
        outcome = self.trace.outcome
        if outcome in TRAPS:
            return f"trap: {TRAPS[outcome]}"
        return "the tokens end without a halt" if outcome == "unfinished" else "halt"
