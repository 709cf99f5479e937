"""Runs a case on the model and in wasmtime, and compares every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from wasm2xformer import CompileError
from wasm2xformer.runtime.verify import Verifier

from .cases import Case

# A case is bounded by its fuel; a run that goes on much longer has lost its way.
MAX_TOKENS = 1_000_000


@dataclass
class Counts:
    """refused: by reason."""

    modules: int = 0
    invocations: int = 0
    traps: int = 0
    steps: int = 0
    compared: int = 0
    tokens: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [
            f"{self.modules:,} modules, {self.invocations:,} invocations ({self.traps:,} trapped), {self.steps:,} steps,"
            f" {self.tokens:,} tokens, {self.compared:,} records of wasmtime compared, {self.refused.total():,} refused"
        ]
        return "\n".join(lines + [f"  refused {n:,}: {reason}" for reason, n in self.refused.most_common()])


class Difference(AssertionError):
    """The model and wasmtime disagree; the message has the difference, the call and the module."""


def check(case: Case, opt_level: int, counts: Counts, engine: str = "fast") -> None:
    """Raises Difference."""
    try:
        verifier = Verifier(case.wat, opt_level=opt_level, engine=engine)
    except CompileError as error:
        counts.refused[str(error.reasons[0].message)] += 1
        return
    counts.modules += 1
    for name, args in case.calls:
        report = verifier.invoke(name, args, max_tokens=MAX_TOKENS)
        if report.divergence is not None:
            call = f"{name}{args} at -O{opt_level}"
            raise Difference(f"{call}: {report.divergence}\nafter {case.calls}\n{case.wat}")
        counts.invocations += 1
        counts.traps += report.run.trap is not None
        counts.steps += report.steps
        counts.tokens += report.tokens
        counts.compared += report.compared
