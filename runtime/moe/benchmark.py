"""Products and sums with one right answer, greedily generated. Needs torch."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import numpy as np
import torch

from ..hybrid.layers import padded
from .routed_model import RoutedModel

NEW_TOKENS = 8


def exercises(count: int, seed: int = 0) -> list[tuple[str, int]]:
    """(text, result): products and sums in turn, of numbers of one or two digits."""
    chosen = random.Random(seed)
    made = []
    for k in range(count):
        a, b = chosen.randrange(2, 20), chosen.randrange(2, 10)
        made.append((f"{a} * {b} =", a * b) if k % 2 == 0 else (f"{a} + {b} =", a + b))
    return made


@torch.no_grad()
def answered(model: RoutedModel, asked: Sequence[tuple[str, int]], batch: int = 32) -> np.ndarray:
    """Which are answered rightly: the first number that is generated is the result. bool [n]."""
    right = []
    for k in range(0, len(asked), batch):
        part = asked[k : k + batch]
        inputs = padded(model.tokenizer, [text for text, _ in part], model.model.device)
        found = model.model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        for row, (_, result) in zip(found[:, inputs["input_ids"].shape[1] :], part):
            number = re.search(r"-?\d+", model.tokenizer.decode(row))
            right.append(number is not None and int(number[0]) == result)
    return np.array(right)
