"""Experts by what stands before their tokens: one by one, as a taxonomy of all, and pattern by pattern through the layers.
Needs torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .estimates import Estimate
from .patterns import MIXED, UNUSED
from .result_table import Cell, Grid, ResultTable
from .study import Study

DOMINANT = 0.5  # of an expert's tokens have a pattern that is to name it
OPEN = "open"  # the interval holds it


def pattern_discovery(study: Study, layers: Sequence[int] | None = None, first_only: bool = False) -> ResultTable:
    """The most frequent pattern of each expert's tokens, and what it is called by it: the pattern where more than half of the
    tokens have it, MIXED where fewer do, UNUSED without tokens, open where the interval holds one half.

    "times" is the pattern's share of the expert's tokens over its share of all. Of a compiled program patterns are operations.
    """
    rows: list[tuple[Cell, ...]] = []
    kinds = sorted(set(study.pattern))
    everyone = np.ones(len(study), bool)
    at = study.model.at(layers)
    grid = np.zeros((len(at) * study.model.experts, len(kinds)))
    for number, layer in enumerate(at):
        for e, name in enumerate(study.model.expert_names):
            taken = study.routing.taken(layer, e, first_only)
            label, best, of = _labelled(study, taken, everyone)
            times = of.value / float((study.pattern == best).mean()) if best else float("nan")
            rows.append((study.model.layers[layer], name, int(taken.sum()), best or "-", of, times, label))
            if best:
                grid[number * study.model.experts + e] = [float((study.pattern[taken] == kind).mean()) for kind in kinds]
    names = [f"{study.model.layers[layer]}: {name}" for layer in at for name in study.model.expert_names]
    return ResultTable(
        "experts by the pattern of their tokens",
        ("layer", "expert", "#tokens", "pattern", "#of the expert's", "#times", "called"), rows,
        grid=Grid(grid, "share of the expert's tokens", names, kinds, "expert", "pattern"),
    )  # fmt: skip


def _labelled(study: Study, taken: np.ndarray, among: np.ndarray) -> tuple[str, str, Estimate]:
    """What an expert with these tokens is called, looking at tokens in `among` only; its most frequent pattern and how
    frequent."""
    mine = taken & among
    if not mine.any():
        return UNUSED, "", study.share(mine, mine)
    kinds, counts = np.unique(study.pattern[mine].astype(str), return_counts=True)
    best = str(kinds[counts.argmax()])
    of = study.share(study.pattern == best, mine)
    return {"yes": best, "no": MIXED, "open": OPEN}[of.exceeds(DOMINANT)], best, of


def full_taxonomy(study: Study, layers: Sequence[int] | None = None, first_only: bool = False) -> ResultTable:
    """How many experts of each layer are called what (see `pattern_discovery`), and whether two halves of the prompts
    agree: "same" counts experts with one name in both, "contrary" those with two that exclude each other (neither is open)."""
    half_of = np.random.default_rng(0).permutation(len(study.prompts)) % 2
    halves = [half_of[study.prompt] == k for k in (0, 1)]
    everyone = np.ones(len(study), bool)
    counted, agreed = [], []
    at = study.model.at(layers)
    for layer in at:
        taken = [study.routing.taken(layer, e, first_only) for e in range(study.model.experts)]
        counted.append(Counter(_labelled(study, t, everyone)[0] for t in taken))
        pairs = [tuple(_labelled(study, t, half)[0] for half in halves) for t in taken]
        contrary = sum(a != b and OPEN not in (a, b) for a, b in pairs)
        agreed.append((sum(a == b for a, b in pairs), contrary))
    labels = [label for label in (*sorted(set(study.pattern)), MIXED, OPEN, UNUSED) if any(c[label] for c in counted)]
    rows: list[tuple[Cell, ...]] = [
        (study.model.layers[layer], *(counts[label] for label in labels), *both)
        for layer, counts, both in zip(at, counted, agreed)
    ]
    return ResultTable(
        f"what the {study.model.experts} experts of each layer are called, and two halves of {len(study.prompts)} prompts",
        ("layer", *(f"#{label}" for label in labels), "#same", "#contrary"), rows,
        grid=Grid(
            np.array([[c[label] for label in labels] for c in counted], dtype=float), "experts",
            [str(study.model.layers[k]) for k in at], labels, "layer", "",
        ),
    )  # fmt: skip


def pattern_track(
    study: Study, pattern: str | None = None, layers: Sequence[int] | None = None, first_only: bool = False
) -> ResultTable:
    """Each pattern, or this one, through the layers: the expert that computes most of its tokens, and how many times as
    many as of all tokens."""
    kinds = sorted(set(study.pattern))
    chosen = [kind for kind in kinds if pattern in (None, kind)]
    at = study.model.at(layers)
    rows: list[tuple[Cell, ...]] = []
    grid = np.zeros((len(chosen), len(at)))
    for i, kind in enumerate(chosen):
        mine = study.pattern == kind
        for j, layer in enumerate(at):
            taken = [study.routing.taken(layer, e, first_only) for e in range(study.model.experts)]
            best = max(range(len(taken)), key=lambda e: int((taken[e] & mine).sum()))
            of = study.share(taken[best], mine)
            grid[i, j] = of.value
            name = study.model.expert_names[best]
            rows.append((kind, study.model.layers[layer], int(mine.sum()), name, of, of.value / float(taken[best].mean())))
    notes = [] if chosen else [f"no token has the pattern {pattern!r}; there are: {', '.join(kinds)}"]
    return ResultTable(
        "patterns through the layers", ("pattern", "layer", "#tokens", "expert", "#of the pattern's", "#times"), rows, notes,
        Grid(grid, "share of the most used expert", chosen, [str(study.model.layers[k]) for k in at], "pattern", "layer"),
    )  # fmt: skip
