"""What becomes of predictions when routers choose otherwise: more experts, some off, one alone. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np

from .benchmark import answered, exercises
from .estimates import Estimate, proportion
from .interventions import experts_off, forced, top
from .result_table import Cell, Grid, ResultTable
from .study import Predictions, Study

TIMES = (1, 2, 4, 8)


def kept(study: Study, changed: Predictions) -> np.ndarray:
    """Which tokens are predicted as before: bool [T]."""
    return study.predictions.best == changed.best


def _columns(study: Study) -> tuple[str, ...]:
    """A compiled program's logits are squares of distances, no logarithms of probabilities: there is no loss."""
    return ("#tokens kept",) if study.model.compiled else ("#tokens kept", "#loss more")


def _measured(study: Study, changed: Predictions, among: np.ndarray | None = None) -> tuple[Cell, ...]:
    same = study.share(kept(study, changed), among)
    if study.model.compiled:
        return (same,)
    more = changed.loss - study.predictions.loss
    return same, study.mean(more if among is None else np.where(among, more, np.nan))


def topk(study: Study, ks: Sequence[int] = (), benchmark: int = 40) -> ResultTable:
    """With k experts for each token, 1, 2, 4, 8 by default: predictions that stay as they are, by how much the loss is
    larger, and of exercises (see `ablate`) those answered rightly."""
    ks = ks or [k for k in TIMES if k <= study.model.experts]
    rows, columns = _under(study, [(str(k), lambda k=k: top(study.model, k)) for k in ks], benchmark)  # type: ignore[misc]
    return ResultTable(f"k experts for each token, {study.model.top_k} are its own", ("#k", *columns), rows)


def ablate(
    study: Study, experts: Sequence[int | str] = (), layers: Sequence[int] | None = None, reroute: bool = False,
    together: bool = False, benchmark: int = 40,
) -> ResultTable:  # fmt: skip
    """Without an expert, each in turn (all by default) or these together, in these layers (all).

    They add nothing where they are chosen; reroute: the routers choose among the others. Of the prompts: tokens predicted
    as before and by how much the loss is larger. Of so many products and sums, `benchmark`: those answered rightly, before
    in the first row. Of a compiled program instead: from which token on an invocation goes wrong, and at which operation.
    """
    numbers = [study.model.expert(e) for e in experts] or list(range(study.model.experts))
    sets = [numbers] if together else [[e] for e in numbers]
    how = "rerouted" if reroute else "adding nothing"
    title = f"experts off ({how})" + (f", layers {', '.join(map(str, layers))}" if layers else "")
    if study.model.compiled:
        return _ablated_program(study, sets, layers, reroute, title)
    named = [(_names(study, off), lambda off=off: experts_off(study.model, off, layers, reroute)) for off in sets]  # type: ignore[misc]
    rows, columns = _under(study, named, benchmark, "none")
    return ResultTable(title, ("off", *columns), rows)


def _names(study: Study, experts: Sequence[int]) -> str:
    return ", ".join(study.model.expert_names[e] for e in experts)


def _under(
    study: Study, changes: Sequence[tuple[str, Callable[[], AbstractContextManager[None]]]], benchmark: int, unchanged: str = ""
) -> tuple[list[tuple[Cell, ...]], tuple[str, ...]]:  # fmt: skip
    """A row for each change of the model, and the names of its columns but the first."""
    asked = exercises(benchmark) if benchmark and not study.model.compiled else []
    columns = (*_columns(study), *([f"#right of {len(asked)}"] if asked else []))
    rows: list[tuple[Cell, ...]] = []

    def right() -> list[Cell]:
        if not asked:
            return []
        hits = answered(study.model, asked)
        return [proportion(hits, np.ones(len(hits)))]

    if unchanged:
        rows.append((unchanged, *("-" for _ in _columns(study)), *right()))
    for name, change in changes:
        predictions = study.under(change())[1]
        with change():
            rows.append((name, *_measured(study, predictions), *right()))
    return rows, columns


def _ablated_program(
    study: Study, sets: Sequence[Sequence[int]], layers: Sequence[int] | None, reroute: bool, title: str
) -> ResultTable:  # fmt: skip
    """Every prediction is made with the right past: the first wrong one is where decoding itself goes wrong."""
    rows: list[tuple[Cell, ...]] = []
    for off in sets:
        same = study.under(experts_off(study.model, off, layers, reroute))[1].best == study.target
        for number, prompt in enumerate(study.prompts):
            mine = study.prompt == number
            wrong = np.flatnonzero(~same[mine])
            needed = np.flatnonzero(np.isin(prompt.truth, off))
            where = (int(wrong[0]), prompt.categories[wrong[0]]) if len(wrong) else ("-", "-")
            needs = int(needed[0]) if len(needed) else "-"
            rows.append((_names(study, off), prompt.text, f"{int(same[mine].sum())} of {int(mine.sum())}", *where, needs))
    columns = ("off", "invocation", "tokens right", "#first wrong", "operation", "#needed first")
    return ResultTable(title, columns, rows, ["tokens are counted from 0, behind the prompt"])


def force(study: Study, expert: int | str, layers: Sequence[int] | None = None) -> ResultTable:
    """One expert alone for every token: the share of predictions that stay as they are, by category."""
    e = study.model.expert(expert)
    predictions = study.under(forced(study.model, e, layers))[1]
    rows: list[tuple[Cell, ...]] = [("all", len(study), *_measured(study, predictions))]
    for kind in sorted(set(study.category)):
        mine = study.category == kind
        rows.append((kind, int(mine.sum()), *_measured(study, predictions, mine)))
    return ResultTable(f"expert {study.model.expert_names[e]} alone", ("category", "#tokens", *_columns(study)), rows)


def compare(study: Study, experts: Sequence[int | str] = (), layers: Sequence[int] | None = None) -> ResultTable:
    """Experts side by side, each alone for every token: predictions that stay as they are, and the category that keeps most."""
    numbers = [study.model.expert(e) for e in experts] or list(range(study.model.experts))
    kinds = sorted(set(study.category))
    rows: list[tuple[Cell, ...]] = []
    grid = np.zeros((len(numbers), len(kinds)))
    for row, e in enumerate(numbers):
        predictions = study.under(forced(study.model, e, layers))[1]
        same = kept(study, predictions)
        of: list[Estimate] = [study.share(same, study.category == kind) for kind in kinds]
        grid[row] = [x.value for x in of]
        best = max(range(len(kinds)), key=lambda k: of[k].value)
        rows.append((study.model.expert_names[e], *_measured(study, predictions), kinds[best], of[best]))
    names = [study.model.expert_names[e] for e in numbers]
    return ResultTable(
        "one expert alone", ("expert", *_columns(study), "category kept most", "#of it"), rows,
        grid=Grid(grid, "tokens kept", names, kinds, "expert", "category"),
    )  # fmt: skip
