"""How far the decisions of a trace were from a tie: the smallest lead seen in each head and in the logits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....compiler.format.certificate import Certificate

if TYPE_CHECKING:
    import torch

    from .matrices import Logits

# exp(-746) is 0 in float64: behind a lead of this the softmax has one weight of 1 and the others are 0.
HARD = 746.0


@dataclass(frozen=True)
class HeadMargin:
    """least: the least lead of a winner's score over the next one of another value (infinite: there never was one), seen at
    `position` (-1: nowhere). promised: the least that the certificate allows, None where it says nothing of this head."""

    layer: int
    head: str
    least: float
    position: int
    promised: float | None

    @property
    def kept(self) -> bool:
        """The lead is what the certificate promises, and where it promises nothing, enough for a weight of 1."""
        return self.least >= (HARD if self.promised is None else self.promised)


@dataclass(frozen=True)
class LogitMargin:
    """least: the least lead of the best logit over the second best, seen at `position`; the ids of the two. rounding: how far
    float64 might have moved it there, were no sum exact (they usually are; the certificate says nothing of logits)."""

    least: float
    position: int
    best: int
    second: int
    rounding: float


@dataclass
class Margins:
    """Filled by `replay` with real softmax. Uniform heads decide nothing and are not listed."""

    certificate: Certificate = ()
    heads: list[HeadMargin] = field(default_factory=list)
    logits: LogitMargin | None = None

    def add_head(self, layer: int, head: str, least: float, position: int) -> None:
        lookup = head.partition(" -> ")[0]
        promised = next((b.gap for b in self.certificate if b.head == lookup), None)
        self.heads.append(HeadMargin(layer, head, least, position, promised))

    def add_logits(self, logits: Logits, x: torch.Tensor, start: int) -> None:
        """x: [slots, n], the final residual of the positions from `start` on."""
        leads, ids = logits.leads(x)
        at = int(leads.argmin())
        if self.logits is None or float(leads[at]) < self.logits.least:
            best, second = ids[at].tolist()
            rounding = logits.rounding(x[:, at], (best, second))
            self.logits = LogitMargin(float(leads[at]), start + at, best, second, rounding)

    @property
    def kept(self) -> bool:
        """Whether every head kept what the certificate promises, and no choice of a token was a tie."""
        return all(head.kept for head in self.heads) and (self.logits is None or self.logits.least > 0)
