"""The target model: float64 matrices of a decoder-only transformer. What the compiler makes and engines run.

With one-hot-free notation (row vectors, token id y_t at position t, n = t + 1):

    x_t    = embed[y_t] + n * positions[0] + n^2 * positions[1]
    layer: x += concat_h softmax_causal(q_h . k_h) v_h @ o.T      q, k, v = x @ {q,k,v}.T, heads of one width, scale 1
           x += (relu(x @ gate.T) * (x @ up.T)) @ down.T          the gated-ReLU MLP
    logits = x @ unembed.T

No biases, no normalisation: residual slot 0 ("one") is 1 at every position and serves as the constant. All heads have
the same width (`head_dim`); components that a head does not need are 0. The temperature of a head is part of its query
matrix. A head with q = k = 0 attends uniformly: it is a running mean.

With `float32_reads` every x on the right-hand side that a matrix multiplies is fl32(x), rounded to the nearest float32, and
only what is added to (the residual stream itself) keeps its 53 bits. That is what the norms of the stock form do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .certificate import Certificate, tokens_of
from .sparse import SparseRows

# The width of the heads that the compiler makes: components of queries and keys, and values that a head carries.
HEAD_DIM = 16


@dataclass
class Layer:
    """q, k, v: [w H, d]; o: [d, w H], w the width of a head; gate, up: [F, d]; down: [d, F]. H and F may differ from layer to
    layer, and be 0."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    o: np.ndarray
    gate: np.ndarray
    up: np.ndarray
    down: np.ndarray
    head_names: list[str] = field(default_factory=list)
    neuron_names: list[str] = field(default_factory=list)
    # What each residual slot holds at the *end* of this layer, by slot; "" where it is free.
    slot_names: list[str] = field(default_factory=list)


def uniform_heads(layer: Layer, head_dim: int) -> np.ndarray:
    """int64: the numbers of the heads that are read and attend uniformly: no component has both a query and a key."""
    scored, read = layer.q.any(1) & layer.k.any(1), layer.v.any(1) & layer.o.any(0)
    return np.flatnonzero(~scored.reshape(-1, head_dim).any(1) & read.reshape(-1, head_dim).any(1))


@dataclass
class Transformer:
    """embed: [V, d], positions: [2, d], unembed: [V, d]; all float64; the two with a row for each token are sparse.

    vocabulary: one name per token id.
    prefix: token ids that every sequence begins with.
    certificate: what each lookup allows; empty: nothing is claimed.
    head_dim: the width of a head.
    float32_reads: whether q, k, v, gate, up and unembed see the residual rounded to float32.
    probes: name -> (layer, slot): that slot of the residual *entering* that layer (layer = number of layers: the
        final residual) may be read out for every position. Probes observe, they take no part in decoding.
    """

    embed: SparseRows
    positions: np.ndarray
    layers: list[Layer]
    unembed: SparseRows
    vocabulary: list[str]
    prefix: np.ndarray
    certificate: Certificate = ()
    slot_names: list[str] = field(default_factory=list)
    probes: dict[str, tuple[int, int]] = field(default_factory=dict)
    head_dim: int = HEAD_DIM
    float32_reads: bool = False

    @property
    def width(self) -> int:
        return self.embed.shape[1]

    @property
    def envelope(self) -> int:
        """The most tokens for which real softmax is exact (0: none claimed)."""
        return tokens_of(self.certificate)
