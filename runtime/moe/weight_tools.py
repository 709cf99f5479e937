"""What the weights alone say of the experts. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .result_table import Cell, Grid, ResultTable
from .study import Study


@torch.no_grad()
def weights(study: Study, layers: Sequence[int] | None = None) -> ResultTable:
    """Of each expert: the norm of its row of the router and the row that is most like it (cosine), the norm of all its own
    weights, and its neurons: those with weights other than 0 out of them."""
    rows: list[tuple[Cell, ...]] = []
    model = study.model
    at = model.at(layers)
    grid = np.zeros((len(at), model.experts))
    for number, layer in enumerate(at):
        block = model.blocks[layer]
        router = block.router.weight.detach().double().cpu()
        norms = router.norm(dim=1)
        alike = (router @ router.T / (norms[:, None] * norms).clamp(min=1e-300)).fill_diagonal_(-2.0)
        own = torch.stack([p.detach().double().cpu().flatten(1).norm(dim=1) for p in block.experts.parameters()]).norm(dim=0)
        neurons = _neurons(block.experts.down_proj.detach(), router.shape[1])
        grid[number] = own.numpy()
        for e, name in enumerate(model.expert_names):
            nearest = int(alike[e].argmax())
            rows.append((
                model.layers[layer], name, float(norms[e]), model.expert_names[nearest], float(alike[e, nearest]), float(own[e]),
                int(neurons[e]),
            ))  # fmt: skip
    names = [str(model.layers[k]) for k in at]
    return ResultTable(
        "weights of experts and routers",
        ("layer", "expert", "#norm of its row", "row most like it", "#cosine", "#norm of its weights", "#neurons"), rows,
        grid=Grid(grid, "norm of the weights", names, model.expert_names, "layer", "expert"),
    )  # fmt: skip


def _neurons(down: torch.Tensor, width: int) -> np.ndarray:
    """down: [E, width, n], in some classes [E, n, width]. Where n is the width too, what is counted is the same: a neuron
    without weights is a column of zeros, and other zeros are not whole rows."""
    lines = (down != 0).any(1) if down.shape[1] == width else (down != 0).any(2)
    return lines.sum(1).cpu().numpy()
