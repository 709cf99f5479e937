"""The experts of single tokens: at every layer, in other contexts, of the vocabulary, of control tokens. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence

from .result_table import Cell, ResultTable
from .study import NOBODY, Study


def trace(study: Study, layers: Sequence[int] | None = None) -> ResultTable:
    """The experts of each token at each layer; of a compiled program also the step that they work for and the expert that is
    right."""
    at = study.model.at(layers)
    truth = study.model.compiled
    names, chosen = study.model.expert_names, study.routing.chosen[at]
    rows: list[tuple[Cell, ...]] = []
    for t in range(len(study)):
        sets = [" ".join(names[e] for e in chosen[k, t] if e != NOBODY) for k in range(len(at))]
        text, token = study.prompts[study.prompt[t]].text, study.model.shown(int(study.token[t]))
        row: tuple[Cell, ...] = (text, int(study.position[t]), token)
        if truth:
            rows.append((*row, study.category[t], names[study.truth[t]], ", ".join(dict.fromkeys(sets))))
        else:
            rows.append((*row, len({frozenset(chosen[k, t].tolist()) for k in range(len(at))}), *sets))
    if truth:
        right = (chosen[:, :, 0] == study.truth).all(0)
        notes = [f"at {right.sum():,} of {len(right):,} tokens every router chooses the expert of the operation under way"]
        return ResultTable("experts of each token", ("prompt", "#position", "token", "operation", "right", "chosen"), rows, notes)
    columns = ("prompt", "#position", "token", "#sets", *(f"layer {study.model.layers[k]}" for k in at))
    return ResultTable("experts of each token", columns, rows)
