"""Compiled weights with noise, then fine-tuned on runs of the program: what gradient descent brings back, and what it keeps.

Loss: cross-entropy of the decoded tokens, with logits times SHARP (neighbouring ids are 1 apart). Two ways to train:

    raw         Adam over all tensors, zeros among them
    relative    Adam over factors of the weights that are not 0: w = w' f, f = 1 at first; a step is a share of the weight
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy, linear
from torch.nn.utils import parametrize

import wasm2xformer as w2x
from tests.circuits.cases import binary
from wasm2xformer.runtime.circuits.edges import EdgeKind
from wasm2xformer.runtime.circuits.graph import CircuitGraph
from wasm2xformer.runtime.circuits.scores import recovery
from wasm2xformer.runtime.hf_engine import llama

SHARP, BATCH, STEPS = 8.0, 4, 40
NOISE = (0.0, 1e-8, 1e-7, 1e-6, 1e-4)
LEAST = 1e-12  # the step without noise
KINDS = ("embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")


@dataclass
class Data:
    """ids: int64 [N, T], prefix and run, filled up. wanted: the same one position on, -100 where nothing is decoded."""

    ids: torch.Tensor
    wanted: torch.Tensor

    def part(self, rows: list[int]) -> Data:
        return Data(self.ids[rows], self.wanted[rows])


def data(model: w2x.Model, prefix: np.ndarray, calls: Iterable[tuple[int, int]]) -> Data:
    runs = [w2x.Instance(model).invoke("f", *call) for call in calls]
    longest = max(len(run.prompt) + len(run.tokens) for run in runs) - 1
    ids, wanted = (np.full((len(runs), len(prefix) + longest), fill) for fill in (0, -100))
    for i, run in enumerate(runs):
        whole = np.concatenate([prefix, run.prompt, run.tokens])
        ids[i, : len(whole) - 1] = whole[:-1]
        wanted[i, len(prefix) + len(run.prompt) - 1 : len(whole) - 1] = run.tokens
    return Data(torch.as_tensor(ids), torch.as_tensor(wanted))


class Relative(torch.nn.Module):
    """A weight as what it was, times a factor that is trained."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.register_buffer("was", weight.clone())

    def forward(self, factor: torch.Tensor) -> torch.Tensor:
        return self.was * factor

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(weight)


def weights(stock) -> dict[str, torch.Tensor]:
    """Name -> tensor, without the norms."""
    return {name: module.weight for name, module in stock.named_modules() if name.split(".")[-1] in KINDS}


def perturbed(t, noise: float, seed: int):
    """Each weight that is not 0 times 1 + noise times a normal number."""
    stock = llama(t)
    generator = torch.Generator().manual_seed(seed)
    for parameter in stock.parameters():
        parameter.requires_grad_(False)
    for module in stock.modules():
        if isinstance(getattr(module, "weight", None), torch.nn.Parameter) and module.weight.dim() == 2:
            w = module.weight.data
            off = torch.randn(w.shape, dtype=torch.float64, generator=generator)
            module.weight = torch.nn.Parameter(w * (1 + noise * off))
    return stock


def loss_of(stock, batch: Data) -> torch.Tensor:
    hidden = stock.model(input_ids=batch.ids).last_hidden_state
    chosen = batch.wanted >= 0
    logits = linear(hidden[chosen], stock.lm_head.weight)
    return cross_entropy(SHARP * logits, batch.wanted[chosen])


@torch.no_grad()
def accuracy(stock, test: Data) -> tuple[float, float]:
    """The share of decoded tokens that are right, and of runs all of whose tokens are."""
    right = total = runs = 0
    for first in range(0, len(test.ids), BATCH):
        batch = test.part(list(range(first, min(first + BATCH, len(test.ids)))))
        hidden = stock.model(input_ids=batch.ids).last_hidden_state
        chosen = batch.wanted >= 0
        fine = torch.ones_like(chosen)
        fine[chosen] = linear(hidden[chosen], stock.lm_head.weight).argmax(-1) == batch.wanted[chosen]
        right, total = right + int(fine[chosen].sum()), total + int(chosen.sum())
        runs += int(fine.all(1).sum())
    return right / total, runs / len(test.ids)


def train(stock, data: Data, way: str, rate: float, seed: int) -> list[float]:
    """The losses."""
    modules = [m for m in stock.modules() if getattr(m, "weight", None) is not None and m.weight.dim() == 2]
    if way == "relative":
        for module in modules:
            parametrize.register_parametrization(module, "weight", Relative(module.weight.data), unsafe=True)
        parameters = [m.parametrizations.weight.original for m in modules]
    else:
        parameters = [m.weight for m in modules]
    for parameter in parameters:
        parameter.requires_grad_(True)
    chooser, losses = random.Random(seed), []
    optimiser = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        loss = loss_of(stock, data.part(chooser.sample(range(len(data.ids)), BATCH)))
        optimiser.zero_grad()
        loss.backward()
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    for module in modules:
        if way == "relative":
            parametrize.remove_parametrizations(module, "weight")
        module.weight.requires_grad_(False)
    return losses


