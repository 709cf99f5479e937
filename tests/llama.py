"""The stock form as unmodified transformers classes, for tests."""

from __future__ import annotations

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from wasm2xformer.compiler.format.transformer import Transformer


def llama(t: Transformer, attention: str = "sdpa") -> LlamaForCausalLM:
    """LlamaForCausalLM in float64 with these weights. attention: "sdpa" or "eager"."""
    heads = len(t.layers[0].q) // t.head_dim
    config = LlamaConfig(
        vocab_size=len(t.vocabulary), hidden_size=t.width, intermediate_size=len(t.layers[0].gate),
        num_hidden_layers=len(t.layers), num_attention_heads=heads, num_key_value_heads=heads, head_dim=t.head_dim,
        hidden_act="relu", rms_norm_eps=2.0**126, attention_bias=False, mlp_bias=False, tie_word_embeddings=False,
        rope_parameters={"rope_type": "linear", "factor": 1e300, "rope_theta": 1e4}, dtype=torch.float64,
        max_position_embeddings=t.envelope, attn_implementation=attention,
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model = model.to(torch.float64).to_empty(device="cpu")
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    norm = torch.full((t.width,), 2.0**63, dtype=torch.float64)
    state = {"model.embed_tokens.weight": t.embed.dense(), "lm_head.weight": t.unembed.dense()}
    for i, y in enumerate(t.layers):
        name = f"model.layers.{i}."
        attention_weights = {"q": y.q / t.head_dim**-0.5, "k": y.k, "v": y.v, "o": y.o}
        state |= {f"{name}self_attn.{n}_proj.weight": w for n, w in attention_weights.items()}
        state |= {f"{name}mlp.{n}_proj.weight": w for n, w in (("gate", y.gate), ("up", y.up), ("down", y.down))}
    tensors = {n: torch.from_numpy(np.ascontiguousarray(w)) for n, w in state.items()}
    for i in range(len(t.layers)):
        for which in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{i}.{which}.weight"] = norm
    tensors["model.norm.weight"] = norm
    model.load_state_dict(tensors, strict=True)
    return model.eval()
