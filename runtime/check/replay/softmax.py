"""Replay with real softmax: every layer over the whole trace at once, attention as it is, nothing assumed of the heads.

Uniform heads (no component of query and key) are running sums: exp(0) is the weight of every position. Where the model reads
its residual rounded to float32 (`float32_reads`), so do queries, keys, values, gates and logits here.
"""

from __future__ import annotations

import numpy as np
import torch

from ....compiler.format.transformer import Transformer
from ...errors import ReplayError
from ...fast.certified import check_sums
from .attention import Lead, SoftmaxAttention
from .heads import HeadGroup, head_groups
from .margins import Margins
from .matrices import GatedMlp, SparseMatrix, Stripes, read, write


def forward(
    model: Transformer, x: Stripes, device: torch.device | str, check_from: int = 0, margins: Margins | None = None
) -> Stripes:
    """x: the embedding of a whole trace; becomes the final residual as the unembedding reads it, which is returned.

    check_from: margins are those of the positions from here on. Raises ReplayError for numbers that are not finite.
    """
    for index, layer in enumerate(model.layers):
        groups = head_groups(index, layer, model.head_dim)
        rounded = _as_read(model, x) if groups else x
        found = [_attend(model, group, rounded, device, check_from, margins) for group in groups]
        del rounded
        for group, values in zip(groups, found, strict=True):
            write(SparseMatrix(group.out, device), values, x)
        mlp = GatedMlp(layer, device)
        for stripe in x:
            mlp.add(stripe, *_as_read(model, [stripe]))
    return _as_read(model, x)


def _as_read(model: Transformer, x: Stripes) -> Stripes:
    if not getattr(model, "float32_reads", False):
        return x
    return [stripe.float().double() for stripe in x]


def _attend(
    model: Transformer, group: HeadGroup, x: Stripes, device: torch.device | str, check_from: int, margins: Margins | None
) -> torch.Tensor:
    """[carried, positions]"""
    value = read(SparseMatrix(group.value, device), x)
    if not len(group.query):
        sums = torch.cumsum(value, 1)
        check_sums(model, value.shape[1], float(sums.abs().max()))
        return sums / torch.arange(1, value.shape[1] + 1, dtype=torch.float64, device=value.device)
    query, key = (_component_last(matrix, x, device) for matrix in (group.query, group.key))
    value = value.T.contiguous()
    if not all(bool(torch.isfinite(part).all()) for part in (query, key, value)):
        raise ReplayError(f"{group.title}: a query, key or value is not finite")
    lead = Lead() if margins is not None else None
    result = SoftmaxAttention(query, key, value, lead, check_from).result()
    if margins is not None and lead is not None:
        margins.add_head(group.layer, group.name, lead.least, lead.position)
    return result.T.contiguous()


def _component_last(matrix: np.ndarray, x: Stripes, device: torch.device | str) -> torch.Tensor:
    return read(SparseMatrix(matrix, device), x).T.contiguous()
