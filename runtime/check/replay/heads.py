"""Heads with equal queries and keys are one lookup: their scores are computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ....compiler.format.transformer import Layer
from .matrices import SparseMatrix, Stripes, stripes_of


@dataclass
class HeadGroup:
    """lookup: its name, as in the certificate. query, key: the components that scores depend on, float64 [c, slots] (c = 0:
    every score is 0, attention is uniform). value: slots -> what is carried, out: that -> slots."""

    layer: int
    name: str
    query: np.ndarray
    key: np.ndarray
    value: SparseMatrix
    out: SparseMatrix

    @property
    def title(self) -> str:
        return f"layer {self.layer}, head {self.name}"

    @property
    def lookup(self) -> str:
        return self.name.partition(" -> ")[0]

    def write(self, values: torch.Tensor, x: Stripes) -> None:
        """values: [carried, positions]; x += out @ values."""
        for at, stripe in zip(stripes_of(values.shape[1]), x, strict=True):
            self.out.add(values[:, at], stripe)


def head_groups(index: int, layer: Layer, head_dim: int, device: torch.device | str = "cpu") -> list[HeadGroup]:
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
        value, out = SparseMatrix(layer.v[rows], device), SparseMatrix(layer.o[:, rows], device)
        found.append(HeadGroup(index, name, layer.q[used], layer.k[used], value, out))
    return found


def read(matrix: SparseMatrix, x: Stripes) -> torch.Tensor:
    """matrix @ x for all stripes: [rows, positions]."""
    return torch.cat([matrix(stripe) for stripe in x], 1)
