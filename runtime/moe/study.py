"""One pass of a model over prompts: what its routers said of every token, and what it predicts. Needs torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..errors import ArgumentError
from .estimates import Estimate, mean, share
from .prompts import Prompt
from .routed_model import RoutedModel

BATCH = 4096  # tokens read together
NOBODY = -1  # in the place of an expert, in layers that choose fewer than others


@dataclass(frozen=True)
class Routing:
    """Of T tokens, L layers with experts and E experts, of which k are chosen:

    logits, probabilities: float64 [L, T, E], of the router; probabilities are their softmax. chosen: int [L, T, k], the
    first with the largest weight. weights: float64 [L, T, k], as experts' outputs are weighted.
    """

    logits: np.ndarray
    chosen: np.ndarray
    weights: np.ndarray

    @cached_property
    def probabilities(self) -> np.ndarray:
        e = np.exp(self.logits - self.logits.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def taken(self, layer: int, expert: int, first_only: bool = False) -> np.ndarray:
        """Which tokens this expert of this layer (counted among those with experts) computes: bool [T]."""
        chosen = self.chosen[layer]
        return chosen[:, 0] == expert if first_only else (chosen == expert).any(1)


@dataclass(frozen=True)
class Predictions:
    """best: int [T], the likeliest next token. loss: float64 [T], minus the logarithm of the target's probability, NaN
    where there is no target."""

    best: np.ndarray
    loss: np.ndarray


class Study:
    """A model and the prompts it is looked at with. Every tool takes one; what it reads is computed once.

    prompt, position, token, target, truth: int [T], of each counted token of all prompts. category, pattern: its texts.
    """

    def __init__(self, model: RoutedModel, prompts: Sequence[Prompt]):
        self.model, self.prompts = model, list(prompts)
        sizes = [len(p.ids) - p.first for p in self.prompts]
        self.prompt = np.repeat(np.arange(len(sizes)), sizes)
        self.position = _joined([np.arange(p.first, len(p.ids)) for p in self.prompts])
        self.token = _joined([p.ids[p.first :] for p in self.prompts])
        self.target = _joined([p.targets for p in self.prompts])
        self.truth = _joined([p.truth for p in self.prompts])
        self.step = _joined([p.steps for p in self.prompts])
        self.category = np.array([c for p in self.prompts for c in p.categories], dtype=object)
        self.pattern = np.array([c for p in self.prompts for c in p.patterns], dtype=object)

    def __len__(self) -> int:
        return len(self.token)

    @cached_property
    def _own(self) -> tuple[Routing, Predictions]:
        return self.read()

    @property
    def routing(self) -> Routing:
        return self._own[0]

    @property
    def predictions(self) -> Predictions:
        return self._own[1]

    def under(self, change: AbstractContextManager[None]) -> tuple[Routing, Predictions]:
        """A pass while something is changed in the model (see `interventions`)."""
        self._own  # noqa: B018 - what the model does by itself is read before
        with change:
            return self.read()

    def require(self) -> None:
        """Raises ArgumentError when there is nothing to look at."""
        if not self.prompts:
            raise ArgumentError("there are no prompts to look at")

    def share(self, hits: np.ndarray, among: np.ndarray | None = None) -> Estimate:
        """Of the tokens in `among` (all), those in `hits`."""
        among = np.ones(len(self), bool) if among is None else among
        return share(hits, among, self.prompt, len(self.prompts))

    def mean(self, values: np.ndarray) -> Estimate:
        return mean(values, self.prompt, len(self.prompts))

    def usage(self, layer: int, first_only: bool = False) -> np.ndarray:
        """How often each prompt's tokens choose each expert: float [P, E]."""
        chosen = self.routing.chosen[layer][:, : 1 if first_only else None]
        counts = np.zeros((len(self.prompts), self.model.experts + 1))
        np.add.at(counts, (self.prompt[:, None], chosen), 1.0)
        return counts[:, : self.model.experts]

    def read(self) -> tuple[Routing, Predictions]:
        """A pass over all prompts, whatever has been changed in the model just now."""
        self.require()
        routed: list[Any] = [None] * len(self.prompts)
        said: list[Any] = [None] * len(self.prompts)
        for numbers in self.batches():
            ids = np.stack([self.prompts[n].ids for n in numbers])
            with _recorded(self.model) as found:
                logits = self.model.logits(ids, ids.shape[1] - min(self.prompts[n].first for n in numbers))
            # logits, weights and indices, each [L, B, n, ...]
            parts = [_stacked([p.reshape(*ids.shape, -1).double().cpu().numpy() for p in part]) for part in zip(*found)]
            for row, n in enumerate(numbers):
                p = self.prompts[n]
                routed[n] = [part[:, row, p.first :] for part in parts]
                said[n] = _predicted(logits[row, p.first - len(p.ids) :], p.targets)
        scores, weights, chosen = (np.concatenate([r[k] for r in routed], 1) for k in range(3))
        chosen = np.where(np.isnan(weights), NOBODY, chosen)
        weights = np.nan_to_num(weights)
        order = np.argsort(-weights, axis=-1, kind="stable")
        weights, chosen = (np.take_along_axis(x, order, -1) for x in (weights, chosen.astype(np.int64)))
        return Routing(scores, chosen, weights), Predictions(*(np.concatenate([s[k] for s in said]) for k in (0, 1)))

    def batches(self) -> Iterator[list[int]]:
        """Prompts of the same length together: nothing is padded."""
        by_length: dict[int, list[int]] = defaultdict(list)
        for number, prompt in enumerate(self.prompts):
            by_length[len(prompt.ids)].append(number)
        for length, numbers in by_length.items():
            size = max(1, BATCH // length)
            yield from (numbers[k : k + size] for k in range(0, len(numbers), size))


def _stacked(layers: list[np.ndarray]) -> np.ndarray:
    """Layers may choose different numbers of experts: filled up with NaN."""
    most = max(layer.shape[-1] for layer in layers)
    wide = [np.pad(layer, [(0, 0), (0, 0), (0, most - layer.shape[-1])], constant_values=np.nan) for layer in layers]
    return np.stack(wide)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def _predicted(logits: torch.Tensor, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """logits: float32 [n, V], as `generate` compares them."""
    wanted = torch.as_tensor(targets, device=logits.device)
    loss = -torch.log_softmax(logits, -1).gather(1, wanted.clamp(min=0)[:, None])[:, 0].double()
    loss[wanted < 0] = float("nan")
    return logits.argmax(-1).cpu().numpy(), loss.cpu().numpy()


@contextmanager
def _recorded(model: RoutedModel) -> Iterator[list[tuple[Any, Any, Any]]]:
    """What each router gives: (logits, weights, indices) by layer."""
    found: list[tuple[Any, Any, Any]] = []
    with ExitStack() as stack:
        for block in model.blocks:
            hook = block.router.register_forward_hook(lambda _module, _inputs, output: found.append(output))
            stack.callback(hook.remove)
        yield found
