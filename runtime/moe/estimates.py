"""Proportions and means over prompts, with intervals of 95 %. Tokens of one prompt are not independent: prompts are what is
drawn.

A proportion p of n tokens out of P prompts has Wilson's interval, with the effective number of tokens in the place of n:

    n' = p (1 - p) / v,   v = P / (P - 1) sum_i (k_i - p n_i)^2 / n^2

k_i of the n_i tokens of prompt i are counted. n' is at most n; P where v is 0, since then all prompts said the same.
Everything else has a percentile bootstrap over prompts, with a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Z = 1.96
FEW = 30  # prompts, below which an interval is no ground for a conclusion
DRAWS = 400


@dataclass(frozen=True)
class Estimate:
    """value, between low and high with 95 %. prompts: how many it rests on. percent: how it is written."""

    value: float
    low: float
    high: float
    prompts: int
    percent: bool = False

    def __str__(self) -> str:
        if self.percent:
            scaled = (100 * self.value, 100 * self.low, 100 * self.high)
            value, low, high = ("-" if math.isnan(x) else str(round(x)) for x in scaled)
            value += " %"
        else:
            value, low, high = (f"{x:.3f}" for x in (self.value, self.low, self.high))
        if math.isnan(self.value):
            return "-"
        return value if math.isnan(self.low) else f"{value} ({low} to {high})"

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "prompts": self.prompts}

    def exceeds(self, threshold: float) -> str:
        """"yes", "no", or "open" where the interval holds the threshold."""
        return "yes" if self.low > threshold else "no" if self.high < threshold else "open"


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's interval of 95 % for a proportion p of n."""
    if n <= 0:
        return 0.0, 1.0
    middle, spread = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + Z * Z / n)), min(1.0, (middle + spread) / (1 + Z * Z / n))


def proportion(hits: np.ndarray, totals: np.ndarray) -> Estimate:
    """Of sum(totals) tokens, sum(hits); both [P], one element for each prompt."""
    used = totals > 0
    k, n = hits[used].astype(float), totals[used].astype(float)
    count, prompts = float(n.sum()), int(used.sum())
    if not prompts:
        return Estimate(math.nan, 0.0, 1.0, 0, True)
    p = float(k.sum()) / count
    variance = prompts / (prompts - 1) * float(((k - p * n) ** 2).sum()) / count**2 if prompts > 1 else 0.0
    effective = min(count, p * (1 - p) / variance) if variance else float(prompts)
    return Estimate(p, *wilson(p, effective), prompts, True)


def per_prompt(values: np.ndarray, prompt: np.ndarray, prompts: int) -> np.ndarray:
    """Sums of values [T] by prompt: float [prompts]."""
    return np.bincount(prompt, weights=values.astype(float), minlength=prompts)


def share(hits: np.ndarray, among: np.ndarray, prompt: np.ndarray, prompts: int) -> Estimate:
    """Of the tokens in `among`, those in `hits`; bool [T] each."""
    return proportion(per_prompt(hits & among, prompt, prompts), per_prompt(among, prompt, prompts))


def mean(values: np.ndarray, prompt: np.ndarray, prompts: int) -> Estimate:
    """Of values [T]; NaN is left out."""
    known = ~np.isnan(values)
    sums, counts = per_prompt(np.where(known, values, 0.0), prompt, prompts), per_prompt(known, prompt, prompts)
    return bootstrap(lambda s: s[..., 0] / np.maximum(s[..., 1], 1), np.stack([sums, counts], 1), counts > 0)


def bootstrap(statistic: Callable[[np.ndarray], np.ndarray], sums: np.ndarray, used: np.ndarray | None = None) -> Estimate:
    """statistic: from sums over prompts [..., a, b] to [...]. sums: [P, a, b], of each prompt. used: prompts that count."""
    sums = sums if used is None else sums[used]
    prompts = len(sums)
    if not prompts:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(statistic(sums.sum(0)[None])[0])
    if prompts < 2:
        return Estimate(value, math.nan, math.nan, prompts)
    drawn = np.random.default_rng(0).multinomial(prompts, np.full(prompts, 1 / prompts), DRAWS)
    found = statistic(np.tensordot(drawn, sums, (1, 0)))
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(value, float(low), float(high), prompts)
