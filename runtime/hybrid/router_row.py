"""The router's row for a slot: in closed form, or trained with everything else frozen. Needs torch.

Both take the same examples: what the router reads, states float [n, width]; whether the slot is wanted there, wanted bool [n],
not all alike; and the router's logits for the other experts, others float [n, experts]. top_k: how many experts a token has.
with_bias: whether the router has one. They give (row [width], bias), float32, or None where no row tells the tokens apart: the
slot may be missed at MISSED of the tokens where it is wanted, and chosen at FOR_NOTHING of the others. A call that is missed is
the model's own answer, a token that is chosen for nothing only costs a look.
"""

from __future__ import annotations

import torch

from .errors import ExpertError

# The slot's score is that far above the highest of the others where it is wanted: its weight is then all but 1.
MARGIN, MISSED, FOR_NOTHING = 20.0, 0.02, 0.1
# Of training: steps of L-BFGS, and how much the squared length of the row (in units of the states' spread) costs.
STEPS, DECAY = 100, 1e-6


def closed_form_row(
    states: torch.Tensor, wanted: torch.Tensor, others: torch.Tensor, top_k: int, with_bias: bool
) -> tuple[torch.Tensor, float] | None:
    """Ridge regression of +1 and -1 on the states, both classes weighing the same, then scaled so far that the slot's score is
    above all others where it is wanted, and below them elsewhere, by MARGIN on almost all tokens. Raises ExpertError."""
    x = _inputs(states, wanted, with_bias)
    wanted = wanted.to(x.device)
    y, weight = wanted.double() * 2 - 1, torch.where(wanted, 0.5 / wanted.sum(), 0.5 / (~wanted).sum()).double()
    gram = (x * weight[:, None]).T @ x
    ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype, device=x.device)
    row = torch.linalg.solve(gram + ridge, (x * weight[:, None]).T @ y)
    score = x @ row
    low, high = float(score[wanted].quantile(MISSED)), float(score[~wanted].quantile(1 - FOR_NOTHING))
    if with_bias:
        row[-1] -= (low + high) / 2
        low, high = (low - high) / 2, (high - low) / 2
    if low <= 0 or high >= 0:
        return None
    return _parts(row * (float(others.abs().max()) + MARGIN) / min(low, -high), with_bias)


def trained_row(
    states: torch.Tensor, wanted: torch.Tensor, others: torch.Tensor, top_k: int, with_bias: bool
) -> tuple[torch.Tensor, float] | None:
    """Gradient descent (L-BFGS, from a row of zeros) on the router's own decision. With s the slot's score, b the best of the
    others and c the last one that would be chosen,

        mean over wanted of log(1 + exp(MARGIN - (s - b))) + mean over the others of log(1 + exp(1 + (s - c)))

    which is convex in the row: there is one minimum, whatever the order of the examples. Raises ExpertError.
    """
    x = _inputs(states, wanted, with_bias)
    wanted = wanted.to(x.device)
    best, last = (others.double().to(x.device).topk(min(top_k, others.shape[1])).values[:, k] for k in (0, -1))
    spread = x.std(0).clamp_min(1e-12)
    if with_bias:
        spread[-1] = 1.0
    row = torch.zeros(x.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([row], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        score = x @ (row / spread)
        missed = torch.nn.functional.softplus(MARGIN - (score - best)[wanted]).mean()
        for_nothing = torch.nn.functional.softplus(1 + (score - last)[~wanted]).mean()
        found = missed + for_nothing + DECAY * row.square().sum()
        found.backward()
        return found

    with torch.enable_grad():
        optimizer.step(loss)
    found = (row / spread).detach()
    score = x @ found
    missed, chosen = float((score <= best)[wanted].double().mean()), float((score >= last)[~wanted].double().mean())
    return None if missed > MISSED or chosen > FOR_NOTHING else _parts(found, with_bias)


def _inputs(states: torch.Tensor, wanted: torch.Tensor, with_bias: bool) -> torch.Tensor:
    """float64 [n, width], with a column of ones for the bias."""
    if not wanted.any() or wanted.all():
        raise ExpertError("the texts show no call with its result, or nothing else")
    x = states.double()
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype, device=x.device)], 1) if with_bias else x


def _parts(row: torch.Tensor, with_bias: bool) -> tuple[torch.Tensor, float]:
    return (row[:-1].float(), float(row[-1])) if with_bias else (row.float(), 0.0)


__all__ = ["closed_form_row", "trained_row"]
