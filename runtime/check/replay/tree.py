"""Which keys of a head can matter to a query: keys in a binary tree, and an upper bound of their scores.

Softmax in float64 gives a key the weight exp(score - best), which is exactly 0 once the score is 746 below the best one. So
a key that provably stays GAP = 1024 below a score that was seen may be left out: nothing changes, not one bit.

**The bound.** A score is q.k = sum of q_c k_c. One component h (the height) may have q_h > 0 for every query; with other
components A, a = k_A / 2, b = q_A / q_h and t = k_h + |a|^2, for any numbers whatever

    q.k = q_h (|b|^2 - |a - b|^2 + t) + sum over the other components of q_c k_c

so over a box of keys, lo <= a <= hi, t <= t_hi, lo_c <= k_c <= hi_c, no score is above

    q_h (|b|^2 - dist(b, [lo, hi])^2 + t_hi) + sum of max(q_c lo_c, q_c hi_c)

It is near where keys lie on a paraboloid, as those of compiled lookups do, and holds for all others; with no A it is the plain
bound of a box. Which h and A are taken is a guess from a sample of the keys (`Lifting.of`); a bad one costs time only.

**Rounding.** Scores of c components, the numbers of a box and the bound itself are computed in float64. Each is a sum of few
products whose sizes add up to no more than M = q_h (4 |b|^2 + max(4 |a|^2 + |t| + |k_h|)) + sum of |q_c| max |k_c|, since
|a - b|^2 <= 2 |a|^2 + 2 |b|^2. So all errors together are below (20 + 5 c) M 2^-53; (128 + 8 c) M 2^-53 is added to the bound. A
bound that is not a number leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

# Keys of a leaf, at most.
LEAF = 48
# Nodes of a level that a query follows to find a good score.
BEAM = 3
SAMPLE = 1 << 12
FAR = 1 << 60  # the position of a key that no query sees


@dataclass(frozen=True)
class Lifting:
    """height: the component h, -1 for none. squared: the components A. plain: the others."""

    height: int
    squared: list[int]
    plain: list[int]

    @classmethod
    def of(cls, query: torch.Tensor, key: torch.Tensor) -> Lifting:
        """query, key: [T, c]. The height and the components with which t takes the fewest values, by far fewer than without."""
        size = key.shape[1]
        sample = key[:: max(1, len(key) // SAMPLE)]
        best, found = 0.5, cls(-1, [], list(range(size)))
        for height in torch.nonzero((query > 0).all(0)).flatten().tolist():
            t = sample[:, height]
            squared: list[int] = []
            before = values = _distinct(t)
            for c in (c for c in range(size) if c != height):
                lifted = t + (sample[:, c] / 2) ** 2
                if (count := _distinct(lifted)) < values:
                    t, values, squared = lifted, count, [*squared, c]
            if squared and values / before < best:
                plain = [c for c in range(size) if c != height and c not in squared]
                best, found = values / before, cls(height, squared, plain)
        return found


def _distinct(t: torch.Tensor) -> int:
    return len(torch.unique(torch.round(t)))


class KeyTree:
    """The keys of a head, float64 [T, c], key j at position j, for queries [T, c] of which query i sees the keys j <= i.

    The first key is not in the tree: it may be a floor, unlike all others, and would widen the boxes that it is in.
    Node 1 is the root, the children of i are 2 i and 2 i + 1. Leaf l has the keys `order[l]`, at `positions[l]` (ascending
    where keys are equal). classes: [T] or None: keys of one class carry the same value.
    """

    def __init__(self, query: torch.Tensor, key: torch.Tensor, classes: torch.Tensor | None = None):
        self.query, self.key = query, key
        lifting = self._lifting = Lifting.of(query, key)
        self._slack = (128 + 8 * key.shape[1]) * 2.0**-53
        rest = key[1:] if len(key) > 1 else key
        # Components that are the same in all these keys belong to a query's own part of the bound.
        same = (rest == rest[:1]).all(0).tolist()
        fixed = [c for c in lifting.plain if same[c]][lifting.height < 0 :]  # a box has at least one side
        plain = [c for c in lifting.plain if c not in fixed]
        sizes = query[:, lifting.plain].abs() @ rest[:, lifting.plain].abs().amax(0)
        own = query[:, fixed] @ rest[0, fixed]
        parts, scales = [key[:, plain]], query[:, plain].abs().mean(0)
        self._scale, self._base, b = torch.zeros_like(sizes), own + self._slack * sizes, query[:, :0]
        magnitude = torch.zeros_like(sizes)
        if lifting.height >= 0:
            self._scale = query[:, lifting.height].contiguous()
            b = query[:, lifting.squared] / self._scale[:, None]
            norm = self._scale * (b * b).sum(1)
            self._base = own + norm + self._slack * (4 * norm + sizes)
            a = key[:, lifting.squared] / 2
            squares = (a * a).sum(1)
            t = key[:, lifting.height] + squares
            parts = [a, t[:, None], *parts]
            magnitude = 4 * squares + t.abs() + key[:, lifting.height].abs()
            scales = torch.cat([self._scale.mean().expand(len(lifting.squared) + 1), scales])
        self._asked = [c.contiguous() for c in (*b.unbind(1), *query[:, plain].unbind(1))]  # [T] for each component
        box = torch.cat(parts, 1)
        self.depth = (max(0, len(key) - 2) // LEAF).bit_length()
        self._sort(box, scales)
        self._summarise(box, magnitude, classes)

    @property
    def leaves(self) -> int:
        return 1 << self.depth

    def _sort(self, coordinates: torch.Tensor, scales: torch.Tensor) -> None:
        """Halves the keys of each node along the component in which its scores differ most. Sorting is stable, so that equal
        keys stay in the order of their positions."""
        last = len(coordinates) - 1
        size = max(1, -(-last // self.leaves))
        places = torch.arange(1, (size << self.depth) + 1, device=coordinates.device)
        order, positions = places.clamp(max=last), torch.where(places <= last, places, FAR)
        squared = len(self._lifting.squared)
        for level in range(self.depth):
            order, positions = order.view(1 << level, -1), positions.view(1 << level, -1)
            c = coordinates[order]
            extent = c.amax(1) - c.amin(1)
            extent[:, :squared] **= 2
            widest = (extent * scales).argmax(1)
            along = c.gather(2, widest[:, None, None].expand(-1, c.shape[1], 1))[:, :, 0]
            index = along.sort(dim=1, stable=True).indices
            order, positions = order.gather(1, index), positions.gather(1, index)
        self.order, self.positions = order.view(self.leaves, -1), positions.view(self.leaves, -1)
        self.leaf_keys = self.key[self.order]

    def _summarise(self, coordinates: torch.Tensor, magnitude: torch.Tensor, classes: torch.Tensor | None) -> None:
        """Boxes, magnitudes, first positions and classes of all nodes, from the leaves up."""
        c = coordinates[self.order]
        low, high = _up(c.amin(1), torch.minimum), _up(c.amax(1), torch.maximum)
        height = len(self._lifting.squared)
        self._top = low.new_zeros(len(low))
        if self._lifting.height >= 0:
            self._top = high[:, height] + self._slack * _up(magnitude[self.order].amax(1), torch.maximum)
            low, high = (torch.cat([x[:, :height], x[:, height + 1 :]], 1) for x in (low, high))
        self._boxes = [(lo.contiguous(), hi.contiguous()) for lo, hi in zip(low.unbind(1), high.unbind(1))]
        self.first = _up(self.positions.amin(1), torch.minimum)
        if classes is not None:
            of = classes[self.order]
            self.class_low, self.class_high = _up(of.amin(1), torch.minimum), _up(of.amax(1), torch.maximum)

    def bound(self, queries: torch.Tensor, nodes: torch.Tensor) -> torch.Tensor:
        """queries, nodes: [n] -> [n]: no score of that query with a key of that node, computed in any order, is above this."""
        found = self._top[nodes]
        squared = len(self._lifting.squared)
        for asked, (low, high) in zip(self._asked[:squared], self._boxes):
            b = asked[queries]
            beside = torch.maximum(low[nodes] - b, b - high[nodes]).clamp_(min=0)
            found.addcmul_(beside, beside, value=-1)
        found = found.mul_(self._scale[queries]).add_(self._base[queries])
        for asked, (low, high) in zip(self._asked[squared:], self._boxes[squared:]):
            q = asked[queries]
            found += torch.maximum(q * low[nodes], q * high[nodes])
        return found

    def descend(self, queries: torch.Tensor) -> torch.Tensor:
        """queries: [n] -> [n, at most BEAM]: leaves where the bounds lead. The bound of a leaf may come from a key that the
        query does not see, at one or two ends of what it looks for: hence several."""
        nodes = torch.ones_like(queries)[:, None]
        for _ in range(self.depth):
            nodes = torch.stack([2 * nodes, 2 * nodes + 1], 2).flatten(1)
            width = nodes.shape[1]
            bounds = self.bound(queries.repeat_interleave(width), nodes.flatten()).view(-1, width)
            bounds.masked_fill_(self.first[nodes] > queries[:, None], -torch.inf)
            if width > BEAM:
                nodes = nodes.gather(1, bounds.topk(BEAM, 1).indices)
        return nodes - self.leaves

    def reach(
        self, queries: torch.Tensor, least: torch.Tensor, limit: int, ignored: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The pairs (index into queries, leaf) that may hold a score above `least` [n] at a position that the query sees.

        ignored: a class for each query; nodes with no other class are left out. None when there are more than `limit` pairs.
        """
        at, nodes = torch.arange(len(queries), device=queries.device), torch.ones_like(queries)
        for level in range(self.depth + 1):
            if level:
                at, nodes = at.repeat_interleave(2), torch.stack([2 * nodes, 2 * nodes + 1], 1).flatten()
            q = queries[at]
            kept = ~(self.bound(q, nodes) <= least[at]) & (self.first[nodes] <= q)
            if ignored is not None:
                kept &= (self.class_low[nodes] != ignored[at]) | (self.class_high[nodes] != ignored[at])
            at, nodes = at[kept], nodes[kept]
            if len(at) > limit:
                return None
        return at, nodes - self.leaves

    def leaf_scores(self, queries: torch.Tensor, leaves: torch.Tensor) -> torch.Tensor:
        """queries, leaves: [n] -> scores [n, keys of a leaf], -infinity where the key lies behind the query."""
        scores = torch.bmm(self.leaf_keys[leaves], self.query[queries][:, :, None])[:, :, 0]
        return scores.masked_fill_(self.positions[leaves] > queries[:, None], -torch.inf)


def _up(leaves: torch.Tensor, merged: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Values of all nodes, node i at i (0 is nobody's), from those of the leaves."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        pairs = levels[-1].view(-1, 2, *leaves.shape[1:])
        levels.append(merged(pairs[:, 0], pairs[:, 1]))
    return torch.cat([leaves[:1], *levels[::-1]])
