"""How well scores tell the edges of the true circuit from the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recovery:
    """auc: the share of pairs (true, other) of which the true one has the higher score; equal ones count half. best: the
    highest F1 of any threshold, with precision and recall there. above_zero: precision and recall of all that have any score."""

    auc: float
    best: tuple[float, float, float]
    above_zero: tuple[float, float]

    def __str__(self) -> str:
        f1, precision, recall = self.best
        return (
            f"AUC {self.auc:.3f}  best F1 {f1:.2f} (precision {precision:.2f}, recall {recall:.2f})  "
            f"any score: precision {self.above_zero[0]:.2f}, recall {self.above_zero[1]:.2f}"
        )


def recovery(scores: Mapping[str, float], truth: Collection[str]) -> Recovery:
    """scores: of all candidates, >= 0. truth: some of them."""
    values = np.array(list(scores.values()))
    true = np.array([name in truth for name in scores])
    precision, recall = found(scores, truth)
    curve = [found(scores, truth, at_least=level) for level in np.unique(values[values > 0])]
    f1 = [(2 * p * r / (p + r) if p + r else 0.0, p, r) for p, r in curve]
    return Recovery(_auc(values, true), max(f1, default=(0.0, 0.0, 0.0)), (precision, recall))


def found(
    scores: Mapping[str, float], truth: Collection[str], *, at_least: float | None = None, above: float = 0.0
) -> tuple[float, float]:
    """Precision (1 where nothing is chosen) and recall of the candidates with a score `at_least` or `above` a level."""
    chosen = [name for name, score in scores.items() if (score > above if at_least is None else score >= at_least)]
    right = sum(name in truth for name in chosen)
    return (right / len(chosen) if chosen else 1.0), (right / len(truth) if truth else 1.0)


def roc(scores: Mapping[str, float], truth: Collection[str]) -> list[tuple[float, float, float]]:
    """(threshold, share of the others above it, share of the true ones), the highest threshold first."""
    values = np.array(list(scores.values()))
    true = np.array([name in truth for name in scores])
    levels = np.unique(values)[::-1]
    return [
        (float(x), float((values[~true] >= x).mean()) if (~true).any() else 0.0, float((values[true] >= x).mean()))
        for x in levels
    ]


def _auc(values: np.ndarray, true: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    for level in np.unique(values):  # equal scores share their ranks
        same = values == level
        ranks[same] = ranks[same].mean()
    n, m = int(true.sum()), int((~true).sum())
    if not n or not m:
        return 0.5
    return float((ranks[true].sum() - n * (n + 1) / 2) / (n * m))


def added_up(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sum of the scores of several pairs of runs, each scaled so that its largest is 1."""
    total: dict[str, float] = {}
    for part in parts:
        largest = max(part.values(), default=0.0) or 1.0
        for name, score in part.items():
            total[name] = total.get(name, 0.0) + score / largest
    return total


__all__ = ["Recovery", "added_up", "found", "recovery", "roc"]
