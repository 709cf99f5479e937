"""The certificate: for how many tokens real softmax in float64 gives exactly what the weights are meant to give, head by head.

A head that looks something up is exact while every partial sum of its scores fits into a double and the winner leads by
at least GAP: exp(-GAP) is 0 in float64, so the softmax has one weight of 1 and the others are 0. A uniform head (a running mean,
times the position a running sum) is rounded: n tokens with partial sums below P give a sum that is off by at most n P 2^-52,
and whoever reads it rounds to an integer, so that n P 2^-52 < 1/4 is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# What a winner's score must lead by: exp(-746) is 0 in float64, and this is a power of two.
GAP = 1024.0
# Bits of a float64: partial sums of scores need no more.
SCORE_BITS = 53
# n^2 and 2 n (n - j) are exact for positions up to here.
POSITION_BITS = 26


@dataclass(frozen=True)
class HeadBound:
    """What one lookup allows.

    head: its name. kind: "uniform", "relative", "latest", "nearest", "rounding", "paraboloid".
    tokens: the longest sequence for which it is exact. bits: significant bits of its scores near the winner (0: uniform).
    eps: the exponent of what a later position is preferred by, in units of the distance of two keys (0: it is not).
    gap: the least lead of the winner. partial: the largest partial sum of a uniform head that was reckoned with.
    """

    head: str
    kind: str
    tokens: int
    bits: int = 0
    eps: int = 0
    gap: float = 0.0
    partial: float = 0.0


Certificate = tuple[HeadBound, ...]


def tokens_of(certificate: Sequence[HeadBound]) -> int:
    """The longest sequence for which all heads are exact; 0: nothing is claimed."""
    return min((b.tokens for b in certificate), default=0)


def tightest(certificate: Sequence[HeadBound]) -> HeadBound | None:
    """The head that sets the minimum."""
    return min(certificate, key=lambda b: b.tokens, default=None)


def uniform_tokens(partial: float) -> int:
    """The most tokens n with n * partial * 2^-52 < 1/4."""
    return int(2.0**50 / max(partial, 1.0)) - 1


def holds(bound: HeadBound) -> bool:
    """Whether the numbers of a bound agree with each other."""
    if bound.kind == "uniform":
        return bound.tokens <= uniform_tokens(bound.partial)
    if bound.kind in ("relative", "rounding") and bound.tokens >= 2**POSITION_BITS:
        return False
    if bound.eps < 0 and bound.tokens > 2.0 ** (-bound.eps - 1):
        return False
    return bound.gap >= GAP and 0 < bound.bits <= SCORE_BITS
