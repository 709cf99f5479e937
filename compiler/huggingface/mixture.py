"""A mixture as the stock class `Qwen2MoeForCausalLM`: its configuration and its tensors.

As for Llama (see `config`), and besides: with one expert for each token and `norm_topk_prob` its weight is p / p, exactly 1; the
shared expert's weight, a sigmoid, is 1 in float64 from 37 on, and is given 64 (times the slot that is always 1). The class has to
be loaded with `experts_implementation="eager"`: the grouped product that is its default refuses float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..format.mixture import Mixture, MixtureLayer
from ..format.tensors import Tensors
from .config import config
from .tensors import state

ARCHITECTURE = "Qwen2MoeForCausalLM"
SHARED = 64.0


def mixture_config(m: Mixture) -> dict[str, Any]:
    """config.json."""
    shared = len(m.shared.layers[0].gate)
    return config(m.shared) | {
        "architectures": [ARCHITECTURE],
        "model_type": "qwen2_moe",
        "qkv_bias": False,
        "num_experts": len(m.experts),
        "num_experts_per_tok": 1,
        "norm_topk_prob": True,
        "moe_intermediate_size": m.own,
        "shared_expert_intermediate_size": shared,
        "intermediate_size": shared,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [index for index, layer in enumerate(m.layers) if layer is None],
        "use_sliding_window": False,
        "experts_implementation": "eager",
    }


def mixture_state(m: Mixture) -> dict[str, np.ndarray]:
    """Name -> float64 tensor, as the class names them in a file: each expert's projections by themselves."""
    tensors = state(m.shared)
    for index, layer in enumerate(m.layers):
        if layer is None:
            continue
        mlp = f"model.layers.{index}.mlp"
        for name in ("gate_proj", "up_proj", "down_proj"):
            tensors[f"{mlp}.shared_expert.{name}.weight"] = tensors.pop(f"{mlp}.{name}.weight")
        tensors |= {f"{mlp}.gate.weight": layer.router, f"{mlp}.shared_expert_gate.weight": _always(m.shared.width)}
        for e in range(len(m.experts)):
            own = {"gate_proj": layer.gate[e], "up_proj": layer.up[e], "down_proj": layer.down[e]}
            tensors |= {f"{mlp}.experts.{e}.{name}.weight": tensor for name, tensor in own.items()}
    return tensors


def _always(width: int) -> np.ndarray:
    """The row that makes the shared expert's weight 1. Slot 0 is 1 at every position."""
    row = np.zeros((1, width))
    row[0, 0] = SHARED
    return row


def read_layers(
    tensors: Tensors, names: Sequence[Sequence[Sequence[str]] | None], count: int, width: int
) -> list[MixtureLayer | None]:
    """Takes routers and `count` experts of each layer, the inverse of `mixture_state`. names: of the layers, None where there
    are no experts, of the experts, of their neurons. Raises ValueError."""
    layers = [
        None if of is None else _read_layer(tensors, f"model.layers.{i}.mlp", of, count, width)
        for i, of in enumerate(names)
    ]
    sizes = {layer.gate.shape[1] for layer in layers if layer}
    if len(sizes) > 1:
        raise ValueError(f"experts of {min(sizes)} and of {max(sizes)} neurons")
    return layers


def _read_layer(tensors: Tensors, mlp: str, names: Sequence[Sequence[str]], count: int, width: int) -> MixtureLayer:
    if (tensors.take(f"{mlp}.shared_expert_gate.weight", (1, width), "F64") != _always(width)).any():
        raise ValueError(
            f"{mlp}.shared_expert_gate.weight is not {SHARED:g} at slot 0 alone, with which the shared expert counts once"
        )
    router = tensors.take(f"{mlp}.gate.weight", (count, width), "F64")
    own = (*tensors.shape(f"{mlp}.experts.0.gate_proj.weight"), 0)[0]
    shapes = {"gate_proj": (own, width), "up_proj": (own, width), "down_proj": (width, own)}
    found: dict[str, list[np.ndarray]] = {name: [] for name in shapes}
    for e in range(count):
        for name, shape in shapes.items():
            found[name].append(tensors.take(f"{mlp}.experts.{e}.{name}.weight", shape, "F64"))
    for e, neurons in enumerate(names):
        if len(neurons) > own:
            raise ValueError(f"{mlp}.experts.{e}: {len(neurons)} names for {own} neurons")
    gate, up, down = (np.stack(found[name]) for name in shapes)
    return MixtureLayer(router, gate, up, down, [list(of) for of in names])


def fused(m: Mixture, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same tensors as the class holds them in memory: those of all experts in one, gate above up."""
    made = {name: tensor for name, tensor in tensors.items() if ".mlp.experts." not in name}
    for index, layer in enumerate(m.layers):
        if layer is not None:
            experts = f"model.layers.{index}.mlp.experts"
            made[f"{experts}.gate_up_proj"] = np.concatenate([layer.gate, layer.up], axis=1)
            made[f"{experts}.down_proj"] = layer.down
    return made


__all__ = ["fused", "mixture_config", "mixture_state", "read_layers"]
