"""Methods of circuit discovery against the true edges: the model as it is, and softened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import wasm2xformer as w2x
from tests.circuits.cases import Case, cases
from wasm2xformer.runtime.circuits.contrast import Contrast, contrast
from wasm2xformer.runtime.circuits.discovery import edge_attribution, edge_patching
from wasm2xformer.runtime.circuits.graph import CircuitGraph
from wasm2xformer.runtime.circuits.live import differing_edges
from wasm2xformer.runtime.circuits.scores import Recovery, added_up, recovery
from wasm2xformer.runtime.circuits.soften import soften, soften_for
from wasm2xformer.runtime.circuits.stream import Stream

Method = Callable[[Stream, Contrast, list[str]], dict[str, float]]
METHODS: dict[str, Method] = {
    "patching": edge_patching,
    "EAP": edge_attribution,
    "EAP-IG": lambda stream, pair, edges: edge_attribution(stream, pair, edges, 8),
}
HARD = "as it is"


def variants(case: Case, model: w2x.Model) -> dict[str, Any]:
    runs = case.runs(model)
    return {HARD: w2x.to_hf(model), "t 64": soften(model, 64), "for runs": soften_for(model, runs, 1e-9)}


def truth_of(graph: CircuitGraph, pairs: list[Contrast]) -> frozenset[str]:
    prefix = graph.transformer.prefix
    whole = [(np.concatenate([prefix, p.clean]), np.concatenate([prefix, p.corrupted])) for p in pairs]
    return frozenset().union(*(differing_edges(graph, clean, corrupted) for clean, corrupted in whole))


def scores_of(stream: Stream, pairs: list[Contrast], edges: list[str], method: Method) -> dict[str, float]:
    """Of all pairs together; what is no number counts as 0."""
    return added_up([{e: s if np.isfinite(s) else 0.0 for e, s in method(stream, p, edges).items()} for p in pairs])


def main() -> None:
    print(
        "edges: true (another value in one of the runs, on the way to the answer), of the circuit, of all that the class has"
    )
    head = f"{'program':<7}{'edges':<18}{'weights':<10}{'method':<10}{'AUC':>6}{'F1':>6}{'prec':>6}{'rec':>6}"
    print(f"{head}{'prec>0':>8}{'rec>0':>7}  wrong edges, by kind")
    for case in cases():
        model = case.model()
        graph = w2x.circuits(model)
        pairs = [contrast(model, case.function, *pair) for pair in case.pairs]
        truth, edges = truth_of(graph, pairs), graph.candidates()
        sizes = f"{len(truth)}/{len(graph.circuit)}/{len(edges)}"
        for name, weights in variants(case, model).items():
            stream = Stream(weights, graph.transformer.prefix)
            for how, method in METHODS.items():
                scores = scores_of(stream, pairs, edges, method)
                row(case.name, sizes, name, how, recovery(scores, truth), wrong(graph, scores, truth))


def row(program: str, sizes: str, weights: str, method: str, found: Recovery, kinds: str) -> None:
    f1, precision, recall = found.best
    best = f"{found.auc:>6.3f}{f1:>6.2f}{precision:>6.2f}{recall:>6.2f}"
    above = f"{found.above_zero[0]:>8.2f}{found.above_zero[1]:>7.2f}"
    print(f"{program:<7}{sizes:<18}{weights:<10}{method:<10}{best}{above}  {kinds}", flush=True)


def wrong(graph: CircuitGraph, scores: Mapping[str, float], truth: frozenset[str]) -> str:
    """Of the edges with a score that are not true: how many are of which kind."""
    kinds = Counter(
        str(graph.edges[e].kind) if e in graph.edges else "no edge"
        for e, s in scores.items()
        if s > 0 and e not in truth
    )
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
