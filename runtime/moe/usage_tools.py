"""How experts are used: by category, by layer, how evenly, and by two sets of prompts. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .estimates import Estimate, bootstrap
from .result_table import Cell, Grid, ResultTable
from .study import Study

SPECIALIST = 0.6  # of an expert's tokens in one category: what the reports looked for
PERMUTATIONS = 500


def analyze(study: Study, layers: Sequence[int] | None = None, first_only: bool = False) -> ResultTable:
    """The experts of each layer by category of the tokens that they compute, all chosen experts or the first choice only.

    "times" is the category's share of the expert's tokens over its share of all tokens. "specialist": whether more than 60
    % of the expert's tokens are of one category; "open" where the interval holds 60 %.
    """
    rows: list[tuple[Cell, ...]] = []
    kinds = sorted(set(study.category))
    base = {c: float((study.category == c).mean()) for c in kinds}
    at = study.model.at(layers)
    grid = np.zeros((len(at) * study.model.experts, len(kinds)))
    for number, layer in enumerate(at):
        for e, name in enumerate(study.model.expert_names):
            taken = study.routing.taken(layer, e, first_only)
            row: tuple[Cell, ...] = (study.model.layers[layer], name, int(taken.sum()), study.share(taken))
            if not taken.any():
                rows.append((*row, "-", "-", "-", "-"))
                continue
            found = {c: float((study.category[taken] == c).mean()) for c in kinds}
            grid[number * study.model.experts + e] = [found[c] for c in kinds]
            best = max(kinds, key=lambda c: found[c])
            of = study.share(study.category == best, taken)
            rows.append((*row, best, of, found[best] / base[best], of.exceeds(SPECIALIST)))
    names = [f"{study.model.layers[layer]}: {name}" for layer in at for name in study.model.expert_names]
    said = "first choices" if first_only else f"all {study.model.top_k} choices" if study.model.top_k > 1 else "choices"
    return ResultTable(
        f"experts by category, {said} of {len(study):,} tokens of {len(study.prompts)} prompts",
        ("layer", "expert", "#tokens", "#of the layer", "category", "#of the expert's", "#times", "specialist"),
        rows, grid=Grid(grid, "share of the expert's tokens", names, kinds, "expert", "category"),
    )  # fmt: skip


def role(study: Study, expert: int | str, layer: int | None = None, most: int = 5) -> ResultTable:
    """What one expert of one layer (the last with experts) computes: its tokens, patterns, categories, and who is chosen
    with it."""
    at = study.model.at(None if layer is None else [layer])[-1]
    e = study.model.expert(expert)
    taken = study.routing.taken(at, e)
    rows: list[tuple[Cell, ...]] = [("tokens", "all", study.share(taken), "-")]
    shown = np.array([study.model.shown(t) for t in study.token.tolist()], dtype=object)
    for what, values in (("category", study.category), ("pattern", study.pattern), ("token", shown)):
        rows += _most_frequent(study, what, values, taken, most)
    for other, name in enumerate(study.model.expert_names):
        both = taken & study.routing.taken(at, other)
        if other != e and both.any():
            rows.append(("chosen with", name, study.share(both, taken), "-"))
    notes = []
    if study.model.mixture is not None and (own := study.model.mixture.layers[study.model.layers[at]]):
        operations, neurons = study.model.mixture.experts[e].operations, own.neuron_names[e]
        notes = [f"the truth: {', '.join(operations)}; neurons: {', '.join(neurons) or 'none'}"]
    return ResultTable(
        f"expert {study.model.expert_names[e]} of layer {study.model.layers[at]}",
        ("what", "which", "#of the expert's tokens", "#times"), rows, notes,
    )  # fmt: skip


def _most_frequent(study: Study, what: str, values: np.ndarray, taken: np.ndarray, most: int) -> list[tuple[Cell, ...]]:
    kinds, counts = np.unique(values[taken].astype(str), return_counts=True)
    rows: list[tuple[Cell, ...]] = []
    for k in np.argsort(-counts, kind="stable")[:most]:
        hits = values == kinds[k]
        rows.append((what, str(kinds[k]), study.share(hits, taken), float(counts[k] / taken.sum() / hits.mean())))
    return rows


def gini(usage: np.ndarray) -> np.ndarray:
    """Of usage [..., E], how uneven: 0 when all experts are used alike, 1 - 1/E when one alone is."""
    ordered = np.sort(usage, -1)
    ranks = np.arange(1, usage.shape[-1] + 1)
    total = np.maximum(ordered.sum(-1), 1e-300)
    return (2 * (ranks * ordered).sum(-1) / total - usage.shape[-1] - 1) / usage.shape[-1]


def entropy_of(usage: np.ndarray) -> np.ndarray:
    """Of usage [..., E], in bits."""
    p = usage / np.maximum(usage.sum(-1, keepdims=True), 1e-300)
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(-1)


def layer_sweep(study: Study, layers: Sequence[int] | None = None, first_only: bool = False) -> ResultTable:
    """How evenly each layer uses its experts: Gini coefficient, number of experts that the same entropy would have if all were
    used alike, the most used one, and how many are not used at all."""
    rows: list[tuple[Cell, ...]] = []
    at = study.model.at(layers)
    for layer in at:
        usage = study.usage(layer, first_only)
        total = usage.sum(0)
        best = int(total.argmax())
        rows.append((
            study.model.layers[layer], bootstrap(gini, usage), bootstrap(lambda u: 2 ** entropy_of(u), usage),
            study.model.expert_names[best], study.share(study.routing.taken(layer, best, first_only)), int((total == 0).sum()),
        ))  # fmt: skip
    values = np.array([[row[1].value for row in rows if isinstance(row[1], Estimate)]])
    return ResultTable(
        f"use of the {study.model.experts} experts by layer",
        ("layer", "#Gini", "#as many as", "most used", "#of the tokens", "#not used"), rows,
        grid=Grid(values.T, "Gini", [str(study.model.layers[k]) for k in at], ["Gini"], "layer", ""),
    )  # fmt: skip


def entropy(study: Study, layers: Sequence[int] | None = None) -> ResultTable:
    """Entropies in bits by layer: of the router's probabilities (mean over tokens), of the weights it gives the chosen experts,
    of which expert is used, and what of that is left when the category is known."""
    rows: list[tuple[Cell, ...]] = []
    kinds = sorted(set(study.category))
    at = study.model.at(layers)
    for layer in at:
        first = np.eye(study.model.experts)[study.routing.chosen[layer][:, 0]]
        joint = np.zeros((len(study.prompts), len(kinds), study.model.experts))
        for k, kind in enumerate(kinds):
            np.add.at(joint[:, k], study.prompt, first * (study.category == kind)[:, None])
        rows.append((
            study.model.layers[layer], study.mean(entropy_of(study.routing.probabilities[layer])),
            study.mean(entropy_of(study.routing.weights[layer])), bootstrap(lambda j: entropy_of(j.sum(-2)), joint),
            bootstrap(_conditional, joint),
        ))  # fmt: skip
    return ResultTable(
        f"entropy in bits by layer, of at most {np.log2(study.model.experts):.2f}",
        ("layer", "#of the router", "#of the weights", "#of the first choice", "#of it, given the category"), rows,
        grid=Grid(
            np.array([[c.value for c in row[1:] if isinstance(c, Estimate)] for row in rows]), "bits",
            [str(study.model.layers[k]) for k in at], ["router", "weights", "first choice", "given the category"], "layer", "",
        ),
    )  # fmt: skip


def _conditional(joint: np.ndarray) -> np.ndarray:
    """H(expert | category) of counts [..., C, E]."""
    by_category = joint.sum(-1)
    total = np.maximum(by_category.sum(-1), 1e-300)
    return (by_category * entropy_of(joint)).sum(-1) / total


def jensen_shannon(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Divergence in bits of two usages [..., E]: 0 when they are alike, 1 when no expert is in both."""
    p, q = (x / np.maximum(x.sum(-1, keepdims=True), 1e-300) for x in (a, b))
    return entropy_of((p + q) / 2) - (entropy_of(p) + entropy_of(q)) / 2


