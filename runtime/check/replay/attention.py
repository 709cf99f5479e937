"""Causal softmax attention in float64 over a whole trace, with real weights, in blocks of queries and keys.

Where few keys can have a weight that is not 0 (tree.py proves for which that holds) only these are computed; elsewhere every
key that a query sees is, a block of keys at a time with a running maximum and running sums. Both give
sum of exp(score - best) value / sum of exp(score - best) over all keys up to the query's own position: to the last bit where
one weight is 1 and the others are 0, and otherwise up to the order in which float64 adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ....compiler.format.certificate import GAP
from .tree import KeyTree

# Queries of a block.
QUERIES = 1 << 12
# Scores that are computed together.
SCORES = {"cpu": 1 << 19, "cuda": 1 << 26}
# Pairs of a query and a leaf: beyond, every key is computed.
PAIRS = 1 << 18


@dataclass
class Lead:
    """The least lead of a best score over the best one with another value, seen so far, and the query's position."""

    least: float = torch.inf
    position: int = -1

    def note(self, leads: torch.Tensor, positions: torch.Tensor) -> None:
        """leads, positions: [n]."""
        if len(leads) and (least := float(leads.min())) < self.least:
            self.least, self.position = least, int(positions[leads.argmin()])


class SoftmaxAttention:
    """query, key: [T, c]; value: [T, v], all finite. lead, from: measures the leads of the queries from that position on."""

    def __init__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lead: Lead | None = None, measured: int = 0
    ):
        self._query, self._key, self._value, self._lead, self._measured = query, key, value, lead, measured
        self._scores = SCORES["cpu" if query.device.type == "cpu" else "cuda"]
        self._classes: torch.Tensor | None = None
        if lead is not None:
            self._classes = torch.unique(value + 0.0, dim=0, return_inverse=True)[1]
        self._tree = KeyTree(query, key, self._classes)
        size = self._tree.order.shape[1]
        self._limit = min(PAIRS, QUERIES * max(1, self._tree.leaves // 4), (1 << 24) // size)
        self.pruned = 0  # queries for which the tree was enough

    def result(self) -> torch.Tensor:
        """[T, v]"""
        positions = torch.arange(len(self._query), device=self._query.device)
        return torch.cat([self._block(part) for part in positions.split(QUERIES)])

    def _block(self, queries: torch.Tensor) -> torch.Tensor:
        """queries: consecutive positions [n] -> [n, v]."""
        tree = self._tree
        own = (self._query[queries] * self._key[queries]).sum(1)
        first = self._query[queries] @ self._key[0]
        seen = torch.maximum(own, first)
        for leaves in tree.descend(queries).unbind(1):
            seen = torch.maximum(seen, tree.leaf_scores(queries, leaves).amax(1))
        pairs = tree.reach(queries, seen - GAP, self._limit)
        if pairs is None:
            found, best = self._dense(queries)
            scores = None
        else:
            self.pruned += len(queries)
            at, leaves = pairs
            scores = tree.leaf_scores(queries[at], leaves)
            best = torch.maximum(first, _largest(scores.amax(1), at, len(queries)))
            found = self._weighed(first, scores, best, at, leaves)
        if self._lead is not None:
            self._measure(queries, best, first, pairs, scores)
        return found

    def _weighed(
        self, first: torch.Tensor, scores: torch.Tensor, best: torch.Tensor, at: torch.Tensor, leaves: torch.Tensor
    ) -> torch.Tensor:
        """Averages [n, v]. first, best: [n], scores of the first key and the best ones; scores: of the pairs (at, leaves)."""
        weights, total = torch.exp(scores - best[at, None]), torch.exp(first - best)
        sums = total[:, None] * self._value[:1]
        pair, place = torch.nonzero(weights, as_tuple=True)
        weights, at = weights[pair, place], at[pair]
        values = self._value[self._tree.order[leaves[pair], place]]
        sums.index_add_(0, at, weights[:, None] * values)
        return sums / total.index_add_(0, at, weights)[:, None]

    def _dense(self, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys that these queries see: results [n, v] and best scores [n]."""
        found, bests = [], []
        for part in queries.split(256):
            best = torch.full_like(self._query[part, 0], -torch.inf)
            total, sums = torch.zeros_like(best), torch.zeros_like(self._value[part])
            for keys, scores in self._all_scores(part):
                top = torch.maximum(best, scores.amax(1))
                weights, shrunk = torch.exp(scores - top[:, None]), torch.exp(best - top)
                total = total * shrunk + weights.sum(1)
                sums = sums * shrunk[:, None] + weights @ self._value[keys]
                best = top
            found.append(sums / total[:, None])
            bests.append(best)
        return torch.cat(found), torch.cat(bests)

    def _all_scores(self, queries: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Blocks of keys and their scores [n, keys], -infinity behind the query."""
        q, last = self._query[queries], int(queries[-1])
        step = max(1, self._scores // len(queries))
        for low in range(0, last + 1, step):
            keys = slice(low, min(low + step, last + 1))
            scores = q @ self._key[keys].T
            if keys.stop > int(queries[0]) + 1:
                at = torch.arange(keys.start, keys.stop, device=q.device)
                scores.masked_fill_(at > queries[:, None], -torch.inf)
            yield keys, scores

    def _measure(
        self,
        queries: torch.Tensor,
        best: torch.Tensor,
        first: torch.Tensor,
        pairs: tuple[torch.Tensor, torch.Tensor] | None,
        scores: torch.Tensor | None,
    ) -> None:
        """Notes the least lead among these queries, where it is less than the least so far."""
        lead, tree, chosen = self._lead, self._tree, queries >= self._measured
        if lead is None or not chosen.any():
            return
        if pairs is None or scores is None:
            return self._measure_all(queries[chosen], best[chosen])
        winner = self._note_pairs(queries, best, first, chosen, *pairs, scores, None)
        # What else could come nearer than the least lead so far: nodes that hold another value than the winner's.
        queries, best, first, winner = queries[chosen], best[chosen], first[chosen], winner[chosen]
        more = tree.reach(queries, best - lead.least, self._limit, winner)
        if more is None:
            return self._measure_all(queries, best)
        scores = tree.leaf_scores(queries[more[0]], more[1])
        self._note_pairs(queries, best, first, torch.ones_like(winner, dtype=torch.bool), *more, scores, winner)
        return None

    def _note_pairs(
        self,
        queries: torch.Tensor,
        best: torch.Tensor,
        first: torch.Tensor,
        chosen: torch.Tensor,
        at: torch.Tensor,
        leaves: torch.Tensor,
        scores: torch.Tensor,
        winner: torch.Tensor | None,
    ) -> torch.Tensor:
        """Notes the leads among these pairs and the first key. Returns the class of each query's winner (if not given: the
        largest of those that have the best score; another one among them leads to a lead of 0)."""
        assert self._classes is not None and self._lead is not None
        classes = self._classes[self._tree.order[leaves]]
        if winner is None:
            winner = _largest(torch.where(scores == best[at, None], classes, -1).amax(1), at, len(best))
            winner = torch.maximum(winner, torch.where(first == best, self._classes[0], -1))
        others = _largest(scores.masked_fill(classes == winner[at, None], -torch.inf).amax(1), at, len(best))
        others = torch.maximum(others, first.masked_fill(winner == self._classes[0], -torch.inf))
        self._lead.note((best - others)[chosen], queries[chosen])
        return winner

    def _measure_all(self, queries: torch.Tensor, best: torch.Tensor) -> None:
        assert self._classes is not None and self._lead is not None
        for part, top in zip(queries.split(256), best.split(256)):
            winner = torch.full_like(part, -1)
            for keys, scores in self._all_scores(part):
                holders = torch.where(scores == top[:, None], self._classes[keys], -1)
                winner = torch.maximum(winner, holders.amax(1))
            second = torch.full_like(top, -torch.inf)
            for keys, scores in self._all_scores(part):
                others = scores.masked_fill_(self._classes[keys] == winner[:, None], -torch.inf)
                second = torch.maximum(second, others.amax(1))
            self._lead.note(top - second, part)


def _largest(x: torch.Tensor, at: torch.Tensor, size: int) -> torch.Tensor:
    """x, at: [n] -> [size]: the largest x of each index."""
    low = -torch.inf if x.is_floating_point() else -1
    return torch.full((size,), low, dtype=x.dtype, device=x.device).scatter_reduce_(0, at, x, "amax")
