"""What a model is given to read: texts, or invocations of a compiled program with what is true of every token. Needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...compiler.format.checkpoint import Model
from ...compiler.format.isa import Entry
from ..errors import ArgumentError
from ..prompts import Prompts
from ..trace import decode, table_of
from ..world import World
from .patterns import patterns
from .routed_model import RoutedModel

CONTROL = "CONTROL"


@dataclass(frozen=True)
class Prompt:
    """One sequence. Positions before `first` are read and not counted. Of each other one, all [n - first]:

    targets: the token that follows, -1 where none does. categories: the prompt's own, or the operation of the step that
    emits the target. patterns: see `patterns`; of a compiled program the operation again. truth: the expert that has to be
    chosen, -1 where nobody knows. steps: the step, -1 likewise. category: of the prompt; the exported function of an
    invocation.
    """

    text: str
    category: str
    ids: np.ndarray
    first: int
    targets: np.ndarray
    categories: list[str]
    patterns: list[str]
    truth: np.ndarray
    steps: np.ndarray


def texts(model: RoutedModel, pairs: Iterable[tuple[str, str]]) -> list[Prompt]:
    """Prompts of (category, text). Raises ArgumentError for a compiled program, which reads no text."""
    if model.compiled:
        raise ArgumentError("a compiled program reads no text: its prompts are calls, --invoke NAME ARG...")
    special = set(model.tokenizer.all_special_ids)
    made = []
    for category, text in pairs:
        ids = np.array(model.tokenizer(text).input_ids, dtype=np.int64)
        if len(ids):
            made.append(of_ids(model, text, category, ids, special))
    return made


def of_ids(model: RoutedModel, text: str, category: str, ids: np.ndarray, special: set[int] | None = None) -> Prompt:
    """A prompt of these tokens. special: ids of control tokens."""
    special = set(model.tokenizer.all_special_ids) if special is None else special
    shown = ["" if t in special else model.token_text(t) for t in ids.tolist()]
    unknown = np.full(len(ids), -1)
    return Prompt(
        text, category, ids, 0, np.append(ids[1:], -1), [category] * len(ids), patterns(shown), unknown, unknown
    )  # fmt: skip


def invocations(model: RoutedModel, calls: Sequence[tuple[str, Sequence[Any]]], max_tokens: int = 300) -> list[Prompt]:
    """Prompts of (exported function, arguments), each call on an instance of its own; the model itself decodes up to
    `max_tokens` of its tokens. Raises ArgumentError."""
    if model.program is None or model.mixture is None:
        raise ArgumentError("only a compiled program has exported functions to invoke")
    prompts = Prompts(model.program, World())
    made = []
    for name, arguments in calls:
        entry, values = prompts.values(name, arguments)
        ids = model.mixture.shared.prefix.astype(np.int64)
        if model.program.program.start is not None:
            ids = _continued(model, np.concatenate([ids, prompts.tokens(model.program.program.start, [])]), max_tokens)
        made.append(_invocation(model, model.program, prompts, entry, (name, arguments, values), ids, max_tokens))
    return made


def _invocation(
    model: RoutedModel, program: Model, prompts: Prompts, entry: Entry, call: tuple[str, Sequence[Any], list[int]],
    before: np.ndarray, max_tokens: int,
) -> Prompt:  # fmt: skip
    name, arguments, values = call
    prompt = prompts.tokens(entry, values).astype(np.int64)
    first = len(before) + len(prompt) - 1
    ids = _continued(model, np.concatenate([before, prompt]), max_tokens)
    trace = decode(ids[len(before) :], table_of(program), program.program)
    if trace.fault is not None or not len(trace):
        raise ArgumentError(f"{name}: what the model decodes is no run of its program")
    # Tokens behind the last whole step, where the limit cut one.
    ids = ids[: len(before) + int(trace.end[-1]) + 1]
    steps = np.full(len(ids) - len(before), -1)
    for step, end, length in zip(trace.step, trace.end, trace.length):
        steps[end - length + 1 : end + 1] = step
    steps = steps[len(prompt) :]
    operations = [program.program.steps[k].op for k in steps]
    assert model.mixture is not None
    text = f"{name}({', '.join(map(str, arguments))})"
    return Prompt(text, name, ids[:-1], first, ids[first + 1 :], operations, operations, model.mixture.steps[steps], steps)


def _continued(model: RoutedModel, ids: np.ndarray, max_tokens: int) -> np.ndarray:
    tensor = torch.as_tensor(ids, device=model.model.device)[None]
    found = model.model.generate(tensor, attention_mask=torch.ones_like(tensor), max_length=len(ids) + max_tokens)
    return found[0].cpu().numpy().astype(np.int64)