def divergence(study: Study, layers: Sequence[int] | None = None, first_only: bool = False) -> ResultTable:
    """Jensen-Shannon divergence of how two sets of prompts use the experts, for each two categories of prompts: the mean
    over these layers, and the layer where it is largest.

    Few prompts diverge by chance alone: "by chance" is the mean over 500 random divisions of the same prompts, p how many
    of these diverge at least as much.
    """
    kinds = sorted({p.category for p in study.prompts})
    if len(kinds) < 2:
        study.require()
        return ResultTable("divergence", ("first", "second"), [], [f"two sets of prompts are needed; all are of {kinds[0]!r}"])
    at = study.model.at(layers)
    usage = np.stack([study.usage(layer, first_only) for layer in at], 1)
    of = np.array([p.category for p in study.prompts], dtype=object)
    rows: list[tuple[Cell, ...]] = []
    grid = np.zeros((len(kinds), len(kinds)))
    for i, first in enumerate(kinds):
        for j in range(i + 1, len(kinds)):
            row = _diverging(usage[of == first], usage[of == kinds[j]])
            grid[i, j] = grid[j, i] = row[0]
            rows.append((first, kinds[j], row[0], study.model.layers[at[row[3]]], row[4], row[1], row[2]))
    notes = [f"{len(rows)} pairs were compared: some {len(rows) / 20:.0f} have p below 0.05 by chance"] if len(rows) > 9 else []
    return ResultTable(
        "divergence in bits of the experts used", ("first", "second", "#mean", "#largest at", "#there", "#by chance", "#p"),
        rows, notes, Grid(grid, "bits", kinds, kinds, "prompts", "prompts"),
    )  # fmt: skip


def _diverging(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float, int, float]:
    """Usages [P, L, E]: divergence (mean over layers), by chance, p, and the layer where it is largest with its value."""
    every = np.concatenate([a, b])
    by_layer = jensen_shannon(a.sum(0), b.sum(0))
    found = float(by_layer.mean())
    chance, total = np.random.default_rng(0), every.sum(0)
    drawn = []
    for _ in range(PERMUTATIONS):
        part = every[chance.permutation(len(every))[: len(a)]].sum(0)
        drawn.append(float(jensen_shannon(part, total - part).mean()))
    p = (1 + sum(x >= found - 1e-12 for x in drawn)) / (1 + PERMUTATIONS)
    worst = int(by_layer.argmax())
    return found, float(np.mean(drawn)), p, worst, float(by_layer[worst])
