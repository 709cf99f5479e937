"""A transformer whose MLPs are mixtures: what every step needs, and beside it the circuits of one operation at each token."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .transformer import Transformer


@dataclass(frozen=True)
class OperationExpert:
    """An expert: the circuits of some operations.

    name: short. operations: of the step program, those that it executes; () for the row before the first step.
    """

    name: str
    operations: tuple[str, ...]


@dataclass
class MixtureLayer:
    """The experts of one MLP: E experts of n neurons, residual width d. With r the residual stream as it is read:

        e = argmax (router @ r);   r += down[e] @ (relu(gate[e] @ r) * (up[e] @ r)), beside the shared expert

    router: [E, d]. gate, up: [E, n, d]. down: [E, d, n]. float64. neuron_names: of each expert's neurons, fewer than n
    where it needs fewer; a neuron that several operations need stands in each of their experts.
    """

    router: np.ndarray
    gate: np.ndarray
    up: np.ndarray
    down: np.ndarray
    neuron_names: list[list[str]] = field(default_factory=list)


@dataclass
class Mixture:
    """shared: the transformer without the experts; its MLPs are the shared expert. layers: of each layer the experts, or None
    where there are none. experts: their names, the same in every layer. steps: of each step of the program its expert, int."""

    shared: Transformer
    layers: list[MixtureLayer | None]
    experts: list[OperationExpert]
    steps: np.ndarray

    @property
    def own(self) -> int:
        """How many neurons each expert of a layer has."""
        return max((y.gate.shape[1] for y in self.layers if y), default=0)

    def active(self) -> tuple[int, int]:
        """Parameters of all MLPs that are read for one token, routers among them; and of all MLPs."""
        shared = sum(3 * y.gate.size for y in self.shared.layers)
        routers = sum(y.router.size for y in self.layers if y)
        experts = sum(3 * y.gate.size for y in self.layers if y)
        return shared + routers + experts // max(1, len(self.experts)), shared + routers + experts


__all__ = ["Mixture", "MixtureLayer", "OperationExpert"]
