"""Stock models trained on the corpus, each once: build/hybrid keeps them. Seeds are fixed; on a CPU one thread trains."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    PreTrainedTokenizerFast,
)

from . import corpus

FOLDER = Path(__file__).resolve().parents[2] / "build" / "hybrid"
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
CHARACTERS = ["\n", *map(chr, range(32, 127))]


@dataclass(frozen=True)
class Recipe:
    """kind: "llama" or "olmoe". steps: batches of `batch` blocks of `length` characters that it is trained on.

    quick: Muon for the layers' matrices, and forward passes in bfloat16; weights stay float32. A larger model learns to copy
    operands and results in 700 steps, which AdamW alone does not in 1,250.
    """

    kind: str
    width: int
    layers: int
    steps: int
    length: int = 128
    batch: int = 16
    seed: int = 1
    rate: float = 3e-3
    quick: bool = False
    experts: int = 8


TINY_LLAMA = Recipe("llama", 64, 2, 150, length=96, batch=8)
TINY_OLMOE = Recipe("olmoe", 64, 2, 120, length=96, batch=8)
LLAMA = Recipe("llama", 192, 4, 700, batch=8, quick=True)
OLMOE = Recipe("olmoe", 64, 3, 1000)
# For a GPU: 0.2 billion parameters each.
LARGE_LLAMA = Recipe("llama", 1024, 16, 400, batch=64, rate=1e-3, quick=True)
LARGE_OLMOE = Recipe("olmoe", 512, 8, 400, batch=64, rate=1e-3, experts=32)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each character."""
    vocabulary = {token: k for k, token in enumerate([*SPECIAL, *CHARACTERS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", padding_side="left",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def untrained(recipe: Recipe) -> Any:
    """The stock class with random weights."""
    torch.manual_seed(recipe.seed)
    size = len(SPECIAL) + len(CHARACTERS)
    common = {
        "vocab_size": size, "hidden_size": recipe.width, "num_hidden_layers": recipe.layers, "num_attention_heads": 4,
        "num_key_value_heads": 4, "max_position_embeddings": 4096, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "tie_word_embeddings": False,
    }  # fmt: skip
    if recipe.kind == "llama":
        return LlamaForCausalLM(LlamaConfig(intermediate_size=recipe.width * 8 // 3, **common))
    experts = {"num_experts": recipe.experts, "num_experts_per_tok": 2, "norm_topk_prob": True, "router_aux_loss_coef": 0.01}
    return OlmoeForCausalLM(OlmoeConfig(intermediate_size=recipe.width, **experts, **common))


def trained(
    recipe: Recipe, report: Any = lambda text: None, device: str = "cpu"
) -> tuple[Any, PreTrainedTokenizerFast]:
    """The model, ready for use, and its tokenizer: from build/hybrid if it is there, else trained now, on that device."""
    folder = FOLDER / f"{recipe.kind}-{hashlib.sha256(_key(recipe)).hexdigest()[:12]}"
    if not (folder / "config.json").exists():
        model = _train(recipe, report, device)
        FOLDER.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=FOLDER))
        model.save_pretrained(made)
        tokenizer().save_pretrained(made)
        try:
            made.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(made)
    return AutoModelForCausalLM.from_pretrained(folder).to(device).eval(), tokenizer()


def folder_of(recipe: Recipe, report: Any = lambda text: None) -> Path:
    """The folder that `from_pretrained` takes."""
    trained(recipe, report)
    return FOLDER / f"{recipe.kind}-{hashlib.sha256(_key(recipe)).hexdigest()[:12]}"


def _key(recipe: Recipe) -> bytes:
    return repr(recipe).encode() + Path(corpus.__file__).read_bytes()


def _train(recipe: Recipe, report: Any, device: str) -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, began = untrained(recipe).to(device).train(), time.process_time()
        tokens = tokenizer()
        optimizers = _optimizers(model, recipe)
        warm = recipe.steps // 20 + 1
        schedules = [
            torch.optim.lr_scheduler.LambdaLR(o, lambda k: min((k + 1) / warm, max(0.03, 1 - k / recipe.steps)))
            for o in optimizers
        ]
        texts = corpus.blocks(recipe.seed, recipe.length - 1)
        for step in range(recipe.steps):
            ids = torch.tensor([[1, *tokens.encode(next(texts))] for _ in range(recipe.batch)], device=device)
            routing = {"output_router_logits": True} if recipe.kind == "olmoe" else {}
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=recipe.quick):
                loss = model(input_ids=ids, labels=ids, **routing).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for each in (*optimizers, *schedules):
                each.step()
            model.zero_grad()
            if step % 100 == 99:
                report(f"{recipe.kind}: step {step + 1}, loss {loss.item():.3f}, {time.process_time() - began:.0f} s")
        return model.eval()
    finally:
        torch.set_num_threads(threads)


def _optimizers(model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
    inner = [p for p in model.model.layers.parameters() if p.dim() == 2] if recipe.quick else []
    outer = [p for p in model.parameters() if all(p is not q for q in inner)]
    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(outer, lr=recipe.rate, weight_decay=0.01, betas=(0.9, 0.98))]
    if inner:
        made.append(
            torch.optim.Muon(inner, lr=recipe.rate, weight_decay=0.01, ns_steps=4, adjust_lr_fn="match_rms_adamw")
        )
    return made
