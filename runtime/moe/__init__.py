"""Tools that look into mixtures of experts: those of language models, and compiled programs, of which the truth is known.

    from wasm2xformer import moe
    model = moe.open("gcd.safetensors")                               # or the name of an OLMoE, Mixtral, Qwen-MoE, GPT-OSS
    model study = moe.Study(model, moe.invocations(model, [("gcd", (48, 18))]))   # or moe.texts(model, moe.built_in(30))
    print(moe.ablate(study, ["i32.rem_u"]).rows)

Each tool is a function of a study that returns a `ResultTable`, a table with notes. Each name is imported when it is first
used; all need torch and transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .estimates import Estimate
    from .intervention_tools import ablate, compare, force, topk
    from .interventions import experts_off, forced, top
    from .opening import compiled, open
    from .pattern_tools import full_taxonomy, pattern_discovery, pattern_track
    from .probing import router_probe
    from .prompt_sets import built_in, read_prompts
    from .prompts import Prompt, invocations, texts
    from .result_table import ResultTable
    from .routed_model import RoutedModel
    from .study import Study
    from .token_tools import trace
    from .usage_tools import analyze, divergence, entropy, layer_sweep, role
    from .vocabulary_tools import context_test, control_tokens, vocab_map
    from .weight_tools import weights

_MODULES = {
    ".estimates": ("Estimate",),
    ".result_table": ("ResultTable",),
    ".intervention_tools": ("ablate", "compare", "force", "topk"),
    ".interventions": ("experts_off", "forced", "top"),
    ".opening": ("compiled", "open"),
    ".pattern_tools": ("full_taxonomy", "pattern_discovery", "pattern_track"),
    ".prompt_sets": ("built_in", "read_prompts"),
    ".prompts": ("Prompt", "invocations", "texts"),
    ".routed_model": ("RoutedModel",),
    ".probing": ("router_probe",),
    ".study": ("Study",),
    ".token_tools": ("trace",),
    ".usage_tools": ("analyze", "divergence", "entropy", "layer_sweep", "role"),
    ".vocabulary_tools": ("context_test", "control_tokens", "vocab_map"),
    ".weight_tools": ("weights",),
}
__all__ = [
    "Estimate", "Prompt", "ResultTable", "RoutedModel", "Study", "ablate", "analyze", "built_in", "compare", "compiled",
    "context_test", "control_tokens", "divergence", "entropy", "experts_off", "force", "forced", "full_taxonomy",
    "invocations", "layer_sweep", "open", "pattern_discovery", "pattern_track", "read_prompts", "role", "router_probe",
    "texts", "top", "topk", "trace", "vocab_map", "weights",
]  # fmt: skip

__getattr__ = lazily(globals(), _MODULES)
