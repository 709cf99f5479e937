"""Runs a case in the transformer, or its steps without weights, and in wasmtime, and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import wasm2xformer as w2x
from wasm2xformer.runtime.errors import Unfinished

from .case import Case
from .interpreted import interpreted

MAX_TOKENS = 200_000


@dataclass
class Tally:
    """Sums over cases. compared: records of wasmtime that were compared. refused: exports or modules, by reason.

    unfinished: invocations given up; the rest of their case is not run. diverged: what differs, as text.
    """

    modules: int = 0
    invocations: int = 0
    traps: int = 0
    tokens: int = 0
    steps: int = 0
    compared: int = 0
    unfinished: int = 0
    diverged: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def run(case: Case, opt_level: int, *, engine: str = "fast", max_tokens: int = MAX_TOKENS, **options: Any) -> Tally:
    """Every call of the case on one instance, up to the first difference. options: as for `Verifier`."""
    tally = Tally(refused=Counter(case.refused))
    if not case.calls:
        return tally
    try:
        verifier = w2x.Verifier(
            case.source, opt_level=opt_level, engine=engine, exports=case.exports, libraries=case.libraries, **options
        )
    except w2x.CompileError as error:
        tally.refused[error.reasons[0].message] += 1
        return tally
    tally.modules = 1
    if verifier.started is not None and not (verifier.started.ok and verifier.started.run.returned):
        if not verifier.started.ok:
            tally.diverged.append(f"start: {verifier.started.divergence}")
        return tally
    for call in case.calls:
        try:
            report = verifier.invoke(call.export, call.args, max_tokens=max_tokens)
        except Unfinished:
            tally.unfinished += 1
            break
        tally.invocations += 1
        tally.traps += report.run.trap is not None
        tally.tokens += report.tokens
        tally.steps += report.steps
        tally.compared += report.compared
        if not report.ok:
            tally.diverged.append(f"{call.export}{call.args}: {report.divergence}")
            break
    return tally


def run_steps(case: Case, opt_level: int) -> Tally:
    """Without weights, see `interpreted`."""
    tally = Tally(refused=Counter(case.refused))
    if case.calls:
        try:
            tally.invocations, tally.traps = interpreted(case, opt_level)
        except w2x.CompileError as error:
            tally.refused[error.reasons[0].message] += 1
            return tally
        tally.modules = 1
        tally.unfinished = int(tally.invocations < len(case.calls))
    return tally
