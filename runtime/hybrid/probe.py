"""A probe on the hidden state at "=": which expert is asked for, or none. Logistic regression, or a small MLP. Needs torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import ExpertError

NONE = "none"
FORMAT = "wasm2xformer-probe-1"


@dataclass
class Probe:
    """p = softmax(net((h - mean) / scale) / temperature), h float32 [width] behind `layer`. labels: names of experts and
    "none". threshold: the least probability at which an expert is called."""

    layer: int
    labels: Sequence[str]
    mean: torch.Tensor
    scale: torch.Tensor
    net: torch.nn.Sequential
    temperature: float = 1.0
    threshold: float = 0.5
    report: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def probabilities(self, states: torch.Tensor) -> torch.Tensor:
        """[n, labels] of states [n, width]."""
        return torch.softmax(self._logits(states) / self.temperature, -1)

    def decide(self, state: torch.Tensor) -> tuple[str | None, float]:
        """The expert that is asked for, None for none; and the probability of what was most likely."""
        p = self.probabilities(state[None].float().cpu())[0]
        best = int(p.argmax())
        label, confidence = self.labels[best], float(p[best])
        return (None if label == NONE or confidence < self.threshold else label), confidence

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        return self.net((states - self.mean) / self.scale)

    def save(self, path: str | Path) -> None:
        """As safetensors, with everything else in the metadata."""
        told = {
            "layer": self.layer, "labels": list(self.labels), "temperature": self.temperature, "threshold": self.threshold,
            "report": self.report,
        }  # fmt: skip
        tensors = {"mean": self.mean, "scale": self.scale, **{f"net.{k}": v for k, v in self.net.state_dict().items()}}
        save_file({k: v.contiguous() for k, v in tensors.items()}, str(path), {"format": FORMAT, "probe": json.dumps(told)})


def load_probe(path: str | Path) -> Probe:
    """Raises ExpertError for a file that is no probe."""
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ExpertError(f"{path}: no probe of this version")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = json.loads(metadata["probe"])
        net = {k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")}
        hidden = net["0.weight"].shape[0] if "2.weight" in net else 0
        made = _net(len(tensors["mean"]), hidden, len(told["labels"]))
        made.load_state_dict(net)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ExpertError(f"{path}: no probe: {' '.join(str(error).split())}") from None
    return Probe(
        told["layer"], told["labels"], tensors["mean"], tensors["scale"], made, told["temperature"], told["threshold"],
        told["report"],
    )  # fmt: skip


def train_probe(
    states: torch.Tensor, labels: Sequence[str], layer: int, *, hidden: int = 0, decay: float = 1e-3, seed: int = 0
) -> Probe:
    """A probe of states float32 [n, width] and what is asked for at each.

    hidden: neurons of the MLP, 0 for logistic regression. A fifth of the examples is kept apart: on it the temperature is
    set, and the threshold, the least from 0.5 on at which none of its "none" is taken for a call. Raises ExpertError for too
    few examples. """
    names = sorted(set(labels))
    if len(names) < 2 or len(labels) < 10 * len(names):
        raise ExpertError(f"{len(labels)} examples of {len(names)} kinds; at least 2 kinds and 10 of each are needed")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    apart, used = order[: len(order) // 5], order[len(order) // 5 :]
    target = torch.tensor([names.index(label) for label in labels])
    mean, scale = states[used].mean(0), states[used].std(0).clamp_min(1e-6)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = _net(states.shape[1], hidden, len(names))
    probe = Probe(layer, names, mean, scale, net)
    _fit(probe, states[used], target[used], decay, 300 if hidden else 200)
    _calibrate(probe, states[apart], target[apart])
    return probe


def _net(width: int, hidden: int, labels: int) -> torch.nn.Sequential:
    if not hidden:
        return torch.nn.Sequential(torch.nn.Linear(width, labels))
    return torch.nn.Sequential(torch.nn.Linear(width, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, labels))


def _fit(probe: Probe, states: torch.Tensor, target: torch.Tensor, decay: float, steps: int) -> None:
    weights = [p for p in probe.net.parameters() if p.dim() > 1]
    optimizer = torch.optim.LBFGS(probe.net.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(probe._logits(states), target)
        value = value + decay * sum(((w**2).sum() for w in weights), torch.zeros(()))
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    probe.net.requires_grad_(False)


def _calibrate(probe: Probe, states: torch.Tensor, target: torch.Tensor) -> None:
    logits = probe._logits(states)
    grid = torch.logspace(-1, 1, 41)
    losses = torch.stack([torch.nn.functional.cross_entropy(logits / t, target) for t in grid])
    probe.temperature = float(grid[losses.argmin()])
    p, best = probe.probabilities(states).max(-1)
    if NONE in probe.labels:
        none = list(probe.labels).index(NONE)
        alarms = p[(target == none) & (best != none)]
        if len(alarms):
            probe.threshold = max(0.5, float(alarms.max()) + 1e-6)
    probe.report = {"accuracy": float((best == target).float().mean()), "examples": float(len(target))}
