"""What a difference is, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass

from ...trace import Location

CONTEXT = 12  # tokens shown before and behind a difference

# Which difference is told when several stand at the same token.
RANKS = ("record", "step", "result", "output", "missing record", "trap site", "outcome", "missing", "translation")


@dataclass(frozen=True)
class Finding:
    """A difference that a check has found. rank: see RANKS. limit: it is one of the model's limits, this; "" for none.

    step: number of the executed step in the trace, None when there is none. token: position in the trace's tokens.
    """

    rank: str
    what: str
    expected: str
    actual: str
    step: int | None
    token: int
    limit: str = ""

    @property
    def order(self) -> tuple[int, int]:
        return self.token, RANKS.index(self.rank)


@dataclass(frozen=True)
class Divergence:
    """The first difference. expected: of wasmtime's run; actual: of the model's trace.

    step: number of the executed step in the trace, None when there is none. index: its index in the program.
    limit: it is no difference but this limit of the model, behind which nothing is compared; "" for none.
    token: position in the invocation's tokens. tokens: names of those around it, from position `first_token` on.
    """

    what: str
    where: Location
    expected: str
    actual: str
    step: int | None
    index: int | None
    token: int
    first_token: int
    tokens: tuple[str, ...]
    limit: str = ""

    def __str__(self) -> str:
        shown = [f"[{t}]" if self.first_token + i == self.token else t for i, t in enumerate(self.tokens)]
        number = "" if self.step is None else f", executed step {self.step:,} (step {self.index} of the program)"
        return "\n".join(
            (
                f"{self.what} differs at {self.where}",
                f"  expected  {self.expected}",
                f"  actual    {self.actual}",
                f"  at        token {self.token:,}{number}",
                f"  tokens    {' '.join(shown)}",
            )
        )
