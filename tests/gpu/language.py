"""Language models on a GPU with compiled programs in them: the results are exact, whatever the model's size and precision."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from typing import Any

import torch

from tests.hybrid import corpus, small_models
from tests.hybrid.measure import generated, other_lines, written_out
from wasm2xformer.runtime import hybrid
from wasm2xformer.runtime.hybrid import Bypass, NativeExpert
from wasm2xformer.runtime.hybrid.layers import padded

Told = tuple[bool, str]


def language(device: str, quick: bool) -> Iterator[Told]:
    experts = hybrid.built_in()
    count = 3 if quick else 50
    llama = small_models.TINY_LLAMA if quick else small_models.LARGE_LLAMA
    olmoe = small_models.TINY_OLMOE if quick else small_models.LARGE_OLMOE
    for precision in (torch.float32, torch.bfloat16):
        model, tokenizer, told = _model(llama, device, precision)
        yield from _bypass(model, tokenizer, experts, count, told)
        model, tokenizer, told = _model(olmoe, device, precision)
        yield from _native(model, tokenizer, experts, count, told)


def _model(recipe: small_models.Recipe, device: str, precision: torch.dtype) -> tuple[Any, Any, str]:
    began = time.perf_counter()
    model, tokenizer = small_models.trained(recipe, device=device)
    size = sum(p.numel() for p in model.parameters())
    seconds = time.perf_counter() - began
    return model.to(precision), tokenizer, f"{recipe.kind} of {size / 1e6:,.0f} M, {precision} ({seconds:.0f} s)"


def _bypass(model: Any, tokenizer: Any, experts: hybrid.Experts, count: int, told: str) -> Iterator[Told]:
    chosen = random.Random(21)
    alone = right = 0
    seconds = [0.0, 0.0]
    with Bypass(model, tokenizer, experts) as inside:
        for _ in range(count):
            one = corpus.sample(chosen)
            for k, processors in enumerate(([], [inside])):
                began = time.perf_counter()
                text, _ = generated(model, tokenizer, one.expression, processors, 30)
                seconds[k] += time.perf_counter() - began
                if processors:
                    right += re.match(rf" {re.escape(str(one.result))}(?![0-9])", text) is not None
                else:
                    alone += text.startswith(f" {one.result}.")
        verified = sum(answer.verify().ok for answer in inside.answers)
    yield (
        len(inside.answers) == verified == right == count,
        f"{told}: bypass: {len(inside.answers)} of {count} triggered, {verified} verified; right {right}, alone {alone}; "
        f"{1000 * seconds[1] / count:.0f} ms a text with it, {1000 * seconds[0] / count:.0f} without",
    )


def _native(model: Any, tokenizer: Any, experts: hybrid.Experts, count: int, told: str) -> Iterator[Told]:
    chosen = random.Random(31)
    shown = written_out(chosen)
    other = padded(tokenizer, other_lines(chosen), model.device)
    mask = other["attention_mask"].bool()

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return model(**other).logits[mask]

    before = logits()
    expert = NativeExpert(model, tokenizer, experts)
    expert.install(shown)
    difference = float((logits() - before).abs().max())
    right = 0
    for _ in range(count):
        one = corpus.sample(chosen)
        text, _ = generated(model, tokenizer, one.expression, [expert], 12)
        right += text.startswith(f" {one.result}.")
    verified = sum(result.answer.verify().ok for result in expert.results)
    expert.remove()
    yield (
        verified == len(expert.results) > 0,
        f"{told}: native expert, a slot added: right {right} of {count}, {verified} of {len(expert.results)} results verified; "
        f"other text: greatest difference of a logit {difference:.2g}",
    )
    yield torch.equal(logits(), before), f"{told}: removed again: logits equal to those before"
