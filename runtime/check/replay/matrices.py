"""The model's matrices over many positions at once: what a replay does besides attention.

The residual stream of a trace is a list of *stripes*, float64 [slots, n] with n <= STRIPE consecutive positions: one stripe
and what is computed from it fit into a processor's cache. Nearly all weights are 0, so a matrix is its non-zero entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ....compiler.format.transformer import Layer, Transformer

STRIPE = 1 << 11
# Logits that are computed together: 4 MiB of them.
LOGITS = 1 << 19

Stripes = list[torch.Tensor]


def stripes_of(length: int, start: int = 0) -> Iterator[slice]:
    """The positions start .. start + length - 1, a stripe at a time."""
    for first in range(start, start + length, STRIPE):
        yield slice(first, min(first + STRIPE, start + length))


class SparseMatrix:
    """x -> weight @ x. weight: float64 [rows, slots], x: float64 [slots, positions]. Rows of zeros cost nothing."""

    def __init__(self, weight: np.ndarray, device: torch.device | str = "cpu"):
        self.size = len(weight)
        rows = np.flatnonzero(weight.any(1))
        at = weight[rows].nonzero()
        entries, places = torch.from_numpy(weight[rows][at]), torch.from_numpy(np.array(at))
        shape = (len(rows), weight.shape[1])
        self._weight = torch.sparse_coo_tensor(places, entries, shape, check_invariants=True).coalesce().to(device)
        self._rows = torch.from_numpy(rows).to(device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """weight @ x: [rows, positions]."""
        y = self._weight @ x
        if len(self._rows) == self.size:
            return y
        return torch.zeros((self.size, x.shape[1]), dtype=x.dtype, device=x.device).index_add_(0, self._rows, y)

    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """y += weight @ x."""
        y.index_add_(0, self._rows, self._weight @ x)


class Embedding:
    """Token ids -> stripes."""

    def __init__(self, model: Transformer, device: torch.device | str = "cpu"):
        self._embed, self._device = model.embed, device
        self._positions = torch.from_numpy(np.ascontiguousarray(model.positions)).to(device)

    def __call__(self, tokens: np.ndarray, start: int) -> Stripes:
        """tokens: int [n], those at positions start .. start + n - 1."""
        stripes = []
        for at in stripes_of(len(tokens)):
            rows = torch.from_numpy(self._embed.rows(tokens[at])).to(self._device)
            n = torch.arange(start + at.start + 1, start + at.stop + 1, dtype=torch.float64, device=rows.device)
            x = rows.T + torch.outer(self._positions[0], n) + torch.outer(self._positions[1], n * n)
            stripes.append(x.contiguous())
        return stripes


class GatedMlp:
    """x += down @ (relu(gate @ x) * (up @ x))."""

    def __init__(self, layer: Layer, device: torch.device | str = "cpu"):
        self._empty = not layer.gate.size
        self._gate, self._up, self._down = (SparseMatrix(w, device) for w in (layer.gate, layer.up, layer.down))

    def add(self, x: torch.Tensor, read: torch.Tensor) -> None:
        """x, read: one stripe, as it is and as the matrices read it."""
        if not self._empty:
            self._down.add(torch.relu(self._gate(read)) * self._up(read), x)


class Logits:
    """The choice of a token. Equal rows of the unembedding have equal logits and are computed once."""

    def __init__(self, model: Transformer, device: torch.device | str = "cpu"):
        read = model.unembed.used_columns()  # the slots that the logits depend on
        rows = model.unembed.dense(read)
        _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
        order = np.argsort(first)  # so that the first of equal logits belongs to the lowest id
        self._read = torch.from_numpy(read).to(device)
        self._ids = torch.from_numpy(first[order]).to(device)
        self._shared = torch.from_numpy(counts[order] > 1).to(device)
        self._weight = torch.from_numpy(np.ascontiguousarray(rows[first[order]].T)).to(device)

    def choices(self, x: torch.Tensor) -> np.ndarray:
        """x: [slots, n] -> ids [n]: the argmax of each position's logits, of equal ones the lowest id."""
        found = [logits.argmax(1) for logits in self._blocks(x)]
        return self._ids[torch.cat(found)].cpu().numpy()

    def leads(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: [slots, n] -> (leads [n], ids [n, 2]): by how much the best logit leads, and the best and the second token.
        Where two tokens have the best logit the lead is 0; a token that is alone leads by infinity."""
        leads, ids = [], []
        for logits in self._blocks(x):
            best, at = logits.max(1)
            logits.scatter_(1, at[:, None], -torch.inf)
            second, other = logits.max(1)
            tied = self._shared[at]
            leads.append(torch.where(tied, 0.0, best - second))
            ids.append(torch.stack([at, torch.where(tied, at, other)], 1))
        return torch.cat(leads), self._ids[torch.cat(ids)]

    def rounding(self, x: torch.Tensor, ids: Sequence[int]) -> float:
        """x: [slots]. How far rounding may move the differences of these tokens' logits, in any order of summation."""
        rows = [int(torch.nonzero(self._ids == i)[0]) for i in ids]
        terms = (self._weight[:, rows].abs() * x[self._read].abs()[:, None]).sum(0)
        return float(terms.sum()) * len(self._read) * 2.0**-53

    def _blocks(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Logits [positions, distinct rows], some positions at a time."""
        final = x[self._read].T
        step = max(1, LOGITS // max(1, self._weight.shape[1]))
        for low in range(0, len(final), step):
            yield final[low : low + step] @ self._weight


def read(matrix: SparseMatrix, x: Stripes) -> torch.Tensor:
    """matrix @ x for all stripes: [rows, positions]."""
    return torch.cat([matrix(stripe) for stripe in x], 1)


def write(matrix: SparseMatrix, values: torch.Tensor, x: Stripes) -> None:
    """values: [columns, positions]; x += matrix @ values."""
    for at, stripe in zip(stripes_of(values.shape[1]), x, strict=True):
        matrix.add(values[:, at], stripe)
