"""What the checks work on: the whole trace, and windows of it, so that the arrays in between stay small."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ....compiler.format.isa import TRAPS, LinearMemory, Program
from ....compiler.wasm.module import Instr, Module
from ...trace import Location, Trace, show_value
from ..oracle import STILL_RUNNING, OracleRun
from .divergence import Finding
from .steps import StepTable

WINDOW = 1 << 18  # executed steps checked at a time


class Context:
    """Both sides of the comparison, and the words for what is found. steps: the program's steps as arrays."""

    def __init__(self, program: Program, module: Module, steps: StepTable, trace: Trace, run: OracleRun):
        self.program, self.module, self.steps, self.trace, self.run = program, module, steps, trace, run

    @cached_property
    def records(self) -> np.ndarray:
        """Those that a step answers for."""
        answered = self.steps.answered[self.run.records["site"]]
        return self.run.records if answered.all() else self.run.records[answered]

    def windows(self, size: int) -> Iterator[Window]:
        return (Window(self, start, min(start + size, len(self.trace))) for start in range(0, len(self.trace), size))

    def finding(
        self, rank: str, what: str, expected: object, actual: object, step: int | np.integer, limit: str = ""
    ) -> Finding:
        """At the token that ended an executed step."""
        return Finding(rank, what, str(expected), str(actual), int(step), int(self.trace.end[step]), limit)

    def at_end(self, rank: str, what: str, expected: object, actual: object) -> Finding:
        """Where the trace ends, or is none any more."""
        trace = self.trace
        last = len(trace) - 1 if len(trace) else None
        token = trace.entry if last is None else int(trace.end[last])
        if trace.fault is not None:
            token = trace.fault.token
        return Finding(rank, what, str(expected), str(actual), last, token)

    def instruction(self, function: int, instruction: int) -> str:
        return str(Location.of_instruction(self.module, function, instruction))

    def instr(self, index: int) -> Instr:
        """The instruction that a step with a site answers for."""
        site = self.program.steps[index].site
        assert site is not None
        return self.module.functions[site.function].body[site.instruction]

    def memory_of(self, instr: Instr) -> LinearMemory:
        """Which memory an instruction that writes or grows one means."""
        first = {"memory.init": 1, "memory.copy": 0, "memory.fill": 0, "memory.grow": 0}.get(instr.name, 2)
        index = instr.args[first] if len(instr.args) > first else 0
        only = LinearMemory("memory_bytes", 0, self.program.memory_pages, self.program.memory_maximum, index)
        return next((m for m in self.program.memories if m.source == index), only)

    def recorded(self, k: int) -> str:
        """Record k, in words."""
        record = self.records[k]
        site = self.run.sites[record["site"]]
        text = self.instruction(site.function, site.instruction)
        match site.record:
            case "value" | "high_value":
                return f"{text} = {show_value(int(record['value']))}"
            case "store" | "high_store":
                return f"{text} = {show_value(int(record['value']))} at address {int(record['address'])}"
            case "branch" | "br_table":
                return f"{text}: {int(record['value'])}"
            case _:
                return text

    def executed(self, step: int | np.integer) -> str:
        """An executed step, in words."""
        view = self.trace.view(int(step), self.program, self.module)
        return f"{view.where} = {view.result}" if view.step.dest else f"{view.where}: {view.result}"

    def run_outcome(self) -> str:
        run = self.run
        if run.outcome == "ok":
            return "halt"
        if run.outcome == STILL_RUNNING:
            return run.outcome
        if run.outcome == "exit":
            return f"exit with code {run.results[0]}"
        return f"trap: {run.outcome}" + (f" at {self.instruction(*run.trap_site)}" if run.trap_site else "")

    def trace_outcome(self) -> str:
        outcome = self.trace.outcome
        if outcome in TRAPS:
            return f"trap: {TRAPS[outcome]}"
        return "the tokens end without a halt" if outcome == "unfinished" else "halt"


class Window:
    """The executed steps start .. stop - 1; arrays have one element per step of them.

    index: in the program. kind: of the last token. group: see `steps`. next: index of the step executed after it, -1
    behind the trace's last one.
    """

    def __init__(self, context: Context, start: int, stop: int):
        trace = context.trace
        self.context, self.start, self.stop = context, start, stop
        self.index = trace.step[start:stop]
        self.kind = trace.kind[start:stop]
        self.group = context.steps.group[self.index]
        self.next = trace.step[start + 1 : stop + 1]
        if stop == len(trace):
            self.next = np.append(self.next, np.int32(-1))

    def first(self, wrong: np.ndarray, at: np.ndarray | None = None) -> Iterator[int]:
        """Where the first True is, if there is one. at: what `wrong` says of some steps, these."""
        found = np.flatnonzero(wrong)[:1]
        return iter(found.tolist() if at is None else at[found].tolist())

    def finding(
        self, rank: str, what: str, expected: object, actual: object, step: int | np.integer, limit: str = ""
    ) -> Finding:
        """As `Context.finding`; step: counted in the window."""
        return self.context.finding(rank, what, expected, actual, self.start + int(step), limit)
