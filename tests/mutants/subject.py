"""One program at one level, and its mutants checked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import wasm2xformer as w2x
from tests.programs import ProgramCase
from wasm2xformer.compiler.compile import compile_steps, link_source, realise
from wasm2xformer.compiler.format.isa import Program
from wasm2xformer.compiler.options import CompileOptions
from wasm2xformer.compiler.wasm.source import Source, load
from wasm2xformer.runtime.check.translation import TranslationCheck
from wasm2xformer.runtime.check.verify import Report


class Subject:
    """One program at one level: which functions its invocations execute, and the check of its mutants."""

    def __init__(self, case: ProgramCase, level: int):
        self.case, self.level = case, level
        self.source: Source = load(case.module())
        options = CompileOptions(level)
        self.program, self.module = compile_steps(self.source, options)
        self.linked = link_source(self.source, options)
        self.sessions = [s for s in case.sessions() if all(run.size == "small" for run in s)] or case.sessions()[:1]
        model = realise(self.program, self.module)
        self.executed: set[int] = set()
        self.longest = 0
        for report in self._reports(model, None):
            assert report.ok, (case.id, report.divergence)
            self.executed.update(np.unique(report.trace.step).tolist())
            self.longest = max(self.longest, report.tokens)

    def _reports(self, model: w2x.Model, max_tokens: int | None) -> Iterator[Report]:
        """Of every invocation, each session on an instance of its own."""
        for session in self.sessions:
            verifier = w2x.Verifier(self.source, model=model, stdin=session[0].stdin, argv=[self.case.id])
            for run in session:
                yield verifier.invoke(run.export, run.args, max_tokens=max_tokens)

    @property
    def steps(self) -> list[int]:
        """Of the functions that are executed, and of entries that are."""
        found = set(self.executed)
        for f in self.program.functions.values():
            if self.executed.intersection(range(f.entry, f.end)):
                found.update(range(f.entry, f.end))
        return sorted(found)

    def statically(self, mutant: Program, index: int) -> str:
        """What the translation check, as `verify` makes it of executed functions, says of the step's function."""
        check = TranslationCheck(mutant, self.linked, self.source.module)
        return str(check.first(np.array(sorted({index, min(index + 1, len(mutant.steps) - 1)}))) or "")

    def run(self, mutant: Program) -> str:
        """Makes weights and runs the invocations; what told the mutant, "" if nothing did."""
        try:
            model = realise(mutant, self.module)
        except Exception as error:
            return f"no weights ({type(error).__name__})"
        try:
            if not all(report.ok for report in self._reports(model, 4 * self.longest + 1000)):
                return "a difference"
        except w2x.Unfinished:
            return "not finished"
        except Exception as error:
            return f"no run ({type(error).__name__})"
        return ""
