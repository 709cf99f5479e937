"""Whether the greedy choice at every position of a trace is the token that follows there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import torch

from ....compiler.format.errors import past_certificate
from ....compiler.format.transformer import Transformer
from ...errors import ReplayError
from ...fast.certified import check_certificate
from .hard import BLOCK, HardAttention
from .margins import Margins
from .matrices import Embedding, Logits, Stripes, stripes_of
from .mismatch import Mismatch
from .softmax import forward

ATTENTION = ("hard", "softmax")


def replay(
    model: Transformer,
    tokens: np.ndarray,
    check_from: int = 0,
    progress: Callable[[int], None] | None = None,
    *,
    attention: str = "hard",
    device: str = "cpu",
    margins: Margins | None = None,
) -> Mismatch | None:
    """The first position p >= check_from at which argmax of the logits is not tokens[p + 1]; None if there is none.

    tokens: int [T], the whole sequence from the prefix on. check_from: usually the last token of the prompt.
    attention: "hard", as the limit of ever harder softmax, for the forms of heads that the compiler makes, in memory that does
    not grow with T; or "softmax", as it is, in float64, for any heads, in memory of some T * slots * 16 bytes.
    device: "cpu", "cuda" or "cuda:NUMBER"; hard attention runs on the CPU. margins: is told how far decisions were from a tie
    (softmax only).
    Raises ReplayError, EnvelopeError for a sequence past the checkpoint's certificate, CheckpointError for one that promises more
    than the tensors keep.
    """
    check_certificate(model)
    if model.envelope and len(tokens) > model.envelope:
        raise past_certificate(len(tokens), model.certificate)
    if attention not in ATTENTION or (margins is not None and attention != "softmax"):
        raise ValueError(f"attention {attention!r}: one of {', '.join(ATTENTION)}; margins need softmax")
    _available(device)
    if attention == "hard":
        device = "cpu"
    logits = Logits(model, device)
    with torch.no_grad():
        for start, x in _residuals(model, tokens, attention, device, check_from, margins):
            length = min(sum(stripe.shape[1] for stripe in x), len(tokens) - 1 - start)
            for at, stripe in zip(stripes_of(length, start), x):
                checked = slice(max(check_from, at.start), at.stop)
                if checked.start >= checked.stop:
                    continue
                part = stripe[:, checked.start - at.start : checked.stop - at.start]
                if margins is not None:
                    margins.add_logits(logits, part, checked.start)
                following = tokens[checked.start + 1 : checked.stop + 1]
                wrong = np.flatnonzero((chosen := logits.choices(part)) != following)
                if len(wrong):
                    first = int(wrong[0])
                    return Mismatch(checked.start + first, int(following[first]), int(chosen[first]))
            if progress:
                progress(start + length)
    return None


def _available(device: str) -> None:
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise ReplayError(f"device {device}: cpu, cuda or cuda:NUMBER expected")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without it
        raise ReplayError(f"device {device}: {str(error).splitlines()[0]}") from None


def _residuals(
    model: Transformer, tokens: np.ndarray, attention: str, device: str, check_from: int, margins: Margins | None
) -> Iterator[tuple[int, Stripes]]:
    """(first position, final residual from there on), together of all positions."""
    embedding = Embedding(model, device)
    if attention == "softmax":
        yield 0, forward(model, embedding(tokens, 0), device, check_from, margins)
        return
    hard = HardAttention(model)
    for start in range(0, len(tokens), BLOCK):
        x = embedding(tokens[start : start + BLOCK], start)
        hard.forward(x, start)
        yield start, x