@torch.no_grad()
def edge_strengths(stock, graph: CircuitGraph) -> dict[str, float]:
    """Of every candidate edge the largest product of a weight that writes a slot and one that reads it, each as a share of
    the largest of its unit."""
    width, heads = stock.config.head_dim, stock.config.num_attention_heads
    share = lambda w: w.abs() / w.abs().amax(1, keepdim=True).clamp_min(1e-300)  # noqa: E731
    writes = {"input": share(stock.model.embed_tokens.weight[:, 1:]).amax(0)}
    reads = {"logits": share(stock.lm_head.weight[:, 1:]).amax(0)}
    for i, layer in enumerate(stock.model.layers):
        for h in range(heads):
            rows = slice(width * h, width * (h + 1))
            writes[f"a{i}.h{h}"] = share(layer.self_attn.o_proj.weight[1:, rows].T).amax(0)
            for c in "qkv":
                reads[f"a{i}.h{h}<{c}>"] = share(getattr(layer.self_attn, f"{c}_proj").weight[rows, 1:]).amax(0)
        writes[f"m{i}"] = share(layer.mlp.down_proj.weight[1:].T).amax(0)
        both = (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight)
        reads[f"m{i}"] = torch.maximum(*(share(w[:, 1:]).amax(0) for w in both))
    return {e: float((writes[e.split("->")[0]] * reads[e.split("->")[1]]).max().detach()) for e in graph.candidates()}


def deviation(stock, exact) -> dict[str, float]:
    """Of each kind of tensor the median relative difference of the weights that were not 0."""
    found: dict[str, list[torch.Tensor]] = {kind: [] for kind in KINDS}
    for (name, w), was in zip(weights(stock).items(), weights(exact).values(), strict=True):
        there = was != 0
        found[name.split(".")[-1]].append((w.detach()[there] / was[there] - 1).abs())
    return {kind: float(torch.cat(parts).median()) for kind, parts in found.items()}


def cosine(stock, exact) -> float:
    """The least over all tensors."""
    pairs = zip(weights(stock).values(), weights(exact).values(), strict=True)
    return min(float(torch.cosine_similarity(a.detach().flatten(), b.flatten(), 0)) for a, b in pairs if b.any())


def main() -> None:
    model = w2x.compile(binary("add"))
    graph = w2x.circuits(model)
    t, draw = graph.transformer, random.Random(7)
    calls = lambda bits, count: [tuple(draw.getrandbits(bits) for _ in "ab") for _ in range(count)]  # noqa: E731
    training = data(model, t.prefix, calls(8, 64) + calls(16, 64))
    same, longer = data(model, t.prefix, calls(16, 24)), data(model, t.prefix, calls(31, 24))
    true = {name for name, edge in graph.edges.items() if edge.kind is not EdgeKind.CONSTANT}
    print(
        f"{len(t.layers)} layers; {STEPS} steps of Adam, {BATCH} runs each; tokens and runs right, in %: held-out, longer"
    )
    print(
        f"{'noise':>7}  {'training':<16}{'loss':>18}{'held-out':>12}{'longer':>12}{'edges AUC':>11}{'cosine':>9}  deviation"
    )
    exact = llama(t)
    for noise in NOISE:
        rate = noise / 10 or LEAST
        for way in ("none", "relative", "raw"):
            stock = perturbed(t, noise, 1)
            losses = train(stock, training, way, rate, 2) if way != "none" else []
            row(noise, way, rate, losses, [accuracy(stock, test) for test in (same, longer)])
            auc = recovery(edge_strengths(stock, graph), true).auc
            kinds = " ".join(f"{kind.split('_')[0]} {x:.0e}" for kind, x in deviation(stock, exact).items())
            print(f"{auc:>11.4f}{cosine(stock, exact):>9.5f}  {kinds}", flush=True)


def row(noise: float, way: str, rate: float, losses: list[float], found: list[tuple[float, float]]) -> None:
    how = way if way == "none" else f"{way} {rate:g}"
    ends = f"{np.mean(losses[:10]):.3g} -> {np.mean(losses[-10:]):.3g}" if losses else ""
    shown = "".join(f"{f'{100 * tokens:.0f} {100 * runs:.0f}':>12}" for tokens, runs in found)
    print(f"{noise:>7g}  {how:<16}{ends:>18}{shown}", end="", flush=True)
