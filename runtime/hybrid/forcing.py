"""A result as tokens of somebody else's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .errors import ExpertError


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def tokens_for(tokenizer: Any, before: Sequence[int], text: str) -> list[int]:
    """Tokens that go on behind `before` and read `text`. Raises ExpertError where the tokenizer has none that do."""
    so_far = text_of(tokenizer, before)

    def encoded(whole: str) -> list[int]:
        return list(tokenizer(whole, add_special_tokens=False).input_ids)

    start = encoded(so_far)
    both = encoded(so_far + text)
    candidates = [both[len(start) :]] if both[: len(start)] == start else []
    candidates.append(encoded(text))
    candidates.append([token for character in text for token in encoded(character)])
    for candidate in candidates:
        if candidate and text_of(tokenizer, [*before, *candidate]) == so_far + text:
            return candidate
    raise ExpertError(f"the tokenizer has no tokens that read {text[:40]!r} here")


class Closing:
    """Takes the digits from the scores behind a result: one more, or one behind a point, would make another number of it."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._digits: torch.Tensor | None = None

    def due(self, result: str, behind: Sequence[int]) -> bool:
        """Whether a digit behind these tokens, which follow the result, would belong to it."""
        return len(behind) <= 1 and result[-1:].isdigit() and text_of(self._tokenizer, behind) in ("", ".", ",")

    def close(self, scores: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """The scores [rows, vocabulary] without the tokens that begin with a digit in these rows."""
        if self._digits is None:
            texts = self._tokenizer.batch_decode([[token] for token in range(scores.shape[-1])])
            self._digits = torch.tensor([text[:1].isdigit() for text in texts])
        scores = scores.clone()
        scores[list(rows)] = scores[list(rows)].masked_fill(self._digits.to(scores.device), float("-inf"))
        return scores
