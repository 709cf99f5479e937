"""config.json and generation_config.json: how the stock Llama class becomes the forward pass of `Transformer`, exactly.

The class has three things that the transformer has not; the configuration makes each of them do nothing, or what is wanted:

    RMSNorm   fl32(x) / sqrt(mean(x^2) + eps) * weight, the quotient in float32. With eps = 2^126 and mean(x^2) < 2^102 the
              root is exactly 2^63, and a weight of 2^63 takes it back: what is left is x rounded to float32
              (`Transformer.float32_reads`).
    RoPE      frequencies theta^(-2i/w) / factor: with factor = 1e300 they are 0 in float32, so that queries and keys stay as
              they are.
    scale     scores are q . k / sqrt(w), w the width of a head: the stored queries are sqrt(w) times those of the
              transformer, which is exact where w is a power of 4.

`stock_problem` says why a transformer has no such form.
"""

from __future__ import annotations

import math
from typing import Any

from ..format.transformer import Transformer

ARCHITECTURE = "LlamaForCausalLM"
NORM_EPS = 2.0**126
NORM_WEIGHT = 2.0**63
ROPE = {"rope_type": "linear", "factor": 1e300, "rope_theta": 1e4}


def stock_problem(t: Transformer) -> str:
    """Why the stock class cannot be this transformer; "" if it can."""
    heads, neurons = {len(y.q) // t.head_dim for y in t.layers}, {len(y.gate) for y in t.layers}
    if not t.float32_reads:
        return "it reads more of the residual stream than the 24 bits that the norm of the stock class leaves"
    if t.positions.any():
        return "it is told positions, which the stock class does not tell"
    if len(heads) != 1 or len(neurons) != 1 or not heads.pop() or not neurons.pop():
        return "not all of its layers have equally many heads and neurons, at least one of each"
    if t.width % (len(t.layers[0].q) // t.head_dim):
        return f"its width of {t.width} is no multiple of the number of heads, as the stock class wants it"
    if not math.log(t.head_dim, 4).is_integer():
        return f"heads of width {t.head_dim}; the scale of the stock class is exact for powers of 4"
    if any(name != "".join(name.split()) or not name for name in t.vocabulary):
        return "the name of a token is empty or has white space in it, where a tokenizer would split it"
    return ""


def config(t: Transformer) -> dict[str, Any]:
    """config.json. `t` has no `stock_problem`. The length that the class claims is that of the certificate."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "llama",
        "vocab_size": len(t.vocabulary),
        "hidden_size": t.width,
        "intermediate_size": len(t.layers[0].gate),
        "num_hidden_layers": len(t.layers),
        "num_attention_heads": len(t.layers[0].q) // t.head_dim,
        "num_key_value_heads": len(t.layers[0].q) // t.head_dim,
        "head_dim": t.head_dim,
        "hidden_act": "relu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "rms_norm_eps": NORM_EPS,
        "rope_parameters": dict(ROPE),
        "max_position_embeddings": longest(t),
        "dtype": "float64",
        **special_ids(t),
    }


def generation_config(t: Transformer) -> dict[str, Any]:
    """generation_config.json: greedy, up to a halt or trap, and never past the certificate."""
    return {"do_sample": False, "max_length": longest(t), **special_ids(t)}


def longest(t: Transformer) -> int:
    """The longest sequence that is vouched for; without a certificate 2^24, which nobody vouches for."""
    return t.envelope or 2**24


def special_ids(t: Transformer) -> dict[str, Any]:
    """Where decoding begins, where it stops, and what fills up the shorter rows of a batch (the same as a halt)."""
    from ..format.tokens import read

    found = [(token, read(name)) for token, name in enumerate(t.vocabulary)]
    stops = [token for token, known in found if known is not None and known.token_class.stops]
    first = int(t.prefix[0]) if len(t.prefix) else None
    return {"bos_token_id": first, "eos_token_id": stops or None, "pad_token_id": stops[0] if stops else None}
