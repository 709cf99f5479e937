"""Methods of circuit discovery: each gives every edge (or node) a score. They know nothing of the truth.

u, u'    what a node adds to the stream in the clean and in the corrupted run     m    the metric: logit of the clean answer -
v        what a port reads in the clean run                                            logit of the corrupted one

edge patching              |m(v + u' - u) - m(v)|: one edge from the corrupted run, all that follows computed anew
node patching              the same with all edges of a node
edge attribution (EAP)     |(u' - u) . dm/dv|, summed over positions
EAP-IG                     the same with dm/dv averaged over embeddings from the corrupted to the clean run
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .contrast import Contrast
from .stream import Metric, Stream

BATCH = 64


def answer_metric(pair: Contrast) -> Metric:
    clean, corrupted = pair.answers
    return lambda logits: logits[:, clean] - logits[:, corrupted]


def edge_attribution(stream: Stream, pair: Contrast, edges: Sequence[str], steps: int = 1) -> dict[str, float]:
    """EAP, or with steps > 1 EAP-IG with so many: edge -> score. edges: "a0.h1->a2.h0<q>"."""
    a, b = (stream.embedded(ids) for ids in (pair.clean, pair.corrupted))
    change = stream.outputs(b)[0] - stream.outputs(a)[0]
    shares = [0.0] if steps == 1 else [k / steps for k in range(steps)]
    metric = answer_metric(pair)
    gradient = sum(stream.gradients(a + share * (b - a), metric) for share in shares) / len(shares)
    scores = torch.einsum("std,ptd->sp", change, gradient).abs()
    row, column = _numbers(stream.sources), _numbers(stream.ports)
    return {edge: float(scores[row[source], column[port]]) for edge, (source, port) in _ends(edges)}


def edge_patching(stream: Stream, pair: Contrast, edges: Sequence[str]) -> dict[str, float]:
    """Edge -> score."""
    a, b = (stream.embedded(ids) for ids in (pair.clean, pair.corrupted))
    clean, logits = stream.outputs(a)
    change = stream.outputs(b)[0] - clean
    metric = answer_metric(pair)
    before, row = metric(logits[None])[0], _numbers(stream.sources)
    scores = dict.fromkeys(edges, 0.0)
    moving = [(e, port, change[row[source]]) for e, (source, port) in _ends(edges) if change[row[source]].any()]
    moving.sort(key=lambda item: stream.ports.index(item[1]))
    for first in range(0, len(moving), BATCH):
        part = moving[first : first + BATCH]
        after = metric(stream.patched(a, [(port, added) for _, port, added in part]))
        scores |= {e: float((m - before).abs()) for (e, _, _), m in zip(part, after, strict=True)}
    return scores


def node_patching(stream: Stream, pair: Contrast) -> dict[str, float]:
    """Node -> score, for heads and MLPs."""
    a, b = (stream.embedded(ids) for ids in (pair.clean, pair.corrupted))
    metric = answer_metric(pair)
    logits = stream.outputs(a)[1]
    other = stream.outputs(b)[0]
    before = metric(logits[None])[0]
    found = {}
    for number, node in enumerate(stream.sources[1:], 1):
        found[node] = float((metric(stream.replaced(a, node, other[number])[None])[0] - before).abs())
    return found


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


def _ends(edges: Sequence[str]) -> list[tuple[str, tuple[str, str]]]:
    return [(edge, (edge.partition("->")[0], edge.partition("->")[2])) for edge in edges]


__all__ = ["answer_metric", "edge_attribution", "edge_patching", "node_patching"]
