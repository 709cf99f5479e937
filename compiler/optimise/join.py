"""Branches that cost nothing where they are not taken: the step behind them stands in their row, see `Step.joined`.

The last pass: rows are what the machine makes of steps, and no other pass knows of them.
"""

from __future__ import annotations

from ..lower.code import Code


def join(code: Code) -> None:
    """In place: every step behind a branch to which nothing else leads, and which may do so, shares the branch's row."""
    entered = {code.labels[label] for label in code.target_counts()}
    for i, branch in enumerate(code.steps[:-1]):
        step = code.steps[i + 1]
        if branch.operation.branches and step.operation.joins and i + 1 not in entered:
            code.steps[i + 1] = step.but(joined=True)
