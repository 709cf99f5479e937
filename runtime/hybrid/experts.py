"""Experts: exports of compiled programs with typed signatures. Their results are what the compiled transformer decodes.

Nothing here computes a result. Arguments are placed by invocations, the function is one, and reading memory is another; what a
result's characters are is decided by tokens: of standard output, of memory that is read, or of the returned value.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ...compiler.compile import compile as compile_program
from ...compiler.format.checkpoint import Model
from ...compiler.format.errors import EnvelopeError
from ..check.verify import Report, Verifier
from ..errors import ArgumentError, Trap, Unfinished
from ..instance import Instance
from ..world import World
from .canonical import Call, Value
from .errors import ExpertError
from .invocation import Outcome, perform
from .signature import Argument, Result, signature

# The sequence of an instance that serves several calls is begun anew when it has so many tokens.
SEQUENCE = 1 << 22
# A call that is longer is given up: the sequence's own limit is reached soon after.
MOST_TOKENS = 60_000_000
RANDOM, CLOCK = bytes(256), 0.0  # a call is the same every time


@dataclass
class ExpertProgram:
    """A program that experts are exports of. source: as for `compile`. model: compiled from it, when that has been done before.
    engine: that decodes. names: of the exports that are needed."""

    source: str | bytes | Path
    names: Sequence[str]
    given: Model | None = None
    engine: str = "fast"
    _kept: Instance | None = field(default=None, repr=False)
    _verifier: Verifier | None = field(default=None, repr=False)
    _verified: int = 0  # tokens of its sequence

    @cached_property
    def model(self) -> Model:
        return self.given or compile_program(self.source, exports=[*dict.fromkeys(self.names)])

    def instance(self, pure: bool) -> Instance:
        """A new one, or one that served other calls, if these leave no traces behind."""
        if self._kept is None or not pure or self._kept.position > SEQUENCE:
            made = Instance(self.model, self.engine, world=World(random=RANDOM, clock=CLOCK))
            if not pure:
                return made
            self._kept = made
        return self._kept

    def forget(self) -> None:
        """The next call gets a new instance: this one stopped in the middle of one."""
        self._kept = None

    @contextmanager
    def verifier(self, pure: bool) -> Iterator[Verifier]:
        """Likewise. What stopped in the middle of a call is not used again."""
        kept, self._verifier = self._verifier, None
        if kept is None or not pure or self._verified > SEQUENCE:
            kept = Verifier(self.source, model=self.model, engine=self.engine, world=World(random=RANDOM, clock=CLOCK))
            self._verified = 0
        yield kept
        self._verifier = kept if pure else None


@dataclass(frozen=True)
class Expert:
    """One export as an expert. failures: what the function returns where it has no result, and what that means. pure: a call
    leaves nothing behind that another one could see. verified: the program's source is at hand."""

    name: str
    about: str
    arguments: tuple[Argument, ...]
    result: Result
    program: ExpertProgram
    export: str
    failures: Mapping[int, str] = field(default_factory=dict)
    pure: bool = False

    @property
    def signature(self) -> str:
        return signature(self.name, self.arguments, self.result)

    def takes(self, values: Sequence[Value]) -> bool:
        return len(values) == len(self.arguments) and all(a.fits(v) for a, v in zip(self.arguments, values))

    def answer(self, values: Sequence[Value], *, max_tokens: int | None = None, timeout: float | None = None) -> Answer:
        """Decodes the call. Raises ExpertError where it traps, fails or takes too long."""
        began, program = time.perf_counter(), self.program
        call = Call(self.name, tuple(values))
        where = call.text if len(call.text) < 80 else f"{self.name}(...)"
        try:
            instance = program.instance(self.pure)
            limit = min(max_tokens or MOST_TOKENS, MOST_TOKENS)
            outcome = perform(instance, self, values, max_tokens=limit, timeout=timeout)
        except Trap as trap:
            raise ExpertError(f"{where} trap: {trap}") from None
        except (Unfinished, EnvelopeError) as error:
            program.forget()
            raise ExpertError(f"{where} {error}") from None
        except ArgumentError as error:
            raise ExpertError(f"{where} {error}") from None
        except BaseException:
            program.forget()
            raise
        return Answer(self, call, outcome.text, outcome, time.perf_counter() - began)


@dataclass(frozen=True)
class Verification:
    """One call against wasmtime. difference: the first one, in words, "" for none. steps, tokens, compared: of all of it."""

    difference: str
    steps: int
    tokens: int
    compared: int
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.difference


@dataclass(frozen=True)
class Answer:
    """A call and what the compiled transformer decoded for it. text: the result. seconds: that it took."""

    expert: Expert
    call: Call
    text: str
    outcome: Outcome
    seconds: float

    @property
    def tokens(self) -> int:
        return self.outcome.tokens

    @property
    def steps(self) -> int:
        return self.outcome.steps

    def verify(self) -> Verification:
        """Decodes the call once more beside wasmtime, which runs the original: every step is compared, and every token with
        those that gave this answer. Raises OracleError."""
        began, reports = time.perf_counter(), list[Report]()
        with self.expert.program.verifier(self.expert.pure) as side:
            again = perform(side, self.expert, self.call.arguments, reports=reports)
            self.expert.program._verified += again.tokens
        difference = next((_difference(r) for r in reports if not r.ok), "")
        if not difference and not self._same_tokens(again):
            difference = "the tokens of the answer are not those of the verified call"
        return Verification(
            difference, sum(r.steps for r in reports), sum(r.tokens for r in reports), sum(r.compared for r in reports),
            time.perf_counter() - began,
        )  # fmt: skip

    def _same_tokens(self, other: Outcome) -> bool:
        return self.text == other.text and np.array_equal(self.outcome.run.tokens, other.run.tokens)


def _difference(report: Report) -> str:
    return str(report.divergence or report.mismatch or report.limit)


class Experts:
    """A set of experts by name; several may share one, if their signatures tell them apart."""

    def __init__(self, experts: Iterable[Expert] = ()):
        self.all: list[Expert] = []
        self._named: dict[str, list[Expert]] = {}
        for expert in experts:
            self.add(expert)

    def add(self, expert: Expert) -> None:
        """Raises ExpertError for a second expert of the same name with the same types."""
        others = self._named.setdefault(expert.name, [])
        types = [a.type for a in expert.arguments]
        if any([a.type for a in other.arguments] == types for other in others):
            raise ExpertError(f"{expert.signature}: there is one already")
        others.append(expert)
        self.all.append(expert)

    @property
    def names(self) -> list[str]:
        return list(self._named)

    def find(self, call: Call) -> Expert:
        """The first of that name that takes these arguments. Raises ExpertError."""
        if call.name not in self._named:
            raise ExpertError(f"no expert {call.name!r}; there are: {', '.join(self._named) or 'none'}")
        for expert in self._named[call.name]:
            if expert.takes(call.arguments):
                return expert
        signatures = "; ".join(e.signature for e in self._named[call.name])
        shown = call.text if len(call.text) < 80 else f"{call.name}(...)"
        raise ExpertError(f"{shown} these arguments do not fit; there is: {signatures}")

    def answer(self, call: Call, *, max_tokens: int | None = None, timeout: float | None = None) -> Answer:
        """Raises ExpertError."""
        return self.find(call).answer(call.arguments, max_tokens=max_tokens, timeout=timeout)
