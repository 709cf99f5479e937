"""A result as tokens of somebody else's tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
