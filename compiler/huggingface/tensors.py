"""The tensors of the stock class: those of a one-file checkpoint, queries times sqrt(head_dim), and the norms' weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..format import metadata as stored
from ..format.checkpoint import EMBED, UNEMBED, check_layers, layer_tensors, read_layer, transformer_of
from ..format.sparse import SparseRows
from ..format.tensors import Tensors
from ..format.transformer import Layer, Transformer
from .config import NORM_WEIGHT

_LAYER_NORMS = ("input_layernorm", "post_attention_layernorm")
_LAST_NORM = "model.norm.weight"


def byte_count(t: Transformer) -> int:
    """How many bytes the tensors of `state` take; it makes none of them."""
    norms = (2 * len(t.layers) + 1) * t.width
    layers = sum(4 * y.q.size + 3 * y.gate.size for y in t.layers)
    return 8 * (2 * len(t.vocabulary) * t.width + norms + layers)


def state(t: Transformer) -> dict[str, np.ndarray]:
    """Name -> float64 tensor. `t` has no `stock_problem`."""
    tensors = {EMBED: t.embed.dense(), UNEMBED: t.unembed.dense(), _LAST_NORM: np.full(t.width, NORM_WEIGHT)}
    for index, layer in enumerate(t.layers):
        tensors |= layer_tensors(index, replace(layer, q=layer.q * math.sqrt(t.head_dim)))
        tensors |= {_norm(index, name): np.full(t.width, NORM_WEIGHT) for name in _LAYER_NORMS}
    return tensors


def read_transformer(
    metadata: stored.Metadata, tensors: Tensors, prefix: np.ndarray, mlps: Mapping[int, str] = MappingProxyType({})
) -> Transformer:
    """The inverse of `state`. mlps: of layers whose MLP has another name than "mlp" that name.

    Raises ValueError for tensors that are not what the metadata says, and for norms that round otherwise than to float32.
    """
    check_layers(metadata)
    config = metadata.config
    vocab, width, count = config.vocab_size, config.hidden_size, config.num_hidden_layers
    for name in (_LAST_NORM, *(_norm(index, name) for index in range(count) for name in _LAYER_NORMS)):
        if (tensors.take(name, (width,), "F64") != NORM_WEIGHT).any():
            raise ValueError(f"{name} is not 2^63 everywhere, with which the norm rounds to float32")
    layers = [_unscaled(read_layer(metadata, tensors, index, mlps.get(index, "mlp")), config.head_dim) for index in range(count)]
    embed, unembed = (SparseRows.of(tensors.take(name, (vocab, width), "F64")) for name in (EMBED, UNEMBED))
    if tensors.left:
        raise ValueError(f"a tensor that belongs to nothing: {min(tensors.left)}")
    positions = np.zeros((2, width))
    return transformer_of(metadata, layers, prefix, positions=positions, embed=embed, unembed=unembed)


def _unscaled(layer: Layer, head_dim: int) -> Layer:
    return replace(layer, q=layer.q / math.sqrt(head_dim))


def _norm(layer: int, name: str) -> str:
    return f"model.layers.{layer}.{name}.weight"
