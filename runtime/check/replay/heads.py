"""Heads with equal queries and keys are one lookup: their scores are computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....compiler.format.transformer import Layer


@dataclass
class HeadGroup:
    """lookup: its name, as in the certificate. query, key: the components that scores depend on, float64 [c, slots] (c = 0:
    every score is 0, attention is uniform). value: [carried, slots], out: [slots, carried]."""

    layer: int
    name: str
    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    out: np.ndarray

    @property
    def title(self) -> str:
        return f"layer {self.layer}, head {self.name}"

    @property
    def lookup(self) -> str:
        return self.name.partition(" -> ")[0]


def head_groups(index: int, layer: Layer, head_dim: int) -> list[HeadGroup]:
    """The lookups of a layer. Components of a value that are 0 or that nobody reads are left out."""
    heads = np.arange(len(layer.q)).reshape(-1, head_dim)
    groups: dict[bytes, list[int]] = {}
    for h, rows in enumerate(heads):
        groups.setdefault(layer.q[rows].tobytes() + layer.k[rows].tobytes(), []).append(h)
    found = []
    for members in groups.values():
        rows, first = heads[members].ravel(), heads[members[0]]
        rows = rows[layer.v[rows].any(1) & layer.o[:, rows].any(0)]
        if not len(rows):
            continue
        used = first[layer.q[first].any(1) & layer.k[first].any(1)]
        name = layer.head_names[members[0]] if members[0] < len(layer.head_names) else str(members[0])
        found.append(HeadGroup(index, name, layer.q[used], layer.k[used], layer.v[rows], layer.o[:, rows]))
    return found
