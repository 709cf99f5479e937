"""Whether the greedy choice at every position of a trace is the token that follows there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from ....compiler.format.errors import past_certificate
from ....compiler.format.transformer import Transformer
from ...errors import ReplayError
from ...fast.certified import check_certificate
from .hard import BLOCK, HardAttention
from .margins import Margins
from .mismatch import Mismatch

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
    reading: Reading | None = None,
) -> Mismatch | None:
    """The first position p >= check_from at which argmax of the logits is not tokens[p + 1]; None if there is none.

    tokens: int [T], the whole sequence from the prefix on. check_from: usually the last token of the prompt.
    attention: "hard", as the limit of ever harder softmax, for the forms of heads that the compiler makes, in memory of what
    lookups may still find (some hundred bytes a token); or "softmax", as it is, in float64, for any heads, in memory of some
    T * slots * 16 bytes.
    reading: of this model; what has been read of the sequence with it is not read again (hard only).
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
    if attention == "hard":
        blocks = (reading or Reading(model)).choices(tokens, check_from)
    else:
        blocks = _soft(model, tokens, check_from, device, margins)
    for start, chosen in blocks:
        following = tokens[start + 1 : start + 1 + len(chosen)]
        wrong = np.flatnonzero(chosen != following)
        if len(wrong):
            first = int(wrong[0])
            return Mismatch(start + first, int(following[first]), int(chosen[first]))
        if progress:
            progress(start + len(chosen))
    return None


class Reading:
    """How far a sequence that grows has been read with hard attention."""

    def __init__(self, model: Transformer):
        self._model, self._read = model, 0
        self._attention: HardAttention | None = None

    def choices(self, tokens: np.ndarray, check_from: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first position, choices from there on), together of all positions that have a successor, from check_from on. tokens:
        those of the last time, and more. Raises ReplayError."""
        sequence = np.ascontiguousarray(tokens, np.int32)
        if self._attention is None or check_from < self._read:
            self._attention, self._read = HardAttention(self._model), 0
        attention = self._attention
        for start in range(self._read, len(tokens) - 1, BLOCK):
            self._attention = None  # nobody goes on from the middle of a block
            stop = min(start + BLOCK, len(tokens) - 1)
            first = min(max(start, check_from), stop)
            chosen = attention.choices(sequence, start, stop, first)
            self._attention, self._read = attention, stop
            yield first, chosen


def _soft(
    model: Transformer, tokens: np.ndarray, check_from: int, device: str, margins: Margins | None
) -> Iterator[tuple[int, np.ndarray]]:
    """The same under real softmax."""
    import torch

    from .matrices import Embedding, Logits, stripes_of
    from .softmax import forward

    _available(device)
    with torch.no_grad():
        logits, x = Logits(model, device), forward(model, Embedding(model, device)(tokens, 0), device, check_from, margins)
        for at, stripe in zip(stripes_of(len(tokens) - 1), x):
            checked = slice(max(check_from, at.start), at.stop)
            if checked.start < checked.stop:
                part = stripe[:, checked.start - at.start : checked.stop - at.start]
                if margins is not None:
                    margins.add_logits(logits, part, checked.start)
                yield checked.start, logits.choices(part)


def _available(device: str) -> None:
    import torch

    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise ReplayError(f"device {device}: cpu, cuda or cuda:NUMBER expected")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without it
        raise ReplayError(f"device {device}: {str(error).splitlines()[0]}") from None
