"""A transformer whose MLPs are mixtures: what every step needs, and beside it the circuits of one operation at each token."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from .transformer import Layer, Transformer

# The name of what fills a layer up.
NO_NEURON = "no neuron"


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

    def joined(self) -> Transformer:
        """The dense transformer with every neuron once: the shared ones of a layer, behind them those of its experts.

        A neuron that stands in several experts, with the same weights, is one; what adds nothing is left out. All layers
        get as many neurons. It decodes what the mixture does only where no neuron of an expert that is not chosen has any
        effect: true of what the compiler makes (`compiler.mixture_form`), not of any mixture.
        """
        layers = [_joined(y, experts) for y, experts in zip(self.shared.layers, self.layers, strict=True)]
        most = max((len(y.gate) for y in layers), default=0)
        return replace(self.shared, layers=[_filled(y, most) for y in layers])


def _joined(shared: Layer, experts: MixtureLayer | None) -> Layer:
    if experts is None:
        return shared
    found: Counter[bytes] = Counter()
    own: list[tuple[int, int]] = []
    for e in range(len(experts.gate)):
        here: Counter[bytes] = Counter()
        for i in np.flatnonzero(experts.down[e].any(0)).tolist():
            weights = experts.gate[e, i], experts.up[e, i], experts.down[e, :, i]
            key = b"".join((w + 0.0).tobytes() for w in weights)  # 0 and -0 are the same
            here[key] += 1
            if here[key] > found[key]:
                found[key] += 1
                own.append((e, i))
    names = [_name(experts.neuron_names[e], i) for e, i in own]
    of, at = (np.array([pair[k] for pair in own], dtype=np.int64) for k in range(2))
    return replace(
        shared,
        gate=np.concatenate([shared.gate, experts.gate[of, at]]),
        up=np.concatenate([shared.up, experts.up[of, at]]),
        down=np.concatenate([shared.down, experts.down[of, :, at].T], axis=1),
        neuron_names=[*shared.neuron_names, *names],
    )


def _name(names: list[str], neuron: int) -> str:
    return names[neuron] if neuron < len(names) else NO_NEURON


def _filled(y: Layer, count: int) -> Layer:
    more = count - len(y.gate)
    return replace(
        y,
        gate=np.pad(y.gate, [(0, more), (0, 0)]),
        up=np.pad(y.up, [(0, more), (0, 0)]),
        down=np.pad(y.down, [(0, 0), (0, more)]),
        neuron_names=[*y.neuron_names, *[NO_NEURON] * more],
    )


__all__ = ["NO_NEURON", "Mixture", "MixtureLayer", "OperationExpert"]
